package flowsync

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	"evenkeel/internal/l4"
)

func port(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func server(s string) l4.ServerKey {
	a := port(s)
	return l4.ServerKey{Addr: a.Addr(), Port: a.Port()}
}

// samples are one of each kind.
func samples() []l4.Sync {
	web := l4.Key{Addr: netip.MustParseAddr("192.0.2.10"), Protocol: l4.TCP, Port: 80}
	six := l4.Key{Addr: netip.MustParseAddr("2001:db8::10"), Protocol: l4.UDP, Port: 53}
	return []l4.Sync{
		{Protocol: l4.TCP, Client: port("198.51.100.1:4000"), Virtual: port("192.0.2.10:80"), Server: server("10.0.0.1:8080"), Service: web, State: 1, Idle: 1500 * time.Millisecond},
		{Protocol: l4.TCP, Client: port("198.51.100.1:4001"), Virtual: port("192.0.2.10:80"), Server: server("10.0.0.1:8080"), Local: port("10.0.0.254:1024"), Service: web, State: 4, Kind: 1, Bits: 24},
		{Protocol: l4.UDP, Client: port("[2001:db8::1]:4000"), Virtual: port("[2001:db8::10]:53"), Server: server("[2001:db8:1::1]:53"), Service: six, State: 11},
		{Protocol: l4.TCP, Client: port("198.51.100.1:4000"), Virtual: port("192.0.2.10:8085"), Server: server("[2001:db8:1::1]:0"),
			Service: l4.Key{Addr: web.Addr, Protocol: l4.TCP, Port: 8080, PortLast: 8090}, State: 1},
		{Protocol: l4.TCP, Client: port("198.51.100.1:4000"), Virtual: port("192.0.2.99:1"), Server: server("10.0.0.1:1"), Service: l4.Key{FwMark: 7, Family: l4.IPv4}, State: 1},
		{Protocol: l4.TCP, Client: port("198.51.100.0:0"), Virtual: port("192.0.2.10:80"), Server: server("10.0.0.1:80"), Service: web, State: 12, Template: true, Kind: 1, Bits: 24, Timeout: time.Minute},
		{Client: port("[2001:db8::]:0"), Server: server("[2001:db8:1::1]:80"), Service: l4.Key{FwMark: 7, Family: l4.IPv6}, State: 12, Template: true, Kind: 3, Bits: 64, Timeout: time.Hour},
		{Protocol: l4.UDP, Client: port("[2001:db8::]:0"), Virtual: port("[2001:db8::99]:0"), Server: server("[2001:db8:1::1]:80"), Service: six, State: 12, Template: true, Kind: 2},
	}
}

func datagram(h header, list ...l4.Sync) []byte {
	b := make([]byte, headerSize)
	for i := range list {
		var ok bool
		if b, ok = appendRecord(b, &list[i]); ok {
			h.count++
		}
	}
	h.put(b)
	return b
}

func TestRoundTrip(t *testing.T) {
	h := header{kind: kindFlows, id: 51, active: true, whole: true, sender: 1 << 60, target: 5, sequence: 1 << 31, flows: 99, lag: 1500}
	got, list, err := parse(datagram(h, samples()...), nil)
	h.count = uint16(len(samples()))
	if err != nil || got != h || !reflect.DeepEqual(list, samples()) {
		t.Errorf("%v: %+v\n got  %+v\n want %+v", err, got, list, samples())
	}
	if b := datagram(header{}, samples()[0]); len(b)-headerSize != 33 {
		t.Errorf("an IPv4 connection takes %d bytes", len(b)-headerSize)
	}
}

// TestNotTold: what no director could use never gets into a datagram.
func TestNotTold(t *testing.T) {
	for name, change := range map[string]func(*l4.Sync){
		"no client":                  func(s *l4.Sync) { s.Client = netip.AddrPort{} },
		"no address":                 func(s *l4.Sync) { s.Virtual = netip.AddrPort{} },
		"no server":                  func(s *l4.Sync) { s.Server = l4.ServerKey{} },
		"a client of another family": func(s *l4.Sync) { s.Client = port("[2001:db8::1]:1") },
		"a source of another family": func(s *l4.Sync) { s.Local = port("[2001:db8::1]:1") },
		"another protocol":           func(s *l4.Sync) { s.Protocol = 1 },
		"no such state":              func(s *l4.Sync) { s.State = 11 },
		"a network too long":         func(s *l4.Sync) { s.Bits = 33 },
		"no such kind":               func(s *l4.Sync) { s.Kind = 16 },
		"a template of no kind":      func(s *l4.Sync) { s.Template = true },
		"ports from large to small":  func(s *l4.Sync) { s.Service.PortLast = 10 },
		"a service of another family": func(s *l4.Sync) {
			s.Service.Addr = netip.MustParseAddr("2001:db8::10")
		},
	} {
		s := samples()[0]
		change(&s)
		if b, ok := appendRecord(nil, &s); ok || len(b) > 0 {
			t.Errorf("%s: %x", name, b)
		}
	}
	for state, want := range map[uint8]bool{0: false, 1: true, 2: false, 3: false, 4: true, 5: true, 9: false, 10: false} {
		s := samples()[0]
		s.State = state
		if tellable(&s) != want {
			t.Errorf("state %d: %v", state, !want)
		}
	}
}

// TestLonger: a version of the program that tells more is understood.
func TestLonger(t *testing.T) {
	b, _ := appendRecord(nil, &samples()[0])
	b = append(b, 1, 2, 3)
	b[1] += 3
	b = append(make([]byte, headerSize), b...)
	h := header{kind: kindFlows, count: 1}
	h.put(b)
	if _, list, err := parse(b, nil); err != nil || len(list) != 1 || list[0] != samples()[0] {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestMalformed(t *testing.T) {
	whole := datagram(header{kind: kindFlows}, samples()...)
	for n := range whole {
		if _, _, err := parse(whole[:n], nil); err == nil {
			t.Errorf("%d of %d bytes are enough", n, len(whole))
		}
	}
	for at, want := range map[int]error{0: errMagic, 4: errVersion, 5: errKind, headerSize: errRecord, headerSize + 4: errRecord} {
		b := append([]byte(nil), whole...)
		b[at] ^= 0xff
		if _, _, err := parse(b, nil); err != want {
			t.Errorf("byte %d: %v", at, err)
		}
	}
	if _, _, err := parse(append(whole, 0), nil); err != errExtra {
		t.Error(err)
	}
}

// FuzzParse: whatever comes, it is understood whole or not at all, does not grow,
// and what is understood is told the same again.
func FuzzParse(f *testing.F) {
	f.Add([]byte{})
	f.Add(datagram(header{kind: kindHello}))
	f.Add(datagram(header{kind: kindFlows, active: true, sender: 7}, samples()...))
	for _, s := range samples() {
		f.Add(datagram(header{kind: kindFlows}, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, list, err := parse(b, nil)
		if err != nil {
			return
		}
		if len(list) != int(h.count) || len(list)*recordHead > len(b) {
			t.Fatalf("%d connections in %d bytes", len(list), len(b))
		}
		h.count = 0
		again := datagram(h, list...)
		_, second, err := parse(again, nil)
		if err != nil || !reflect.DeepEqual(list, second) {
			t.Fatalf("%v\n first  %+v\n second %+v", err, list, second)
		}
	})
}
