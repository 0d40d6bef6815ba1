package admin

import (
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"time"

	"evenkeel/internal/model"
)

// trafficCommands look at and change frontends, sessions and the process.
func trafficCommands() []Command {
	const admin, operator = model.LevelAdmin, model.LevelOperator
	return []Command{
		{Words: []string{"disable", "frontend"}, Args: "<frontend>", Level: admin, Help: "temporarily disable specific frontend", Run: func(c *Call) {
			if f := c.frontend(c.Arg(0)); f != nil {
				switch s := f.Snapshot(c.Source.Now()); {
				case s.Disabled:
					c.Note("All sockets are already disabled.")
				case s.Status == FrontendStopped:
					c.Note("Frontend was previously shut down, cannot disable.")
				default:
					c.result(f.Disable())
				}
			}
		}},
		{Words: []string{"enable", "frontend"}, Args: "<frontend>", Level: admin, Help: "re-enable specific frontend", Run: func(c *Call) {
			if f := c.frontend(c.Arg(0)); f != nil {
				switch s := f.Snapshot(c.Source.Now()); {
				case s.Disabled:
					c.result(f.Enable())
				case s.Status == FrontendStopped:
					c.Fail("Frontend was previously shut down, cannot enable.")
				default:
					c.Note("All sockets are already enabled.")
				}
			}
		}},
		{Words: []string{"shutdown", "frontend"}, Args: "<frontend>", Level: admin, Help: "stop a specific frontend", Run: func(c *Call) {
			if f := c.frontend(c.Arg(0)); f != nil {
				if s := f.Snapshot(c.Source.Now()); s.Status == FrontendStopped && !s.Disabled {
					c.Fail("Frontend was already shut down.")
					return
				}
				c.result(f.Shutdown())
			}
		}},
		{Words: []string{"set", "maxconn", "frontend"}, Args: "<frontend> <value>", Level: admin, Help: "change a frontend's maxconn setting", Run: func(c *Call) {
			if f := c.frontend(c.Arg(0)); f != nil {
				if n, ok := c.limit(1, "Integer value expected."); ok {
					f.SetMaxConn(n)
				}
			}
		}},
		{Words: []string{"set", "maxconn", "global"}, Args: "<value>", Level: admin, Help: "change the per-process maxconn setting", Run: func(c *Call) {
			n, ok := c.limit(0, "Expects an integer value.")
			if !ok {
				return
			}
			if info := c.Source.Info(); info.HardMaxConn > 0 && n > info.HardMaxConn {
				c.Fail("Value out of range.")
				return
			}
			c.Source.SetMaxConn(n)
		}},
		{Words: []string{"set", "rate-limit"}, Args: "<setting> <value>", Level: admin, Help: "change a rate limiting value", Run: setRateLimit},
		{Words: []string{"clear", "counters"}, Args: "[all]", Level: operator, Help: "clear max statistics counters (or all counters)", Run: clearCounters},
		{Words: []string{"shutdown", "session"}, Args: "[id]", Level: admin, Help: "kill a specific session", Run: func(c *Call) {
			if c.Arg(0) == "" {
				c.Fail("Session pointer expected (use 'show sess').")
				return
			}
			id, ok := sessionID(c.Arg(0))
			if !ok || !c.Source.ShutdownSession(id) {
				c.Fail("No such session (use 'show sess').")
			}
		}},
		{Words: []string{"show", "sess"}, Args: "[id]", Level: operator, Help: "report the list of current sessions or dump this exact session", Run: showSessions},
		{Words: []string{"show", "errors"}, Args: "[<px>] [request|response]", Level: operator, Help: "report last request and/or response errors for each proxy", Run: showErrors},
		{Words: []string{"show", "info"}, Args: "[desc|json|typed|float]*", Help: "report information about the running process", Run: showInfo},
		{Words: []string{"show", "stat"}, Args: "[desc|json|no-maint|typed|up]*", Help: "report counters for each proxy and server", Run: showStat},
		{Words: []string{"show", "env"}, Args: "[var]", Level: operator, Help: "dump environment variables known to the process", Run: showEnv},
		{Words: []string{"show", "version"}, Help: "show version of the current process", Run: func(c *Call) { c.Note("%s", c.Source.Info().Version) }},
		{Words: []string{"show", "startup-logs"}, Help: "report logs emitted during startup", Run: func(c *Call) { c.text(c.Source.StartupLogs()) }},
		{Words: []string{"show", "activity"}, Level: operator, Help: "show per-thread activity stats (for support/developers)", Run: activity("activity")},
		{Words: []string{"show", "threads"}, Level: operator, Help: "show some threads debugging information", Run: activity("threads")},
		{Words: []string{"show", "pools"}, Level: operator, Help: "report information about the memory pools usage", Run: activity("pools")},
		{Words: []string{"show", "table"}, Args: "<table> [<filter>]*", Help: "report table usage stats or dump this table's contents (filter: data/key)", Run: noTable},
		{Words: []string{"clear", "table"}, Args: "<table> [<filter>]*", Level: operator, Help: "remove an entry from a table (filter: data/key)", Run: refuse("No such table")},
		{Words: []string{"set", "table"}, Args: "<table> key <k> [data.* <v>]*", Level: operator, Help: "update or create a table entry's data", Run: refuse("No such table")},
		{Words: []string{"show", "peers"}, Args: "[dict|-] [section]", Help: "dump some information about all the peers or this peers section", Run: func(*Call) {}},
		{Words: []string{"show", "resolvers"}, Args: "[id]", Help: "dumps counters from all resolvers section and associated name servers", Run: refuse("No resolvers section")},
		{Words: []string{"show", "cache"}, Help: "show cache status", Run: func(*Call) {}},
		{Words: []string{"show", "profiling"}, Args: "[all|status|tasks|memory]", Help: "show profiling state", Run: func(c *Call) {
			c.WriteString("Per-task CPU profiling              : off      # not kept\nMemory usage profiling              : off      # not kept\n")
		}},
		{Words: []string{"wait"}, Args: "{-h|<delay_ms>} [condition [args...]]", Help: "wait the specified delay or condition (-h to see list)", Run: wait},
	}
}

