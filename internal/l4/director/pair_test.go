package director

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"evenkeel/internal/alert"
	"evenkeel/internal/l4"
	"evenkeel/internal/l4/fake"
	"evenkeel/internal/l4/flowsync"
	"evenkeel/internal/model"
)

// syncPlane is the fake plane with connections that can be told.
type syncPlane struct {
	fake.Plane
	inserted []l4.Sync
}

func (p *syncPlane) Changed(since uint32, all bool, yield func(l4.Sync) bool) (uint32, error) {
	return 7, nil
}

func (p *syncPlane) Insert(list ...l4.Sync) (int, error) {
	p.inserted = append(p.inserted, list...)
	return len(list), nil
}

func (p *syncPlane) Remembered() (int, error) { return 5, nil }

// script is a teller that writes down what it is told.
type script struct {
	mu       sync.Mutex
	lines    []string
	settings flowsync.Settings
	table    flowsync.Table
	notice   func(bool, string)
}

func (s *script) Active(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if line := fmt.Sprint("active ", on); len(s.lines) == 0 || s.lines[len(s.lines)-1] != line {
		s.lines = append(s.lines, line)
	}
}

func (s *script) Settle(context.Context) { s.say("settled") }

func (s *script) Close() { s.say("closed") }

func (s *script) Rekey(k flowsync.Keys) { s.say(fmt.Sprint("rekey ", k)) }

func (s *script) say(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, line)
}

func (s *script) Status() flowsync.Status {
	return flowsync.Status{Settings: s.settings, Active: true, Told: 400, ToldRate: 12, Lag: 60 * time.Millisecond, Peers: []flowsync.Peer{
		{Address: ip("192.0.2.2"), Flows: 400, Heard: 300 * time.Millisecond, Lost: 1}, {Address: ip("192.0.2.3"), Active: true, Lag: time.Second}}}
}

func (s *script) open(settings flowsync.Settings, t flowsync.Table, notice func(bool, string)) Teller {
	s.settings, s.table, s.notice = settings, t, notice
	with := ""
	if !settings.Keys.None() {
		with = fmt.Sprint(" with ", settings.Keys)
	}
	s.say(fmt.Sprintf("open %s %d%s", settings.Interface, settings.ID, with))
	return s
}

func (s *script) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := strings.Join(s.lines, ", ")
	s.lines = nil
	return text
}

func pairConfig(change func(*model.LVSGlobal)) *model.Config {
	f := &model.Failover{
		VirtualServers: []*model.VirtualServer{{Addr: ip("192.0.2.10"), Port: 80, Method: "NAT", Scheduler: "wlc", Real: []*model.RealServer{{Addr: ip("10.0.0.1"), Port: 80, Weight: 1}}}},
		Instances: []*model.VRRPInstance{{Name: "A", Addresses: []*model.IPAddress{{Prefix: netip.MustParsePrefix("192.0.2.10/24")}}},
			{Name: "B", AddressesExcluded: []*model.IPAddress{{Prefix: netip.MustParsePrefix("192.0.2.11/24")}}}},
		LVS: model.LVSGlobal{SyncInterface: "eth0", SyncID: 51, SyncPort: 8848},
	}
	change(&f.LVS)
	return &model.Config{Failover: f}
}

func pairService(t *testing.T, plane l4.Plane, open func(flowsync.Settings, flowsync.Table, func(bool, string)) Teller) (*Service, *[]string) {
	var told []string
	return New(Options{Sync: open, Post: func(e alert.Event) {
		if e.Kind == "sync" {
			told = append(told, fmt.Sprint(e.Severity, " ", e.Text))
		}
	}, Backends: []Backend{{Name: "fake", Features: plane.Features, Probe: func() []string { return nil }, Open: func(bool) (l4.Plane, error) { return plane, nil }}}}), &told
}

func configure(t *testing.T, s *Service, change func(*model.LVSGlobal)) {
	t.Helper()
	if d := s.Configure(pairConfig(change)); len(d) > 0 {
		t.Fatal(d)
	}
}

