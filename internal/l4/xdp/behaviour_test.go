package xdp

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"evenkeel/internal/l4"
	"evenkeel/internal/l4/maglev"
)

// farm is a service of many servers that all have the first one's neighbour:
// which one was chosen is told by its counters.
func farm(scheduler string, weights ...int) l4.Service {
	s := l4.Service{Key: l4.Key{Addr: netip.MustParseAddr(fixtureVIP4), Protocol: l4.TCP, Port: 80}, Scheduler: scheduler}
	for i, w := range weights {
		s.Servers = append(s.Servers, l4.Server{Addr: netip.AddrFrom4([4]byte{10, 0, 0, byte(101 + i)}), Port: 80, Weight: w, Method: l4.DR})
	}
	return s
}

// connect begins a connection of the i-th client and gives the index of its
// server, or -1.
func (b *bench) connect(i int) int {
	b.t.Helper()
	before := b.connections()
	b.run(packet{client: clientNumber(i, false), sport: uint16(2000 + i%60000)}.frame())
	after := b.connections()
	for n := range after {
		if after[n] != before[n] {
			return n
		}
	}
	return -1
}

func (b *bench) connections() []uint64 {
	b.t.Helper()
	s, err := b.Stats()
	if err != nil {
		b.t.Fatal(err)
	}
	var list []uint64
	for _, r := range s.Services[0].Servers {
		list = append(list, r.Counters.Connections)
	}
	return list
}

// send is a packet of the i-th client's connection.
func (b *bench) send(i int, flags uint8) int32 {
	v, _ := b.run(packet{client: clientNumber(i, false), sport: uint16(2000 + i%60000), flags: flags}.frame())
	return v
}

func (b *bench) choices(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = b.connect(i)
	}
	return list
}

func TestSchedulersTakeTurns(t *testing.T) {
	b := newBench(t, Options{MaxFlows: 4096})
	for _, c := range []struct {
		scheduler string
		weights   []int
		want      []int // IPVS has the server first that was added last
	}{
		{"rr", []int{1, 1, 1}, []int{2, 1, 0, 2, 1, 0}},
		{"rr", []int{1, 0, 5}, []int{2, 0, 2, 0}},
		{"wrr", []int{1, 2, 3}, []int{2, 1, 0, 2, 2, 1, 2, 1, 0, 2, 2, 1}},
		{"wrr", []int{4, 2}, []int{1, 0, 0, 1, 0, 0}},
		{"lc", []int{1, 9, 1}, []int{2, 1, 0, 2, 1, 0}},
		{"wlc", []int{1, 2, 1}, []int{2, 1, 0, 1, 2, 1, 0, 1}},
		{"sed", []int{1, 2, 3}, []int{2, 1, 2, 2, 1, 0, 2}},
		{"nq", []int{1, 2, 3}, []int{2, 1, 0, 2, 2}},
		{"fo", []int{1, 3, 2}, []int{1, 1, 1}},
		{"ovf", []int{1, 2, 3}, []int{2, 2, 2, 2, 1, 1, 1, 0, 0, -1}},
	} {
		b.forget()
		b.set(l4.Config{Services: []l4.Service{farm(c.scheduler, c.weights...)}})
		if got := b.choices(len(c.want)); !slices.Equal(got, c.want) {
			t.Errorf("%s %v: %v, want %v", c.scheduler, c.weights, got, c.want)
		}
	}
}

