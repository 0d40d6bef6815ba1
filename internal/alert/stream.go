package alert

import (
	"context"
	"fmt"
	"io"
	"strings"
)

// wantsLevel is the filter of sinks that take everything up to a severity;
// zero stands for Info, since nobody wants emergencies alone.
func wantsLevel(max Severity, e *Event) bool {
	if max == 0 {
		max = Info
	}
	return e.Severity <= max
}

// oneLine is a text without line ends and other control characters, at most n
// bytes long.
func oneLine(s string, n int) string {
	s = clean(strings.ToValidUTF8(s, "_"), false)
	if len(s) > n {
		s = strings.ToValidUTF8(s[:n-3], "") + "..."
	}
	return s
}

// Stream writes lines to a file that somebody reads: standard error.
type Stream struct {
	Name  string // "stderr"
	To    io.Writer
	Level Severity // the least urgent that is written; 0: Info
}

// Key implements Spec.
func (s Stream) Key() string { return s.Name }

// Wants implements Spec.
func (s Stream) Wants(e *Event) bool { return wantsLevel(s.Level, e) }

func (s Stream) traits() traits { return traits{limit: logLimit, local: true, batch: 16} }

// same compares who writes, not what is in the writer.
func (s Stream) same(other Spec) bool {
	o, ok := other.(Stream)
	return ok && o == s
}

func (s Stream) open(func(Severity, string)) (output, error) { return streamOutput{s}, nil }

type streamOutput struct{ spec Stream }

func (s streamOutput) send(ctx context.Context, batch []*Event) (int, error) {
	for i, e := range batch {
		if ctx.Err() != nil {
			return i, ctx.Err()
		}
		if _, err := fmt.Fprintf(s.spec.To, "%s: %s\n", e.At.Format("Mon Jan _2 15:04:05.000 2006"), oneLine(e.Text, maxText)); err != nil {
			return i, err
		}
	}
	return len(batch), nil
}

func (s streamOutput) close() {}