// TestPairFollows: who tells follows who has the addresses, and the
// configuration.
func TestPairFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := &script{}
		s, _ := pairService(t, &syncPlane{}, x.open)
		same := func(*model.LVSGlobal) {}
		named := func(l *model.LVSGlobal) { l.SyncInstance = "A" }
		configure(t, s, same)
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			name string
			do   func()
			want string
		}{
			{"at first", func() {}, "open eth0 51, active true"},
			{"it waits for the others", func() { s.Settle(t.Context()) }, "settled"},
			{"nothing changes", func() { configure(t, s, same); s.Apply() }, "active true"},
			{"an instance is named", func() { configure(t, s, named); s.Apply() }, "active false"},
			{"another one is master", func() { s.Masters(map[string]bool{"B": true}) }, ""},
			{"it is master", func() { s.Masters(map[string]bool{"A": true}) }, "active true"},
			{"it has just lost the address", func() { s.Masters(map[string]bool{}) }, "active true"},
			{"some time later", func() { time.Sleep(afterwards + time.Second) }, "active true, active false"},
			{"another ID", func() { configure(t, s, func(l *model.LVSGlobal) { named(l); l.SyncID = 52 }); s.Apply() }, "closed, open eth0 52, active false"},
			{"none", func() { configure(t, s, func(l *model.LVSGlobal) { *l = model.LVSGlobal{} }); s.Apply() }, "closed"},
			{"nobody to wait for", func() { s.Settle(t.Context()) }, ""},
			{"again", func() { configure(t, s, same); s.Apply() }, "open eth0 51, active true"},
		} {
			c.do()
			synctest.Wait()
			if got := x.take(); got != c.want && !(c.want == "" && got == "active false") {
				t.Errorf("%s: %s, want %s", c.name, got, c.want)
			}
		}
		s.Stop()
		if got := x.take(); got != "closed" {
			t.Errorf("at the end: %s", got)
		}
	})
}

// TestPairTells: which connections are told and taken, and what status says.
func TestPairTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, plane := &script{}, &syncPlane{}
		s, told := pairService(t, plane, x.open)
		configure(t, s, func(*model.LVSGlobal) {})
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		defer s.Stop()
		s.Masters(map[string]bool{"A": true})
		synctest.Wait()
		for address, want := range map[string]bool{"192.0.2.10": true, "192.0.2.11": false, "192.0.2.12": true} {
			if x.table.Tell(&l4.Sync{Service: l4.Key{Addr: ip(address)}}) != want {
				t.Errorf("%s: told %v", address, !want)
			}
		}
		if x.table.Flows() != 5 {
			t.Error("the connections are not counted")
		}
		key := l4.Key{Addr: ip("192.0.2.10"), Protocol: l4.TCP, Port: 80}
		server := l4.ServerKey{Addr: ip("10.0.0.1"), Port: 80}
		list := []l4.Sync{{Service: key, Server: server}, {Service: key, Server: server, Template: true}}
		if n, err := x.table.Insert(list); n != 2 || err != nil {
			t.Errorf("took %d, %v", n, err)
		}
		c := pairConfig(func(*model.LVSGlobal) {})
		c.Failover.VirtualServers[0].Real[0] = &model.RealServer{Addr: ip("10.0.0.2"), Port: 80, Weight: 1}
		if d := s.Configure(c); len(d) > 0 {
			t.Fatal(d)
		}
		s.Apply()
		if n, err := x.table.Insert(list); n != 1 || err != nil {
			t.Errorf("of a server that leaves %d were taken, %v", n, err)
		}
		x.notice(true, "bad")
		x.notice(false, "good")
		if !slices.Equal(*told, []string{"warning bad", "notice good"}) {
			t.Errorf("%q", *told)
		}
		client := &Client{Ask: func(line string) (string, error) { return s.Control(line), nil }}
		if list, err := client.Daemons(); err != nil || len(list) != 2 || list[0] != (l4.SyncDaemon{Interface: "eth0", ID: 51, Port: 8848}) || !list[1].Backup {
			t.Errorf("daemons: %+v, %v", list, err)
		}
		text := s.Control("services")
		for _, want := range []string{"pair: eth0, ", " port 8848, id 51: this director tells and listens\n", "told 400 connections, 12/s, lag 60 ms",
			"192.0.2.2 listens, has 400 connections, heard 0.3 s ago, 1 datagrams lost", "192.0.2.3 tells, lag 1000 ms"} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not in\n%s", want, text)
			}
		}
	})
}

