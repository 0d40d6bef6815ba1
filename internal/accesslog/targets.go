package accesslog

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"evenkeel/internal/model"
)

// MinLen and DefaultLen bound a line's bytes, header included.
const (
	MinLen     = 80
	DefaultLen = 1024
)

// Options say what the lines of a list of targets carry.
type Options struct {
	Tag      string             // "" : haproxy
	Hostname string             // of log-send-hostname; "" : it is not sent
	Pid      int                // 0: this process
	Global   []model.LogTarget  // what `log global` stands for
	Now      func() time.Time   // nil: time.Now
	Sockets  *Sockets           // shared between lists; nil: sockets of its own
	Refuse   func(t error) bool // nil, or decides whether a bad target is skipped (true)
}

// Targets sends lines to all targets of one proxy, or of the process.
type Targets struct {
	// Set once.
	list []*target
	now  func() time.Time
	own  *Sockets // to be closed with the list
}

// target is one `log` line.
type target struct {
	// Set once.
	naming
	priority [8][]byte
	level    int // the most verbose that is sent
	min      int // more severe ones are sent as this
	maxLen   int
	sample   *sample
	out      sink

	head atomic.Pointer[header]
	// spare keeps the pieces for the next line: on the stack they cannot stay,
	// since the compiler does not see that the kernel forgets the pointers. A
	// second loop that sends at the same moment makes its own.
	spare   atomic.Pointer[pieces]
	sent    atomic.Uint64
	dropped atomic.Uint64
}

// Open makes the senders of a list of targets. It fails at the first target
// that cannot be used.
func Open(list []model.LogTarget, o Options) (*Targets, error) {
	t := &Targets{now: o.Now}
	if t.now == nil {
		t.now = time.Now
	}
	if o.Sockets == nil {
		o.Sockets = NewSockets()
		t.own = o.Sockets
	}
	if o.Tag == "" {
		o.Tag = "haproxy"
	}
	if o.Pid == 0 {
		o.Pid = os.Getpid()
	}
	var expanded []model.LogTarget
	for _, m := range list {
		if m.Global {
			expanded = append(expanded, o.Global...)
			continue
		}
		expanded = append(expanded, m)
	}
	for i := range expanded {
		one, err := open(&expanded[i], &o)
		if err != nil {
			err = fmt.Errorf("%s: log %s: %w", expanded[i].Pos, expanded[i].Addr, err)
			if o.Refuse != nil && o.Refuse(err) {
				continue
			}
			t.Close()
			return nil, err
		}
		t.list = append(t.list, one)
	}
	return t, nil
}

func open(m *model.LogTarget, o *Options) (*target, error) {
	t := &target{
		naming: naming{format: m.Format, hostname: o.Hostname, tag: o.Tag, pid: strconv.Itoa(o.Pid)},
		level:  m.Level, min: m.MinLevel, maxLen: m.MaxLen,
	}
	if m.Level < Emerg || m.Level > Debug || m.MinLevel < Emerg || m.MinLevel > Debug {
		return nil, errors.New("a level is between 0 (emerg) and 7 (debug)")
	}
	// HAProxy takes `local` where no format is given, unless there is a host
	// name to send.
	if t.format == model.LogRFC3164 && t.hostname == "" {
		t.format = model.LogLocal
		if m.FormatGiven {
			t.format, t.hostname = model.LogRFC3164, "localhost"
		}
	}
	if t.maxLen == 0 {
		t.maxLen = DefaultLen
	}
	if t.maxLen < MinLen {
		t.maxLen = MinLen
	}
	facility := 0
	if m.Facility != "" {
		f, ok := Facility(m.Facility)
		if !ok {
			return nil, fmt.Errorf("unknown facility %q; one of kern, user, daemon, local0 to local7", m.Facility)
		}
		facility = f
	}
	t.priority = priorities(t.format, facility)
	if m.SampleRanges != "" {
		s, err := newSample(m.SampleRanges, m.SampleSize)
		if err != nil {
			return nil, err
		}
		t.sample = s
	}
	out, err := o.Sockets.sink(m)
	t.out = out
	return t, err
}

// Send sends one line, without its line end, to every target that takes its
// level. It never blocks and may be called from any goroutine.
func (t *Targets) Send(level int, line []byte) { t.SendSD(level, nil, line) }

// SendSD is Send with RFC 5424 structured data (log-format-sd).
func (t *Targets) SendSD(level int, sd, line []byte) {
	if t == nil || len(t.list) == 0 {
		return
	}
	if level < Emerg {
		level = Emerg
	} else if level > Debug {
		level = Debug
	}
	// One line is one line: HAProxy too cuts off what ends a line.
	for len(line) > 0 && (line[len(line)-1] == '\n' || line[len(line)-1] == 0) {
		line = line[:len(line)-1]
	}
	now := t.now()
	for _, one := range t.list {
		one.send(now, level, sd, line)
	}
}

var (
	newline = []byte{'\n'}
	noSD    = []byte("- ")
	space   = []byte{' '}
)

func (t *target) send(now time.Time, level int, sd, line []byte) {
	if level > t.level {
		return
	}
	if level < t.min {
		level = t.min
	}
	if t.sample != nil && !t.sample.take() {
		return
	}
	h := t.head.Load()
	if s := now.Unix(); h == nil || h.second != s {
		h = t.build(now)
		t.head.Store(h)
	}
	v := t.spare.Swap(nil)
	if v == nil {
		v = new(pieces)
	}
	text := h.text
	if h.micros >= 0 {
		v.scratch = append(v.scratch[:0], text...)
		text = v.scratch
		putMicros(text[h.micros:], now.Nanosecond()/1000)
	}
	left := t.maxLen
	left = v.add(t.priority[level], left)
	left = v.add(text, left)
	if t.format == model.LogRFC5424 {
		if len(sd) == 0 {
			left = v.add(noSD, left)
		} else {
			left = v.add(sd, left)
			left = v.add(space, left)
		}
	}
	v.add(line, left)
	v.add(newline, 1)
	if t.out.write(v) {
		t.sent.Add(1)
	} else {
		t.dropped.Add(1)
	}
	v.reset()
	t.spare.Store(v)
}

// Any says whether some target takes lines of this level: if not, the line
// need not be made.
func (t *Targets) Any(level int) bool {
	if t == nil {
		return false
	}
	for _, one := range t.list {
		if level <= one.level {
			return true
		}
	}
	return false
}

// Len is the number of targets.
func (t *Targets) Len() int {
	if t == nil {
		return 0
	}
	return len(t.list)
}

// Sent counts the lines given to the kernel, over all targets.
func (t *Targets) Sent() (n uint64) {
	if t != nil {
		for _, one := range t.list {
			n += one.sent.Load()
		}
	}
	return n
}

// Dropped counts the lines that could not be sent at once (DroppedLogs).
func (t *Targets) Dropped() (n uint64) {
	if t != nil {
		for _, one := range t.list {
			n += one.dropped.Load()
		}
	}
	return n
}

// Close frees what the list owns. No Send may run or follow.
func (t *Targets) Close() {
	if t == nil {
		return
	}
	for _, one := range t.list {
		one.out.close()
	}
	if t.own != nil {
		t.own.Close()
	}
}
