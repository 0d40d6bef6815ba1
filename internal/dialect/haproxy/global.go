package haproxy

import (
	"math"
	"strconv"
	"strings"
	"time"

	"evenkeel/internal/model"
)

// g makes an entry of the global section.
func g(name, args, help string, parse func(p *parser, w []word)) *keyword {
	return &keyword{Name: name, Args: args, Help: help, Sections: secGlobal, Parse: parse}
}

// gString makes an entry whose single argument is kept as it is.
func gString(name, args, help string, field func(*model.Global) *string) *keyword {
	return g(name, args, help, func(p *parser, w []word) {
		if v, ok := p.need(w, 1, args); ok && !p.tooMany(w, 1) && p.firstOf(w[0]) {
			*field(&p.cfg.Global) = v.Text
		}
	})
}

// firstWins are the keywords that keep their first value when global sections
// add up.
var firstWins = []string{
	"user", "group", "uid", "gid", "chroot", "pidfile", "maxconn", "maxconnrate", "maxsessrate", "maxsslrate", "maxpipes", "ulimit-n",
}

// firstOf says whether a value counts, and warns if an earlier one does.
func (p *parser) firstOf(name word) bool {
	if !contains(firstWins, name.Text) {
		return true
	}
	if old, ok := p.given[name.Text]; ok {
		p.warnf(name.Pos, "take one of the two lines out", "'%s' already specified at %s:%d. Continuing with the first", name.Text, old.File, old.Line)
		return false
	}
	p.given[name.Text] = name.Pos
	return true
}

// gFlag makes an entry without arguments.
func gFlag(name, help string, field func(*model.Global) *bool) *keyword {
	return g(name, "", help, func(p *parser, w []word) {
		if !p.tooMany(w, 0) {
			*field(&p.cfg.Global) = true
		}
	})
}

// gInt makes an entry with one number.
func gInt(name, help string, lo, hi int, field func(*model.Global) *int) *keyword {
	return g(name, "NUMBER", help, func(p *parser, w []word) {
		v, ok := p.need(w, 1, "an integer")
		if !ok || p.tooMany(w, 1) {
			return
		}
		if n, ok := p.number(name, v, lo, hi); ok && p.firstOf(w[0]) {
			*field(&p.cfg.Global) = n
		}
	})
}

// gTime makes an entry with one time.
func gTime(name, help string, field func(*model.Global) *time.Duration) *keyword {
	return g(name, "TIME", help, func(p *parser, w []word) {
		v, ok := p.need(w, 1, "a time in milliseconds")
		if !ok || p.tooMany(w, 1) {
			return
		}
		if d, ok := p.duration(name, v, time.Millisecond); ok {
			*field(&p.cfg.Global) = d
		}
	})
}

