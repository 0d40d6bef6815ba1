package real

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"evenkeel/internal/health/checks"
	"evenkeel/internal/model"
)

const s = time.Second

func tcp() *model.RealCheck {
	return &model.RealCheck{Kind: model.CheckerTCP, Interval: 10 * s, DelayBeforeRetry: s, Retry: 2}
}

// A letter is a result: g good, b bad, l local. What follows is the state of
// the checker and the delay in seconds, for each.
func TestCheck(t *testing.T) {
	urls := func(n int, fast bool) *model.RealCheck {
		c := &model.RealCheck{Kind: model.CheckerHTTP, Interval: 10 * s, DelayBeforeRetry: 3 * s, Retry: 1, HTTP: &model.HTTPCheckSpec{FastRecovery: fast}}
		c.HTTP.URLs = make([]*model.CheckURL, n)
		return c
	}
	misc := tcp()
	misc.Kind, misc.Retry = model.CheckerMISC, 0
	for _, x := range []struct {
		name    string
		spec    *model.RealCheck
		alpha   bool
		results string
		want    string // up or down, delay, and the part that comes next
	}{
		{"stays up", tcp(), false, "ggg", "up 10 0, up 10 0, up 10 0"},
		{"the first failure counts", tcp(), false, "bb", "down 10 0, down 10 0"},
		{"alpha", tcp(), true, "bgb", "down 10 0, up 10 0, up 1 0"},
		{"retries", tcp(), false, "gbbb", "up 10 0, up 1 0, up 1 0, down 10 0"},
		{"a success between", tcp(), false, "gbbgbbb", "up 10 0, up 1 0, up 1 0, up 10 0, up 1 0, up 1 0, down 10 0"},
		{"back at once", tcp(), false, "bg", "down 10 0, up 10 0"},
		{"local faults do not count", tcp(), false, "lgblblbl", "up 10 0, up 10 0, up 1 0, up 10 0, up 1 0, up 10 0, down 10 0, down 10 0"},
		{"no retries", misc, false, "gbg", "up 10 0, down 10 0, up 10 0"},
		{"urls in turn", urls(3, false), false, "gggg", "up 10 1, up 10 2, up 10 0, up 10 1"},
		{"the second fails at the start", urls(3, false), false, "gb", "up 10 1, down 10 1"},
		{"the failed one first, then the others", urls(3, false), false, "gggggbbbggg",
			"up 10 1, up 10 2, up 10 0, up 10 1, up 10 2, up 3 2, down 10 2, down 10 2, down 10 0, down 10 1, up 10 2"},
		{"another fails on the way up", urls(2, false), false, "bgbgg", "down 10 0, down 10 1, down 10 1, down 10 0, up 10 1"},
		{"fast recovery", urls(3, true), false, "ggggbbggg", "up 0 1, up 0 2, up 10 0, up 10 1, up 3 1, down 10 1, down 0 2, down 0 0, up 10 1"},
		{"fast recovery with alpha", urls(2, true), true, "gg", "down 0 1, up 10 0"},
		{"one url", urls(1, false), false, "gbbg", "up 10 0, up 3 0, down 10 0, up 10 0"},
	} {
		parts := 1
		if x.spec.HTTP != nil {
			parts = len(x.spec.HTTP.URLs)
		}
		c := newCheck(x.spec, parts, !x.alpha)
		var got []string
		for _, r := range x.results {
			before := c.up
			v := c.done(checks.RealResult{OK: r == 'g', Local: r == 'l'})
			if v.changed != (before != c.up) || v.fromStart != (x.spec.Kind == model.CheckerMISC) {
				t.Errorf("%s: %+v from %v to %v", x.name, v, before, c.up)
			}
			state := "down"
			if c.up {
				state = "up"
			}
			got = append(got, fmt.Sprintf("%s %d %d", state, v.delay/s, c.part))
		}
		if g := strings.Join(got, ", "); g != x.want {
			t.Errorf("%s:\n got %s\nwant %s", x.name, g, x.want)
		}
	}
}

// testService has n servers 10.0.0.1 and so on with a TCP checker each.
func testService(v model.VirtualServer, n int) *service {
	v.Addr, v.Port = netip.MustParseAddr("10.0.0.100"), 80
	x := &service{spec: &v, name: Name(&v), quorum: true}
	for i := range n {
		c := tcp()
		c.Retry = 0
		x.servers = append(x.servers, &server{spec: &model.RealServer{Addr: netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), Port: 80, Weight: 1, NotifyUp: &model.Command{}, NotifyDown: &model.Command{}},
			checks: []*check{newCheck(c, 1, true)}, alive: true, weight: 1})
	}
	return x
}

