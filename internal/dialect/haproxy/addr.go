package haproxy

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"evenkeel/internal/model"
)

func contains(list []string, s string) bool { return slices.Contains(list, s) }
func index(list []string, s string) int     { return slices.Index(list, s) }

func keys[V any](m map[string]V) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	return sorted(out)
}

// cutAny takes one of the prefixes off.
func cutAny(s string, prefixes ...string) (string, bool) {
	for _, x := range prefixes {
		if r, ok := strings.CutPrefix(s, x); ok {
			return r, true
		}
	}
	return s, false
}

// splitHostPort parts an address at its last colon, as HAProxy does: the
// brackets around an IPv6 address are optional where a port follows.
// port is "" if there is none.
func splitHostPort(s string) (host, port string, ok bool) {
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return "", "", false
		}
		host, rest := s[1:end], s[end+1:]
		if rest == "" {
			return host, "", true
		}
		port, ok = strings.CutPrefix(rest, ":")
		return host, port, ok
	}
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return s, "", true
	}
	return s[:i], s[i+1:], true
}

func joinHostPort(host string, port int) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + strconv.Itoa(port)
}

// isHost says whether s can be an address or a host name; "" and "*" are any
// address.
func isHost(s string) bool {
	if s == "" || s == "*" {
		return true
	}
	if strings.Contains(s, ":") {
		_, err := netip.ParseAddr(s)
		return err == nil
	}
	for _, c := range []byte(s) {
		if !isAlpha(c) && !isDigit(c) && c != '.' && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// expandAddr puts the values of environment variables into an address: there,
// and only there, HAProxy does so outside of quotes as well.
func (p *parser) expandAddr(s string) string {
	if !strings.Contains(s, "$") {
		return s
	}
	var out strings.Builder
	for {
		text, rest, found := strings.Cut(s, "$")
		out.WriteString(text)
		if !found {
			return out.String()
		}
		rest, braced := strings.CutPrefix(rest, "{")
		n := 0
		for n < len(rest) && (isAlpha(rest[n]) || isDigit(rest[n]) || rest[n] == '_') {
			n++
		}
		if n > 0 {
			value, _ := p.env.get(rest[:n])
			out.WriteString(value)
		}
		if s = rest[n:]; braced {
			s = strings.TrimPrefix(s, "}")
		}
	}
}

// listenAddrs reads the comma-separated addresses of a bind line.
func (p *parser) listenAddrs(keyword string, w word) ([]model.ListenAddr, bool) {
	var out []model.ListenAddr
	off := 0
	for _, part := range strings.Split(p.expandAddr(w.Text), ",") {
		a, ok := p.listenAddr(keyword, part, w.from(min(off, len(w.Text))))
		if !ok {
			return nil, false
		}
		out = append(out, a)
		off += len(part) + 1
	}
	return out, true
}

func (p *parser) listenAddr(keyword, s string, at word) (model.ListenAddr, bool) {
	a := model.ListenAddr{}
	bad := func(cure, format string, args ...any) (model.ListenAddr, bool) {
		p.errorf(at.Pos, cure, "'"+keyword+"' : "+format, args...)
		return a, false
	}
	if rest, ok := cutAny(s, "unix@", "uxst@"); ok || strings.HasPrefix(s, "/") {
		a.Network, a.Path = "unix", rest
		if rest == "" || len(rest) > 107 {
			return bad("write a path of at most 107 characters", "unusable socket path '%s'", s)
		}
		return a, true
	}
	if rest, ok := cutAny(s, "abns@"); ok {
		a.Network, a.Path = "abns", rest
		if rest == "" || len(rest) > 107 {
			return bad("write abns@NAME", "unusable name of an abstract socket '%s'", s)
		}
		return a, true
	}
	if rest, ok := cutAny(s, "fd@", "sockpair@"); ok {
		n, err := strconv.Atoi(rest)
		a.Network, a.FD = "fd", n
		if err != nil || n < 0 {
			return bad("write fd@NUMBER, or \"fd@${NAME}\" in double quotes", "invalid file descriptor '%s'", s)
		}
		return a, true
	}
	if _, ok := cutAny(s, "quic4@", "quic6@"); ok {
		return bad("bind a TCP address: QUIC is not supported", "unsupported address family in '%s'", s)
	}
	if _, ok := cutAny(s, "udp@", "udp4@", "udp6@", "uxdg@", "rhttp@", "ring@", "mptcp@", "mptcp4@", "mptcp6@", "abnsz@"); ok {
		return bad("bind a TCP address", "address '%s' is not acceptable here", s)
	}
	rest, v4 := cutAny(s, "ipv4@", "tcp4@")
	rest, v6 := cutAny(rest, "ipv6@", "tcp6@")
	rest, _ = cutAny(rest, "tcp@")
	host, port, ok := splitHostPort(rest)
	if !ok || !isHost(host) {
		return bad("write ADDRESS:PORT, *:PORT or [IPv6]:PORT", "invalid address: '%s' in '%s'", host, s)
	}
	if port == "" {
		return bad("write "+s+":80, or /"+s+" for a unix socket", "missing port specification in '%s'", s)
	}
	a.Network = "tcp4"
	if v6 || !v4 && strings.Contains(host, ":") {
		a.Network = "tcp6"
	}
	a.Host = host
	lo, hi, isRange := strings.Cut(port, "-")
	n, err := strconv.Atoi(lo)
	m := n
	if err == nil && isRange {
		m, err = strconv.Atoi(hi)
	}
	switch {
	case err != nil || n < 1 && !(n == 0 && !isRange) || n > 65535 || m > 65535:
		return bad("a port is a number between 1 and 65535", "invalid port '%s'", port)
	case m < n:
		return bad("write the smaller port first", "invalid port range '%s'", port)
	}
	a.Port, a.PortHi = n, m
	return a, true
}

// serverAddr reads where a server listens.
func (p *parser) serverAddr(w word) (model.ServerAddr, bool) {
	s := p.expandAddr(w.Text)
	a := model.ServerAddr{}
	bad := func(cure, format string, args ...any) (model.ServerAddr, bool) {
		p.errorf(w.Pos, cure, format, args...)
		return a, false
	}
	if rest, ok := cutAny(s, "unix@", "uxst@"); ok || strings.HasPrefix(s, "/") {
		a.Network, a.Path = "unix", rest
		return a, true
	}
	if rest, ok := cutAny(s, "abns@"); ok {
		a.Network, a.Path = "abns", rest
		return a, true
	}
	if rest, ok := cutAny(s, "fd@", "sockpair@"); ok {
		n, err := strconv.Atoi(rest)
		a.Network, a.FD = "fd", n
		if err != nil || n < 0 {
			return bad("write fd@NUMBER", "invalid file descriptor '%s'", s)
		}
		return a, true
	}
	if _, ok := cutAny(s, "udp@", "udp4@", "udp6@", "quic4@", "quic6@", "rhttp@", "uxdg@"); ok {
		return bad("name a TCP address", "address '%s' is not acceptable for a server", s)
	}
	rest, v4 := cutAny(s, "ipv4@", "tcp4@")
	rest, v6 := cutAny(rest, "ipv6@", "tcp6@")
	rest, _ = cutAny(rest, "tcp@", "ip@")
	host, port, ok := splitHostPort(rest)
	if !ok || !isHost(host) {
		return bad("write ADDRESS:PORT, NAME:PORT or [IPv6]:PORT", "invalid address: '%s' in '%s'", host, s)
	}
	a.Host = host
	switch ip, err := netip.ParseAddr(host); {
	case host == "" || host == "*" || err == nil && ip.Is4():
		a.Network = "tcp4"
	case err == nil:
		a.Network = "tcp6"
	case v4:
		a.Network = "tcp4"
	case v6:
		a.Network = "tcp6"
	default:
		a.Network = "tcp"
	}
	if port == "" {
		a.PortMapped = true
		return a, true
	}
	if i := strings.IndexByte(port[1:], '-'); i >= 0 {
		return bad("write one port", "port range not permitted here in '%s'", s)
	}
	a.PortMapped = port[0] == '+' || port[0] == '-'
	n, err := strconv.Atoi(port)
	if err != nil || n > 65535 || n < -65535 {
		return bad("a port is a number between 1 and 65535", "invalid port '%s' in '%s'", port, s)
	}
	a.Port = n
	if n == 0 {
		a.PortMapped = true
	}
	return a, true
}
