package ipvsadm

import (
	"math"
	"math/bits"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"evenkeel/internal/l4"
)

// defaultPersistence is what -p without a number means.
const defaultPersistence = 360 * time.Second

// maxTimeout is the longest time that IPVS knows, in seconds: 31 days.
const maxTimeout = 31 * 24 * 3600

// number reads a decimal number from low to high.
func number(s string, low, high int64) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n >= low && n <= high
}

func (p *parser) tcpService(v string) error  { return p.addressService(l4.TCP, v) }
func (p *parser) udpService(v string) error  { return p.addressService(l4.UDP, v) }
func (p *parser) sctpService(v string) error { return p.addressService(l4.SCTP, v) }

func (p *parser) addressService(protocol l4.Protocol, v string) error {
	if err := p.mark(optService); err != nil {
		return err
	}
	v, last := portRange(v)
	to, ok := p.addrPort(v, protocol)
	if last == to.Port() {
		last = 0
	}
	if !ok || last != 0 && last < to.Port() {
		return usageError("illegal virtual server address[:port] specified")
	}
	p.command.Service.Key = l4.Key{Addr: to.Addr(), Protocol: protocol, Port: to.Port(), PortLast: last}
	if p.family = l4.FamilyOf(to.Addr()); p.family == l4.IPv6 {
		p.mask = 128 // and so a mask that came before is gone
	}
	return nil
}

// portRange takes the last port off ADDRESS:FIRST-LAST, evenkeel's own, where
// both are numbers: names of ports have hyphens, too.
func portRange(v string) (rest string, last uint16) {
	i, k := strings.LastIndexByte(v, ':'), strings.LastIndexByte(v, '-')
	if i < 0 || k < i {
		return v, 0
	}
	_, first := number(v[i+1:k], 1, math.MaxUint16)
	n, ok := number(v[k+1:], 1, math.MaxUint16)
	if !first || !ok {
		return v, 0
	}
	return v[:k], uint16(n)
}

func (p *parser) markService(v string) error {
	if err := p.mark(optService); err != nil {
		return err
	}
	n, ok := number(v, 1, math.MaxUint32)
	if !ok {
		return usageError("invalid fwmark value `%s' specified", v)
	}
	p.command.Service.Key = l4.Key{FwMark: uint32(n), Family: l4.IPv4}
	p.family = l4.IPv4
	return nil
}

func (p *parser) ipv6(string) error {
	if p.command.Service.FwMark == 0 {
		return usageError("-6 used before -f\n")
	}
	p.command.Service.Family = l4.IPv6
	p.family, p.mask = l4.IPv6, 128
	return nil
}

// addrPort reads host, host:port, [IPv6]:port, [IPv6] or a bare IPv6 address.
// ipvsadm 1.31 refuses brackets without a port.
func (p *parser) addrPort(s string, protocol l4.Protocol) (netip.AddrPort, bool) {
	var none netip.AddrPort
	if inside, ok := strings.CutPrefix(s, "["); ok {
		host, port, closed := strings.Cut(inside, "]")
		a, err := netip.ParseAddr(host)
		if !closed || err != nil || !a.Is6() || a.Zone() != "" {
			return none, false
		}
		if port == "" {
			return netip.AddrPortFrom(a, 0), true
		}
		port, ok := strings.CutPrefix(port, ":")
		n, known := p.port(port, protocol)
		return netip.AddrPortFrom(a, n), ok && known
	}
	if strings.Count(s, ":") > 1 {
		a, err := netip.ParseAddr(s)
		return netip.AddrPortFrom(a, 0), err == nil && a.Is6() && a.Zone() == ""
	}
	host, port, with := strings.Cut(s, ":")
	a, ok := dotted(host)
	if !ok {
		if a, ok = p.resolver.Host(host); !ok || !a.Is4() {
			return none, false
		}
	}
	if !with {
		return netip.AddrPortFrom(a, 0), true
	}
	n, known := p.port(port, protocol)
	return netip.AddrPortFrom(a, n), known
}