func (v *service) hear(i int, r checks.RealResult) string {
	var list []string
	_, events := v.result(v.servers[i], v.servers[i].checks[0], r)
	for _, e := range events {
		list = append(list, fmt.Sprintf("%v %d", e.Kind, e.Weight))
	}
	return strings.Join(list, ", ")
}

var good, bad = checks.RealResult{OK: true, Text: "fine"}, checks.RealResult{Text: "broken"}

func (v *service) listed() string {
	var list []string
	for _, d := range v.destinations() {
		text := fmt.Sprintf("%v=%d", d.Real.Addr, d.Weight)
		if d.Sorry {
			text = "sorry " + text
		}
		if d.Aside {
			text = strings.Replace(text, "=0", " aside", 1)
		}
		list = append(list, text)
	}
	return strings.Join(list, " ")
}

// Gained at quorum + hysteresis, lost below quorum - hysteresis.
func TestQuorum(t *testing.T) {
	sorry := &model.RealServer{Addr: netip.MustParseAddr("10.0.0.9"), Port: 80}
	v := testService(model.VirtualServer{Quorum: 3, Hysteresis: 1, QuorumUp: &model.Command{}, QuorumDown: &model.Command{}, Sorry: sorry}, 5)
	for _, x := range []struct {
		server int
		result checks.RealResult
		want   string
		list   string
	}{
		{0, good, "", "10.0.0.1=1 10.0.0.2=1 10.0.0.3=1 10.0.0.4=1 10.0.0.5=1 sorry 10.0.0.9 aside"},
		{0, bad, "server down 1", "10.0.0.2=1 10.0.0.3=1 10.0.0.4=1 10.0.0.5=1 sorry 10.0.0.9 aside"},
		{0, bad, "", "10.0.0.2=1 10.0.0.3=1 10.0.0.4=1 10.0.0.5=1 sorry 10.0.0.9 aside"},
		{1, bad, "server down 1", "10.0.0.3=1 10.0.0.4=1 10.0.0.5=1 sorry 10.0.0.9 aside"},
		{2, bad, "server down 1", "10.0.0.4=1 10.0.0.5=1 sorry 10.0.0.9 aside"}, // 2: not below 3 - 1
		{3, bad, "server down 1, quorum lost 1", "10.0.0.5 aside sorry 10.0.0.9=1"},
		{3, good, "server up 1", "10.0.0.4 aside 10.0.0.5 aside sorry 10.0.0.9=1"},
		{2, good, "server up 1", "10.0.0.3 aside 10.0.0.4 aside 10.0.0.5 aside sorry 10.0.0.9=1"},
		{1, good, "server up 1, quorum gained 4", "10.0.0.2=1 10.0.0.3=1 10.0.0.4=1 10.0.0.5=1 sorry 10.0.0.9 aside"},
	} {
		if got := v.hear(x.server, x.result); got != x.want {
			t.Errorf("%d %v: %s, want %s", x.server, x.result.OK, got, x.want)
		}
		if got := v.listed(); got != x.list {
			t.Errorf("%d %v: %s, want %s", x.server, x.result.OK, got, x.list)
		}
	}
	_, events := v.result(v.servers[0], v.servers[0].checks[0], good)
	if e := events[0]; e.Text != "real server 10.0.0.1:80 of 10.0.0.100:80/TCP is up: fine" || e.Notify != v.servers[0].spec.NotifyUp || e.Service != v.name {
		t.Errorf("%+v", e)
	}
	for i := range v.servers {
		_, events = v.result(v.servers[i], v.servers[i].checks[0], bad)
		if i == 3 {
			if e := events[1]; e.Notify != v.spec.QuorumDown || e.Text != "10.0.0.100:80/TCP has lost its quorum: weight 1 of servers that are up, 2 needed; its sorry server 10.0.0.9:80 takes over" {
				t.Errorf("%+v", e)
			}
		}
	}
	// A quorum of 1 without hysteresis is lost with the last server.
	v = testService(model.VirtualServer{}, 1)
	if got := v.hear(0, bad) + "; " + v.hear(0, good); got != "server down 1, quorum lost 0; server up 1, quorum gained 1" {
		t.Error(got)
	}
}

