package accesslog

import (
	"strconv"
	"time"

	"evenkeel/internal/model"
)

// header is what stands between the priority and the message for all lines of
// one second. In the formats with microseconds, six digits from micros on are
// filled in for each line.
type header struct {
	second int64
	text   []byte
	micros int // offset in text, or -1
}

// naming is the parts of a header that do not change.
type naming struct {
	format   model.LogWire
	hostname string
	tag      string
	pid      string
}

const digits6 = "000000"

// build makes the header for the second in which now lies.
func (n *naming) build(now time.Time) *header {
	h := &header{second: now.Unix(), micros: -1}
	b := make([]byte, 0, 96)
	switch n.format {
	case model.LogRFC3164, model.LogLocal:
		b = now.AppendFormat(b, time.Stamp)
		b = append(b, ' ')
		if n.format == model.LogRFC3164 {
			b = append(b, n.hostname...)
			b = append(b, ' ')
		}
		if n.tag != "" {
			b = append(b, n.tag...)
			b = append(b, '[')
			b = append(b, n.pid...)
			b = append(b, "]: "...)
		}
	case model.LogRFC5424:
		b = append(b, "1 "...)
		b, h.micros = appendISO(b, now)
		for _, s := range [...]string{n.hostname, n.tag, n.pid} {
			if s == "" {
				s = "-"
			}
			b = append(b, s...)
			b = append(b, ' ')
		}
		b = append(b, "- "...) // message id
	case model.LogTimed, model.LogISO:
		b, h.micros = appendISO(b, now)
	}
	h.text = b
	return h
}

// appendISO writes 2006-01-02T15:04:05.000000+00:00 and a space, and says
// where the microseconds stand.
func appendISO(b []byte, now time.Time) ([]byte, int) {
	b = now.AppendFormat(b, "2006-01-02T15:04:05.")
	at := len(b)
	b = append(b, digits6...)
	b = now.AppendFormat(b, "-07:00")
	return append(b, ' '), at
}

// putMicros writes n as six digits.
func putMicros(b []byte, n int) {
	for i := 5; i >= 0; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
}

// priorities are "<PRI>" for each severity, as far as the format has it.
func priorities(format model.LogWire, facility int) (p [8][]byte) {
	for i := range p {
		switch format {
		case model.LogRaw, model.LogISO:
		case model.LogShort, model.LogTimed: // the severity alone, as journald reads it
			p[i] = []byte("<" + strconv.Itoa(i) + ">")
		default:
			p[i] = []byte("<" + strconv.Itoa(facility*8+i) + ">")
		}
	}
	return p
}
