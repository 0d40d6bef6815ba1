package node

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"evenkeel/internal/alert"
)

// planeLog makes events of what a data plane logs.
type planeLog struct {
	post  func(alert.Event)
	attrs []slog.Attr
}

// Enabled implements slog.Handler.
func (*planeLog) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

// Handle implements slog.Handler.
func (h *planeLog) Handle(_ context.Context, r slog.Record) error {
	e := alert.Event{Kind: "dataplane", Severity: alert.Info, Plane: "l4", At: r.Time}
	switch {
	case r.Level >= slog.LevelError:
		e.Severity = alert.Error
	case r.Level >= slog.LevelWarn:
		e.Severity = alert.Warning
	}
	var b strings.Builder
	b.WriteString(r.Message)
	add := func(a slog.Attr) bool {
		fmt.Fprintf(&b, ", %s %v", a.Key, a.Value)
		e.Fields = append(e.Fields, alert.Field{Name: a.Key, Value: a.Value.String()})
		return true
	}
	for _, a := range h.attrs {
		add(a)
	}
	r.Attrs(add)
	e.Text = b.String()
	h.post(e)
	return nil
}

// WithAttrs implements slog.Handler.
func (h *planeLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &planeLog{h.post, append(h.attrs[:len(h.attrs):len(h.attrs)], attrs...)}
}

// WithGroup implements slog.Handler; names are short enough without.
func (h *planeLog) WithGroup(string) slog.Handler { return h }
