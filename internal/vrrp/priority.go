package vrrp

import (
	"fmt"
	"strings"

	wire "evenkeel/internal/wire/vrrp"
)

// Tracked is one thing that an instance's priority depends on.
type Tracked struct {
	Kind string // "script", "interface", "process", "file", "bfd", "proxy"
	Name string
	// Weight 0: down is a fault. Above 0: added while up. Below 0: taken off
	// while down. Reverse turns the direction of the adjustment round, and with
	// weight 0 up and down.
	Weight  int
	Reverse bool
	Up      bool
	// File: Value times Weight is added instead; with weight 0 any value but 0
	// is a fault, and so is a result below -253.
	File  bool
	Value int
}

// largestWeight is the largest adjustment; a file that asks for a larger
// reduction asks for a fault.
const largestWeight = 253

// Effective computes the priority from the configured one and what is tracked.
// fault is the reason when something without a weight is down, otherwise "".
// why is for people: "150 - 60 script chk_nginx failed = 90".
//
// An owner's priority does not change, but it can be in fault.
func Effective(configured uint8, tracked []Tracked) (effective uint8, why, fault string) {
	sum := int(configured)
	var terms, faults strings.Builder
	for i := range tracked {
		t := &tracked[i]
		n, broken := t.adjust()
		if broken {
			if faults.Len() > 0 {
				faults.WriteString(", ")
			}
			faults.WriteString(t.words())
			continue
		}
		if n == 0 || configured == wire.PriorityOwner {
			continue
		}
		sum += n
		sign := '+'
		if n < 0 {
			sign, n = '-', -n
		}
		fmt.Fprintf(&terms, " %c %d %s", sign, n, t.words())
	}
	effective = bound(configured, sum)
	if terms.Len() > 0 {
		why = fmt.Sprintf("%d%s = %d", configured, terms.String(), sum)
		if int(effective) != sum {
			why += fmt.Sprintf(", limited to %d", effective)
		}
	}
	return effective, why, faults.String()
}

// adjust is what a tracked thing adds, or that it is a fault.
func (t *Tracked) adjust() (n int, fault bool) {
	switch {
	case t.File && t.Weight == 0:
		return 0, (t.Value != 0) != t.Reverse
	case t.File:
		// Values are 32 bits in the configuration's language, so that the
		// product fits.
		n = t.Value * t.Weight
		if t.Reverse {
			n = -n
		}
		return min(n, largestWeight), n < -largestWeight
	case t.Weight == 0:
		return 0, t.Up == t.Reverse
	case t.Weight > 0 && t.Up, t.Weight < 0 && !t.Up:
		if t.Reverse {
			return -t.Weight, false
		}
		return t.Weight, false
	}
	return 0, false
}

// conditions are how a kind's two states are called, down and up.
var conditions = map[string][2]string{
	"script":    {"failed", "succeeded"},
	"interface": {"is down", "is up"},
	"process":   {"is not running", "is running"},
	"bfd":       {"is down", "is up"},
	"proxy":     {"is down", "is up"},
}

func (t *Tracked) words() string {
	if t.File {
		return fmt.Sprintf("file %s says %d", t.Name, t.Value)
	}
	c, ok := conditions[t.Kind]
	if !ok {
		c = [2]string{"is down", "is up"}
	}
	words := c[0]
	if t.Up {
		words = c[1]
	}
	if t.Name == "" {
		return t.Kind + " " + words
	}
	return t.Kind + " " + t.Name + " " + words
}
