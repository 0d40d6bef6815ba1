package pool

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"evenkeel/internal/balance"
)

// The texts of errors are those of the runtime API.

// SetAdmin is `set server state ready|drain|maint`.
func (s *Server) SetAdmin(state string) error {
	b := s.Backend
	now := b.opt.Now()
	var fx effects
	b.topology.Lock()
	switch state {
	case "ready":
		s.clearAdmin(AdminForcedDrain, now, &fx)
		s.clearAdmin(AdminForcedMaint, now, &fx)
	case "drain":
		s.setAdmin(AdminForcedDrain, "", now, &fx)
		s.clearAdmin(AdminForcedMaint, now, &fx)
	case "maint":
		s.setAdmin(AdminForcedMaint, "", now, &fx)
		s.clearAdmin(AdminForcedDrain, now, &fx)
	default:
		b.topology.Unlock()
		return errors.New("'set server <srv> state' expects 'ready', 'drain' and 'maint'.")
	}
	b.topology.Unlock()
	fx.run()
	return nil
}

// Enable is `enable server`: it ends forced maintenance and drain.
func (s *Server) Enable() { _ = s.SetAdmin("ready") }

// Disable is `disable server`.
func (s *Server) Disable() { _ = s.SetAdmin("maint") }

// SetResolved tells whether the server's name resolves (resolvers): while it
// does not, the server is in maintenance.
func (s *Server) SetResolved(ok bool) {
	b := s.Backend
	now := b.opt.Now()
	var fx effects
	b.topology.Lock()
	if ok {
		s.clearAdmin(AdminResolveMaint, now, &fx)
	} else {
		s.setAdmin(AdminResolveMaint, "No IP for server "+s.String(), now, &fx)
	}
	b.topology.Unlock()
	fx.run()
}

// SetWeight takes "0" to "256", or "N%" of the configured weight.
func (s *Server) SetWeight(w string) error {
	if w == "" {
		return errors.New("Require <weight> or <weight%>.")
	}
	text, relative := strings.CutSuffix(w, "%")
	n, err := strconv.Atoi(text)
	var num *strconv.NumError
	switch {
	case errors.As(err, &num) && errors.Is(num.Err, strconv.ErrRange):
		n = balance.MaxWeight + 1
	case err != nil && (text == "" || text[0] < '0' || text[0] > '9'):
		return errors.New("Empty weight string empty or preceded by garbage")
	case err != nil:
		return errors.New("Trailing garbage in weight string")
	}
	b := s.Backend
	if relative {
		if n < 0 {
			return errors.New("Relative weight must be positive.")
		}
		n = min(s.iweight*min(n, 1<<20)/100, balance.MaxWeight)
	} else if n < 0 || n > balance.MaxWeight {
		return errors.New("Absolute weight can only be between 0 and 256 inclusive.")
	}
	if n != 0 && n != s.iweight && !b.table.Dynamic() {
		return errors.New("Backend is using a static LB algorithm and only accepts weights '0%' and '100%'.")
	}
	now := b.opt.Now()
	var fx effects
	b.topology.Lock()
	b.mu.Lock()
	was, at := s.remember(), s.lastChange
	s.uweight = n
	s.settle(now)
	fx.woken = b.dequeue(s, now)
	b.orphans(&fx.woken)
	s.account(was, at, now, &fx)
	b.mu.Unlock()
	b.topology.Unlock()
	fx.run()
	return nil
}

// SetMaxConn is `set maxconn server`; 0: no limit.
func (s *Server) SetMaxConn(n int) error {
	if n < 0 {
		return errors.New("Value out of range.")
	}
	b := s.Backend
	now := b.opt.Now()
	b.mu.Lock()
	if s.minConn == s.maxConn || s.minConn > n {
		s.minConn = n // a static limit stays one
	}
	s.maxConn = n
	b.listDynamic()
	s.setLimit(now)
	b.dequeueAndUnlock(s, now)
	return nil
}

// SetHealth is `set server health up|stopping|down`: it forces the outcome of
// checks until the next one.
func (s *Server) SetHealth(h string) error {
	if s.track != nil {
		return errors.New("cannot change health on a tracking server.")
	}
	health := s.check.top()
	change := s.start
	switch h {
	case "up":
	case "stopping":
		change = s.wind
	case "down":
		health, change = 0, s.stop
	default:
		return errors.New("'set server <srv> health' expects 'up', 'stopping', or 'down'.")
	}
	s.force(&s.check, health, change)
	return nil
}

// SetAgent is `set server agent up|down`.
func (s *Server) SetAgent(a string) error {
	b := s.Backend
	b.mu.Lock()
	on := s.agent.enabled
	b.mu.Unlock()
	switch {
	case !on:
		return errors.New("agent checks are not enabled on this server.")
	case a == "up":
		s.force(&s.agent, s.agent.top(), s.start)
	case a == "down":
		s.force(&s.agent, 0, s.stop)
	default:
		return errors.New("'set server <srv> agent' expects 'up' or 'down'.")
	}
	return nil
}

func (s *Server) force(c *checkState, health int, change func(string, int64, *effects)) {
	b := s.Backend
	now := b.opt.Now()
	var fx effects
	b.topology.Lock()
	b.mu.Lock()
	c.health = health
	b.mu.Unlock()
	change(", changed from CLI", now, &fx)
	b.topology.Unlock()
	fx.run()
}

