package director

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"evenkeel/internal/alert"
	"evenkeel/internal/health/real"
	"evenkeel/internal/l4"
	"evenkeel/internal/model"
)

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

// TestServer: what of a real server a data plane is told, by how it is reached.
func TestServer(t *testing.T) {
	web := l4.Key{Addr: ip("192.0.2.10"), Protocol: l4.TCP, Port: 80}
	ports := l4.Key{Addr: ip("192.0.2.10"), Protocol: l4.TCP, Port: 80, PortLast: 90}
	six := l4.Key{Addr: ip("2001:db8::10"), Protocol: l4.TCP, Port: 80}
	mark := l4.Key{FwMark: 3, Family: l4.IPv4}
	for _, c := range []struct {
		name    string
		virtual model.VirtualServer
		key     l4.Key
		real    model.RealServer
		weight  int
		want    l4.Server
		no      bool
	}{
		{"NAT has a port of its own", model.VirtualServer{Method: "NAT"}, web, model.RealServer{Addr: ip("10.0.0.1"), Port: 8080}, 5,
			l4.Server{Addr: ip("10.0.0.1"), Port: 8080, Weight: 5}, false},
		{"NAT without one", model.VirtualServer{Method: "NAT"}, web, model.RealServer{Addr: ip("10.0.0.1")}, 5, l4.Server{Addr: ip("10.0.0.1"), Port: 80, Weight: 5}, false},
		{"NAT of a range keeps the client's", model.VirtualServer{Method: "NAT"}, ports, model.RealServer{Addr: ip("10.0.0.1")}, 1, l4.Server{Addr: ip("10.0.0.1"), Weight: 1}, false},
		{"DR has the service's", model.VirtualServer{Method: "DR"}, web, model.RealServer{Addr: ip("10.0.0.1"), Port: 8080}, 1,
			l4.Server{Addr: ip("10.0.0.1"), Port: 80, Weight: 1, Method: l4.DR}, false},
		{"DR of a range has none", model.VirtualServer{Method: "DR"}, ports, model.RealServer{Addr: ip("10.0.0.1"), Port: 80}, 1,
			l4.Server{Addr: ip("10.0.0.1"), Weight: 1, Method: l4.DR}, false},
		{"the server's own method", model.VirtualServer{Method: "NAT"}, web, model.RealServer{Addr: ip("10.0.0.1"), Port: 80, Method: "DR"}, 1,
			l4.Server{Addr: ip("10.0.0.1"), Port: 80, Weight: 1, Method: l4.DR}, false},
		{"a mark", model.VirtualServer{Method: "NAT"}, mark, model.RealServer{Addr: ip("10.0.0.1"), Port: 8080, UpperConns: 9, LowerConns: 3}, 0,
			l4.Server{Addr: ip("10.0.0.1"), Port: 8080, Upper: 9, Lower: 3}, false},
		{"another family", model.VirtualServer{Method: "NAT"}, six, model.RealServer{Addr: ip("10.0.0.1"), Port: 80}, 1, l4.Server{}, true},
		{"another family in a tunnel", model.VirtualServer{Method: "TUN", Tunnel: model.Tunnel{Type: "gue", Port: 6080, Csum: true}}, six, model.RealServer{Addr: ip("10.0.0.1"), Port: 80}, 1,
			l4.Server{Addr: ip("10.0.0.1"), Port: 80, Weight: 1, Method: l4.TUN, Tunnel: l4.Tunnel{Type: l4.GUE, Port: 6080, Checksum: l4.TunnelWithChecksum}}, false},
		{"the server's own tunnel", model.VirtualServer{Method: "TUN", Tunnel: model.Tunnel{Type: "gue", Port: 6080}}, web,
			model.RealServer{Addr: ip("10.0.0.1"), Port: 80, Method: "TUN", Tunnel: model.Tunnel{Type: "gre", RemCsum: true}}, 1,
			l4.Server{Addr: ip("10.0.0.1"), Port: 80, Weight: 1, Method: l4.TUN, Tunnel: l4.Tunnel{Type: l4.GRE, Checksum: l4.TunnelRemoteChecksum}}, false},
		{"a weight that is too large", model.VirtualServer{Method: "NAT"}, web, model.RealServer{Addr: ip("10.0.0.1"), Port: 80}, 1 << 20,
			l4.Server{Addr: ip("10.0.0.1"), Port: 80, Weight: l4.MaxWeight}, false},
	} {
		v := &virtual{spec: &c.virtual}
		got, ok := v.server(c.key, &c.real, c.weight)
		if ok == c.no || ok && got != c.want {
			t.Errorf("%s: %+v, %v", c.name, got, ok)
		}
	}
}