// twos draws by weight, and takes the one with fewer connections for its weight.
func TestTwos(t *testing.T) {
	const draws = 600
	b := newBench(t, Options{MaxFlows: 16384})
	for _, c := range []struct {
		name    string
		weights []int
		upper   int   // of server 0
		least   []int // of draws, for each server: more than seven deviations from what is to be expected
		most    []int
	}{
		// The loads follow the weights closely: draws correct each other.
		{"equal", []int{1, 1}, 0, []int{260, 260}, []int{340, 340}},
		{"weights", []int{1, 2, 3}, 0, []int{60, 150, 240}, []int{140, 250, 360}},
		{"weight 0", []int{0, 1, 1}, 0, []int{0, 260, 260}, []int{0, 340, 340}},
		{"one is full", []int{1, 1}, 5, []int{5, draws - 5}, []int{5, draws - 5}},
		{"one server", []int{4}, 0, []int{draws}, []int{draws}},
	} {
		b.forget()
		s := farm("twos", c.weights...)
		s.Servers[0].Upper = c.upper
		b.set(l4.Config{Services: []l4.Service{s}})
		count := make([]int, len(c.weights))
		for i, n := range b.choices(draws) {
			if n < 0 {
				t.Fatalf("%s: connection %d has no server", c.name, i)
			}
			count[n]++
		}
		for i, n := range count {
			if n < c.least[i] || n > c.most[i] {
				t.Errorf("%s: %d of %d go to server %d, want %d to %d; all: %v", c.name, n, draws, i, c.least[i], c.most[i], count)
			}
		}
	}
	// A loaded server gets what both draws fall on: a quarter. All go to it
	// first, since the other has no weight.
	b.forget()
	b.set(l4.Config{Services: []l4.Service{farm("twos", 1, 0)}})
	b.choices(2000)
	b.set(l4.Config{Services: []l4.Service{farm("twos", 1, 1)}})
	loaded := 0
	for i := range draws {
		if b.connect(2000+i) == 0 {
			loaded++
		}
	}
	if loaded < 70 || loaded > 230 {
		t.Errorf("the loaded server gets %d of %d, want about a quarter", loaded, draws)
	}
	// None has a weight: there is no server.
	b.forget()
	b.set(l4.Config{Services: []l4.Service{farm("twos", 0, 0)}})
	if n := b.connect(1); n != -1 {
		t.Errorf("without weights a connection goes to %d", n)
	}
}

// The hashing schedulers go to the places that IPVS's hashes say.
func TestHashingSchedulers(t *testing.T) {
	b := newBench(t, Options{MaxFlows: 4096})
	golden := func(a netip.Addr, port uint16) int {
		return int((maglev.Fold(a) + uint32(port)) * 0x61c88647 >> 24)
	}
	vip := netip.MustParseAddr(fixtureVIP4)
	for _, scheduler := range []string{"sh", "dh", "mh"} {
		for _, flags := range []l4.Flags{0, l4.HashPort} {
			b.forget()
			s := farm(scheduler, 1, 3, 1, 2)
			s.Flags = flags
			b.set(l4.Config{Services: []l4.Service{s}})
			table := l4.Table(scheduler, s.Servers)
			for i := range 300 {
				client, port := clientNumber(i, false), uint16(0)
				if flags&l4.HashPort != 0 {
					port = uint16(2000 + i%60000)
				}
				place := map[string]int{"sh": golden(client, port), "dh": golden(vip, 0), "mh": maglev.Place(client, port, len(table))}[scheduler]
				if got := b.connect(i); got != table[place] {
					t.Fatalf("%s flags %d: client %d goes to %d, want %d", scheduler, flags, i, got, table[place])
				}
			}
		}
	}
}

func TestFallbackOfHashingSchedulers(t *testing.T) {
	b := newBench(t, Options{MaxFlows: 4096})
	for _, scheduler := range []string{"sh", "mh"} {
		for _, flags := range []l4.Flags{0, l4.HashFallback} {
			b.forget()
			s := farm(scheduler, 1, 1)
			s.Flags = flags
			s.Servers[0].Upper = 1
			b.set(l4.Config{Services: []l4.Service{s}})
			count := make(map[int]int)
			for _, n := range b.choices(100) {
				count[n]++
			}
			if flags == 0 && (count[0] != 1 || count[-1] < 20 || count[1] < 20) || flags != 0 && (count[0] != 1 || count[1] != 99) {
				t.Errorf("%s flags %d with one server full: %v", scheduler, flags, count)
			}
		}
	}
}