func TestInhibit(t *testing.T) {
	no := false
	sorry := &model.RealServer{Addr: netip.MustParseAddr("10.0.0.9"), Port: 80, Weight: 7}
	v := testService(model.VirtualServer{Inhibit: true, Sorry: sorry, SorryInhibit: true}, 2)
	v.servers[1].spec.Inhibit = &no
	if got := v.listed(); got != "10.0.0.1=1 10.0.0.2=1 sorry 10.0.0.9=0" {
		t.Error(got)
	}
	v.hear(0, bad)
	if got := v.listed(); got != "10.0.0.1=0 10.0.0.2=1 sorry 10.0.0.9=0" {
		t.Error(got)
	}
	v.hear(1, bad)
	if got := v.listed(); got != "10.0.0.1=0 sorry 10.0.0.9=7" {
		t.Error(got)
	}
}

// A server with several checkers is up when all are; what happens to the
// others is told too.
func TestSeveralCheckers(t *testing.T) {
	v := testService(model.VirtualServer{}, 1)
	x := v.servers[0]
	second := newCheck(tcp(), 1, true)
	x.checks = append(x.checks, second)
	hear := func(c *check, r checks.RealResult) string {
		_, events := v.result(x, c, r)
		var list []string
		for _, e := range events {
			list = append(list, e.Kind.String()+": "+e.Text)
		}
		return strings.Join(list, "\n")
	}
	for i, step := range []struct {
		c    *check
		r    checks.RealResult
		want string
	}{
		{second, good, ""},
		{second, bad, "check failed: real server 10.0.0.1:80 of 10.0.0.100:80/TCP: broken (retry 1 of 2 follows)"},
		{x.checks[0], bad, "server down: real server 10.0.0.1:80 of 10.0.0.100:80/TCP is down: broken"},
		{second, bad, "check failed: real server 10.0.0.1:80 of 10.0.0.100:80/TCP: broken (retry 2 of 2 follows)"},
		{second, bad, "check failed: real server 10.0.0.1:80 of 10.0.0.100:80/TCP, which is down already: broken"},
		{x.checks[0], good, "check recovered: real server 10.0.0.1:80 of 10.0.0.100:80/TCP, which is down still: fine"},
		{second, checks.RealResult{Local: true, Text: "no descriptors"}, "check failed: the check of real server 10.0.0.1:80 of 10.0.0.100:80/TCP could not be made: no descriptors"},
		{second, checks.RealResult{Local: true, Text: "no descriptors"}, ""}, // told once
		{second, good, "server up: real server 10.0.0.1:80 of 10.0.0.100:80/TCP is up: fine"},
	} {
		if got, _, _ := strings.Cut(hear(step.c, step.r), "\nquorum"); got != step.want {
			t.Errorf("step %d: %s\nwant %s", i, got, step.want)
		}
	}
}

func TestWeights(t *testing.T) {
	v := testService(model.VirtualServer{Quorum: 5}, 1)
	v.quorum = false
	x := v.servers[0]
	x.spec.Weight, x.weight = 3, 3
	one, two := newCheck(&model.RealCheck{Kind: model.CheckerMISC}, 1, true), newCheck(&model.RealCheck{Kind: model.CheckerFILE}, 1, true)
	x.checks = append(x.checks, one, two)
	n := func(i int) *int { return &i }
	for _, step := range []struct {
		c    *check
		w    *int
		want string
	}{
		{one, n(10), "server weight 10, quorum gained 10"}, // in place of the configured 3
		{two, n(4), "server weight 14"},
		{one, nil, ""}, // status 0: as it was
		{two, n(-8), "server weight 2, quorum lost 2"},
		{two, n(-20), "server weight 0"},
		{one, n(253), "server weight 233, quorum gained 233"},
		{two, n(1 << 30), "server weight 65535"},
	} {
		_, events := v.result(x, step.c, checks.RealResult{OK: true, Weight: step.w})
		var list []string
		for _, e := range events {
			list = append(list, fmt.Sprintf("%v %d", e.Kind, e.Weight))
		}
		if got := strings.Join(list, ", "); got != step.want {
			t.Errorf("%v: %s, want %s", step.w, got, step.want)
		}
	}
}

