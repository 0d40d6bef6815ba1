package admin

import (
	"fmt"
	"net/netip"
	"strings"

	"evenkeel/internal/model"
	"evenkeel/internal/pool"
)

// serverCommands look at and change servers.
func serverCommands() []Command {
	const admin = model.LevelAdmin
	return []Command{
		{Words: []string{"disable", "server"}, Args: "(DEPRECATED)", Level: admin, Help: "disable a server for maintenance (use 'set server' instead)",
			Run: onServer(func(c *Call, s *pool.Server) { s.Disable() })},
		{Words: []string{"enable", "server"}, Args: "(DEPRECATED)", Level: admin, Help: "enable a disabled server (use 'set server' instead)",
			Run: onServer(func(c *Call, s *pool.Server) { s.Enable() })},
		{Words: []string{"disable", "health"}, Level: admin, Help: "disable health checks",
			Run: onServer(func(c *Call, s *pool.Server) { s.SetCheckEnabled(false) })},
		{Words: []string{"enable", "health"}, Level: admin, Help: "enable health checks", Run: onServer(func(c *Call, s *pool.Server) {
			if !s.Checked {
				c.Fail("Health check was not configured on this server, cannot enable.")
				return
			}
			s.SetCheckEnabled(true)
		})},
		{Words: []string{"disable", "agent"}, Level: admin, Help: "disable agent checks",
			Run: onServer(func(c *Call, s *pool.Server) { s.SetAgentEnabled(false) })},
		{Words: []string{"enable", "agent"}, Level: admin, Help: "enable agent checks", Run: onServer(func(c *Call, s *pool.Server) {
			if !s.Agented {
				c.Fail("Agent was not configured on this server, cannot enable.")
				return
			}
			s.SetAgentEnabled(true)
		})},
		{Words: []string{"set", "server"}, Args: "<bk>/<srv> [opts]", Level: admin, Help: "change a server's state, weight, address or ssl", Run: setServer},
		{Words: []string{"set", "weight"}, Args: "<bk>/<srv>  (DEPRECATED)", Level: admin, Help: "change a server's weight (use 'set server' instead)",
			Run: onServer(func(c *Call, s *pool.Server) { setWeight(c, s, c.Args[1:]) })},
		{Words: []string{"get", "weight"}, Args: "<bk>/<srv>", Help: "report a server's current weight", Run: onServer(func(c *Call, s *pool.Server) {
			initial, user := s.Weights()
			c.Note("%d (initial %d)", user, initial)
		})},
		{Words: []string{"set", "maxconn", "server"}, Args: "<bk>/<srv>", Level: admin, Help: "change a server's maxconn setting", Run: onServer(func(c *Call, s *pool.Server) {
			if c.Arg(1) == "" {
				c.Fail("Require <maxconn>.")
				return
			}
			n, ok := parseNumber(c.Arg(1))
			switch {
			case !ok && strings.TrimLeft(c.Arg(1), "0123456789") != c.Arg(1):
				c.Fail("Trailing garbage in maxconn string")
			case !ok || n < 0:
				c.Fail("maxconn string empty or preceded by garbage")
			default:
				c.result(s.SetMaxConn(int(n)))
			}
		})},
		{Words: []string{"show", "backend"}, Help: "list backends in the current running config", Run: func(c *Call) {
			c.WriteString("# name\n")
			for _, p := range c.Source.Proxies() {
				if p.Backend != nil {
					c.WriteString(p.Name + "\n")
				}
			}
		}},
		{Words: []string{"show", "servers", "state"}, Args: "[<backend>]", Help: "dump volatile server information (all or for a single backend)", Run: func(c *Call) {
			if list, ok := c.backends(); ok {
				pool.WriteState(c, list, c.Source.Now())
			}
		}},
		{Words: []string{"show", "servers", "conn"}, Args: "[<backend>]", Help: "dump server connections status (all or for a single backend)", Run: showServersConn},
		{Words: []string{"add", "server"}, Args: "<bk>/<srv>", Level: admin, Help: "create a new server (not supported yet)", Run: refuse("Servers cannot be added at run time yet: use server-template with disabled servers, and 'set server ... addr'.")},
		{Words: []string{"del", "server"}, Args: "<bk>/<srv>", Level: admin, Help: "remove a dynamically added server (not supported yet)", Run: refuse("Only servers added through the CLI with 'add server' can be deleted.")},
		{Words: []string{"shutdown", "sessions", "server"}, Args: "<bk>/<srv>", Level: admin, Help: "kill sessions on a server", Run: onServer(func(c *Call, s *pool.Server) {
			c.Source.ShutdownServerSessions(s)
		})},
		{Words: []string{"set", "dynamic-cookie-key", "backend"}, Args: "<bk> <k>", Level: admin, Help: "change a backend secret key for dynamic cookies (not supported yet)", Run: refuse("The dynamic cookie key cannot be changed at run time yet: change dynamic-cookie-key and reload.")},
		{Words: []string{"enable", "dynamic-cookie", "backend"}, Args: "<bk>", Level: admin, Help: "enable dynamic cookies on a specific backend (not supported yet)", Run: refuse("Dynamic cookies cannot be switched at run time yet: change the cookie line and reload.")},
		{Words: []string{"disable", "dynamic-cookie", "backend"}, Args: "<bk>", Level: admin, Help: "disable dynamic cookies on a specific backend (not supported yet)", Run: refuse("Dynamic cookies cannot be switched at run time yet: change the cookie line and reload.")},
	}
}