// Active and inactive follow a connection's life as in IPVS.
func TestConnectionCounts(t *testing.T) {
	b := newBench(t, Options{MaxFlows: 4096})
	for _, c := range []struct {
		method l4.Method
		flags  []uint8 // from the client
		want   string
		state  string
	}{
		{l4.DR, nil, "1/0", "SYN_RECV"},
		{l4.DR, []uint8{flagACK}, "1/0", "ESTABLISHED"},
		{l4.DR, []uint8{flagACK, flagFIN | flagACK}, "0/1", "FIN_WAIT"},
		{l4.DR, []uint8{flagACK, flagRST}, "0/1", "CLOSE"},
		{l4.NAT, []uint8{flagACK}, "1/0", "ESTABLISHED"},
		{l4.NAT, []uint8{flagACK, flagFIN | flagACK}, "0/1", "CLOSE_WAIT"},
		{l4.NAT, []uint8{flagACK, flagRST | flagACK}, "0/1", "CLOSE"},
	} {
		b.forget()
		s := farm("rr", 1)
		s.Servers[0].Method = c.method
		b.set(l4.Config{Services: []l4.Service{s}})
		b.connect(1)
		for _, f := range c.flags {
			b.send(1, f)
		}
		st, _ := b.Stats()
		r := st.Services[0].Servers[0]
		if got := fmt.Sprintf("%d/%d", r.Active, r.Inactive); got != c.want {
			t.Errorf("%v after %x: %s, want %s", c.method, c.flags, got, c.want)
		}
		b.Flows(func(f l4.Flow) bool {
			if f.State != c.state {
				t.Errorf("%v after %x: %s, want %s", c.method, c.flags, f.State, c.state)
			}
			return true
		})
	}
}

// A closed connection's ports begin a new one, with another server.
func TestPortsAreUsedAgain(t *testing.T) {
	b := newBench(t, Options{MaxFlows: 4096})
	for _, method := range []l4.Method{l4.DR, l4.NAT} {
		b.forget()
		s := farm("rr", 1, 1)
		for i := range s.Servers {
			s.Servers[i].Method = method
		}
		b.set(l4.Config{Services: []l4.Service{s}})
		if got := b.connect(1); got != 1 {
			t.Fatal(got)
		}
		if got := b.connect(1); got != -1 {
			t.Errorf("%v: a repeated SYN is a new connection to %d", method, got)
		}
		b.send(1, flagACK)
		b.send(1, flagRST)
		if got := b.connect(1); got != 0 {
			t.Errorf("%v: a SYN after the end goes to %d", method, got)
		}
		st, _ := b.Stats()
		for i, r := range st.Services[0].Servers {
			if r.Active+r.Inactive != 1-i {
				t.Errorf("%v: server %d has %d active and %d inactive", method, i, r.Active, r.Inactive)
			}
		}
	}
}

func TestFlowsEnd(t *testing.T) {
	b := newBench(t, Options{MaxFlows: 4096})
	s := farm("rr", 1)
	u := s
	u.Protocol = l4.UDP
	u.Servers = []l4.Server{{Addr: s.Servers[0].Addr, Port: 80, Weight: 1, Method: l4.NAT}}
	v6 := one(l4.NAT, true).Services[1]
	b.set(l4.Config{Services: []l4.Service{s, u, v6}, Timeouts: l4.Timeouts{TCP: time.Second, UDP: time.Second}})
	b.connect(1)
	b.send(1, flagACK)
	b.run(packet{protocol: l4.UDP}.frame())
	b.run(packet{v6: true, protocol: l4.UDP}.frame())
	st, _ := b.Stats()
	if st.Flows != 3 {
		t.Fatalf("%d flows", st.Flows)
	}
	waitUntil(t, patience, func() bool {
		st, _ = b.Stats()
		left := st.Flows
		for _, v := range st.Services {
			left += v.Servers[0].Active + v.Servers[0].Inactive
		}
		return left == 0
	})
	for _, e := range b.entries() {
		t.Errorf("an entry is left: %+v", e)
	}
}

// entries are all entries of both maps, reverse ones too.
func (b *bench) entries() (list []entry) {
	b.t.Helper()
	if err := b.walk(func(e *entry) bool { list = append(list, *e); return true }); err != nil {
		b.t.Fatal(err)
	}
	return list
}

func waitUntil(t *testing.T, limit time.Duration, done func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still not after %v", limit)
		}
	}
}