var globalKeywords = []*keyword{
	gString("user", "NAME", "the user to become after start", func(g *model.Global) *string { return &g.User }),
	gString("group", "NAME", "the group to become after start", func(g *model.Global) *string { return &g.Group }),
	g("uid", "NUMBER", "the user to become, by number", func(p *parser, w []word) {
		if p.firstOf(w[0]) {
			p.id(w, &p.cfg.Global.UID)
		}
	}),
	g("gid", "NUMBER", "the group to become, by number", func(p *parser, w []word) {
		if p.firstOf(w[0]) {
			p.id(w, &p.cfg.Global.GID)
		}
	}),
	gString("chroot", "DIR", "the directory to shut the worker in", func(g *model.Global) *string { return &g.Chroot }),
	gFlag("daemon", "go to the background", func(g *model.Global) *bool { return &g.Daemon }),
	g("master-worker", "[no-exit-on-failure]", "a keeper process watches over the worker", parseMasterWorker),
	gString("pidfile", "FILE", "where the process's number is written", func(g *model.Global) *string { return &g.Pidfile }),
	gTime("hard-stop-after", "the longest that a stopping process waits for its connections", func(g *model.Global) *time.Duration { return &g.HardStopAfter }),
	gTime("grace", "how long a soft stop goes on accepting", func(g *model.Global) *time.Duration { return &g.Grace }),
	gFlag("noreuseport", "do not share ports between processes", func(g *model.Global) *bool { return &g.NoReusePort }),
	gInt("nbthread", "threads of the engine", 1, 64, func(g *model.Global) *int { return &g.NbThread }),
	g("cpu-map", "[auto:]THREADS CPUS…", "which processors the threads may use", parseCPUMap),
	{
		Name: "nbproc", Args: "NUMBER", Help: "processes; threads took their place", Sections: secGlobal, Status: statusDeprecated, Parse: parseNbproc,
	},
	gString("node", "NAME", "this machine's name in statistics", func(g *model.Global) *string { return &g.Node }),
	g("description", "TEXT", "shown in statistics", func(p *parser, w []word) {
		if _, ok := p.need(w, 1, "a text"); ok {
			p.cfg.Global.Description = join(w[1:])
		}
	}),
	gString("localpeer", "NAME", "this node's name among its peers", func(g *model.Global) *string { return &g.Localpeer }),

	gInt("maxconn", "connections at a time", 0, math.MaxInt32, func(g *model.Global) *int { return &g.MaxConn }),
	gInt("maxconnrate", "new connections a second", 0, math.MaxInt32, func(g *model.Global) *int { return &g.MaxConnRate }),
	gInt("maxsessrate", "new sessions a second", 0, math.MaxInt32, func(g *model.Global) *int { return &g.MaxSessRate }),
	gInt("maxsslconn", "TLS connections at a time", 0, math.MaxInt32, func(g *model.Global) *int { return &g.MaxSSLConn }),
	gInt("maxsslrate", "new TLS connections a second", 0, math.MaxInt32, func(g *model.Global) *int { return &g.MaxSSLRate }),
	gInt("maxpipes", "pipes for splicing", 0, math.MaxInt32, func(g *model.Global) *int { return &g.MaxPipes }),
	gInt("ulimit-n", "open files; by default what maxconn needs", 1, math.MaxInt32, func(g *model.Global) *int { return &g.UlimitN }),
	gInt("spread-checks", "vary the interval of checks by up to this many percent", -50, 50, func(g *model.Global) *int { return &g.SpreadChecks }),
	gTime("max-spread-checks", "the most that spread-checks may vary", func(g *model.Global) *time.Duration { return &g.MaxSpread }),

	gString("log-tag", "TEXT", "the program's name in log lines", func(g *model.Global) *string { return &g.LogTag }),
	g("log-send-hostname", "[NAME]", "put a host name into log lines", func(p *parser, w []word) {
		if p.tooMany(w, 1) {
			return
		}
		name := ""
		if len(w) > 1 {
			name = w[1].Text
		}
		p.cfg.Global.LogSendHostname = &name
	}),

	g("stats socket", "ADDRESS [PARAMETER…]", "a socket for the runtime API", parseStatsSocket),
	g("stats timeout", "TIME", "how long the runtime API waits for a command", func(p *parser, w []word) {
		if v, ok := p.need(w, 2, "a time"); ok {
			p.setTime("stats timeout", v, &p.cfg.Global.StatsTimeout)
		}
	}),
	g("stats maxconn", "NUMBER", "connections to the runtime API", func(p *parser, w []word) {
		if v, ok := p.need(w, 2, "a number"); ok {
			if n, ok := p.number("stats maxconn", v, 1, math.MaxInt32); ok {
				p.cfg.Global.StatsMaxConn = n
			}
		}
	}),
	{
		Name: "stats bind-process", Args: "PROCESSES", Help: "processes that answer the runtime API", Sections: secGlobal, Status: statusHarmless,
		Cure: "take the line out: there is one process",
	},
	gString("server-state-base", "DIR", "where server state files are", func(g *model.Global) *string { return &g.ServerStateBase }),
	gString("server-state-file", "FILE", "the state file of all backends", func(g *model.Global) *string { return &g.ServerStateFile }),
	g("default-path", "current|config|parent|origin DIR", "what relative file names are relative to", parseDefaultPath),
	g("unix-bind", "[prefix P] [mode M] [user U] [uid N] [group G] [gid N]", "defaults of the unix sockets that are listened on", parseUnixBind),
	g("zero-warning", "", "take a warning for an error", func(p *parser, w []word) { p.cfg.Global.ZeroWarning = true }),

	g("setenv", "NAME VALUE", "set an environment variable", func(p *parser, w []word) { p.setenv(w, true) }),
	g("presetenv", "NAME VALUE", "set an environment variable unless it is set", func(p *parser, w []word) { p.setenv(w, false) }),
	g("unsetenv", "NAME…", "unset environment variables", func(p *parser, w []word) {
		if _, ok := p.need(w, 1, "at least one variable name"); ok {
			for _, v := range w[1:] {
				p.env.unset(v.Text)
			}
		}
	}),
	g("resetenv", "[NAME…]", "unset all environment variables but these", parseResetenv),
}

