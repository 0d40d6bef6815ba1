package ipvsadm

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"evenkeel/internal/l4"
)

// Names turns numbers into names, for listings without -n.
type Names interface {
	// HostName is an address's name; "": it has none.
	HostName(netip.Addr) string
	// PortName is a port's name; protocol is "tcp", "udp" or "sctp".
	PortName(port uint16, protocol string) string
}

// printer writes listings. Errors of the writer are kept by it.
type printer struct {
	w     *bufio.Writer
	names Names // nil: numbers
}

func newPrinter(w io.Writer, names Names) *printer {
	return &printer{bufio.NewWriter(w), names}
}

func (p *printer) f(format string, args ...any) { fmt.Fprintf(p.w, format, args...) }

// place is an address and a port as ipvsadm shows them.
func (p *printer) place(a netip.Addr, port uint16, protocol l4.Protocol) string {
	host, service := a.String(), strconv.Itoa(int(port))
	if p.names != nil {
		if n := p.names.HostName(a); n != "" {
			host = n
		}
		if protocol == 0 {
			protocol = l4.TCP // ports of a mark's servers
		}
		if port != 0 {
			if n := p.names.PortName(port, strings.ToLower(protocol.String())); n != "" {
				service = n
			}
		}
	}
	if a.Is6() {
		host = "[" + host + "]"
	}
	return host + ":" + service
}

// methodNames are the forwarding methods as listings show them.
var methodNames = map[l4.Method]string{l4.NAT: "Masq", l4.DR: "Route", l4.TUN: "Tunnel", l4.Local: "Local", l4.FULLNAT: "FullNAT"}

// methodOptions are the forwarding methods as -S writes them.
var methodOptions = map[l4.Method]string{l4.NAT: "-m", l4.DR: "-g", l4.TUN: "-i"}

// ordered puts services and servers into ipvsadm's order: IPv4 services before
// those of IPv6 before marks.
func ordered(list []l4.ServiceStats) []l4.ServiceStats {
	list = merge(list, func(a, b *l4.ServiceStats) int { return compareKeys(a.Key, b.Key) })
	for i := range list {
		list[i].Servers = merge(list[i].Servers, func(a, b *l4.ServerStats) int {
			return cmp.Or(compareAddrs(a.Addr, b.Addr), cmp.Compare(a.Port, b.Port))
		})
	}
	return list
}

