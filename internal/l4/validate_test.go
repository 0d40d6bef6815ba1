package l4

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func good() Config {
	return Config{Services: []Service{{
		Key:       Key{Addr: netip.MustParseAddr("192.0.2.1"), Protocol: TCP, Port: 80},
		Scheduler: "rr",
		Servers:   []Server{{Addr: netip.MustParseAddr("10.0.0.1"), Port: 80, Weight: 1, Method: DR}},
	}}}
}

// all is a plane that can do everything, little one that can do the least.
var (
	all    = Features{Name: "all", PortRanges: true, AnyPort: true, FwMarks: true, SYNLimit: true, Engines: []string{"sip"}}
	little = Features{Name: "little", Methods: []Method{DR}, Schedulers: []string{"rr"}, Protocols: []Protocol{TCP}, Tunnels: []TunnelType{}}
)

func TestValidate(t *testing.T) {
	address := netip.MustParseAddr
	for _, c := range []struct {
		name   string
		f      Features
		change func(*Config)
		want   string // a part of the message; "": valid
	}{
		{"plain", little, func(*Config) {}, ""},
		{"nothing", little, func(c *Config) { *c = Config{} }, ""},
		{"no servers", little, func(c *Config) { c.Services[0].Servers = nil }, ""},
		{"default scheduler", all, func(c *Config) { c.Services[0].Scheduler = "" }, ""},
		{"default scheduler that is not there", little, func(c *Config) { c.Services[0].Scheduler = "" }, "TCP 192.0.2.1:80: scheduler wlc: little has only rr"},
		{"no such scheduler", all, func(c *Config) { c.Services[0].Scheduler = "fastest" }, `no scheduler "fastest": there are rr, wrr`},
		{"twice", all, func(c *Config) { c.Services = append(c.Services, c.Services[0]) }, "the service is there twice"},
		{"twice, one IPv4 in IPv6", all, func(c *Config) {
			s := c.Services[0]
			s.Addr = address("::ffff:192.0.2.1")
			c.Services = append(c.Services, s)
		}, "the service is there twice"},
		{"multicast", all, func(c *Config) { c.Services[0].Addr = address("224.0.0.1") }, "want a unicast address"},
		{"no address", all, func(c *Config) { c.Services[0].Addr = netip.Addr{} }, "want a unicast address"},
		{"loopback", all, func(c *Config) { c.Services[0].Addr = address("127.0.0.1") }, "want a unicast address"},
		{"no protocol", all, func(c *Config) { c.Services[0].Protocol = 1 }, "protocol 1: want TCP, UDP or SCTP"},
		{"protocol that is not there", little, func(c *Config) { c.Services[0].Protocol = UDP }, "UDP: little does not forward it"},
		{"wrong family", all, func(c *Config) { c.Services[0].Family = IPv6 }, "family 6 does not fit"},
		{"range", all, func(c *Config) { c.Services[0].PortLast = 90; c.Services[0].Servers[0].Port = 0 }, ""},
		{"range that is not there", little, func(c *Config) { c.Services[0].PortLast = 90; c.Services[0].Servers[0].Port = 0 }, "port ranges: little has none"},
		{"range backwards", all, func(c *Config) { c.Services[0].PortLast = 70 }, "want the smaller first"},
		{"range from 0", all, func(c *Config) { c.Services[0].Port, c.Services[0].PortLast = 0, 9 }, "not 0"},
		{"ranges that meet", all, func(c *Config) {
			a, b := c.Services[0], c.Services[0]
			a.Port, a.PortLast, a.Servers = 1, 50, nil
			b.Port, b.PortLast, b.Servers = 50, 60, nil
			c.Services = []Service{a, b}
		}, "shares ports with TCP 192.0.2.1:1-50"},
		{"any port", all, func(c *Config) { c.Services[0].Port, c.Services[0].Servers[0].Port = 0, 0 }, ""},
		{"any port without persistence", little, func(c *Config) { c.Services[0].Port, c.Services[0].Servers[0].Port = 0, 0 }, "port 0 (any) needs persistence"},
		{"any port with persistence", little, func(c *Config) {
			c.Services[0].Port, c.Services[0].Servers[0].Port, c.Services[0].Persistence = 0, 0, time.Minute
		}, ""},
		{"mark", all, func(c *Config) { c.Services[0].Key = Key{FwMark: 3} }, ""},
		{"mark that is not there", little, func(c *Config) { c.Services[0].Key = Key{FwMark: 3} }, "FWM 3: firewall marks: little has none"},
		{"mark and address", all, func(c *Config) { c.Services[0].FwMark = 3 }, "either a firewall mark or an address"},
		{"mark of family 5", all, func(c *Config) { c.Services[0].Key = Key{FwMark: 3, Family: 5} }, "want 4 or 6"},
		{"persistence too long", all, func(c *Config) { c.Services[0].Persistence = 32 * 24 * time.Hour }, "want between 1s and 744h"},
		{"granularity too fine", all, func(c *Config) { c.Services[0].PersistenceMask = 33 }, "want a prefix length up to 32"},
		{"engine", all, func(c *Config) { c.Services[0].PersistenceName = "sip" }, ""},
		{"no such engine", all, func(c *Config) { c.Services[0].PersistenceName = "ftp" }, `persistence engine "ftp"`},
		{"one packet of TCP", all, func(c *Config) { c.Services[0].OnePacket = true }, "only UDP has it"},
		{"SYN limit", all, func(c *Config) { c.Services[0].SYNLimit = 100 }, ""},
		{"SYN limit that is not there", little, func(c *Config) { c.Services[0].SYNLimit = 100 }, "SYN limit: little has none"},
		{"server twice", all, func(c *Config) { c.Services[0].Servers = append(c.Services[0].Servers, c.Services[0].Servers[0]) }, "server 10.0.0.1:80 is there twice"},
		{"server without address", all, func(c *Config) { c.Services[0].Servers[0].Addr = netip.Addr{} }, "want a unicast address"},
		{"server that is this host", all, func(c *Config) { c.Services[0].Servers[0].Addr = address("127.0.0.1") }, ""},
		{"this host at another port", all, func(c *Config) {
			c.Services[0].Servers[0] = Server{Addr: address("127.0.0.1"), Port: 8080, Weight: 1, Method: NAT}
		}, "the director itself answers at the virtual address and port, so it is the service's (80)"},
		{"server that is a group", all, func(c *Config) { c.Services[0].Servers[0].Addr = address("224.0.0.1") }, "want a unicast address"},
		{"method that is not there", little, func(c *Config) { c.Services[0].Servers[0].Method = NAT }, "server 10.0.0.1:80: method NAT: little does not have it"},
		{"other family", all, func(c *Config) { c.Services[0].Servers[0].Addr = address("2001:db8::1") }, "needs method TUN, not DR"},
		{"other family in a tunnel", all, func(c *Config) {
			c.Services[0].Servers[0].Addr, c.Services[0].Servers[0].Method = address("2001:db8::1"), TUN
		}, ""},
		{"DR to another port", all, func(c *Config) { c.Services[0].Servers[0].Port = 8080 }, "DR does not change ports, so it is the service's (80)"},
		{"NAT to another port", all, func(c *Config) { c.Services[0].Servers[0].Port, c.Services[0].Servers[0].Method = 8080, NAT }, ""},
		{"negative weight", all, func(c *Config) { c.Services[0].Servers[0].Weight = -1 }, "weight -1: want 0 to 65535"},
		{"thresholds the wrong way", all, func(c *Config) { c.Services[0].Servers[0].Upper, c.Services[0].Servers[0].Lower = 5, 6 }, "want lower not above upper"},
		{"GUE without port", all, func(c *Config) {
			c.Services[0].Servers[0].Method, c.Services[0].Servers[0].Tunnel.Type = TUN, GUE
		}, "gue needs a port"},
		{"tunnel that is not there", Features{Name: "some", Tunnels: []TunnelType{IPIP}}, func(c *Config) {
			c.Services[0].Servers[0].Method, c.Services[0].Servers[0].Tunnel.Type = TUN, GRE
		}, "tunnel gre: some does not have it"},
		{"FULLNAT without pool", all, func(c *Config) { c.Services[0].Servers[0].Method = FULLNAT }, "needs a pool"},
		{"FULLNAT with the other family's pool", all, func(c *Config) {
			c.Services[0].Servers[0].Method, c.Pool = FULLNAT, []netip.Addr{address("2001:db8::9")}
		}, "of the server's family"},
		{"FULLNAT of single packets", all, func(c *Config) {
			c.Services[0].Protocol, c.Services[0].OnePacket = UDP, true
			c.Services[0].Servers[0].Method, c.Pool = FULLNAT, []netip.Addr{address("10.0.0.9")}
		}, "take method NAT, or leave one-packet out"},
		{"FULLNAT", all, func(c *Config) {
			c.Services[0].Servers[0].Method, c.Pool = FULLNAT, []netip.Addr{address("10.0.0.9")}
		}, ""},
		{"tunnel source of the other family", all, func(c *Config) { c.TunnelSource4 = address("2001:db8::9") }, "want a unicast IPv4 address"},
		{"timeout too short", all, func(c *Config) { c.Timeouts.UDP = time.Millisecond }, "timeout udp of 1ms"},
	} {
		config := good()
		c.change(&config)
		err := config.Validate(c.f)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestKeysAsPeopleWriteThem(t *testing.T) {
	a := netip.MustParseAddr
	for want, k := range map[string]Key{
		"TCP 192.0.2.1:80":      {Addr: a("192.0.2.1"), Protocol: TCP, Port: 80, PortLast: 80},
		"UDP 192.0.2.1:80-90":   {Addr: a("192.0.2.1"), Protocol: UDP, Port: 80, PortLast: 90},
		"SCTP [2001:db8::1]:80": {Addr: a("2001:db8::1"), Protocol: SCTP, Port: 80},
		"FWM 7":                 {FwMark: 7},
		"FWM 7 IPv6":            {FwMark: 7, Family: IPv6},
	} {
		if got := k.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
		if got := k.Canonical().String(); got != want {
			t.Errorf("canonical: %q, want %q", got, want)
		}
	}
	if (Key{FwMark: 7}).Canonical() != (Key{FwMark: 7, Family: IPv4}).Canonical() {
		t.Error("a mark without family is not that of IPv4")
	}
}

func TestTables(t *testing.T) {
	servers := func(weights ...int) (list []Server) {
		for i, w := range weights {
			list = append(list, Server{Addr: netip.AddrFrom4([4]byte{10, 0, 0, byte(1 + i)}), Port: 80, Weight: w})
		}
		return list
	}
	for _, c := range []struct {
		scheduler string
		weights   []int
		want      []int
	}{
		{"rr", []int{1, 0, 9}, []int{2, 0}},
		{"wrr", []int{1, 2, 4}, []int{2, 2, 2, 1, 2, 1, 0}},
		{"wrr", []int{10, 20}, []int{1, 1, 0}},
		{"wrr", []int{0, 0}, nil},
		{"wrr", []int{3, 0, 2}, []int{0, 2, 0, 2, 0}},
		{"wlc", []int{1, 1}, nil},
	} {
		if got := Table(c.scheduler, servers(c.weights...)); !slices.Equal(got, c.want) {
			t.Errorf("%s %v: %v, want %v", c.scheduler, c.weights, got, c.want)
		}
	}
	// Weights that share nothing are scaled: the shares stay about right.
	table := Table("wrr", servers(65535, 65534, 1))
	count := make([]int, 3)
	for _, n := range table {
		count[n]++
	}
	if len(table) > MaxTurns || count[2] == 0 || count[0] < len(table)*49/100 || count[1] < len(table)*49/100 {
		t.Errorf("%d turns: %v", len(table), count)
	}
	buckets := Table("sh", servers(1, 3))
	if len(buckets) != 256 || !slices.Equal(buckets[:8], []int{1, 1, 1, 0, 1, 1, 1, 0}) {
		t.Errorf("sh: %v", buckets[:8])
	}
	if got := Table("mh", servers(1, 1)); len(got) != 4093 {
		t.Errorf("mh has %d places", len(got))
	}
}
