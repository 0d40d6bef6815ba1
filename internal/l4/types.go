package l4

import (
	"fmt"
	"net/netip"
	"time"
)

// Protocol is an IP protocol number.
type Protocol uint8

// The protocols that a service can have.
const (
	TCP  Protocol = 6
	UDP  Protocol = 17
	SCTP Protocol = 132
)

// String is the protocol's name as ipvsadm prints it.
func (p Protocol) String() string {
	switch p {
	case TCP:
		return "TCP"
	case UDP:
		return "UDP"
	case SCTP:
		return "SCTP"
	}
	return fmt.Sprintf("protocol %d", uint8(p))
}

// Family is an address family: 4 or 6.
type Family uint8

// The address families.
const (
	IPv4 Family = 4
	IPv6 Family = 6
)

// FamilyOf is the family of an address; 0 when it is no address.
func FamilyOf(a netip.Addr) Family {
	switch {
	case a.Is4():
		return IPv4
	case a.Is6():
		return IPv6
	}
	return 0
}

// Key says which packets are a service's. It is either an address, a protocol
// and ports, or a firewall mark and a family (Addr, Protocol and Port are zero
// then). Keys are comparable.
type Key struct {
	Addr     netip.Addr
	Protocol Protocol
	Port     uint16 // 0: any port
	PortLast uint16 // of a range; 0: Port alone
	FwMark   uint32 // not 0: the mark, whatever protocol and ports
	Family   Family // of a mark; of an address it is 0 or the address's
}

// AddressFamily is the family of the key's packets.
func (k Key) AddressFamily() Family {
	if k.FwMark != 0 {
		if k.Family == 0 {
			return IPv4
		}
		return k.Family
	}
	return FamilyOf(k.Addr)
}

// Canonical is the one form of keys that mean the same.
func (k Key) Canonical() Key {
	if k.FwMark != 0 {
		return Key{FwMark: k.FwMark, Family: k.AddressFamily()}
	}
	k.Addr = k.Addr.Unmap().WithZone("")
	k.Family = 0
	if k.PortLast == k.Port {
		k.PortLast = 0
	}
	return k
}

// String is the key as people write it: "TCP 192.0.2.1:80", "FWM 3 IPv6".
func (k Key) String() string {
	if k.FwMark != 0 {
		if k.AddressFamily() == IPv6 {
			return fmt.Sprintf("FWM %d IPv6", k.FwMark)
		}
		return fmt.Sprintf("FWM %d", k.FwMark)
	}
	s := k.Protocol.String() + " " + netip.AddrPortFrom(k.Addr, k.Port).String()
	if k.PortLast != 0 && k.PortLast != k.Port {
		s += fmt.Sprintf("-%d", k.PortLast)
	}
	return s
}

// Method is how a packet gets to its real server.
type Method uint8

// The forwarding methods.
const (
	NAT     Method = iota // destination rewritten; answers come back through the director (ipvsadm's Masq)
	DR                    // only the link-layer address changes; answers go directly (Route)
	TUN                   // wrapped in another IP header; answers go directly (Tunnel)
	FULLNAT               // destination and source rewritten: the server sees one of the director's addresses
	Local                 // the director itself is the server
)

// String is the method's name in keepalived.conf.
func (m Method) String() string {
	switch m {
	case NAT:
		return "NAT"
	case DR:
		return "DR"
	case TUN:
		return "TUN"
	case FULLNAT:
		return "FULLNAT"
	case Local:
		return "Local"
	}
	return fmt.Sprintf("method %d", uint8(m))
}

// TunnelType is how TUN wraps.
type TunnelType uint8

// The tunnels.
const (
	IPIP TunnelType = iota // IP in IP, any family in any
	GUE                    // generic UDP encapsulation
	GRE
)

// String is the tunnel's name in ipvsadm and keepalived.conf.
func (t TunnelType) String() string {
	switch t {
	case IPIP:
		return "ipip"
	case GUE:
		return "gue"
	case GRE:
		return "gre"
	}
	return fmt.Sprintf("tunnel %d", uint8(t))
}

// TunnelChecksum is what a GUE or GRE tunnel does about checksums.
type TunnelChecksum uint8

// The kinds of tunnel checksums.
const (
	TunnelNoChecksum TunnelChecksum = iota
	TunnelWithChecksum
	TunnelRemoteChecksum
)

// Tunnel is how TUN wraps packets for one server.
type Tunnel struct {
	Type     TunnelType
	Port     uint16 // GUE's UDP port
	Checksum TunnelChecksum
}

// Flags change what a scheduler does.
type Flags uint8

// The flags. Names and bits are those of IPVS's flag-1 to flag-3.
const (
	FlagSchedule1 Flags = 1 << iota // flag-1: sh and mh fall back to another server (sh-fallback, mh-fallback)
	FlagSchedule2                   // flag-2: sh and mh hash the port too (sh-port, mh-port)
	FlagSchedule3
)

// The flags as the hashing schedulers call them.
const (
	HashFallback = FlagSchedule1
	HashPort     = FlagSchedule2
)

// Service is one virtual service.
type Service struct {
	Key
	Scheduler string // rr, wrr, ...: see Schedulers; "" is wlc
	Flags     Flags

	Persistence     time.Duration // 0: none
	PersistenceMask int           // prefix length of the client's network; 0: the whole address
	PersistenceName string        // persistence engine: "" or "sip"

	OnePacket bool // UDP: each packet is scheduled by itself

	// SYNLimit is how many new TCP connections a second the service takes;
	// more are dropped. 0: as many as come.
	SYNLimit int

	// Servers are what connections go to now. Whoever configures a sorry
	// server puts it here while it is wanted: a plane knows no quorum.
	Servers []Server
}