func TestPersistence(t *testing.T) {
	b := newBench(t, Options{MaxFlows: 4096})
	from := func(a string, sport, dport uint16) packet {
		return packet{client: netip.MustParseAddr(a), sport: sport, dport: dport}
	}
	ask := func(p packet) int {
		before := b.connections()
		b.run(p.frame())
		for n, c := range b.connections() {
			if c != before[n] {
				return n
			}
		}
		return -1
	}
	s := farm("rr", 1, 1, 1)
	s.Persistence = time.Minute
	b.set(l4.Config{Services: []l4.Service{s}})
	first := ask(from("198.51.100.1", 1000, 80))
	for i := range uint16(5) {
		if got := ask(from("198.51.100.1", 1001+i, 80)); got != first {
			t.Errorf("the client's connection %d goes to %d, the first to %d", i, got, first)
		}
	}
	if got := ask(from("198.51.100.2", 1000, 80)); got == first {
		t.Error("another client goes to the same server")
	}
	st, _ := b.Stats()
	if st.Services[0].Servers[first].Persistent != 1 {
		t.Errorf("%d clients are remembered", st.Services[0].Servers[first].Persistent)
	}
	s.Servers[first].Weight = 0
	b.set(l4.Config{Services: []l4.Service{s}})
	if got := ask(from("198.51.100.1", 2000, 80)); got != first {
		t.Error("a persistent client leaves a draining server")
	}
	b.set(l4.Config{Services: []l4.Service{s}, ExpireQuiescent: true})
	if got := ask(from("198.51.100.1", 2001, 80)); got == first {
		t.Error("a persistent client stays although quiescent templates expire")
	}

	b.forget()
	s = farm("rr", 1, 1, 1)
	s.Persistence, s.PersistenceMask, s.Port = time.Minute, 24, 0
	for i := range s.Servers {
		s.Servers[i].Port = 0
	}
	b.set(l4.Config{Services: []l4.Service{s}})
	first = ask(from("198.51.100.1", 1000, 80))
	for i, a := range []string{"198.51.100.2", "198.51.100.255"} {
		if got := ask(from(a, 1000, uint16(443+i))); got != first {
			t.Errorf("%s in the same network, another port: %d, not %d", a, got, first)
		}
	}
	if got := ask(from("198.51.101.1", 1000, 80)); got == first {
		t.Error("another network goes to the same server")
	}
}

func TestMarksAndRanges(t *testing.T) {
	b := newBench(t, Options{MaxFlows: 4096})
	mark := farm("rr", 1)
	mark.Key = l4.Key{FwMark: 7}
	ranged := farm("rr", 1)
	ranged.Port, ranged.PortLast = 8000, 9001
	ranged.Servers[0].Port = 0
	exact := farm("rr", 1)
	exact.Port = 8080
	exact.Servers[0].Port = 8080
	anyPort := farm("rr", 1)
	anyPort.Addr, anyPort.Port = netip.MustParseAddr("192.0.2.3"), 0
	anyPort.Servers[0].Port = 0
	b.set(l4.Config{Services: []l4.Service{mark, ranged, exact, anyPort}})
	for _, c := range []struct {
		name string
		p    packet
		mark uint32
		want int // service; -1: none
	}{
		{"marked", packet{dport: 1234}, 7, 0},
		{"marked, to a service's port", packet{dport: 8080, sport: 5}, 7, 0},
		{"other mark", packet{dport: 1234, sport: 6}, 8, -1},
		{"below the range", packet{dport: 7999}, 0, -1},
		{"first of the range", packet{dport: 8000}, 0, 1},
		{"in the range", packet{dport: 8500}, 0, 1},
		{"last of the range", packet{dport: 9001}, 0, 1},
		{"above the range", packet{dport: 9002}, 0, -1},
		{"one port in the range with its own service", packet{dport: 8080}, 0, 2},
		{"any port", packet{dport: 1, server: netip.MustParseAddr("192.0.2.3")}, 0, 3},
		{"last port of all", packet{dport: 65535, server: netip.MustParseAddr("192.0.2.3")}, 0, 3},
		{"range of another protocol", packet{dport: 8500, protocol: l4.UDP}, 0, -1},
	} {
		before, _ := b.Stats()
		verdict, _ := b.runContext(c.p.frame(), &skb{Mark: c.mark})
		after, _ := b.Stats()
		got := -1
		for i := range after.Services {
			if after.Services[i].Connections != before.Services[i].Connections {
				got = i
			}
		}
		if got != c.want || (verdict == tcRedirect) != (c.want >= 0) {
			t.Errorf("%s: service %d, want %d; verdict %d", c.name, got, c.want, verdict)
		}
	}
	b.set(l4.Config{})
	if v, _ := b.run(packet{dport: 8500, sport: 9}.frame()); v != tcNext {
		t.Errorf("a range is left: verdict %d", v)
	}
}

