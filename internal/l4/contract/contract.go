package contract

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"evenkeel/internal/l4"
)

// Run holds planes to the contract. open gives one that forwards nothing yet;
// Run closes it.
func Run(t *testing.T, open func(*testing.T) l4.Plane) {
	for _, c := range []struct {
		name string
		test func(*testing.T, l4.Plane)
	}{
		{"set and read back", setAndRead},
		{"set twice", setTwice},
		{"order", order},
		{"change", change},
		{"every scheduler", everyScheduler},
		{"every method", everyMethod},
		{"families and protocols", families},
		{"refuse whole", refuseWhole},
		{"many", many},
		{"closed", closed},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := open(t)
			defer p.Close()
			c.test(t, p)
		})
	}
}

func address(v6 bool, n int) netip.Addr {
	if v6 {
		return netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", n))
	}
	return netip.AddrFrom4([4]byte{192, 0, byte(2 + n>>8), byte(n)})
}

func service(v6 bool, protocol l4.Protocol, port uint16, servers ...int) l4.Service {
	s := l4.Service{Key: l4.Key{Addr: address(v6, 1), Protocol: protocol, Port: port}, Scheduler: "rr"}
	for _, n := range servers {
		s.Servers = append(s.Servers, l4.Server{Addr: address(v6, 10+n), Port: port, Weight: n, Method: l4.DR})
	}
	return s
}

func set(t *testing.T, p l4.Plane, services ...l4.Service) {
	t.Helper()
	if err := p.Set(l4.Config{Services: services}); err != nil {
		t.Fatal(err)
	}
}

// describe is a snapshot as lines, without what counts.
func describe(t *testing.T, p l4.Plane) string {
	t.Helper()
	s, err := p.Stats()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, v := range s.Services {
		fmt.Fprintf(&b, "%v %s %d\n", v.Key.Canonical(), v.SchedulerName(), v.Persistence)
		for _, r := range v.Servers {
			fmt.Fprintf(&b, "  %v %v %d %d %d\n", r.Key(), r.Method, r.Weight, r.Upper, r.Lower)
		}
	}
	return b.String()
}

func setAndRead(t *testing.T, p l4.Plane) {
	if got := describe(t, p); got != "" {
		t.Errorf("a new plane has %s", got)
	}
	s := service(false, l4.TCP, 80, 1, 2)
	s.Servers[0].Upper, s.Servers[0].Lower = 100, 80
	set(t, p, s)
	want := "TCP 192.0.2.1:80 rr 0\n  192.0.2.11:80 DR 1 100 80\n  192.0.2.12:80 DR 2 0 0\n"
	if got := describe(t, p); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	set(t, p)
	if got := describe(t, p); got != "" {
		t.Errorf("after everything was taken away: %s", got)
	}
}

func setTwice(t *testing.T, p l4.Plane) {
	set(t, p, service(false, l4.TCP, 80, 1, 2), service(true, l4.UDP, 53, 1))
	before := describe(t, p)
	set(t, p, service(false, l4.TCP, 80, 1, 2), service(true, l4.UDP, 53, 1))
	if got := describe(t, p); got != before {
		t.Errorf("the same again changed\n%sto\n%s", before, got)
	}
}

func order(t *testing.T, p l4.Plane) {
	a, b, c := service(false, l4.TCP, 80, 3, 1, 2), service(false, l4.TCP, 81), service(false, l4.UDP, 80, 1)
	for _, list := range [][]l4.Service{{a, b, c}, {c, a, b}} {
		set(t, p, list...)
		s, err := p.Stats()
		if err != nil {
			t.Fatal(err)
		}
		for i := range list {
			if s.Services[i].Key != list[i].Key {
				t.Errorf("service %d is %v, want %v", i, s.Services[i].Key, list[i].Key)
			}
		}
	}
	slices.Reverse(a.Servers)
	set(t, p, a)
	s, err := p.Stats()
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range a.Servers {
		if s.Services[0].Servers[i].Key() != r.Key() {
			t.Errorf("server %d is %v, want %v", i, s.Services[0].Servers[i].Key(), r.Key())
		}
	}
}

func change(t *testing.T, p l4.Plane) {
	s := service(false, l4.TCP, 80, 1, 2)
	other := service(false, l4.TCP, 443, 1)
	set(t, p, s, other)
	s.Scheduler = "wlc"
	s.Servers[0].Weight = 0
	s.Servers = append(s.Servers[:1], l4.Server{Addr: address(false, 13), Port: 80, Weight: 7, Method: l4.DR})
	set(t, p, s, other)
	want := "TCP 192.0.2.1:80 wlc 0\n  192.0.2.11:80 DR 0 0 0\n  192.0.2.13:80 DR 7 0 0\nTCP 192.0.2.1:443 rr 0\n  192.0.2.11:443 DR 1 0 0\n"
	if got := describe(t, p); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	set(t, p, other)
	if got := describe(t, p); got != "TCP 192.0.2.1:443 rr 0\n  192.0.2.11:443 DR 1 0 0\n" {
		t.Errorf("got\n%s", got)
	}
}