// refuse answers with a reason.
func refuse(why string) func(c *Call) { return func(c *Call) { c.Fail("%s", why) } }

// onServer makes a command of one whose first argument is backend/server.
func onServer(run func(c *Call, s *pool.Server)) func(c *Call) {
	return func(c *Call) {
		if s := c.server(c.Arg(0)); s != nil {
			run(c, s)
		}
	}
}

// result answers with an error, if there is one.
func (c *Call) result(err error) {
	if err != nil {
		c.Fail("%s", err)
	}
}

// backends are those of the first argument, or all.
func (c *Call) backends() ([]*pool.Backend, bool) {
	if name := c.Arg(0); name != "" {
		if b := c.backend(name); b != nil {
			return []*pool.Backend{b}, true
		}
		c.Fail("Can't find backend.")
		return nil, false
	}
	var list []*pool.Backend
	for _, p := range c.Source.Proxies() {
		if p.Backend != nil {
			list = append(list, p.Backend)
		}
	}
	return list, true
}

// serverSettings is what `set server B/S` can set; args follow its name.
var serverSettings = []struct {
	name string
	run  func(c *Call, s *pool.Server, args []string)
}{
	{"addr", setAddr},
	{"agent", setAgent},
	{"agent-addr", func(c *Call, s *pool.Server, args []string) { moveCheck(c, s, args, true) }},
	{"agent-port", func(c *Call, s *pool.Server, args []string) { portOnly(c, s, args, true) }},
	{"agent-send", setAgentSend},
	{"check-addr", func(c *Call, s *pool.Server, args []string) { moveCheck(c, s, args, false) }},
	{"check-port", func(c *Call, s *pool.Server, args []string) { portOnly(c, s, args, false) }},
	{"fqdn", func(c *Call, s *pool.Server, args []string) {
		c.Fail("set server <b>/<s> fqdn failed because no resolution is configured.")
	}},
	{"health", setHealth},
	{"ssl", func(c *Call, s *pool.Server, args []string) {
		c.Fail("'set server <srv> ssl' cannot be set.  default-server should define ssl settings")
	}},
	{"state", setState},
	{"weight", setWeight},
}

func setServer(c *Call) {
	s := c.server(c.Arg(0))
	if s == nil {
		return
	}
	names := make([]string, 0, len(serverSettings))
	for _, x := range serverSettings {
		if x.name == c.Arg(1) {
			x.run(c, s, c.Args[2:])
			return
		}
		names = append(names, x.name)
	}
	c.Fail("usage: set server <backend>/<server> %s", strings.Join(names, " | "))
}

func first(args []string) string {
	if len(args) > 0 {
		return args[0]
	}
	return ""
}

func setWeight(c *Call, s *pool.Server, args []string) {
	w := first(args)
	if w == "" {
		c.Fail("%s", "Require <weight> or <weight%>.")
		return
	}
	digits, relative := strings.CutSuffix(w, "%")
	n, ok := parseNumber(digits)
	switch {
	case !ok && strings.TrimLeft(digits, "0123456789") != digits:
		c.Fail("Trailing garbage in weight string")
	case !ok:
		c.Fail("Empty weight string empty or preceded by garbage")
	case n < 0 && relative:
		c.Fail("Relative weight must be positive.")
	case !relative && (n < 0 || n > 256):
		c.Fail("Absolute weight can only be between 0 and 256 inclusive.")
	default:
		c.result(s.SetWeight(w))
	}
}

func setState(c *Call, s *pool.Server, args []string) {
	switch first(args) {
	case "ready", "drain", "maint":
		c.result(s.SetAdmin(first(args)))
	default:
		c.Fail("'set server <srv> state' expects 'ready', 'drain' and 'maint'.")
	}
}

func setHealth(c *Call, s *pool.Server, args []string) {
	if s.Model.Track != "" {
		c.Fail("cannot change health on a tracking server.")
		return
	}
	switch first(args) {
	case "up", "stopping", "down":
		c.result(s.SetHealth(first(args)))
	default:
		c.Fail("'set server <srv> health' expects 'up', 'stopping', or 'down'.")
	}
}