func TestOmega(t *testing.T) {
	v := testService(model.VirtualServer{QuorumDown: &model.Command{}}, 2)
	if got := v.stop(); got != nil {
		t.Errorf("without omega: %+v", got)
	}
	v.spec.Omega = true
	v.hear(1, bad)
	got := v.stop()
	if len(got) != 2 || got[0].Kind != ServerDown || got[0].Real != v.servers[0].spec || !got[0].Stopping || got[0].Notify == nil ||
		got[1].Kind != QuorumLost || !got[1].Stopping || got[1].Notify != v.spec.QuorumDown {
		t.Errorf("%+v", got)
	}
}

func TestNames(t *testing.T) {
	for want, v := range map[string]*model.VirtualServer{
		"10.0.0.1:80/TCP": {Addr: netip.MustParseAddr("10.0.0.1"), Port: 80},
		"[fd00::1]:0/UDP": {Addr: netip.MustParseAddr("fd00::1"), Protocol: "UDP"},
		"fwmark 5":        {FwMark: 5}, "group web/SCTP": {Group: "web", Protocol: "SCTP"},
	} {
		if got := Name(v); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if QuorumLost.String() != "quorum lost" || EventKind(99).String() != "EventKind(99)" {
		t.Error("kinds have other names")
	}
}

func TestSpanning(t *testing.T) {
	for _, x := range []struct{ first, last, want string }{
		{"10.0.0.1", "10.0.0.1", "10.0.0.1/32"}, {"10.0.0.0", "10.0.0.255", "10.0.0.0/24"},
		{"10.0.0.1", "10.0.0.10", "10.0.0.1/32 10.0.0.2/31 10.0.0.4/30 10.0.0.8/31 10.0.0.10/32"},
		{"255.255.255.254", "255.255.255.255", "255.255.255.254/31"}, {"0.0.0.0", "255.255.255.255", "0.0.0.0/0"},
		{"fd00::", "fd00::ffff", "fd00::/112"}, {"10.0.0.2", "10.0.0.1", ""},
	} {
		var list []string
		for _, p := range spanning(netip.MustParseAddr(x.first), netip.MustParseAddr(x.last)) {
			list = append(list, p.String())
		}
		if got := strings.Join(list, " "); got != x.want {
			t.Errorf("%s to %s: %s, want %s", x.first, x.last, got, x.want)
		}
	}
}

func TestCompile(t *testing.T) {
	at := func(line int) model.Pos { return model.Pos{File: "k.conf", Line: line} }
	real := func(line int, addr string, c ...*model.RealCheck) *model.RealServer {
		return &model.RealServer{Pos: at(line), Addr: netip.MustParseAddr(addr), Port: 80, Checkers: c}
	}
	wrong := &model.RealCheck{Pos: at(6), Kind: "X"}
	regex := &model.RealCheck{Pos: at(7), Kind: model.CheckerHTTP, HTTP: &model.HTTPCheckSpec{URLs: []*model.CheckURL{{Pos: at(8), Path: "/", Regex: "("}}}}
	f := &model.Failover{VirtualServers: []*model.VirtualServer{
		{Pos: at(1), FwMark: 1, Real: []*model.RealServer{real(2, "10.0.0.1", wrong), real(3, "10.0.0.1", wrong)}},
		{Pos: at(4), FwMark: 1, Real: []*model.RealServer{real(5, "10.0.0.1", wrong)}},
		{Pos: at(4), FwMark: 1, Family: 6, Real: []*model.RealServer{real(5, "10.0.0.1", regex)}},
	}}
	want := []string{
		"k.conf:6: there is no checker X",
		"k.conf:3: virtual_server fwmark 1 has another real_server 10.0.0.1:80: the first is used",
		"k.conf:4: there is another virtual_server fwmark 1: the first is used",
		"k.conf:8: HTTP_GET: regex \"(\": error parsing regexp: missing closing ): `(`",
	}
	p, ds := Compile(f, nil)
	if p != nil || !slices.Equal(texts(ds), want) {
		t.Errorf("%v\n%s", p, strings.Join(texts(ds), "\n"))
	}
	f.VirtualServers[0].Real[0].Checkers, f.VirtualServers[2].Real[0].Checkers = nil, nil
	p, ds = Compile(f, nil)
	if ds.HasErrors() || p == nil || len(p.services) != 2 || len(p.services[0].servers) != 1 || p.services[1].key != "fwmark 1/IPv6" {
		t.Errorf("%+v\n%s", p, strings.Join(texts(ds), "\n"))
	}
}

func texts(ds model.Diagnostics) (list []string) {
	for _, d := range ds {
		list = append(list, d.String())
	}
	return list
}
