package model

import "fmt"

// Severity of a diagnostic.
type Severity uint8

const (
	Notice Severity = iota
	Warning
	Error // the configuration cannot be used
)

// Diagnostic tells a user what is wrong at one place, and what would be right.
type Diagnostic struct {
	Pos      Pos
	Severity Severity
	Message  string // what is wrong
	Cure     string // what would be right; may be empty
	// Secret: the line holds a password, and is not to be shown.
	Secret bool
}

// String gives "file:line:col: message; cure".
func (d Diagnostic) String() string {
	s := d.Message
	if d.Cure != "" {
		s += "; " + d.Cure
	}
	if d.Pos.IsZero() {
		return s
	}
	return d.Pos.String() + ": " + s
}

// Error lets a single diagnostic travel as an error.
func (d Diagnostic) Error() string { return d.String() }

// Diagnostics collects what was found, in order.
type Diagnostics []Diagnostic

// Errorf adds an error.
func (d *Diagnostics) Errorf(pos Pos, format string, args ...any) {
	*d = append(*d, Diagnostic{Pos: pos, Severity: Error, Message: fmt.Sprintf(format, args...)})
}

// Warnf adds a warning.
func (d *Diagnostics) Warnf(pos Pos, format string, args ...any) {
	*d = append(*d, Diagnostic{Pos: pos, Severity: Warning, Message: fmt.Sprintf(format, args...)})
}

// HasErrors says whether any entry is an error.
func (d Diagnostics) HasErrors() bool {
	for _, x := range d {
		if x.Severity == Error {
			return true
		}
	}
	return false
}