func (p *parser) setTime(name string, w word, field *time.Duration) {
	if d, ok := p.duration(name, w, time.Millisecond); ok {
		*field = d
	}
}

// id reads a user's or group's number, which can be given once.
func (p *parser) id(w []word, field **int) {
	v, ok := p.need(w, 1, "an integer")
	if !ok || p.tooMany(w, 1) {
		return
	}
	n, err := strconv.Atoi(v.Text)
	if err != nil || n < 0 {
		p.errorf(v.Pos, "for a name use '"+map[string]string{"uid": "user", "gid": "group"}[w[0].Text]+"'", "'%s' expects an integer, got '%s'", w[0].Text, v.Text)
		return
	}
	*field = &n
}

func parseMasterWorker(p *parser, w []word) {
	if len(w) > 1 && w[1].Text != "no-exit-on-failure" {
		p.errorf(w[1].Pos, closest(w[1].Text, []string{"no-exit-on-failure"}), "'master-worker' only supports 'no-exit-on-failure' option")
		return
	}
	p.cfg.Global.MasterWorker = true
}

func parseNbproc(p *parser, w []word) {
	v, ok := p.need(w, 1, "an integer")
	if !ok || p.tooMany(w, 1) {
		return
	}
	n, ok := p.number("nbproc", v, 1, 64)
	if !ok {
		return
	}
	cure := "take the line out"
	if n > 1 {
		cure = "write:  nbthread " + strconv.Itoa(n)
		if p.cfg.Global.NbThread == 0 {
			p.cfg.Global.NbThread = n
		}
	}
	p.warnf(w[0].Pos, cure, "'nbproc' is an old form: one process with threads does the work")
}

func parseCPUMap(p *parser, w []word) {
	if len(w) < 3 {
		p.errorf(w[0].Pos, "", "'cpu-map' expects a thread set and a processor set")
		return
	}
	set := strings.TrimPrefix(w[1].Text, "auto:")
	for _, part := range append(strings.FieldsFunc(set, func(r rune) bool { return r == '/' || r == ',' }), cpuSets(w[2:])...) {
		if !isCPURange(part) {
			p.errorf(w[1].Pos, "write numbers and ranges, such as:  cpu-map auto:1-4 0-3", "'cpu-map': '%s' is no number, range, 'all', 'odd' or 'even'", part)
			return
		}
	}
	p.cfg.Global.CPUMap = append(p.cfg.Global.CPUMap, join(w[1:]))
	p.once("cpu-map", w[0].Pos, "the kernel's placement is kept; use taskset or CPUAffinity= to choose processors", "'cpu-map' is accepted and has no effect here")
}

func cpuSets(words []word) []string {
	var out []string
	for _, w := range words {
		out = append(out, strings.Split(w.Text, ",")...)
	}
	return out
}