// merge sorts as the C library's qsort does. Which algorithm it is shows,
// because compareAddrs is no order: see there.
func merge[T any](list []T, compare func(a, b *T) int) []T {
	if len(list) < 2 {
		return slices.Clone(list)
	}
	a, b := merge(list[:len(list)/2], compare), merge(list[len(list)/2:], compare)
	out := make([]T, 0, len(list))
	for len(a) > 0 && len(b) > 0 {
		if compare(&a[0], &b[0]) <= 0 {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	return append(append(out, a...), b...)
}

// compareAddrs is ipvsadm's idea of ascending: the sign of the difference of 32
// bits at a time, so that 192.168.0.1 comes before 10.0.0.1. Scripts compare
// listings, so it is kept.
func compareAddrs(a, b netip.Addr) int {
	if c := cmp.Compare(a.BitLen(), b.BitLen()); c != 0 {
		return c
	}
	x, y := a.AsSlice(), b.AsSlice()
	for i := 0; i+4 <= len(x); i += 4 {
		if d := int32(binary.BigEndian.Uint32(x[i:]) - binary.BigEndian.Uint32(y[i:])); d != 0 {
			return int(d)
		}
	}
	return 0
}

func compareKeys(a, b l4.Key) int {
	return cmp.Or(cmp.Compare(a.FwMark, b.FwMark), cmp.Compare(a.AddressFamily(), b.AddressFamily()),
		cmp.Compare(a.Protocol, b.Protocol), compareAddrs(a.Addr, b.Addr), cmp.Compare(a.Port, b.Port), cmp.Compare(a.PortLast, b.PortLast))
}

// key is a service's first column.
func (p *printer) key(k l4.Key) string {
	if k.FwMark != 0 {
		s := fmt.Sprintf("FWM  %d", k.FwMark)
		if k.AddressFamily() == l4.IPv6 {
			s += " IPv6"
		}
		return s
	}
	return fmt.Sprintf("%-4s %s", k.Protocol, p.places(k))
}

// places is an address with its port, or with its range of them: evenkeel's own,
// IPVS has none. A range is numbers.
func (p *printer) places(k l4.Key) string {
	if k.PortLast <= k.Port {
		return p.place(k.Addr, k.Port, k.Protocol)
	}
	host := strings.TrimSuffix(p.place(k.Addr, 0, k.Protocol), ":0")
	return fmt.Sprintf("%s:%d-%d", host, k.Port, k.PortLast)
}

// flags are those of a scheduler, by the scheduler's names for them.
func flags(s *l4.Service) string {
	var list []string
	for bit := l4.FlagSchedule1; bit <= l4.FlagSchedule3; bit <<= 1 {
		if s.Flags&bit == 0 {
			continue
		}
		name := ""
		for _, f := range flagNames {
			if f.flag == bit && (f.scheduler == "" || f.scheduler == s.SchedulerName()) {
				name = f.name // the scheduler's own stand behind the general ones
			}
		}
		list = append(list, name)
	}
	return strings.Join(list, ",")
}

// mask is the granularity of persistence; "" for the whole address.
func mask(s *l4.Service) string {
	switch {
	case s.PersistenceMask == 0 || s.PersistenceMask == s.AddressFamily().Bits():
		return ""
	case s.AddressFamily() == l4.IPv6:
		return strconv.Itoa(s.PersistenceMask)
	}
	return maskString(^uint32(0) << (32 - s.PersistenceMask))
}

// header is what stands above the services.
func (p *printer) header(l Listing) {
	switch {
	case l.Stats:
		p.f("%-33s %8s %8s %8s %8s %8s\n", "Prot LocalAddress:Port", "Conns", "InPkts", "OutPkts", "InBytes", "OutBytes")
	case l.Rate:
		p.f("%-33s %8s %8s %8s %8s %8s\n", "Prot LocalAddress:Port", "CPS", "InPPS", "OutPPS", "InBPS", "OutBPS")
	case l.Thresholds:
		p.f("%-33s %-10s %-10s %-10s %-10s\n", "Prot LocalAddress:Port", "Uthreshold", "Lthreshold", "ActiveConn", "InActConn")
	case l.Persistent:
		p.f("%-33s %-9s %-11s %-10s %-10s\n", "Prot LocalAddress:Port", "Weight", "PersistConn", "ActiveConn", "InActConn")
	case l.Tunnel:
		p.f("Prot LocalAddress:Port Scheduler Flags\n  -> RemoteAddress:Port           Forward TunnelInfo    Weight ActiveConn InActConn\n")
		return
	default:
		p.f("Prot LocalAddress:Port Scheduler Flags\n  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n")
		return
	}
	p.f("  -> RemoteAddress:Port\n")
}

// service is one service with its servers.
func (p *printer) service(s *l4.ServiceStats, l Listing) {
	switch {
	case l.Stats:
		p.f("%-33s", p.key(s.Key))
		p.counters(s.Counters, l.Exact)
	case l.Rate:
		p.f("%-33s", p.key(s.Key))
		p.rates(s.Rates, l.Exact)
	default:
		p.f("%s %s", p.key(s.Key), s.SchedulerName())
		p.serviceFlags(&s.Service)
	}
	for i := range s.Servers {
		p.server(&s.Servers[i], s.Protocol, l)
	}
}

func (p *printer) serviceFlags(s *l4.Service) {
	if f := flags(s); f != "" {
		p.f(" (%s)", f)
	}
	if s.Persistence > 0 {
		p.f(" persistent %d", int64(s.Persistence/time.Second))
		if m := mask(s); m != "" {
			p.f(" mask %s", m)
		}
	}
	if s.PersistenceName != "" {
		p.f(" pe %s", s.PersistenceName)
	}
	if s.OnePacket {
		p.f(" ops")
	}
	p.f("\n")
}

// placeWidth is the column of a server's address. Longer names are cut off,
// IPv6 addresses are not.
const placeWidth = 28

func (p *printer) server(r *l4.ServerStats, protocol l4.Protocol, l Listing) {
	place := p.place(r.Addr, r.Port, protocol)
	if len(place) > placeWidth && r.Addr.Is4() {
		place = place[:placeWidth]
	}
	p.f("  -> %-*s", placeWidth, place)
	switch {
	case l.Stats:
		p.counters(r.Counters, l.Exact)
	case l.Rate:
		p.rates(r.Rates, l.Exact)
	case l.Thresholds:
		p.f(" %-10d %-10d %-10d %-10d\n", r.Upper, r.Lower, r.Active, r.Inactive)
	case l.Persistent:
		p.f(" %-9d %-11d %-10d %-10d\n", r.Weight, r.Persistent, r.Active, r.Inactive)
	case l.Tunnel:
		p.f(" %-7s %-13s %-6d %-10d %-10d\n", methodNames[r.Method], tunnelInfo(r.Server), r.Weight, r.Active, r.Inactive)
	default:
		p.f(" %-7s %-6d %-10d %-10d\n", methodNames[r.Method], r.Weight, r.Active, r.Inactive)
	}
}

func tunnelInfo(r l4.Server) string {
	if r.Method != l4.TUN {
		return "n/a"
	}
	checksum := map[l4.TunnelChecksum]string{l4.TunnelNoChecksum: "-c", l4.TunnelWithChecksum: "+c", l4.TunnelRemoteChecksum: "+r"}[r.Tunnel.Checksum]
	switch r.Tunnel.Type {
	case l4.GUE:
		return fmt.Sprintf("gue:%d:%s", r.Tunnel.Port, checksum)
	case l4.GRE:
		return "gre:" + checksum
	}
	return r.Tunnel.Type.String()
}

func (p *printer) counters(c l4.Counters, exact bool) {
	p.numbers(exact, c.Connections, c.PacketsIn, c.PacketsOut, c.BytesIn, c.BytesOut)
}

func (p *printer) rates(r l4.Rates, exact bool) {
	p.numbers(exact, r.Connections, r.PacketsIn, r.PacketsOut, r.BytesIn, r.BytesOut)
}

func (p *printer) numbers(exact bool, list ...uint64) {
	for _, n := range list {
		p.f("%s", largeNumber(n, exact))
	}
	p.f("\n")
}

// largeNumber is a counter in nine columns: whole while it has at most eight
// digits, then in thousands, and so on. An exact one is wider than the column
// where it has to be.
func largeNumber(n uint64, exact bool) string {
	switch {
	case exact:
		return fmt.Sprintf(" %8d", n)
	case n < 1e8:
		return fmt.Sprintf("%9d", n)
	case n < 1e9:
		return fmt.Sprintf("%8dK", n/1e3)
	case n < 1e11:
		return fmt.Sprintf("%8dM", n/1e6)
	case n < 1e14:
		return fmt.Sprintf("%8dG", n/1e9)
	}
	return fmt.Sprintf("%8dT", n/1e12)
}

// save writes a service as commands.
func (p *printer) save(s *l4.ServiceStats) {
	key := p.keyOption(s.Key)
	p.f("-A %s -s %s", key, s.SchedulerName())
	if s.Persistence > 0 {
		p.f(" -p %d", int64(s.Persistence/time.Second))
		if m := mask(&s.Service); m != "" {
			p.f(" -M %s", m)
		}
	}
	if s.PersistenceName != "" {
		p.f(" --pe %s", s.PersistenceName)
	}
	if s.OnePacket {
		p.f(" -o")
	}
	if f := flags(&s.Service); f != "" {
		p.f(" -b %s", f)
	}
	p.f("\n")
	for _, r := range s.Servers {
		method := methodOptions[r.Method]
		if method == "" {
			method = "-g" // a server on the director itself: the kernel finds that out
		}
		p.f("-a %s -r %s %s -w %d", key, p.place(r.Addr, r.Port, s.Protocol), method, r.Weight)
		if r.Method == l4.TUN {
			p.f(" --tun-type %s", r.Tunnel.Type)
			if r.Tunnel.Type == l4.GUE {
				p.f(" --tun-port %d", r.Tunnel.Port)
			}
			if r.Tunnel.Type != l4.IPIP {
				p.f(" %s", map[l4.TunnelChecksum]string{l4.TunnelNoChecksum: "--tun-nocsum", l4.TunnelWithChecksum: "--tun-csum",
					l4.TunnelRemoteChecksum: "--tun-remcsum"}[r.Tunnel.Checksum])
			}
		}
		// ipvsadm 1.31 forgets the thresholds, so that -R loses them.
		if r.Upper > 0 {
			p.f(" -x %d", r.Upper)
		}
		if r.Lower > 0 {
			p.f(" -y %d", r.Lower)
		}
		p.f("\n")
	}
}

func (p *printer) keyOption(k l4.Key) string {
	if k.FwMark != 0 {
		if k.AddressFamily() == l4.IPv6 {
			return fmt.Sprintf("-f %d -6", k.FwMark)
		}
		return fmt.Sprintf("-f %d", k.FwMark)
	}
	option := map[l4.Protocol]string{l4.TCP: "-t", l4.UDP: "-u", l4.SCTP: "--sctp-service"}[k.Protocol]
	return option + " " + p.places(k)
}

// connectionHeader is what stands above the connections.
func (p *printer) connectionHeader(engine bool) {
	p.f("IPVS connection entries\n")
	if engine {
		p.f("pro expire %-11s %-18s %-18s %-18s %-16s %s\n", "state", "source", "virtual", "destination", "pe name", "pe_data")
		return
	}
	p.f("pro expire %-11s %-18s %-18s %s\n", "state", "source", "virtual", "destination")
}

func (p *printer) connection(f *l4.Flow, engine bool) {
	name := "IP"
	if f.Protocol != 0 {
		name = f.Protocol.String()
	}
	left := int64(f.Expires / time.Second)
	expire := fmt.Sprintf("%02d:%02d", left/60, left%60)
	where := func(a netip.AddrPort) string { return p.place(a.Addr(), a.Port(), f.Protocol) }
	if engine && f.PersistenceName != "" {
		p.f("%-3s %-6s %-11s %-18s %-18s %-18s %-16s %s\n", name, expire, f.State, where(f.Client), where(f.Virtual), where(f.Server),
			f.PersistenceName, f.PersistenceData)
		return
	}
	p.f("%-3s %-6s %-11s %-18s %-18s %s\n", name, expire, f.State, where(f.Client), where(f.Virtual), where(f.Server))
}

func (p *printer) daemon(d l4.SyncDaemon) {
	state := "master"
	if d.Backup {
		state = "backup"
	}
	p.f("%s sync daemon (mcast=%s, syncid=%d, maxlen=%d, group=%v, port=%d, ttl=%d)\n", state, d.Interface, d.ID, d.MaxLen, d.Group, d.Port, d.TTL)
}

func (p *printer) timeouts(t l4.Timeouts) {
	p.f("Timeout (tcp tcpfin udp): %d %d %d\n", int64(t.TCP/time.Second), int64(t.TCPFin/time.Second), int64(t.UDP/time.Second))
}