func TestOnePacket(t *testing.T) {
	b := newBench(t, Options{MaxFlows: 4096})
	for _, method := range []l4.Method{l4.DR, l4.NAT} {
		b.forget()
		s := farm("rr", 1, 1)
		s.Protocol, s.OnePacket = l4.UDP, true
		for i := range s.Servers {
			s.Servers[i].Method = method
		}
		b.set(l4.Config{Services: []l4.Service{s}})
		for range 6 {
			b.run(packet{protocol: l4.UDP}.frame())
		}
		if got := b.connections(); got[0] != 3 || got[1] != 3 {
			t.Errorf("%v: six packets of one client: %v", method, got)
		}
		back := packet{protocol: l4.UDP}.answer(0).with(func(p *packet) { p.client = s.Servers[0].Addr })
		verdict, out := b.run(back.frame())
		if method == l4.NAT && (verdict != tcRedirect || string(out) != string(back.atClient().frame())) {
			t.Errorf("the answer: verdict %d\n%x", verdict, out)
		}
	}
}

// A server that went and came back answers, also to a client that never changes
// its port, and one client can ask two services of the same server.
func TestOnePacketAnswersGoOn(t *testing.T) {
	b := newBench(t, Options{MaxFlows: 4096})
	for _, v6 := range []bool{false, true} {
		config := oneOf(l4.NAT, v6, fixtureServer(1, v6))
		config.Services = config.Services[1:] // UDP
		config.Services[0].OnePacket = true
		other := config.Services[0]
		other.Port = 81
		config.Services = append(config.Services, other)
		b.forget()
		b.set(config)
		ask := packet{v6: v6, protocol: l4.UDP}.withDefaults()
		check := func(when string, dport uint16) {
			t.Helper()
			ask.dport = dport
			if verdict, _ := b.run(ask.frame()); verdict != tcRedirect {
				t.Errorf("%s, %s: verdict %d", family(v6), when, verdict)
			}
			back := packet{v6: v6, protocol: l4.UDP}.answer(0)
			want := ask.answer(0).atClient()
			if verdict, out := b.run(back.frame()); verdict != tcRedirect || string(out) != string(want.frame()) {
				t.Errorf("%s, %s: the answer: verdict %d\n got  %x\n want %x", family(v6), when, verdict, out, want.frame())
			}
		}
		check("at first", 80)
		b.set(l4.Config{})
		b.mu.Lock()
		b.collect()
		b.collect()
		b.mu.Unlock()
		b.set(config)
		check("the server is back", 80)
		check("the other service", 81)
	}
}

func TestSYNLimit(t *testing.T) {
	b := newBench(t, Options{MaxFlows: 4096})
	s := farm("rr", 1)
	s.SYNLimit = 50
	b.set(l4.Config{Services: []l4.Service{s}})
	began := time.Now()
	for i := range 400 {
		b.send(i, flagSYN)
	}
	drops, _ := b.drops()
	// The seconds that the limit counts turn meanwhile.
	most := 50 * uint64(2+time.Since(began)/time.Second)
	if got := b.connections()[0]; got < 50 || got > most || drops["SYN limit"] != 400-got {
		t.Errorf("%d of 400 new connections under a limit of 50, %v", got, drops)
	}
	b.send(0, flagACK)
	if v := b.send(0, flagACK); v != tcRedirect {
		t.Errorf("a connection within the limit: verdict %d", v)
	}
}