// Commands is the table of the worker's runtime API.
func Commands() []Command {
	var all []Command
	for _, list := range [][]Command{serverCommands(), trafficCommands(), patternCommands(), certificateCommands()} {
		all = append(all, list...)
	}
	return all
}

// text writes s and sees to its line end.
func (c *Call) text(s string) {
	if s != "" && !strings.HasSuffix(s, "\n") {
		s += "\n"
	}
	c.WriteString(s)
}

// limit reads the nth argument, a number from 0 on.
func (c *Call) limit(n int, missing string) (int, bool) {
	if c.Arg(n) == "" {
		c.Fail("%s", missing)
		return 0, false
	}
	v, ok := parseNumber(c.Arg(n))
	if !ok || v < 0 || v > 1<<31-1 {
		c.Fail("Value out of range.")
		return 0, false
	}
	return int(v), true
}

func setRateLimit(c *Call) {
	limits := []struct {
		which RateLimit
		what  string
	}{
		{RateConnections, "connection rate"},
		{RateSessions, "session rate"},
		{RateSSL, "SSL session rate"},
		{RateCompression, "compression speed in kB/s"},
	}
	for _, l := range limits {
		if string(l.which) == c.Arg(0) && c.Arg(1) == "global" {
			if n, ok := c.limit(2, "Expects an integer value."); ok {
				c.Source.SetRateLimit(l.which, n)
			}
			return
		}
	}
	var b strings.Builder
	b.WriteString("'set rate-limit' only supports :\n")
	for _, l := range limits {
		fmt.Fprintf(&b, "   - '%s global' to set the per-process maximum %s\n", l.which, l.what)
	}
	c.Fail("%s", b.String())
}

func clearCounters(c *Call) {
	all := c.Arg(0) == "all"
	if all && !c.must(model.LevelAdmin) {
		return
	}
	for _, p := range c.Source.Proxies() {
		if p.Frontend != nil {
			p.Frontend.ClearCounters(all)
		}
		if p.Backend != nil {
			p.Backend.ClearCounters(all)
		}
	}
	c.Source.ClearCounters(all)
}

// sessionID reads an identifier as show sess writes it.
func sessionID(s string) (uint64, bool) {
	id, err := strconv.ParseUint(strings.TrimPrefix(s, "0x"), 16, 64)
	return id, err == nil
}

// until writes a timeout as show sess does: empty for never.
func until(d time.Duration) string {
	switch {
	case d < 0:
		return ""
	case d < time.Second:
		return strconv.Itoa(int(d/time.Millisecond)) + "ms"
	}
	return age(d)
}