// TestServers: servers that are one to the data plane are told once.
func TestServers(t *testing.T) {
	v := &virtual{spec: &model.VirtualServer{Method: "DR"}}
	a, b, sorry := &model.RealServer{Addr: ip("10.0.0.1"), Port: 80, Weight: 2}, &model.RealServer{Addr: ip("10.0.0.1"), Port: 81, Weight: 2}, &model.RealServer{Addr: ip("10.0.0.9")}
	zero := &model.RealServer{Addr: ip("10.0.0.2")}
	got := v.servers(l4.Key{Addr: ip("192.0.2.10"), Protocol: l4.TCP, Port: 80}, []real.Destination{{Real: a}, {Real: b, Weight: 2}, {Real: zero}, {Real: sorry, Sorry: true}})
	if len(got) != 3 || !got[0].down || got[1].down || !got[2].down {
		t.Errorf("%+v", got)
	}
}

// TestGroupTooLarge: a slip in a range is told, and makes no million services.
func TestGroupTooLarge(t *testing.T) {
	f := &model.Failover{ServerGroups: []*model.VirtualServerGroup{{Name: "g", Members: []model.GroupMember{{First: ip("2001:db8::"), Last: ip("2001:db8::ffff:ffff"), Port: 80}}}},
		VirtualServers: []*model.VirtualServer{{Group: "g"}, {Group: "h"}}}
	p, d := compile(f)
	if len(p.owner) != 0 || len(d) != 2 || !strings.Contains(d[0].Message, "more than 65536 services") || !strings.Contains(d[1].Message, "no virtual_server_group 'h'") {
		t.Errorf("%d services, %v", len(p.owner), d)
	}
}

// TestValidate: what cannot be forwarded is said at its line, with what would
// do it.
func TestValidate(t *testing.T) {
	line := func(n int) model.Pos { return model.Pos{File: "f", Line: n, Col: 1} }
	f := &model.Failover{VirtualServers: []*model.VirtualServer{
		{Pos: line(1), Addr: ip("192.0.2.10"), Port: 80, Method: "TUN", Scheduler: "rr", Real: []*model.RealServer{
			{Pos: line(2), Addr: ip("10.0.0.1"), Port: 80, Tunnel: model.Tunnel{Type: "gre"}, Method: "TUN"}, {Pos: line(3), Addr: ip("10.0.0.2"), Port: 80}}},
		{Pos: line(4), Addr: ip("224.0.0.1"), Port: 80, Scheduler: "none"},
		{Pos: line(5), Addr: ip("192.0.2.11"), Port: 80, Scheduler: "rr", Method: "NAT", Real: []*model.RealServer{{Pos: line(6), Addr: ip("2001:db8::1"), Port: 80}},
			Sorry: &model.RealServer{Pos: line(7), Addr: ip("127.0.0.1"), Port: 8080}},
	}}
	p, _ := compile(f)
	own := l4.Features{Name: "own", Tunnels: []l4.TunnelType{l4.IPIP}}
	got := ""
	for _, x := range p.validate(own, []l4.Features{{Name: "other"}}) {
		got += x.Pos.String() + ": " + x.Message + "; " + x.Cure + "\n"
	}
	const want = `f:2:1: virtual_server 192.0.2.10:80/TCP: TCP 192.0.2.10:80: server 10.0.0.1:80: tunnel gre: own does not have it; write 'lvs_backend other' in global_defs: other can do it
f:4:1: virtual_server 224.0.0.1:80/TCP: TCP 224.0.0.1:80: address 224.0.0.1: want a unicast address; 
f:4:1: virtual_server 224.0.0.1:80/TCP: TCP 224.0.0.1:80: no scheduler "none": there are rr, wrr, lc, wlc, lblc, lblcr, dh, sh, sed, nq, fo, ovf, twos, mh; 
f:6:1: virtual_server 192.0.2.11:80/TCP: real server 2001:db8::1 is of another family than every address of the service; use lvs_method TUN for it, or an address of the same family
f:7:1: virtual_server 192.0.2.11:80/TCP: TCP 192.0.2.11:80: server 127.0.0.1:8080: port 8080: the director itself answers at the virtual address and port, so it is the service's (80); 
`
	if got != want {
		t.Errorf("got:\n%s", got)
	}
}