// kernelPlane is a plane whose kernel tells by itself.
type kernelPlane struct {
	fake.Plane
	mu      sync.Mutex
	daemons map[bool]l4.SyncDaemon
	log     []string
	broken  error
}

func (p *kernelPlane) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.broken = err
}

func (p *kernelPlane) Daemons() ([]l4.SyncDaemon, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Collect(maps.Values(p.daemons)), nil
}

func (p *kernelPlane) StartDaemon(d l4.SyncDaemon) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken != nil {
		return p.broken
	}
	p.log = append(p.log, fmt.Sprintf("start backup %v %s %d", d.Backup, d.Interface, d.ID))
	d.MaxLen, d.TTL = 1472, 1 // the kernel's defaults
	p.daemons[d.Backup] = d
	return nil
}

func (p *kernelPlane) StopDaemon(backup bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log = append(p.log, fmt.Sprint("stop backup ", backup))
	delete(p.daemons, backup)
	return nil
}

// TestPairKernel: the kernel's daemons are started as keepalived does.
func TestPairKernel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &kernelPlane{daemons: map[bool]l4.SyncDaemon{}}
		s, told := pairService(t, p, nil)
		named := func(l *model.LVSGlobal) { l.SyncInstance = "A" }
		configure(t, s, named)
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			name string
			do   func()
			want string
		}{
			{"a backup", func() {}, "start backup true eth0 51"},
			{"nothing changes", func() { s.Apply() }, ""},
			{"a master", func() { s.Masters(map[string]bool{"A": true}) }, "start backup false eth0 51, stop backup true"},
			{"a backup again", func() { s.Masters(map[string]bool{}) }, "stop backup false, start backup true eth0 51"},
			{"without an instance", func() { configure(t, s, func(*model.LVSGlobal) {}); s.Apply() }, "start backup false eth0 51"},
			{"another ID, and no interface", func() {
				p.fail(errors.New("no such device"))
				configure(t, s, func(l *model.LVSGlobal) { l.SyncID = 9 })
				s.Apply()
			}, "stop backup false"},
			{"the interface comes", func() { p.fail(nil); time.Sleep(2 * time.Second) }, "start backup false eth0 9, stop backup true, start backup true eth0 9"},
			{"none", func() { configure(t, s, func(l *model.LVSGlobal) { *l = model.LVSGlobal{} }); s.Apply() }, "stop backup false, stop backup true"},
		} {
			c.do()
			synctest.Wait()
			p.mu.Lock()
			got := strings.Join(p.log, ", ")
			p.log = nil
			p.mu.Unlock()
			if got != c.want {
				t.Errorf("%s: %s, want %s", c.name, got, c.want)
			}
		}
		if !slices.Equal(*told, []string{"warning connections are not told to other directors, it is tried again: no such device", "notice connections are told to other directors again"}) {
			t.Errorf("%q", *told)
		}
		configure(t, s, func(*model.LVSGlobal) {})
		s.Apply()
		synctest.Wait()
		if text := s.Control("services"); !strings.Contains(text, "pair: by the kernel on eth0, id 51: this director tells and listens") {
			t.Error(text)
		}
		s.Stop()
		if len(p.daemons) != 0 {
			t.Errorf("left: %v", p.daemons)
		}
	})
}