// age writes a time in its two biggest units.
func age(d time.Duration) string {
	s := int64(d / time.Second)
	switch {
	case s >= 86400:
		return fmt.Sprintf("%dd%dh", s/86400, s/3600%24)
	case s >= 3600:
		return fmt.Sprintf("%dh%dm", s/3600, s/60%60)
	case s >= 60:
		return fmt.Sprintf("%dm%ds", s/60, s%60)
	}
	return fmt.Sprintf("%ds", s)
}

func orNone(s, none string) string {
	if s == "" {
		return none
	}
	return s
}

func showSessions(c *Call) {
	want := c.Arg(0)
	id, byID := uint64(0), false
	if strings.HasPrefix(want, "0x") {
		id, byID = sessionID(want)
	}
	found := false
	c.Source.Sessions(func(s *Session) bool {
		if byID && s.ID != id {
			return true
		}
		found = true
		if byID || want == "all" {
			longSession(c, s)
		} else {
			shortSession(c, s)
		}
		return !byID && !c.Gone()
	})
	if byID && !found {
		c.WriteString("Session not found.\n")
	}
}

// shortSession is the one-line form, whose words up to age= tools read.
func shortSession(c *Call, s *Session) {
	c.Printf("%#x: proto=%s src=%s fe=%s be=%s srv=%s ts=00 epoch=0 age=%s calls=%d rate=0 cpu=0 lat=0 "+
		"rq[f=0h,i=%d,an=00h,rx=%s,wx=,ax=] rp[f=0h,i=%d,an=00h,rx=%s,wx=,ax=] scf=[8,0h,fd=%d] scb=[8,0h,fd=%d] exp=%s rc=%d c_exp=\n",
		s.ID, s.Proto, s.Source, s.Frontend, orNone(s.Backend, "<NONE>"), orNone(s.Server, "<none>"), age(s.Age), s.Calls,
		s.RequestBuf, until(s.RequestExpires), s.ResponseBuf, until(s.ServerExpires), s.ClientFD, s.ServerFD,
		until(s.RequestExpires), s.Retries)
}

func longSession(c *Call, s *Session) {
	c.Printf("%#x: [%s] id=%d proto=%s source=%s\n", s.ID, s.Started.Format("02/Jan/2006:15:04:05.000000"), s.ID, s.Proto, s.Source)
	c.Printf("  conn_retries=%d waiting=%t queued=%t pend_pos=%d thread=%d idle=%t\n", s.Retries, s.Waiting, s.Queued, s.QueuePosition, s.Thread, s.Idle)
	c.Printf("  frontend=%s (id=%d mode=%s), listener=? (id=1) addr=%s\n", s.Frontend, s.FrontendID, s.FrontendMode, s.LocalAddr)
	if s.Backend == "" {
		c.WriteString("  backend=<NONE> (id=-1 mode=-)\n")
	} else {
		c.Printf("  backend=%s (id=%d mode=%s)\n", s.Backend, s.BackendID, s.BackendMode)
	}
	if s.Server == "" {
		c.WriteString("  server=<NONE> (id=-1)\n")
	} else {
		c.Printf("  server=%s (id=%d) addr=%s\n", s.Server, s.ServerID, s.ServerAddr)
	}
	if s.TLSVersion != "" {
		c.Printf("  ssl=%s cipher=%s\n", s.TLSVersion, s.TLSCipher)
	}
	c.Printf("  age=%s calls=%d exp=%s\n", age(s.Age), s.Calls, orNone(until(s.RequestExpires), "<NEVER>"))
	c.Printf("  scf fd=%d state=%s\n  scb fd=%d state=%s\n", s.ClientFD, orNone(s.ClientState, "EST"), s.ServerFD, orNone(s.ServerState, "INI"))
	c.Printf("  req (total=%d) buf i=%d\n  res (total=%d) buf i=%d\n", s.RequestTotal, s.RequestBuf, s.ResponseTotal, s.ResponseBuf)
	if s.RequestLine != "" {
		c.Printf("  request=%q\n", s.RequestLine)
	}
}

func showErrors(c *Call) {
	name, side := c.Arg(0), c.Arg(1)
	if name == "request" || name == "response" {
		name, side = "", name
	}
	id := -1
	if name != "" && name != "-1" {
		p := findProxy(c.Source.Proxies(), name)
		if p == nil {
			if p = findProxy(c.Source.Proxies(), "#"+name); p == nil {
				c.Fail("No such proxy.")
				return
			}
		}
		id = p.ID
	}
	list := c.Source.Errors()
	c.Printf("Total events captured on [%s] : %d\n", time.Now().Format("02/Jan/2006:15:04:05.000"), len(list))
	for i := range list {
		e := &list[i]
		if id >= 0 && e.FrontendID != id && e.BackendID != id || side == "request" && e.Response || side == "response" && !e.Response {
			continue
		}
		capturedError(c, e)
		if c.Gone() {
			return
		}
	}
}

