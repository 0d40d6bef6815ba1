package admin

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"evenkeel/internal/model"
)

// session is one connection of the runtime API; one goroutine runs it.
type session struct {
	// Set once.
	server *Server
	conn   net.Conn
	in     *bufio.Reader
	out    *bufio.Writer
	id     uint64
	expose func(*net.UnixConn) error // nil: not allowed

	// Owned by the session's goroutine.
	level        model.AdminLevel
	severity     string
	interactive  bool // the session goes on after an answer
	prompting    bool // and a prompt follows each
	expert       bool
	experimental bool
	quit         bool

	// Any goroutine.
	timeout atomic.Int64 // nanoseconds
	broken  atomic.Bool  // the client is gone, or does not read
	closing atomic.Bool  // the server stops
}

// deadlineConn gives each read and write the session's timeout.
type deadlineConn struct{ s *session }

func (d deadlineConn) Read(p []byte) (int, error) {
	d.s.conn.SetReadDeadline(time.Now().Add(time.Duration(d.s.timeout.Load())))
	if d.s.closing.Load() {
		return 0, io.EOF
	}
	return d.s.conn.Read(p)
}

func (d deadlineConn) Write(p []byte) (int, error) {
	d.s.conn.SetWriteDeadline(time.Now().Add(time.Duration(d.s.timeout.Load())))
	n, err := d.s.conn.Write(p)
	if err != nil {
		d.s.broken.Store(true)
	}
	return n, err
}

var errLineTooLong = errors.New("line too long")

// readLine gives the next line without its end. A last line without an end is
// taken as one.
func (s *session) readLine() (string, error) {
	b, err := s.in.ReadSlice('\n')
	switch {
	case err == nil:
		return string(b[:len(b)-1]), nil
	case errors.Is(err, bufio.ErrBufferFull):
		return "", errLineTooLong
	case errors.Is(err, io.EOF) && len(b) > 0:
		return string(b), nil
	}
	return "", err
}

func (s *session) run() {
	for !s.quit && !s.broken.Load() {
		text, err := s.readLine()
		if errors.Is(err, errLineTooLong) {
			s.out.WriteString("Command line too long: the limit is tune.bufsize.\n\n")
			s.out.Flush()
			return
		}
		if err != nil {
			s.out.Flush()
			return
		}
		if !s.serveLine(text) {
			s.out.Flush()
			return
		}
		if s.in.Buffered() == 0 || s.quit {
			if s.out.Flush() != nil {
				return
			}
			// Without a prompt, only what has come at once is answered.
			if !s.interactive {
				return
			}
		}
	}
}

// serveLine runs the commands of one line. false: the session is over.
func (s *session) serveLine(text string) bool {
	l := parseLine(text)
	payload := ""
	if l.payload {
		var err error
		if payload, err = s.readPayload(l.end); err != nil {
			return false
		}
	}
	for i, command := range l.commands {
		last := i == len(l.commands)-1
		if last {
			s.run1(command, payload, l.payload)
		} else {
			s.run1(command, "", false)
		}
		if s.quit || s.broken.Load() {
			return false
		}
		// Every answer ends with an empty line; where one is wanted,
		// the prompt follows it.
		s.out.WriteString("\n")
		if s.prompting {
			s.prompt()
		}
	}
	return true
}

// prompt asks for the next command.
func (s *session) prompt() {
	s.out.WriteString(s.server.opt.Prompt)
	s.out.WriteString("> ")
}

var errPayload = errors.New("payload too long")

// readPayload collects lines up to end.
func (s *session) readPayload(end string) (string, error) {
	var b strings.Builder
	for {
		if s.prompting {
			s.out.WriteString("+ ")
			s.out.Flush()
		}
		text, err := s.readLine()
		if err == nil && b.Len()+len(text) >= s.server.opt.BufSize {
			err = errPayload
		}
		if errors.Is(err, errPayload) || errors.Is(err, errLineTooLong) {
			s.out.WriteString("Payload too long: the limit is tune.bufsize.\n\n")
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				// The client has ended its input: that ends the payload too.
				return b.String(), nil
			}
			return "", err
		}
		text = strings.TrimSuffix(text, "\r")
		if text == end {
			return b.String(), nil
		}
		b.WriteString(text)
		b.WriteByte('\n')
	}
}

// run1 runs one command and writes its answer without the final empty line.
func (s *session) run1(text, payload string, hasPayload bool) {
	c := &Call{Source: s.server.opt.Source, session: s, Payload: payload, HasPayload: hasPayload}
	words, err := splitWords(text)
	if err != nil {
		c.Fail("%s", err)
		return
	}
	if len(words) > 0 && strings.HasPrefix(words[0], "@") {
		rest := strings.TrimLeft(text, " \t")[len(words[0]):]
		if s.server.opt.Prefix != nil {
			if s.server.opt.Prefix(c, words[0], strings.TrimLeft(rest, " \t")) {
				return
			}
		} else if isProcess(words[0]) {
			words = words[1:]
		}
	}
	if len(words) == 0 {
		if s.interactive {
			return
		}
		c.WriteString(s.server.commands.help(s, nil, true))
		return
	}
	command := s.server.commands.find(words)
	if command == nil || command.Expert && !s.expert {
		c.WriteString(s.server.commands.help(s, words, true))
		return
	}
	if s.level < command.Level {
		c.Fail("Permission denied")
		return
	}
	c.Args = words[len(command.Words):]
	command.Run(c)
}

// isProcess says whether a word is @1, @!4242 or @1.1: a process of a master.
func isProcess(w string) bool {
	w = strings.TrimPrefix(w[1:], "!")
	for i := 0; i < len(w); i++ {
		if w[i] < '0' || w[i] > '9' {
			return false
		}
	}
	return len(w) > 0
}

