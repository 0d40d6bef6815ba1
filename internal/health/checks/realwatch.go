package checks

import (
	"context"
	"errors"
	"fmt"
	"math"

	"evenkeel/internal/model"
)

// realBFD is BFD_CHECK: the state of a session.
type realBFD struct {
	name string
	up   func(name string) (up, known bool)
}

func compileRealBFD(c *model.RealCheck, e *RealEnv) (RealChecker, error) {
	if c.BFD == "" {
		return nil, errors.New("no name: write the name of a bfd_instance")
	}
	if e.BFD == nil {
		return nil, errors.New("BFD sessions are not run here")
	}
	return &realBFD{c.BFD, e.BFD}, nil
}

// Watches names the session.
func (k *realBFD) Watches() Watched { return Watched{model.CheckerBFD, k.name} }

// Run looks at the session.
func (k *realBFD) Run(context.Context, RealTarget) RealResult {
	switch up, known := k.up(k.name); {
	case !known:
		return RealResult{Text: fmt.Sprintf("there is no BFD session %s", k.name)}
	case up:
		return RealResult{OK: true, Text: fmt.Sprintf("BFD session %s is up", k.name)}
	}
	return RealResult{Text: fmt.Sprintf("BFD session %s is down", k.name)}
}

// realFILE is FILE_CHECK: a number in a file, as a weight or as a verdict.
type realFILE struct {
	spec *model.FileCheckSpec
	file func(name string) (TrackedFile, bool)
}

func compileRealFILE(c *model.RealCheck, e *RealEnv) (RealChecker, error) {
	if c.File == nil || c.File.File == "" {
		return nil, errors.New("no track_file: write the name of a track_file block")
	}
	if e.File == nil {
		return nil, errors.New("files are not watched here")
	}
	return &realFILE{c.File, e.File}, nil
}

// Watches names the file's block.
func (k *realFILE) Watches() Watched { return Watched{model.CheckerFILE, k.spec.File} }

// faultWeight and below means that the server is down, whatever else.
const faultWeight = math.MinInt32

// Run looks at the number. Without a weight anything but 0 is a failure; with
// one, the number times the weight is added to the server's weight.
func (k *realFILE) Run(context.Context, RealTarget) RealResult {
	f, known := k.file(k.spec.File)
	if !known {
		return RealResult{Text: fmt.Sprintf("there is no track_file %s", k.spec.File)}
	}
	weight, reverse := int64(f.Weight), f.Reverse
	if k.spec.Weight != nil {
		weight, reverse = int64(*k.spec.Weight), false
	}
	if k.spec.Reverse != nil {
		reverse = *k.spec.Reverse
	}
	if weight == 0 && k.spec.Dynamic {
		weight = 1
	}
	if weight == 0 {
		ok := f.Value == 0
		if reverse {
			ok = !ok
		}
		return RealResult{OK: ok, Text: fmt.Sprintf("track_file %s says %d", k.spec.File, f.Value)}
	}
	if reverse {
		weight = -weight
	}
	sum := saturated(f.Value, weight)
	text := fmt.Sprintf("track_file %s says %d, weight %+d", k.spec.File, f.Value, sum)
	n := int(sum)
	if sum <= faultWeight {
		n = 0
	}
	return RealResult{OK: sum > faultWeight, Weight: &n, Text: text}
}

// saturated multiplies within 32 bits, which is what weights have.
func saturated(a, b int64) int64 {
	a = min(max(a, math.MinInt32), math.MaxInt32)
	return min(max(a*b, math.MinInt32), math.MaxInt32)
}
