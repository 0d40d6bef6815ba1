package director_test

import (
	"errors"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"evenkeel/internal/l4"
	"evenkeel/internal/l4/director"
)

// TestClient carries every change over the line that ipvsadm uses.
func TestClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.begin()
		if d := b.configure("global_defs {\n router_id x\n}\n"); d.HasErrors() {
			t.Fatal(d)
		}
		c := &director.Client{Ask: func(line string) (string, error) { return b.service.Control(line), nil }}
		if err := c.AddService(l4.Service{}); err == nil || err.Error() != "the process does not forward packets" {
			t.Errorf("before the start: %v", err)
		}
		if err := b.service.Start(); err != nil {
			t.Fatal(err)
		}
		defer b.service.Stop()
		web := l4.Key{Addr: netip.MustParseAddr("192.0.2.10"), Protocol: l4.TCP, Port: 80}
		marked := l4.Key{FwMark: 7, Family: l4.IPv6}
		server := l4.Server{Addr: netip.MustParseAddr("10.0.0.1"), Port: 8080, Weight: 3, Upper: 9, Lower: 2}
		for _, x := range []struct {
			what string
			err  error
			want syscall.Errno
		}{
			{"-A", c.AddService(l4.Service{Key: web, Scheduler: "sh", Flags: l4.HashPort, Persistence: time.Minute, PersistenceMask: 24}), 0},
			{"-A again", c.AddService(l4.Service{Key: web}), syscall.EEXIST},
			{"-A of a mark", c.AddService(l4.Service{Key: marked}), 0},
			{"-E", c.EditService(l4.Service{Key: marked, Scheduler: "rr"}), 0},
			{"-E of nothing", c.EditService(l4.Service{Key: l4.Key{FwMark: 9}}), syscall.ESRCH},
			{"-a", c.AddServer(web, server), 0},
			{"-a again", c.AddServer(web, server), syscall.EEXIST},
			{"-a to nothing", c.AddServer(l4.Key{FwMark: 9}, server), syscall.ESRCH},
			{"-e of nothing", c.EditServer(web, l4.Server{Addr: server.Addr, Port: 1}), syscall.ENOENT},
			{"-d of nothing", c.DeleteServer(web, l4.ServerKey{Addr: server.Addr, Port: 1}), syscall.ENOENT},
			{"-D of nothing", c.DeleteService(l4.Key{FwMark: 9}), syscall.ESRCH},
			{"-Z", c.Zero(), 0},
			{"-Z of one", c.Zero(web), 0},
			{"-Z of nothing", c.Zero(l4.Key{FwMark: 9}), syscall.ESRCH},
			{"--set", c.SetTimeouts(l4.Timeouts{UDP: time.Minute}), 0},
			{"--stop-daemon", c.StopDaemon(false), syscall.ESRCH},
		} {
			if x.want == 0 && x.err != nil || x.want != 0 && !errors.Is(x.err, x.want) {
				t.Errorf("%s: %v, want %v", x.what, x.err, x.want)
			}
		}
		if b.plane.zeroed != 2 {
			t.Errorf("counters were set back %d times", b.plane.zeroed)
		}
		list, err := c.Services()
		if err != nil || len(list) != 2 || list[0].Key != web || list[0].Scheduler != "sh" || list[0].Flags != l4.HashPort || list[0].Persistence != time.Minute ||
			len(list[0].Servers) != 1 || list[0].Servers[0].Server != server || list[1].Key != marked || list[1].Scheduler != "rr" {
			t.Errorf("services: %+v, %v", list, err)
		}
		if timeouts, err := c.Timeouts(); err != nil || timeouts != (l4.Timeouts{TCP: l4.DefaultTimeoutTCP, TCPFin: l4.DefaultTimeoutTCPFin, UDP: time.Minute}) {
			t.Errorf("timeouts: %v, %v", timeouts, err)
		}
		if name, err := c.Backend(); name != "fake" || err != nil {
			t.Errorf("backend %q, %v", name, err)
		}
		var flows []l4.Flow
		if err := c.Flows(func(f l4.Flow) bool { flows = append(flows, f); return len(flows) < 2 }); err != nil || !slices.Equal(flows, b.plane.flows[:2]) {
			t.Errorf("flows: %v, %v", flows, err)
		}
		server.Weight = 0
		if err := errors.Join(c.EditServer(web, server), c.DeleteService(marked)); err != nil {
			t.Error(err)
		}
		if list, _ := c.Services(); len(list) != 1 || list[0].Servers[0].Weight != 0 {
			t.Errorf("services: %+v", list)
		}
		if err := errors.Join(c.DeleteServer(web, server.Key()), c.Flush()); err != nil {
			t.Error(err)
		}
		if list, _ := c.Services(); len(list) != 0 {
			t.Errorf("services: %+v", list)
		}
	})
}

// TestClientTrouble: what is no answer is said, not taken for an empty one.
func TestClientTrouble(t *testing.T) {
	for _, answer := range []string{"", "unknown command", `{"Error":"the map is gone"}`} {
		c := &director.Client{Ask: func(string) (string, error) { return answer, nil }}
		if list, err := c.Services(); err == nil {
			t.Errorf("%q: %v", answer, list)
		}
		if err := c.Flows(func(l4.Flow) bool { return true }); err == nil {
			t.Errorf("%q: no error of flows", answer)
		}
		if err := c.Flush(); err == nil {
			t.Errorf("%q: no error of -C", answer)
		}
	}
	c := &director.Client{Ask: func(string) (string, error) { return "{}", syscall.ECONNREFUSED }}
	if err := c.Flush(); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Error(err)
	}
}

// TestRetireAtOnce: what was changed a moment before the end is not lost,
// whether the loop came to it or not.
func TestRetireAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		start := func() *director.Client {
			b.begin()
			if d := b.configure("global_defs {\n router_id x\n}\n"); d.HasErrors() {
				t.Fatal(d)
			}
			if err := b.service.Start(); err != nil {
				t.Fatal(err)
			}
			return &director.Client{Ask: func(line string) (string, error) { return b.service.Control(line), nil }}
		}
		const rounds = 16 // each mark is a coin tossed
		for mark := range uint32(rounds) {
			if err := start().AddService(l4.Service{Key: l4.Key{FwMark: mark + 1}}); err != nil {
				t.Fatal(err)
			}
			b.service.Retire()
		}
		list, err := start().Services()
		if err != nil || len(list) != rounds {
			t.Errorf("%d of %d services are left, %v", len(list), rounds, err)
		}
		b.service.Stop()
	})
}
