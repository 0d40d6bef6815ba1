package checks

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"evenkeel/internal/model"
)

// RealChecker is one checker block of keepalived.conf, compiled. It may run
// for many real servers at one time.
type RealChecker interface {
	// Run checks once. It ends soon after ctx, with a result that is not to be
	// used, and at the latest when the limits of the block are over.
	Run(ctx context.Context, t RealTarget) RealResult
}

// Parted is a checker that looks at several things in turn, each with its own
// delay, retries and result: the urls of HTTP_GET.
type Parted interface {
	RealChecker
	Parts() int
}

// Watching is a checker whose result changes with something that others watch.
// It does no I/O and needs no interval: it is run when the thing has changed.
type Watching interface {
	RealChecker
	Watches() Watched
}

// Watched names what a Watching checker depends on.
type Watched struct {
	Kind model.RealCheckKind // CheckerBFD or CheckerFILE
	Name string
}

// RealTarget is what a checker runs against.
type RealTarget struct {
	Server      netip.AddrPort // the real server
	VirtualHost string         // of the real server or the virtual server
	Part        int            // 0 to Parts()-1
}

// RealResult is the end of one run.
type RealResult struct {
	OK bool
	// Local: the check could not be made for a reason on this machine (no
	// descriptor, no such source address). It says nothing about the server.
	Local bool
	// Weight is what MISC_CHECK with misc_dynamic says the server's weight
	// should be, FILE_CHECK what it adds; nil: nothing.
	Weight *int
	Text   string // for people, one line
	Took   time.Duration
}

// RealEnv is what checkers need from outside. Fields may be nil or empty.
type RealEnv struct {
	ScriptUser *model.Credential // script_user
	Secure     bool              // enable_script_security
	// BFD says whether a session is up, and whether there is such a session.
	BFD func(name string) (up, known bool)
	// File gives the number in a track_file, with its own weight.
	File func(name string) (f TrackedFile, known bool)
}

// TrackedFile is the state of a track_file.
type TrackedFile struct {
	Value   int64
	Weight  int
	Reverse bool
}

// realKinds is the table of keepalived's checkers.
var realKinds = map[model.RealCheckKind]func(c *model.RealCheck, e *RealEnv) (RealChecker, error){
	model.CheckerHTTP: compileRealHTTP,
	model.CheckerSSL:  compileRealHTTP,
	model.CheckerTCP:  compileRealTCP,
	model.CheckerSMTP: compileRealSMTP,
	model.CheckerMISC: compileRealMISC,
	model.CheckerDNS:  compileRealDNS,
	model.CheckerUDP:  compileRealUDP,
	model.CheckerPING: compileRealPING,
	model.CheckerFILE: compileRealFILE,
	model.CheckerBFD:  compileRealBFD,
}

// CompileReal makes the checker of a block. Errors name the block's place in
// the file.
func CompileReal(c *model.RealCheck, e *RealEnv) (RealChecker, error) {
	compile, ok := realKinds[c.Kind]
	if !ok {
		return nil, &RealError{c.Pos, fmt.Sprintf("there is no checker %s", c.Kind)}
	}
	if e == nil {
		e = &RealEnv{}
	}
	k, err := compile(c, e)
	if err != nil {
		at, inner := c.Pos, (*RealError)(nil)
		if errors.As(err, &inner) {
			at = inner.Pos
		}
		return nil, &RealError{at, fmt.Sprintf("%s: %v", c.Kind, err)}
	}
	return k, nil
}

// RealError is why a block cannot be compiled, with the line that is at fault.
type RealError struct {
	Pos     model.Pos
	Message string
}

// Error gives both.
func (e *RealError) Error() string { return e.Pos.String() + ": " + e.Message }

// placed is an error of a part of a block: its line is known, its text goes on
// without it.
type placed struct{ *RealError }

func (p placed) Error() string { return p.Message }
func (p placed) Unwrap() error { return p.RealError }

// outcome words a result; the time that it took ends the text.
func outcome(start time.Time, ok bool, format string, args ...any) RealResult {
	took := time.Since(start)
	return RealResult{OK: ok, Took: took, Text: fmt.Sprintf(format, args...) + " in " + brief(took)}
}

// brief is a duration as people read it: two or three digits of it.
func brief(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	case d < 10*time.Second:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