func (p *parser) port(s string, protocol l4.Protocol) (uint16, bool) {
	if n, ok := number(s, 0, math.MaxUint16); ok {
		return uint16(n), true
	}
	if s == "" {
		return 0, false
	}
	if protocol != 0 {
		return p.resolver.Port(s, strings.ToLower(protocol.String()))
	}
	// Of a mark's server, or of one that stands before its service.
	if n, ok := p.resolver.Port(s, "tcp"); ok {
		return n, true
	}
	return p.resolver.Port(s, "udp")
}

// dotted reads an IPv4 address by inet_aton's rules: one to four numbers,
// decimal, octal or hexadecimal, the last of which fills what is left.
func dotted(s string) (netip.Addr, bool) {
	parts := strings.Split(s, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var value uint64
	for i, part := range parts {
		high := uint64(255)
		if i == len(parts)-1 {
			high = 1<<(8*(5-len(parts))) - 1
		}
		if part == "" || strings.ContainsAny(part, "_+-") || strings.HasPrefix(part, "0b") || strings.HasPrefix(part, "0o") ||
			strings.HasPrefix(part, "0B") || strings.HasPrefix(part, "0O") {
			return netip.Addr{}, false
		}
		n, err := strconv.ParseUint(part, 0, 32)
		if err != nil || n > high {
			return netip.Addr{}, false
		}
		if i == len(parts)-1 {
			value = value<<(8*(5-len(parts))) | n
		} else {
			value = value<<8 | n
		}
	}
	return netip.AddrFrom4([4]byte{byte(value >> 24), byte(value >> 16), byte(value >> 8), byte(value)}), true
}

func (p *parser) scheduler(v string) error {
	p.command.Service.Scheduler = v
	return p.mark(optScheduler)
}

// flagNames are the names of scheduler flags, with the scheduler whose they
// are.
var flagNames = []struct {
	name, scheduler string
	flag            l4.Flags
}{
	{"flag-1", "", l4.FlagSchedule1},
	{"flag-2", "", l4.FlagSchedule2},
	{"flag-3", "", l4.FlagSchedule3},
	{"sh-fallback", "sh", l4.HashFallback},
	{"sh-port", "sh", l4.HashPort},
	{"mh-fallback", "mh", l4.HashFallback},
	{"mh-port", "mh", l4.HashPort},
}

func (p *parser) schedulerFlags(v string) error {
	if err := p.mark(optSchedFlags); err != nil {
		return err
	}
	for f := range strings.SplitSeq(v, ",") {
		if f != "" {
			p.flags = append(p.flags, f)
		}
	}
	return nil
}

// resolveFlags gives flags their meaning, now that the scheduler is known.
func (p *parser) resolveFlags() error {
	s := &p.command.Service
	for _, name := range p.flags {
		known := false
		for _, f := range flagNames {
			if f.name != name {
				continue
			}
			if f.scheduler != "" && f.scheduler != s.Scheduler {
				return usageError("incompatible scheduler flag `%s'", name)
			}
			s.Flags |= f.flag
			known = true
		}
		if !known {
			return usageError("invalid scheduler flag `%s'", name)
		}
	}
	return nil
}

func (p *parser) persistent(v string) error {
	if err := p.mark(optPersistent); err != nil {
		return err
	}
	p.command.Service.Persistence = defaultPersistence
	if v == absent {
		return nil
	}
	n, ok := number(v, 1, maxTimeout)
	if !ok {
		return usageError("invalid timeout value `%s' specified", v)
	}
	p.command.Service.Persistence = time.Duration(n) * time.Second
	return nil
}

func (p *parser) netmask(v string) error {
	if err := p.mark(optNetmask); err != nil {
		return err
	}
	if p.family == l4.IPv6 {
		n, ok := number(v, 1, 128)
		if !ok {
			return usageError("illegal ipv6 netmask specified")
		}
		p.mask = uint32(n)
		return nil
	}
	a, ok := dotted(v)
	if !ok {
		return usageError("illegal virtual server persistent mask specified")
	}
	b := a.As4()
	p.mask = uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	return nil
}

// finishMask turns the mask into a prefix length. ipvsadm takes masks with
// holes as well; nobody wants them, and what looks like one is mostly a prefix
// length ("24" is 0.0.0.24 to it).
func (p *parser) finishMask() error {
	if !p.given.has(optNetmask) {
		return nil
	}
	s := &p.command.Service
	if p.family == l4.IPv6 {
		s.PersistenceMask = int(p.mask) % 128
		return nil
	}
	n := bits.LeadingZeros32(^p.mask)
	if n == 0 || p.mask<<n != 0 {
		return usageError("persistent mask %v is no prefix: write for instance 255.255.255.0", maskString(p.mask))
	}
	s.PersistenceMask = n % 32
	return nil
}

func maskString(m uint32) string {
	return netip.AddrFrom4([4]byte{byte(m >> 24), byte(m >> 16), byte(m >> 8), byte(m)}).String()
}

func (p *parser) engine(v string) error {
	p.command.Service.PersistenceName = v
	return p.mark(optPE)
}

func (p *parser) onePacket(string) error {
	p.command.Service.OnePacket = true
	return p.mark(optOPS)
}

func (p *parser) realServer(v string) error {
	if err := p.mark(optServer); err != nil {
		return err
	}
	to, ok := p.addrPort(v, p.command.Service.Protocol)
	if !ok {
		return usageError("illegal real server address[:port] specified")
	}
	p.command.Server.Addr, p.command.Server.Port = to.Addr(), to.Port()
	return nil
}

func (p *parser) gatewaying(string) error   { return p.forward(l4.DR) }
func (p *parser) tunneling(string) error    { return p.forward(l4.TUN) }
func (p *parser) masquerading(string) error { return p.forward(l4.NAT) }

func (p *parser) forward(m l4.Method) error {
	p.command.Server.Method = m
	return p.mark(optForward)
}

func (p *parser) weight(v string) error {
	return p.count(optWeight, &p.command.Server.Weight, v, "weight")
}
func (p *parser) upper(v string) error {
	return p.count(optUpper, &p.command.Server.Upper, v, "u_threshold")
}
func (p *parser) lower(v string) error {
	return p.count(optLower, &p.command.Server.Lower, v, "l_threshold")
}

func (p *parser) count(o option, to *int, v, name string) error {
	if err := p.mark(o); err != nil {
		return err
	}
	n, ok := number(v, 0, math.MaxInt32)
	if !ok {
		return usageError("illegal %s specified", name)
	}
	*to = int(n)
	return nil
}

// tunnelRules say which options a type of tunnel needs and has.
var tunnelRules = map[l4.TunnelType]struct{ needs, allows optionSet }{
	l4.IPIP: {0, 0},
	l4.GUE:  {setOf(optTunPort), setOf(optTunNoCsum, optTunCsum, optTunRemCsum)},
	l4.GRE:  {0, setOf(optTunNoCsum, optTunCsum)},
}

func (p *parser) tunnelType(v string) error {
	if err := p.mark(optTunType); err != nil {
		return err
	}
	for t := range tunnelRules {
		if t.String() == v {
			p.command.Server.Tunnel.Type = t
			return nil
		}
	}
	return usageError("illegal tunnel type specified")
}

func (p *parser) tunnelPort(v string) error {
	if err := p.mark(optTunPort); err != nil {
		return err
	}
	n, ok := number(v, 1, math.MaxUint16)
	if !ok {
		return usageError("illegal tunnel port specified")
	}
	p.command.Server.Tunnel.Port = uint16(n)
	return nil
}

func (p *parser) tunnelNoChecksum(string) error {
	return p.checksum(optTunNoCsum, l4.TunnelNoChecksum)
}
func (p *parser) tunnelChecksum(string) error { return p.checksum(optTunCsum, l4.TunnelWithChecksum) }
func (p *parser) tunnelRemoteChecksum(string) error {
	return p.checksum(optTunRemCsum, l4.TunnelRemoteChecksum)
}

func (p *parser) checksum(o option, c l4.TunnelChecksum) error {
	p.command.Server.Tunnel.Checksum = c
	return p.mark(o)
}

// checkTunnel is about tunnel options that do not fit the type.
func (p *parser) checkTunnel() error {
	all := setOf(optTunType, optTunPort, optTunNoCsum, optTunCsum, optTunRemCsum)
	if p.command.Server.Method != l4.TUN {
		if p.given&all != 0 {
			return usageError("Tunnel options conflict with forward method")
		}
		return nil
	}
	t := p.command.Server.Tunnel.Type
	rule := tunnelRules[t]
	var checksum option
	for o := optTunPort; o <= optTunRemCsum; o++ {
		given := p.given.has(o)
		switch {
		case !given && rule.needs.has(o):
			return usageError("You need to supply the '%s' option for the '%s' tunnel type", o, t)
		case given && !rule.needs.has(o) && !rule.allows.has(o):
			return usageError("Illegal '%s' option with the '%s' tunnel type", o, t)
		case given && o > optTunPort && checksum != 0:
			return usageError("The option '%s' conflicts with the '%s' option in the '%s' tunnel type", o, checksum, t)
		case given && o > optTunPort:
			checksum = o
		}
	}
	return nil
}

// finishServer gives the server the port that it has where none can be chosen.
func (p *parser) finishServer() error {
	s, r := &p.command.Service, &p.command.Server
	if p.command.Action != DeleteServer && l4.FamilyOf(r.Addr) != s.AddressFamily() && r.Method != l4.TUN {
		return usageError("Different address family is allowed only for tunneling servers")
	}
	if p.command.Action != DeleteServer {
		if err := p.checkTunnel(); err != nil {
			return err
		}
	}
	if s.FwMark != 0 {
		return nil
	}
	if r.Port == 0 || (p.command.Action != DeleteServer && r.Method != l4.NAT) {
		r.Port = s.Port
		if s.PortLast != 0 {
			r.Port = 0 // each packet keeps its own
		}
	}
	return nil
}

func (p *parser) sort(string) error { return nil }

// timeouts reads the three numbers of --set.
func (p *parser) timeouts() error {
	if len(p.rest) < 3 {
		return usageError("--set option requires 3 timeout values")
	}
	for i, to := range []*time.Duration{&p.command.Timeouts.TCP, &p.command.Timeouts.TCPFin, &p.command.Timeouts.UDP} {
		n, ok := number(p.rest[i], 0, maxTimeout)
		if !ok {
			return usageError("invalid timeout value `%s' specified", p.rest[i])
		}
		*to = time.Duration(n) * time.Second
	}
	p.rest = p.rest[3:]
	return nil
}

func (p *parser) mcastInterface(v string) error {
	p.command.Daemon.Interface = v
	return p.mark(optInterface)
}

func (p *parser) mcastGroup(v string) error {
	if err := p.mark(optMcastGroup); err != nil {
		return err
	}
	family := "IPv4"
	if strings.Contains(v, ":") {
		family = "IPv6"
	}
	a, err := netip.ParseAddr(v)
	if err != nil || !a.IsMulticast() {
		return usageError("invalid %s mcast-group `%s'", family, v)
	}
	p.command.Daemon.Group = a
	return nil
}

func (p *parser) mcastPort(v string) error {
	n, ok := number(v, 1, math.MaxUint16)
	p.command.Daemon.Port = uint16(n)
	return p.daemonNumber(optMcastPort, ok, "mcast-port")
}

func (p *parser) mcastTTL(v string) error {
	n, ok := number(v, 1, math.MaxUint8)
	p.command.Daemon.TTL = uint8(n)
	return p.daemonNumber(optMcastTTL, ok, "mcast-ttl")
}

func (p *parser) syncID(v string) error {
	n, ok := number(v, 0, math.MaxUint8)
	p.command.Daemon.ID = uint8(n)
	return p.daemonNumber(optSyncID, ok, "syncid")
}

func (p *parser) syncMaxLen(v string) error {
	n, ok := number(v, 1, 65535-20-8)
	p.command.Daemon.MaxLen = int(n)
	return p.daemonNumber(optSyncMaxLen, ok, "sync-maxlen")
}

func (p *parser) daemonNumber(o option, ok bool, name string) error {
	if err := p.mark(o); err != nil {
		return err
	}
	if !ok {
		return usageError("illegal %s specified", name)
	}
	return nil
}