// Server is one real server of one service.
type Server struct {
	Addr   netip.Addr
	Port   uint16 // 0: the port that the client asked for
	Weight int    // 0: keeps its connections and gets no new ones
	Method Method
	Tunnel Tunnel // with TUN

	Upper int // connections at which it counts as overloaded; 0: never
	Lower int // connections below which it no longer does; 0: three quarters of Upper
}

// ServerKey tells the servers of one service apart.
type ServerKey struct {
	Addr netip.Addr
	Port uint16
}

// Key is the server's key.
func (s Server) Key() ServerKey { return ServerKey{s.Addr.Unmap().WithZone(""), s.Port} }

// String is the server as people write it.
func (k ServerKey) String() string { return netip.AddrPortFrom(k.Addr, k.Port).String() }

// Timeouts are how long a connection without packets is remembered. Zero is
// the default.
type Timeouts struct {
	TCP    time.Duration // established; 15 minutes
	TCPFin time.Duration // after a FIN; 2 minutes
	UDP    time.Duration // 5 minutes
}

// The defaults of Timeouts, which are IPVS's.
const (
	DefaultTimeoutTCP    = 15 * time.Minute
	DefaultTimeoutTCPFin = 2 * time.Minute
	DefaultTimeoutUDP    = 5 * time.Minute
)

// WithDefaults fills in what is zero.
func (t Timeouts) WithDefaults() Timeouts {
	if t.TCP == 0 {
		t.TCP = DefaultTimeoutTCP
	}
	if t.TCPFin == 0 {
		t.TCPFin = DefaultTimeoutTCPFin
	}
	if t.UDP == 0 {
		t.UDP = DefaultTimeoutUDP
	}
	return t
}

// Config is the whole of what a plane shall forward.
type Config struct {
	Services []Service
	Timeouts Timeouts

	// Pool are the source addresses of FULLNAT: the director's own, used for
	// nothing else.
	Pool []netip.Addr
	// XDP are interfaces whose drivers run the director's program, before the
	// kernel makes socket buffers of packets. On one that cannot, the plane says
	// so and forwards all the same.
	XDP []string

	// TunnelSource is the outer source address of TUN, by family. What is not
	// given is the director's address towards the server.
	TunnelSource4, TunnelSource6 netip.Addr

	// ExpireNoDestination ends the connections of a server that was removed at
	// once; otherwise their packets are dropped until they time out, so that
	// they go on when the server comes back (IPVS's expire_nodest_conn).
	ExpireNoDestination bool
	// ExpireQuiescent lets a persistent client of a server with weight 0 move
	// to another one (IPVS's expire_quiescent_template).
	ExpireQuiescent bool
	// SloppyTCP lets any packet of an unknown TCP connection begin one, not
	// only a SYN (IPVS's sloppy_tcp). The hashing schedulers sh, dh and mh do
	// so in DR and TUN always: every director finds the same server.
	SloppyTCP bool
}

// Counters grow only.
type Counters struct {
	Connections uint64
	PacketsIn   uint64 // from clients
	PacketsOut  uint64 // to clients: 0 with DR and TUN
	BytesIn     uint64 // of whole IP packets
	BytesOut    uint64
}

// Add adds other to c.
func (c *Counters) Add(other Counters) {
	c.Connections += other.Connections
	c.PacketsIn += other.PacketsIn
	c.PacketsOut += other.PacketsOut
	c.BytesIn += other.BytesIn
	c.BytesOut += other.BytesOut
}

// Rates are Counters per second, averaged over some seconds.
type Rates struct {
	Connections, PacketsIn, PacketsOut, BytesIn, BytesOut uint64
}

// Add adds other to r.
func (r *Rates) Add(other Rates) {
	r.Connections += other.Connections
	r.PacketsIn += other.PacketsIn
	r.PacketsOut += other.PacketsOut
	r.BytesIn += other.BytesIn
	r.BytesOut += other.BytesOut
}

// ServerStats is one server of a Snapshot.
type ServerStats struct {
	Server
	Counters
	Rates      Rates
	Active     int // connections, as IPVS weighs them: TCP that is established or being so
	Inactive   int // all others
	Persistent int // clients remembered for persistence
	Overloaded bool
}

// ServiceStats is one service of a Snapshot.
type ServiceStats struct {
	Service  // without Servers
	Counters // of all its servers, also of those removed since
	Rates    Rates
	Servers  []ServerStats
}

// Snapshot is what a plane has done so far. Services and servers are in the
// order of the Config that was set last.
type Snapshot struct {
	Services []ServiceStats
	Counters // of all services, also of those removed since
	Rates    Rates

	// Drops counts packets that were not forwarded, and Flows the remembered
	// connections, where the plane knows.
	Drops map[string]uint64
	Flows int

	// Trouble is what does not work as the configuration wants it while the rest
	// does, with what would help; "": nothing.
	Trouble string
}

// Find is the service with a key; nil when there is none.
func (s *Snapshot) Find(k Key) *ServiceStats {
	k = k.Canonical()
	for i := range s.Services {
		if s.Services[i].Key.Canonical() == k {
			return &s.Services[i]
		}
	}
	return nil
}
