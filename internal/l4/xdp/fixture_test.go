package xdp

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"testing"

	"evenkeel/internal/l4"
)

// A fixture is one packet and what the director makes of it.
type fixture struct {
	name   string
	config l4.Config
	before [][]byte // packets that come first
	in     []byte
	want   int32  // verdict
	out    []byte // nil: as it came in
	drop   string // the reason that is counted
}

// run holds the director to its fixtures, each with nothing remembered of the
// others.
func run(t *testing.T, fixtures []fixture) {
	for name, mode := range map[string]Mode{"tc": Auto, "xdp": Native} {
		t.Run(name, func(t *testing.T) { runOn(t, mode, fixtures) })
	}
}

func runOn(t *testing.T, mode Mode, fixtures []fixture) {
	b := newBench(t, Options{MaxFlows: 1024, Mode: mode})
	for _, f := range fixtures {
		b.forget()
		b.set(f.config)
		for _, frame := range f.before {
			b.run(frame)
		}
		dropped, _ := b.drops()
		verdict, out := b.run(f.in)
		want := f.out
		if want == nil {
			want = f.in
		}
		if verdict != f.want {
			t.Errorf("%s: verdict %d, want %d", f.name, verdict, f.want)
		} else if verdict != tcDrop && !bytes.Equal(out, want) {
			t.Errorf("%s:\n in   %s\n got  %s\n want %s", f.name, hex.EncodeToString(f.in), hex.EncodeToString(out), hex.EncodeToString(want))
		}
		if f.drop != "" {
			now, _ := b.drops()
			if now[f.drop] != dropped[f.drop]+1 {
				t.Errorf("%s: %q is not counted: %v, before %v", f.name, f.drop, now, dropped)
			}
		}
	}
	t.Logf("%d fixtures", len(fixtures))
}

// forget ends all flows.
func (b *bench) forget() {
	b.t.Helper()
	if err := b.Plane.Set(l4.Config{}); err != nil {
		b.t.Fatal(err)
	}
	var k4 directorKey4
	var f4 directorFlow4
	for it := b.maps.Flows4.Iterate(); it.Next(&k4, &f4); it = b.maps.Flows4.Iterate() {
		b.maps.Flows4.Delete(&k4)
	}
	var k6 directorKey6
	var f6 directorFlow6
	for it := b.maps.Flows6.Iterate(); it.Next(&k6, &f6); it = b.maps.Flows6.Iterate() {
		b.maps.Flows6.Delete(&k6)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.gone {
		b.clear(s.id)
	}
	b.collect()
}

// one is a configuration of one server for TCP and UDP.
func one(method l4.Method, v6 bool) l4.Config {
	return oneOf(method, v6, fixtureServer(1, v6))
}

func oneOf(method l4.Method, v6 bool, server string) l4.Config {
	var c l4.Config
	for _, protocol := range []l4.Protocol{l4.TCP, l4.UDP} {
		c.Services = append(c.Services, l4.Service{
			Key:       l4.Key{Addr: netip.MustParseAddr(fixtureVIP(v6)), Protocol: protocol, Port: 80},
			Scheduler: "rr",
			Servers:   []l4.Server{{Addr: netip.MustParseAddr(server), Port: 80, Weight: 1, Method: method}},
		})
	}
	if method == l4.FULLNAT {
		c.Pool = []netip.Addr{netip.MustParseAddr("10.0.0.200"), netip.MustParseAddr("2001:db8:3::200")}
	}
	return c
}

// toPort changes the servers' port.
func toPort(c l4.Config, port uint16) l4.Config {
	for i := range c.Services {
		c.Services[i].Servers[0].Port = port
	}
	return c
}

// The hardware addresses of what goes to the first server and to the client.
var (
	toServer = [12]byte{2, 0, 0, 0, 0, 0x11, 2, 0, 0, 0, 0, 1}
	toClient = [12]byte{2, 0, 0, 0, 0, 0x07, 2, 0, 0, 0, 0, 1}
)

func (p packet) with(change func(*packet)) packet {
	p = p.withDefaults()
	change(&p)
	return p
}

// atServer is the packet as the first server gets it.
func (p packet) atServer(method l4.Method) packet {
	p = p.withDefaults()
	p.mac = toServer
	p.ttl--
	if method == l4.NAT {
		p.server = netip.MustParseAddr(fixtureServer(1, p.v6))
	}
	return p
}

// answer is the server's packet back.
func (p packet) answer(flags uint8) packet {
	p = p.withDefaults()
	p.client, p.server = netip.MustParseAddr(fixtureServer(1, p.v6)), p.client
	p.sport, p.dport = p.dport, p.sport
	p.flags = flags
	return p
}

// atClient is an answer as the client gets it.
func (p packet) atClient() packet {
	p = p.withDefaults()
	p.mac = toClient
	p.ttl--
	p.client = netip.MustParseAddr(fixtureVIP(p.v6))
	return p
}

// outer is an IP header around a packet of its own.
func outer(v6 bool, to string, inner packet) []byte {
	frame := inner.frame()
	w := packet{v6: v6, client: netip.MustParseAddr("10.0.0.1"), server: netip.MustParseAddr(to), ttl: inner.ttl, mac: toServer, tos: inner.tos, fragment: 0x4000}
	if v6 {
		w.client = netip.MustParseAddr("2001:db8:3::1")
	}
	protocol := uint8(4)
	if inner.v6 {
		protocol = 41
	}
	return w.wrap(protocol, frame[14:])
}