func isCPURange(s string) bool {
	switch s {
	case "all", "odd", "even":
		return true
	}
	lo, hi, isRange := strings.Cut(s, "-")
	_, err := strconv.ParseUint(lo, 10, 16)
	if err == nil && isRange && hi != "" {
		_, err = strconv.ParseUint(hi, 10, 16)
	}
	return err == nil
}

func parseDefaultPath(p *parser, w []word) {
	v, ok := p.need(w, 1, "'current', 'config', 'parent' or 'origin'")
	if !ok || !p.oneOf("default-path", v, "current", "config", "parent", "origin") {
		return
	}
	if v.Text == "origin" {
		dir, ok := p.need(w, 2, "a directory after 'origin'")
		if !ok {
			return
		}
		p.origin = dir.Text
	}
	p.defaultPath = v.Text
}

func (p *parser) setenv(w []word, always bool) {
	if len(w) < 3 {
		p.errorf(w[0].Pos, "write '"+w[0].Text+" NAME VALUE'", "'%s' expects a name and a value", w[0].Text)
		return
	}
	if p.tooMany(w, 2) {
		return
	}
	if _, set := p.env.get(w[1].Text); always || !set {
		p.env.set(w[1].Text, w[2].Text)
	}
}

func parseResetenv(p *parser, w []word) {
	kept := map[string]*string{}
	for _, v := range w[1:] {
		if value, ok := p.env.get(v.Text); ok {
			kept[v.Text] = &value
		}
	}
	p.env.changed, p.env.closed = kept, true
}

// unixDefaults is what a unix-bind line sets for sockets bound by a path.
type unixDefaults struct {
	prefix      string
	mode        uint32
	user, group string
	uid, gid    *int
}

func parseUnixBind(p *parser, w []word) {
	for i := 1; i < len(w); i += 2 {
		v, ok := p.need(w, i+1, "a value for '"+w[i].Text+"'")
		if !ok {
			return
		}
		switch u := &p.unix; w[i].Text {
		case "prefix":
			u.prefix = v.Text
		case "mode":
			if m, ok := p.fileMode(v); ok {
				u.mode = m
			}
		case "user":
			u.user = v.Text
		case "group":
			u.group = v.Text
		case "uid":
			p.id([]word{w[i], v}, &u.uid)
		case "gid":
			p.id([]word{w[i], v}, &u.gid)
		default:
			p.errorf(w[i].Pos, closest(w[i].Text, []string{"prefix", "mode", "user", "uid", "group", "gid"}), "'unix-bind': unknown argument '%s'", w[i].Text)
			return
		}
	}
}

// fileMode reads an octal mode.
func (p *parser) fileMode(w word) (uint32, bool) {
	m, err := strconv.ParseUint(w.Text, 8, 12)
	if err != nil {
		p.errorf(w.Pos, "write it in octal, such as 660", "'mode': '%s' is no octal file mode", w.Text)
		return 0, false
	}
	return uint32(m), true
}

// finishGlobal applies what a line of the global section says about lines that
// may stand before it.
func (p *parser) finishGlobal() {
	u := p.unix
	apply := func(addrs []model.ListenAddr, mode *uint32, user, group *string, uid, gid **int) {
		isUnix := false
		for i := range addrs {
			if addrs[i].Network == "unix" {
				isUnix = true
				addrs[i].Path = u.prefix + addrs[i].Path
			}
		}
		if !isUnix {
			return
		}
		if *mode == 0 {
			*mode = u.mode
		}
		if *user == "" && *uid == nil {
			*user, *uid = u.user, u.uid
		}
		if *group == "" && *gid == nil {
			*group, *gid = u.group, u.gid
		}
	}
	for _, px := range p.cfg.Proxies {
		for _, b := range px.Frontend.Binds {
			apply(b.Addrs, &b.Mode, &b.User, &b.Group, &b.UID, &b.GID)
		}
	}
	for _, s := range p.cfg.Global.StatsSockets {
		one := []model.ListenAddr{s.Addr}
		apply(one, &s.Mode, &s.User, &s.Group, &s.UID, &s.GID)
		s.Addr = one[0]
	}
}