// With a full table DR goes on by hash, NAT refuses new connections.
func TestFullTable(t *testing.T) {
	b := newBench(t, Options{MaxFlows: 64})
	s := farm("rr", 1, 1)
	for i := range s.Servers {
		s.Servers[i].Addr = netip.MustParseAddr(fixtureServer(i+1, false))
	}
	b.set(l4.Config{Services: []l4.Service{s}})
	for i := range 200 {
		if v := b.send(i, flagSYN); v != tcRedirect {
			t.Fatalf("DR connection %d: verdict %d", i, v)
		}
	}
	drops, _ := b.drops()
	if drops["stateless"] < 100 {
		t.Errorf("drops %v", drops)
	}
	for i := range 200 {
		// Every packet of a connection finds the same server.
		_, first := b.run(packet{client: clientNumber(i, false), sport: uint16(2000 + i), flags: flagACK}.frame())
		if v, next := b.run(packet{client: clientNumber(i, false), sport: uint16(2000 + i), flags: flagACK | flagFIN}.frame()); v != tcRedirect || string(first[:12]) != string(next[:12]) {
			t.Fatalf("DR connection %d goes on elsewhere: verdict %d", i, v)
		}
	}
	here := s
	here.Servers = []l4.Server{{Addr: netip.MustParseAddr("127.0.0.1"), Port: 80, Weight: 1, Method: l4.DR}}
	b.set(l4.Config{Services: []l4.Service{here}})
	if v := b.send(1000, flagSYN); v != tcNext {
		t.Errorf("this host as the server, with a full table: verdict %d", v)
	}
	for i := range s.Servers {
		s.Servers[i].Method = l4.NAT
	}
	b.set(l4.Config{Services: []l4.Service{s}})
	if v := b.send(1000, flagSYN); v != tcDrop {
		t.Errorf("NAT with a full table: verdict %d", v)
	}
}

// What one director tells, another takes over: connections go on there.
func TestPairOfDirectors(t *testing.T) {
	a := newBench(t, Options{MaxFlows: 4096, PoolPorts: [2]uint16{5000, 5999}})
	var config l4.Config
	for _, v6 := range []bool{false, true} {
		for port, method := range map[uint16]l4.Method{81: l4.NAT, 82: l4.DR, 83: l4.FULLNAT} {
			s := one(method, v6).Services[0]
			s.Port, s.Servers[0].Port = port, port
			s.Persistence = time.Minute
			config.Services = append(config.Services, s)
		}
	}
	config.Pool = one(l4.FULLNAT, false).Pool
	a.set(config)
	var frames [][]byte
	for _, v6 := range []bool{false, true} {
		for port := range uint16(3) {
			p := packet{v6: v6, dport: 81 + port}.withDefaults()
			a.run(p.frame())
			frames = append(frames, p.with(func(p *packet) { p.flags = flagACK }).frame())
		}
	}
	var want [][]byte
	for _, f := range frames {
		_, out := a.run(f)
		want = append(want, out)
	}
	var told []l4.Sync
	mark, err := a.Changed(0, true, func(s l4.Sync) bool { told = append(told, s); return true })
	if err != nil || len(told) != 12 {
		t.Fatalf("%d flows and templates, %v", len(told), err)
	}
	a.forget()
	a.set(config)
	if v, _ := a.run(frames[0]); v != tcNext {
		t.Fatalf("a forgotten connection: verdict %d", v)
	}
	if n, err := a.Insert(told...); n != 12 || err != nil {
		t.Fatalf("took %d, %v", n, err)
	}
	for i, f := range frames {
		if v, out := a.run(f); v != tcRedirect || string(out) != string(want[i]) {
			t.Errorf("connection %d: verdict %d\n got  %x\n want %x", i, v, out, want[i])
		}
	}
	if n, err := a.Insert(told...); n != 12 || err != nil {
		t.Errorf("a second time: took %d, %v", n, err)
	}
	st, _ := a.Stats()
	for _, s := range st.Services {
		if r := s.Servers[0]; r.Active != 1 || r.Persistent != 1 {
			t.Errorf("%v: %d active, %d persistent", s.Key, r.Active, r.Persistent)
		}
	}
	told = nil
	time.Sleep(40 * time.Millisecond)
	next, _ := a.Changed(mark+1<<20, false, func(s l4.Sync) bool { told = append(told, s); return true })
	if len(told) != 0 || next < mark {
		t.Errorf("%d flows changed since a later mark", len(told))
	}
	strange := l4.Sync{Protocol: l4.TCP, Service: l4.Key{Addr: netip.MustParseAddr("192.0.2.99"), Protocol: l4.TCP, Port: 1}}
	if n, err := a.Insert(strange); n != 0 || err != nil {
		t.Errorf("a connection of no service: took %d, %v", n, err)
	}
}