// TestMail: who gets a mail, by the four places that say so.
func TestMail(t *testing.T) {
	yes, no := true, false
	virtual, server := &model.VirtualServer{}, &model.RealServer{}
	for _, c := range []struct {
		name  string
		event real.Event
		mail  model.Mail
		want  bool
	}{
		{"a server", real.Event{Real: server}, model.Mail{}, true},
		{"a quorum", real.Event{}, model.Mail{}, false},
		{"a quorum, where all is told", real.Event{}, model.Mail{AlertDefault: true}, true},
		{"smtp_alert_checker off", real.Event{Real: server}, model.Mail{AlertDefault: true, AlertChecker: &no}, false},
		{"its own wish", real.Event{Real: server, Mail: &no}, model.Mail{AlertChecker: &yes}, false},
		{"its own wish against the general", real.Event{Mail: &yes}, model.Mail{AlertChecker: &no}, true},
		{"no_checker_emails", real.Event{Real: server, Check: model.CheckerTCP}, model.Mail{NoChecker: true}, false},
		{"no_checker_emails, taken out", real.Event{Real: server, Stopping: true}, model.Mail{NoChecker: true}, true},
	} {
		c.event.Virtual = virtual
		c.mail.To = []string{"root"}
		if got := wantsMail(&c.event, &model.Failover{Mail: c.mail}); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
		c.mail.To = nil
		if wantsMail(&c.event, &model.Failover{Mail: c.mail}) {
			t.Errorf("%s: a mail to nobody", c.name)
		}
	}
}

// TestNames: keepalived's, in pipes and subjects.
func TestNames(t *testing.T) {
	for _, c := range []struct {
		v    model.VirtualServer
		want string
	}{
		{model.VirtualServer{Addr: ip("192.0.2.10"), Port: 80, Protocol: "UDP"}, "[192.0.2.10]:udp:80"},
		{model.VirtualServer{Addr: ip("2001:db8::1"), Port: 80}, "[2001:db8::1]:tcp:80"},
		{model.VirtualServer{FwMark: 7}, "FWM 7"},
		{model.VirtualServer{Group: "web", Protocol: "TCP"}, "[web]:tcp"},
	} {
		e := alertOf(&real.Event{Kind: real.QuorumLost, Virtual: &c.v}, &model.Failover{})
		if e.Notify.Line != "VS "+c.want+" DOWN" || e.Severity != alert.Error {
			t.Errorf("%+v", e)
		}
	}
}

// TestSuspects: after a restart a server that was down is checked before it
// gets anything; the configuration itself is not touched.
func TestSuspects(t *testing.T) {
	check := &model.RealCheck{Kind: model.CheckerTCP, Warmup: 5}
	f := &model.Failover{VirtualServers: []*model.VirtualServer{{Addr: ip("192.0.2.10"), Port: 80, Real: []*model.RealServer{
		{Addr: ip("10.0.0.1"), Port: 80, Checkers: []*model.RealCheck{check}}, {Addr: ip("10.0.0.2"), Port: 80, Checkers: []*model.RealCheck{check}}}}}}
	s := saved{Down: []downServer{{"192.0.2.10:80/TCP", "10.0.0.2:80"}, {"192.0.2.11:80/TCP", "10.0.0.1:80"}}}
	got := s.resumed(f).VirtualServers[0].Real
	if got[0].Checkers[0] != check || !got[1].Checkers[0].Alpha || got[1].Checkers[0].Warmup != 0 || check.Alpha || check.Warmup != 5 {
		t.Errorf("%+v %+v %+v", got[0].Checkers[0], got[1].Checkers[0], check)
	}
	if none := (&saved{}); none.resumed(f) != f {
		t.Error("a configuration without such servers is another")
	}
}