func capturedError(c *Call, e *CapturedError) {
	kind, where := "invalid request", fmt.Sprintf("frontend %s (#%d)", e.Frontend, e.FrontendID)
	if e.Response {
		kind, where = "invalid response", fmt.Sprintf("backend %s (#%d)", e.Backend, e.BackendID)
	}
	c.Printf(" \n[%s] %s: %s\n", e.At.Format("02/Jan/2006:15:04:05.000"), where, kind)
	other := "backend " + orNone(e.Backend, "<NONE>")
	if e.Response {
		other = "frontend " + e.Frontend
	}
	server := "server <NONE> (#-1)"
	if e.Server != "" {
		server = fmt.Sprintf("server %s (#%d)", e.Server, e.ServerID)
	}
	c.Printf("  %s, %s, event #%d, src %s\n", other, server, e.ID, e.Source)
	c.Printf("  buffer starts at 0 (including 0 out), %d bytes in, error at position %d\n  %s\n \n", len(e.Message), e.Position, orNone(e.State, "H1 parser"))
	for start := 0; start < len(e.Message); {
		end := start
		for end < len(e.Message) && end-start < 60 {
			end++
			if e.Message[end-1] == '\n' {
				break
			}
		}
		mark := ' '
		if start <= e.Position && e.Position < end {
			mark = '>'
		}
		c.Printf("  %05d%c %s\n", start, mark, escaped(e.Message[start:end]))
		start = end
	}
}

// escaped shows bytes as show errors does: \r, \n, \t and \xNN.
func escaped(b []byte) string {
	var s strings.Builder
	for _, x := range b {
		switch {
		case x == '\r':
			s.WriteString(`\r`)
		case x == '\n':
			s.WriteString(`\n`)
		case x == '\t':
			s.WriteString(`\t`)
		case x == '\\':
			s.WriteString(`\\`)
		case x < 32 || x > 126:
			fmt.Fprintf(&s, `\x%02X`, x)
		default:
			s.WriteByte(x)
		}
	}
	return s.String()
}

func showEnv(c *Call) {
	if name := c.Arg(0); name != "" {
		v, ok := os.LookupEnv(name)
		if !ok {
			c.Fail("Variable not found")
			return
		}
		c.Printf("%s=%s\n", name, v)
		return
	}
	env := os.Environ()
	sort.Strings(env)
	for _, e := range env {
		c.WriteString(strings.ReplaceAll(e, "\n", `\n`) + "\n")
	}
}

// activity shows what the source keeps, or what the runtime knows.
func activity(what string) func(c *Call) {
	return func(c *Call) {
		if w, ok := c.Source.(WithActivity); ok {
			if s := w.Activity(what); s != "" {
				c.text(s)
				return
			}
		}
		info := c.Source.Info()
		switch what {
		case "activity":
			c.Printf("thread_id: 1 (1..%d)\ndate_now: %d.%06d\n", info.NbThread, time.Now().Unix(), time.Now().Nanosecond()/1000)
		case "threads":
			c.Printf("Threads: %d, goroutines: %d\n", info.NbThread, runtime.NumGoroutine())
		case "pools":
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			c.Printf("Dumping pools usage.\n  - Pool heap (1 bytes) : %d allocated (%d bytes), %d used, 0 failures, 1 users\nTotal: 1 pools, %d bytes allocated, %d used.\n",
				m.HeapSys, m.HeapSys, m.HeapAlloc, m.HeapSys, m.HeapAlloc)
		}
	}
}

func noTable(c *Call) {
	if c.Arg(0) != "" {
		c.Fail("No such table")
	}
}

// wait is `wait DELAY`; conditions on servers are not kept.
func wait(c *Call) {
	if c.Arg(0) == "" || c.Arg(0) == "-h" {
		c.WriteString("Usage: wait {-h|<duration>}\n")
		return
	}
	d, ok := parseDelay(c.Arg(0), time.Millisecond)
	if !ok || len(c.Args) > 1 {
		c.Fail("Invalid duration, or a condition that is not supported.")
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		c.Note("Done.")
	case <-c.Done():
	}
}
