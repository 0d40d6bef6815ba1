package alert

import (
	"context"
	"encoding/binary"
	"os"
	"strconv"
	"strings"
	"time"
)

// Journal sends events with all their fields to systemd's journal, in its
// native protocol: NAME=value lines, or for values with line ends NAME, eight
// bytes of length (little endian) and the value.
type Journal struct {
	Path     string // "": /run/systemd/journal/socket
	Tag      string // "": Keepalived_vrrp
	Facility string // "": daemon
	Level    Severity
}

// Key implements Spec.
func (j Journal) Key() string { return "journal" }

// Wants implements Spec.
func (j Journal) Wants(e *Event) bool { return wantsLevel(j.Level, e) }

func (j Journal) traits() traits { return Syslog{}.traits() }

func (j Journal) open(tell func(Severity, string)) (output, error) {
	if j.Path == "" {
		j.Path = "/run/systemd/journal/socket"
	}
	line, err := Syslog{Address: j.Path, Tag: j.Tag, Facility: j.Facility}.open(tell)
	if err != nil {
		return nil, err
	}
	return journalOutput{line.(*syslogOutput)}, nil
}

// journalOutput is a syslog socket with another form of message.
type journalOutput struct{ *syslogOutput }

func (o journalOutput) send(ctx context.Context, batch []*Event) (int, error) {
	for i, e := range batch {
		o.buf = o.append(o.buf[:0], e)
		if err := o.write(ctx, o.buf); err != nil {
			return i, err
		}
	}
	return len(batch), nil
}

func (o journalOutput) append(b []byte, e *Event) []byte {
	b = appendJournal(b, "MESSAGE", e.Text)
	b = appendJournal(b, "PRIORITY", strconv.Itoa(int(e.Severity)))
	b = appendJournal(b, "SYSLOG_FACILITY", strconv.Itoa(o.facility))
	b = appendJournal(b, "SYSLOG_IDENTIFIER", o.tag)
	b = appendJournal(b, "SYSLOG_PID", strconv.Itoa(os.Getpid()))
	b = appendJournal(b, "SYSLOG_TIMESTAMP", e.At.Local().Format(time.Stamp+" "))
	b = appendJournal(b, "EVENKEEL_KIND", e.Kind)
	b = appendJournal(b, "EVENKEEL_PLANE", e.Plane)
	if e.Name != "" {
		b = appendJournal(b, "EVENKEEL_NAME", e.Name)
	}
	for _, f := range e.Fields {
		b = appendJournal(b, "EVENKEEL_"+journalName(f.Name), f.Value)
	}
	return b
}

// journalName makes a field's name one that the journal takes: capitals,
// digits and underscores, at most 64 with the prefix.
func journalName(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z' || r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, s)
	return s[:min(len(s), 64-len("EVENKEEL_"))]
}

func appendJournal(b []byte, name, value string) []byte {
	value = value[:min(len(value), 4*maxText)]
	b = append(b, name...)
	if !strings.Contains(value, "\n") {
		b = append(b, '=')
	} else {
		b = append(b, '\n')
		b = binary.LittleEndian.AppendUint64(b, uint64(len(value)))
	}
	return append(append(b, value...), '\n')
}
