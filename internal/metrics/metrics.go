package metrics

import (
	"fmt"
	"regexp"
	"slices"
)

// Kind says how a metric's value moves.
type Kind uint8

// The kinds.
const (
	CounterKind Kind = iota // only up
	GaugeKind
)

// Desc describes one metric: its name, what it means, and its labels in order.
type Desc struct {
	Name   string
	Kind   Kind
	Help   string
	Labels []string
}

// Emit gives out the value of one metric with its labels' values in order.
type Emit func(name string, value float64, labels ...string)

var (
	goodName  = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*$`)
	goodLabel = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
)

// check says what is wrong with a description. The library would take any
// UTF-8 for a name, which older scrapers and every query would have to quote.
func (d Desc) check() error {
	if !goodName.MatchString(d.Name) {
		return fmt.Errorf("%q is not the name of a metric", d.Name)
	}
	for i, l := range d.Labels {
		if !goodLabel.MatchString(l) || slices.Contains(d.Labels[:i], l) {
			return fmt.Errorf("%s: the label %q is not a name, or is given twice", d.Name, l)
		}
	}
	return nil
}