// keepalived's sorry_server 127.0.0.1 80: the host answers itself, by whatever
// method the others do.
func TestThisHostIsTheServer(t *testing.T) {
	b := newBench(t, Options{MaxFlows: 4096})
	for _, v6 := range []bool{false, true} {
		for _, method := range []l4.Method{l4.DR, l4.NAT, l4.TUN} {
			b.forget()
			b.set(oneOf(method, v6, map[bool]string{false: "127.0.0.1", true: "::1"}[v6]))
			frame := packet{v6: v6}.frame()
			verdict, out := b.run(frame)
			if st, _ := b.Stats(); verdict != tcNext || string(out) != string(frame) || st.Services[0].Connections != 1 {
				t.Errorf("%v %s: verdict %d, %d connections", method, family(v6), verdict, st.Services[0].Connections)
			}
		}
	}
}

func TestServerRemoved(t *testing.T) {
	b := newBench(t, Options{MaxFlows: 4096})
	s := farm("rr", 1, 1)
	b.set(l4.Config{Services: []l4.Service{s}})
	b.connect(1) // the second server
	b.send(1, flagACK)
	less := s
	less.Servers = s.Servers[:1]
	b.set(l4.Config{Services: []l4.Service{less}})
	if v := b.send(1, flagACK); v != tcDrop {
		t.Errorf("a connection of a removed server: verdict %d", v)
	}
	b.set(l4.Config{Services: []l4.Service{s}})
	if v := b.send(1, flagACK); v != tcRedirect {
		t.Errorf("its server is back: verdict %d", v)
	}
	b.set(l4.Config{Services: []l4.Service{less}, ExpireNoDestination: true})
	b.send(1, flagACK)
	if v := b.send(1, flagSYN); v != tcRedirect {
		t.Errorf("a new connection after the old one was ended: verdict %d", v)
	}
	st, _ := b.Stats()
	if st.Services[0].Connections < 2 {
		t.Errorf("the service forgot what its removed server did: %+v", st.Services[0].Counters)
	}
}

func TestOpenSaysWhatFailed(t *testing.T) {
	newBench(t, Options{MaxFlows: 64})
	if p, err := Open(Options{MaxFlows: 64, Interfaces: []string{"nosuch0"}}); err == nil {
		p.Close()
		t.Error("attached to an interface that does not exist")
	} else if !strings.Contains(err.Error(), "nosuch0") {
		t.Error(err)
	}
}

func TestRates(t *testing.T) {
	var r rate
	r.sample(l4.Counters{PacketsIn: 1 << 40})
	if r.now.PacketsIn != 0 {
		t.Errorf("%d packets a second from what was there before", r.now.PacketsIn)
	}
	for i := range uint64(40) {
		r.sample(l4.Counters{PacketsIn: 1<<40 + (i+1)*2000})
	}
	if got := r.now.PacketsIn; got < 990 || got > 1000 {
		t.Errorf("%d packets a second, want 1000", got)
	}
	for range 40 {
		r.sample(r.last)
	}
	// Somebody has set the counters back.
	r.sample(l4.Counters{PacketsIn: 2000})
	if got := r.now.PacketsIn; got > 1000 {
		t.Errorf("%d packets a second after counters began again", got)
	}
	for range 40 {
		r.sample(r.last)
	}
	if r.now.PacketsIn != 0 {
		t.Errorf("%d packets a second of nothing", r.now.PacketsIn)
	}
}