func everyScheduler(t *testing.T, p l4.Plane) {
	offered := p.Features().Schedulers
	for _, s := range l4.Schedulers {
		v := service(false, l4.TCP, 80, 1, 2, 3)
		v.Scheduler = s.Name
		err := p.Set(l4.Config{Services: []l4.Service{v}})
		if s.Name == "twos" && offered == nil && err != nil && strings.Contains(err.Error(), "scheduler twos") {
			continue // Debian's kernels are built without it, and the plane has said so
		}
		if want := offered == nil || slices.Contains(offered, s.Name); want != (err == nil) {
			t.Errorf("%s, offered %v: %v", s.Name, want, err)
		}
	}
}

func everyMethod(t *testing.T, p l4.Plane) {
	offered := p.Features().Methods
	for _, m := range []l4.Method{l4.NAT, l4.DR, l4.TUN, l4.FULLNAT} {
		v := service(false, l4.TCP, 80, 1)
		v.Servers[0].Method = m
		err := p.Set(l4.Config{Services: []l4.Service{v}, Pool: []netip.Addr{address(false, 200)}})
		want := offered == nil || slices.Contains(offered, m)
		if want != (err == nil) {
			t.Errorf("%v, offered %v: %v", m, want, err)
		}
		if s, _ := p.Stats(); want && s.Services[0].Servers[0].Method != m {
			t.Errorf("%v became %v", m, s.Services[0].Servers[0].Method)
		}
	}
}

func families(t *testing.T, p l4.Plane) {
	var list []l4.Service
	for _, v6 := range []bool{false, true} {
		for _, protocol := range []l4.Protocol{l4.TCP, l4.UDP, l4.SCTP} {
			if f := p.Features().Protocols; f == nil || slices.Contains(f, protocol) {
				list = append(list, service(v6, protocol, 5060, 1, 2))
			}
		}
	}
	if p.Features().FwMarks {
		for _, f := range []l4.Family{l4.IPv4, l4.IPv6} {
			s := service(f == l4.IPv6, l4.TCP, 0, 1)
			s.Key = l4.Key{FwMark: 7, Family: f}
			list = append(list, s)
		}
	}
	set(t, p, list...)
	s, err := p.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Services) != len(list) {
		t.Fatalf("%d services of %d", len(s.Services), len(list))
	}
	for _, v := range list {
		if got := s.Find(v.Key); got == nil || len(got.Servers) != len(v.Servers) {
			t.Errorf("%v: %+v", v.Key, got)
		}
	}
}

func refuseWhole(t *testing.T, p l4.Plane) {
	set(t, p, service(false, l4.TCP, 80, 1))
	before := describe(t, p)
	good, bad := service(false, l4.TCP, 81, 1), service(false, l4.TCP, 82, 1)
	bad.Servers[0].Weight = -1
	err := p.Set(l4.Config{Services: []l4.Service{good, bad}})
	if err == nil || !strings.Contains(err.Error(), "TCP 192.0.2.1:82") || !strings.Contains(err.Error(), "weight") {
		t.Errorf("a weight of -1: %v", err)
	}
	if got := describe(t, p); got != before {
		t.Errorf("a refused configuration changed\n%sto\n%s", before, got)
	}
}

func many(t *testing.T, p l4.Plane) {
	var list []l4.Service
	for n := range 200 {
		s := service(false, l4.TCP, uint16(1000+n))
		s.Scheduler = []string{"rr", "wrr", "mh", "wlc"}[n%4]
		for r := range 5 {
			s.Servers = append(s.Servers, l4.Server{Addr: address(false, 256+r), Port: s.Port, Weight: 1 + r, Method: l4.DR})
		}
		list = append(list, s)
	}
	for range 3 {
		set(t, p, list...)
		set(t, p, list[:100]...)
	}
	if s, err := p.Stats(); err != nil || len(s.Services) != 100 {
		t.Errorf("%d services, %v", len(s.Services), err)
	}
}

func closed(t *testing.T, p l4.Plane) {
	set(t, p, service(false, l4.TCP, 80, 1))
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := p.Set(l4.Config{}); err == nil {
		t.Error("a closed plane takes a configuration")
	}
	if _, err := p.Stats(); err == nil {
		t.Error("a closed plane has statistics")
	}
	if err := p.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
}