// SetCheckEnabled is enable|disable health.
func (s *Server) SetCheckEnabled(on bool) error {
	return s.enableCheck(&s.check, on, "Health checks are not configured on this server, cannot enable.")
}

// SetAgentEnabled is enable|disable agent.
func (s *Server) SetAgentEnabled(on bool) error {
	return s.enableCheck(&s.agent, on, "Agent was not configured on this server, cannot enable.")
}

func (s *Server) enableCheck(c *checkState, on bool, refusal string) error {
	b := s.Backend
	b.topology.Lock()
	defer b.topology.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	if on && !c.configured {
		return errors.New(refusal)
	}
	c.enabled = on
	return nil
}

// SetAddr is `set server addr ADDR [port PORT]`: port "" keeps the port, "+N"
// and "-N" make it relative to the client's. An addr of "" keeps the address.
// The message says what changed, as HAProxy prints it; by names who asked.
func (s *Server) SetAddr(addr, port, by string) (message string, err error) {
	b := s.Backend
	b.mu.Lock()
	e := s.endpoint
	b.mu.Unlock()
	if e.Network != "tcp" && e.Network != "" {
		return "", errors.New("Update for the current server address family is only supported through configuration file.")
	}
	if by != "" {
		by = " by '" + by + "'"
	}
	ip := e.Addr.Addr()
	var parts []string
	if addr != "" {
		to, err := netip.ParseAddr(addr)
		if err != nil {
			return "", fmt.Errorf("Invalid addr '%s'%s", addr, by)
		}
		if to = to.Unmap(); to == ip {
			parts = append(parts, "no need to change the addr")
		} else {
			parts = append(parts, fmt.Sprintf("IP changed from '%s' to '%s'", show(ip), to))
			ip = to
		}
	}
	number := e.Addr.Port()
	if port != "" {
		mapped := port[0] == '+' || port[0] == '-'
		n, err := strconv.Atoi(port)
		switch {
		case err != nil, !mapped && (n <= 0 || n > 65535), mapped && (n < -65535 || n > 65535):
			return "", errors.New("provided port is not valid.")
		case mapped && s.Checked && s.Model.Check.Port == 0:
			parts = append(parts, "can't change <port> to port map because it is incompatible with current health check port configuration (use 'port' statement from the 'server' directive.")
			return "", errors.New(strings.Join(parts, ", ") + by)
		}
		to := Endpoint{PortMapped: mapped, Offset: n, Addr: netip.AddrPortFrom(ip, uint16(n))}
		if !mapped {
			to.Offset = 0
		}
		if old := portText(&e); old == portText(&to) {
			parts = append(parts, "no need to change the port")
		} else {
			parts = append(parts, fmt.Sprintf("port changed from '%s' to '%s'", old, portText(&to)))
			e.PortMapped, e.Offset, number = mapped, to.Offset, uint16(n)
		}
	}
	e.Network, e.Addr = "tcp", netip.AddrPortFrom(ip, number)
	s.moveTo(e)
	return strings.Join(parts, ", ") + by, nil
}

// show prints an address as C does one that was never set.
func show(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func portText(e *Endpoint) string {
	if e.PortMapped {
		return fmt.Sprintf("%+d", e.Offset)
	}
	return strconv.Itoa(int(e.Addr.Port()))
}

// moveTo changes where the server is.
func (s *Server) moveTo(e Endpoint) {
	b := s.Backend
	b.mu.Lock()
	changed := e != s.endpoint
	s.endpoint = e
	if changed {
		s.addrChanged = true
		if b.dynamicCookie && s.Model.Cookie == "" {
			s.cookie = dynamicCookie(b.Model.Backend.DynamicCookieKey, e.Addr)
		}
	}
	b.mu.Unlock()
	if changed && b.opt.StateChanged != nil {
		b.opt.StateChanged(s)
	}
}

// SetResolvedAddr changes the address to what the server's name resolves to
// now; who names the resolver.
func (s *Server) SetResolvedAddr(ip netip.Addr, who string) {
	b := s.Backend
	b.mu.Lock()
	e := s.endpoint
	b.mu.Unlock()
	old := e.Addr.Addr()
	if ip = ip.Unmap(); ip == old {
		return
	}
	e.Network, e.Addr = "tcp", netip.AddrPortFrom(ip, uint16(s.Model.Addr.Port))
	s.moveTo(e)
	if b.opt.Event != nil {
		b.opt.Event(LevelNotice, fmt.Sprintf("%s changed its IP from %s to %s by %s.", s, show(old), ip, who))
	}
}

// SetFQDN is `set server fqdn`.
func (s *Server) SetFQDN(host string) error {
	b := s.Backend
	if b.opt.Resolve == nil {
		return errors.New("set server <b>/<s> fqdn failed because no resolution is configured.")
	}
	ip, err := b.opt.Resolve(host)
	if err != nil {
		return fmt.Errorf("could not resolve address '%s'.", host)
	}
	b.mu.Lock()
	e := s.endpoint
	b.mu.Unlock()
	e.Network, e.Host = "tcp", host
	e.Addr = netip.AddrPortFrom(ip.Unmap(), e.Addr.Port())
	s.moveTo(e)
	return nil
}