func setAgent(c *Call, s *pool.Server, args []string) {
	if !s.Agented {
		c.Fail("agent checks are not enabled on this server.")
		return
	}
	switch first(args) {
	case "up", "down":
		c.result(s.SetAgent(first(args)))
	default:
		c.Fail("'set server <srv> agent' expects 'up' or 'down'.")
	}
}

func setAddr(c *Call, s *pool.Server, args []string) {
	addr := first(args)
	if addr == "" {
		c.Fail("set server <b>/<s> addr requires an address and optionally a port.")
		return
	}
	port := ""
	if len(args) > 1 {
		if args[1] != "port" || len(args) < 3 {
			c.Fail("set server <b>/<s> addr requires an address and optionally a port.")
			return
		}
		port = args[2]
	}
	text, err := s.SetAddr(addr, port, "stats socket command")
	if err != nil {
		c.Fail("%s", err)
		return
	}
	c.Warn("%s", text)
}

// checks is the health side of the source, or nil after an answer.
func (c *Call) checks(s *pool.Server, agent bool) Checks {
	switch {
	case agent && !s.Agented:
		c.Fail("agent checks are not enabled on this server")
		return nil
	case !agent && !s.Checked:
		c.Fail("health checks are not enabled on this server")
		return nil
	}
	if w, ok := c.Source.(WithChecks); ok {
		if k := w.Checks(); k != nil {
			return k
		}
	}
	c.Fail("the checks of this server cannot be changed now")
	return nil
}

func checkPort(c *Call, arg string) (int, bool) {
	n, ok := parseNumber(arg)
	if !ok {
		c.Fail("provided port is not an integer")
		return 0, false
	}
	if n < 1 || n > 65535 {
		c.Fail("provided port is not between 1 and 65535")
		return 0, false
	}
	return int(n), true
}

// portOnly is check-port and agent-port.
func portOnly(c *Call, s *pool.Server, args []string, agent bool) {
	k := c.checks(s, agent)
	if k == nil {
		return
	}
	n, ok := checkPort(c, first(args))
	if !ok {
		return
	}
	if agent {
		c.result(k.SetAgentAddr(s, "", n))
	} else {
		c.result(k.SetCheckAddr(s, "", n))
	}
}

// moveCheck is check-addr and agent-addr: ADDR [port PORT].
func moveCheck(c *Call, s *pool.Server, args []string, agent bool) {
	what := "check-addr"
	if agent {
		what = "agent-addr"
	}
	k := c.checks(s, agent)
	if k == nil {
		return
	}
	addr, port := first(args), 0
	if addr == "" || len(args) > 1 && (args[1] != "port" || len(args) < 3) {
		c.Fail("set server <b>/<s> %s requires an address and optionally a port.", what)
		return
	}
	if _, err := netip.ParseAddr(addr); err != nil && !agent {
		c.Fail("Invalid addr '%s'", addr)
		return
	}
	if len(args) > 2 {
		n, ok := checkPort(c, args[2])
		if !ok {
			return
		}
		port = n
	}
	if agent {
		c.result(k.SetAgentAddr(s, addr, port))
	} else {
		c.result(k.SetCheckAddr(s, addr, port))
	}
}

func setAgentSend(c *Call, s *pool.Server, args []string) {
	k := c.checks(s, true)
	if k == nil {
		return
	}
	if first(args) == "" {
		c.Fail("set server <b>/<s> agent-send requires a string.")
		return
	}
	c.result(k.SetAgentSend(s, first(args)))
}

// showServersConn writes what HAProxy documents as free to change: the columns
// that do not depend on the number of threads, and one thread.
func showServersConn(c *Call) {
	list, ok := c.backends()
	if !ok {
		return
	}
	c.WriteString("# bkname/svname bkid/svid addr port - purge_delay used_cur used_max need_est unsafe_nb safe_nb idle_lim idle_cur idle_per_thr[1]\n")
	for _, b := range list {
		snap := b.Snapshot(c.Source.Now())
		for i := range snap.Servers {
			s := &snap.Servers[i]
			addr, port := "-", 0
			if s.Endpoint.Addr.IsValid() {
				addr, port = s.Endpoint.Addr.Addr().String(), int(s.Endpoint.Addr.Port())
			}
			c.WriteString(fmt.Sprintf("%s/%s %d/%d %s %d - %d %d %d %d %d %d %d %d %d\n", snap.Name, s.Name, snap.ID, s.ID, addr, port,
				5000, s.UsedConns, int(s.SessMax), s.NeededConns, s.UnsafeIdle, s.SafeIdle, s.PoolMaxConn, s.IdleConns, s.IdleConns))
		}
		if c.Gone() {
			return
		}
	}
}