// sessionCommands are part of every table.
func sessionCommands() []Command {
	return []Command{
		{Words: []string{"help"}, Args: "[<command>]", Help: "list matching or all commands", Run: func(c *Call) {
			c.WriteString(c.session.server.commands.help(c.session, c.Args, false))
		}},
		{Words: []string{"prompt"}, Args: "[help | n | i | p | timed]*", Help: "toggle interactive mode with prompt", Run: runPrompt},
		{Words: []string{"_getsocks"}, Run: exposeSockets},
		{Words: []string{"quit"}, Help: "disconnect", Run: func(c *Call) { c.session.quit = true }},
		{Words: []string{"operator"}, Help: "lower the level of the current CLI session to operator", Run: lower(model.LevelOperator)},
		{Words: []string{"user"}, Help: "lower the level of the current CLI session to user", Run: lower(model.LevelUser)},
		{Words: []string{"expert-mode"}, Level: model.LevelAdmin, Run: toggle("expert-mode", func(s *session) *bool { return &s.expert })},
		{Words: []string{"experimental-mode"}, Level: model.LevelAdmin, Run: toggle("experimental-mode", func(s *session) *bool { return &s.experimental })},
		{Words: []string{"set", "severity-output"}, Args: "[none|number|string]", Help: "set presence of severity level in feedback information", Run: func(c *Call) {
			switch c.Arg(0) {
			case "none", "number", "string":
				c.session.severity = c.Arg(0)
			default:
				c.Fail("one of 'none', 'number', 'string' is a required argument")
			}
		}},
		{Words: []string{"set", "timeout"}, Args: "[cli] <delay>", Help: "change a timeout setting", Run: setTimeout},
		{Words: []string{"show", "cli", "level"}, Help: "display the level of the current CLI session", Run: func(c *Call) { c.Note("%s", levelName(c.session.level)) }},
		{Words: []string{"show", "cli", "sockets"}, Help: "dump list of cli sockets", Run: func(c *Call) {
			c.WriteString("# socket lvl processes\n")
			for _, so := range c.session.server.Sockets() {
				c.Printf("%s %s all\n", so.Name, levelName(so.Level))
			}
		}},
	}
}

func levelName(l model.AdminLevel) string {
	switch l {
	case model.LevelAdmin:
		return "admin"
	case model.LevelOperator:
		return "operator"
	}
	return "user"
}

// lower makes a command that gives rights up for the rest of the session.
func lower(l model.AdminLevel) func(c *Call) {
	return func(c *Call) {
		if c.session.level < l {
			c.Fail("Permission denied")
			return
		}
		c.session.level = l
		c.session.expert, c.session.experimental = false, false
	}
}

func toggle(name string, flag func(*session) *bool) func(c *Call) {
	return func(c *Call) {
		f := flag(c.session)
		switch c.Arg(0) {
		case "on":
			*f = true
		case "off":
			*f = false
		case "":
			state := "OFF"
			if *f {
				state = "ON"
			}
			c.Note("%s is %s", name, state)
		default:
			c.Fail("'%s' only supports 'on' and 'off'.", name)
		}
	}
}

// runPrompt is the switch between one answer and interactive mode: without an
// argument it toggles; n leaves it, i and p enter it (i without a prompt).
func runPrompt(c *Call) {
	s := c.session
	if len(c.Args) == 0 {
		s.interactive = !s.interactive
		s.prompting = s.interactive
		return
	}
	for _, a := range c.Args {
		switch a {
		case "n":
			s.interactive, s.prompting = false, false
		case "i":
			s.interactive, s.prompting = true, false
		case "p", "timed":
			s.interactive, s.prompting = true, true
		default:
			c.Note("usage: prompt [n|i|p]: n leaves interactive mode, i enters it, p with a prompt")
			return
		}
	}
}

func setTimeout(c *Call) {
	if c.Arg(0) != "cli" {
		c.Fail("'set timeout' only supports 'cli'.")
		return
	}
	if c.Arg(1) == "" {
		c.Fail("Expects an integer value.")
		return
	}
	d, ok := parseDelay(c.Arg(1), time.Second)
	if !ok || d < time.Second {
		c.Fail("Invalid timeout value.")
		return
	}
	c.session.timeout.Store(int64(d))
}

// parseDelay reads a number with HAProxy's time units; unit is that of a bare
// number.
func parseDelay(s string, unit time.Duration) (time.Duration, bool) {
	units := []struct {
		suffix string
		d      time.Duration
	}{{"us", time.Microsecond}, {"ms", time.Millisecond}, {"s", time.Second}, {"m", time.Minute}, {"h", time.Hour}, {"d", 24 * time.Hour}}
	for _, u := range units {
		if n, ok := strings.CutSuffix(s, u.suffix); ok {
			s, unit = n, u.d
			break
		}
	}
	n, ok := parseNumber(s)
	if !ok || n < 0 || n > int64((1<<62)/unit) || n > 1<<31/int64(max(1, unit/time.Second)) {
		return 0, false
	}
	return time.Duration(n) * unit, true
}

// parseNumber reads a decimal integer.
func parseNumber(s string) (int64, bool) {
	negative := strings.HasPrefix(s, "-")
	s = strings.TrimPrefix(s, "-")
	if s == "" || len(s) > 18 {
		return 0, false
	}
	var n int64
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	if negative {
		n = -n
	}
	return n, true
}

// exposeSockets gives the listening sockets away, where the socket's
// configuration allows it.
func exposeSockets(c *Call) {
	uc, ok := c.session.conn.(*net.UnixConn)
	if !ok || c.session.expose == nil {
		c.Fail("Permission denied")
		return
	}
	// A peer that went away in the middle has what it deserves.
	_ = c.session.expose(uc)
	c.session.quit = true
}