// FuzzEdits: whatever a client sends, what is wanted stays valid, and what was
// refused changes nothing.
func FuzzEdits(f *testing.F) {
	for _, s := range []string{
		`{"Do":"add-service","Service":{"FwMark":5}}`,
		`{"Do":"add-server","Service":{"Addr":"192.0.2.10","Protocol":6,"Port":80},"Server":{"Addr":"10.0.0.3","Port":80,"Weight":1}}`,
		`{"Do":"edit-server","Service":{"Addr":"192.0.2.10","Protocol":6,"Port":80},"Server":{"Addr":"10.0.0.1","Port":80,"Weight":-1}}`,
		`{"Do":"delete-server","Service":{"Addr":"192.0.2.10","Protocol":6,"Port":80},"Server":{"Addr":"10.0.0.1","Port":80}}`,
		`{"Do":"clear"}`, `{"Do":"timeouts","Timeouts":{"TCP":-1}}`, `{"Do":"edit-service","Service":{"Addr":"192.0.2.10","Protocol":6,"Port":80,"Scheduler":"x"}}`,
	} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		p, d := compile(&model.Failover{VirtualServers: []*model.VirtualServer{{Addr: ip("192.0.2.10"), Port: 80, Method: "NAT", Scheduler: "rr"}}})
		if d.HasErrors() {
			t.Fatal(d)
		}
		plane := &holding{}
		s := New(Options{Backends: []Backend{{Name: "fake", Probe: func() []string { return nil }, Open: func(bool) (l4.Plane, error) { return plane, nil }}}})
		s.plan, s.running = p, true
		for _, line := range []string{one, two} {
			before := s.manual.clone()
			answer := s.Control("services edit " + line)
			if !strings.HasPrefix(answer, "{") || !strings.HasSuffix(answer, "}\n") {
				t.Errorf("%q: %q", line, answer)
			}
			if answer != "{}\n" && !reflect.DeepEqual(before, s.manual.clone()) {
				t.Errorf("%q: refused (%s), and yet changed", line, answer)
			}
			if err := s.configFor(s.wants()).Validate(plane.Features()); err != nil {
				t.Errorf("%q: %v", line, err)
			}
		}
	})
}

// holding is a plane that keeps what it is told.
type holding struct{ l4.Plane }

func (*holding) Set(c l4.Config) error { return c.Validate(l4.Features{}) }
func (*holding) Features() l4.Features { return l4.Features{} }

// TestMarks: where a plane does not see marks, that is said at each service of
// one, once for each family.
func TestMarks(t *testing.T) {
	marked := &virtual{spec: &model.VirtualServer{Pos: model.Pos{File: "f", Line: 3, Col: 1}, FwMark: 7}, keys: []l4.Key{
		{FwMark: 7, Family: l4.IPv4}, {FwMark: 8, Family: l4.IPv4}, {FwMark: 7, Family: l4.IPv6}}}
	plain := &virtual{spec: &model.VirtualServer{}, keys: []l4.Key{{Addr: ip("192.0.2.10"), Protocol: l4.TCP, Port: 80}}}
	p := &plan{virtuals: []*virtual{marked, plain}}
	here := func(missing ...string) func(l4.Family) []string {
		return func(f l4.Family) []string {
			if f == l4.IPv6 {
				return nil
			}
			return missing
		}
	}
	d := p.marks(&Backend{Name: "ebpf", Marks: here("load the module x")})
	if len(d) != 1 || d.HasErrors() || d[0].Pos.Line != 3 || !strings.Contains(d[0].Message, "ebpf does not see marks") ||
		!strings.Contains(d[0].Message, "load the module x") || !strings.Contains(d[0].Cure, "lvs_backend ipvs") {
		t.Errorf("%v", d)
	}
	for _, b := range []*Backend{{Name: "ipvs"}, {Name: "ebpf", Marks: here()}} {
		if d := p.marks(b); len(d) != 0 {
			t.Errorf("%v", d)
		}
	}
}
