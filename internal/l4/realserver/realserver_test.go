package realserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"evenkeel/internal/l4"
	"evenkeel/internal/l4/xdp"
)

var (
	vip4 = netip.MustParseAddr("10.8.0.100")
	vip6 = netip.MustParseAddr("2001:db8:8::100")
)

// recorder is an Unwrapper that does nothing.
type recorder struct {
	name  string
	lacks error
	fails error
	vips  []netip.Addr
	calls []string
}

func (r *recorder) Name() string                 { return r.name }
func (r *recorder) Available([]netip.Addr) error { return r.lacks }
func (r *recorder) Works(vips []netip.Addr) error {
	if !slices.Equal(vips, r.vips) {
		return errors.New("not attached")
	}
	return nil
}
func (r *recorder) Up(vips []netip.Addr) (bool, error) {
	r.calls, r.vips = append(r.calls, "up "+join(vips)), vips
	return r.fails == nil, r.fails
}
func (r *recorder) Down() error {
	r.calls, r.vips = append(r.calls, "down"), nil
	return nil
}

func options(t *testing.T) Options {
	dir := t.TempDir()
	return Options{Systemd: dir, State: filepath.Join(dir, "state/realserver.json"), Units: filepath.Join(dir, "units"), BootID: "first", Program: "/usr/bin/evenkeel"}
}

// host does something with a Host on a host.
func (s *segment) host(name string, o Options, do func(h *Host) error) {
	s.t.Helper()
	s.in(name, func() error {
		h, err := Open(o)
		if err != nil {
			return err
		}
		defer h.Close()
		return do(h)
	})
}

func (s *segment) up(name string, o Options, w Wanted) (done []string) {
	s.t.Helper()
	s.host(name, o, func(h *Host) (err error) {
		done, err = h.Up(w)
		return err
	})
	return done
}

func (s *segment) down(name string, o Options) (done []string) {
	s.t.Helper()
	s.host(name, o, func(h *Host) (err error) {
		done, err = h.Down(false)
		return err
	})
	return done
}

// Down brings back what was before Up, also when something had been there.
func TestUpAndDown(t *testing.T) {
	s := newSegment(t, "s")
	o := options(t)
	unwrap := &recorder{name: "test"}
	o.Tunnels = []Unwrapper{&recorder{name: "absent", lacks: errors.New("no module")}, unwrap}
	s.ip("s", "addr add 10.8.0.99/32 dev lo")
	s.in("s", func() error { return os.WriteFile("/proc/sys/net/ipv4/conf/all/arp_announce", []byte("2"), 0) })
	before := s.look("s")

	w := Wanted{VIPs: []netip.Addr{vip4, vip6, netip.MustParseAddr("10.8.0.99")}, Tunnel: true, Persist: true}
	done := s.up("s", o, w)
	want := []string{"10.8.0.100 is on lo", "2001:db8:8::100 is on lo", "net.ipv4.conf.all.arp_ignore is 1 (was 0)", "net.ipv4.conf.lo.arp_ignore is 1 (was 0)",
		"net.ipv4.conf.lo.arp_announce is 2 (was 0)", "tunnelled packets to 10.8.0.100, 2001:db8:8::100, 10.8.0.99 are unwrapped (test)", "evenkeel-realserver.service does this after a reboot"}
	if !slices.Equal(done, want) {
		t.Errorf("done %q, want %q", done, want)
	}
	during := s.look("s")
	for _, piece := range []string{"inet 10.8.0.100/32 scope host lo", "inet6 2001:db8:8::100/128 scope global nodad deprecated", "all/arp_ignore 1", "lo/arp_ignore 1", "all/arp_announce 2", "lo/arp_announce 2"} {
		if !strings.Contains(during, piece) {
			t.Errorf("no %q in\n%s", piece, during)
		}
	}
	if done := s.up("s", o, w); len(done) != 1 || !strings.Contains(done[0], "unwrapped") || s.look("s") != during {
		t.Errorf("the second time: %q\n%s", done, s.look("s"))
	}

	// Fewer addresses: what is not asked for any more goes.
	s.up("s", o, Wanted{VIPs: []netip.Addr{vip4}})
	if now := s.look("s"); strings.Contains(now, "2001:db8:8::100") || !strings.Contains(now, "10.8.0.100/32") || !strings.Contains(now, "10.8.0.99/32") {
		t.Errorf("with one address:\n%s", now)
	}

	s.down("s", o)
	if after := s.look("s"); after != before {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
	if got := strings.Join(unwrap.calls, "; "); !strings.HasSuffix(got, "; down") || strings.Count(got, "down") != 1 {
		t.Errorf("tunnel: %s", got)
	}
	left, _ := filepath.Glob(filepath.Join(o.Units, "*", "*"))
	more, _ := filepath.Glob(filepath.Join(o.Units, "*.service"))
	if left = append(left, more...); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	if _, err := os.Stat(o.State); !os.IsNotExist(err) {
		t.Errorf("the state is left: %v", err)
	}
	if done := s.down("s", o); len(done) != 0 {
		t.Errorf("down again: %q", done)
	}
}

// Whatever stops Up in the middle, Down knows what was done until then.
func TestUpThatFails(t *testing.T) {
	s := newSegment(t, "s")
	o := options(t)
	broken := &recorder{name: "broken", fails: errors.New("no memory")}
	o.Tunnels = []Unwrapper{broken}
	before := s.look("s")
	s.host("s", o, func(h *Host) error {
		if _, err := h.Up(Wanted{VIPs: []netip.Addr{vip4, vip6}, Tunnel: true, Persist: true}); err == nil || !strings.Contains(err.Error(), "broken: no memory") {
			t.Errorf("error %v", err)
		}
		return nil
	})
	if s.look("s") == before {
		t.Error("nothing was done before the failure")
	}
	s.down("s", o)
	if after := s.look("s"); after != before || !slices.Equal(broken.calls, []string{"up 10.8.0.100, 2001:db8:8::100", "down"}) {
		t.Errorf("calls %q, before\n%s\nafter\n%s", broken.calls, before, after)
	}
}

// After a reboot nothing is undone that the reboot has undone already: the
// address may be somebody else's by now.
func TestReboot(t *testing.T) {
	s := newSegment(t, "s")
	o := options(t)
	s.up("s", o, Wanted{VIPs: []netip.Addr{vip4}, Persist: true})
	o.BootID = "second"
	before := s.look("s") // as if others had done it
	s.host("s", o, func(h *Host) error { _, err := h.Down(true); return err })
	if after := s.look("s"); after != before {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
	if _, err := os.Stat(filepath.Join(o.Units, "multi-user.target.wants", unitName)); err != nil {
		t.Errorf("the unit: %v", err)
	}
	s.down("s", o)
	if _, err := os.Stat(filepath.Join(o.Units, unitName)); !os.IsNotExist(err) {
		t.Errorf("the unit is left: %v", err)
	}
}

// A setting that somebody has changed since is theirs.
func TestChangedSince(t *testing.T) {
	s := newSegment(t, "s")
	o := options(t)
	s.up("s", o, Wanted{VIPs: []netip.Addr{vip4}})
	s.in("s", func() error { return os.WriteFile("/proc/sys/net/ipv4/conf/all/arp_ignore", []byte("2"), 0) })
	s.ip("s", "addr del 10.8.0.100/32 dev lo")
	s.down("s", o)
	if now := s.look("s"); !strings.Contains(now, "all/arp_ignore 2") || !strings.Contains(now, "lo/arp_ignore 0") {
		t.Errorf("after down:\n%s", now)
	}
}

func TestRefusals(t *testing.T) {
	s := newSegment(t, "s")
	o := options(t)
	o.Tunnels = []Unwrapper{&recorder{name: "a", lacks: errors.New("no module")}}
	for _, w := range []Wanted{{}, {VIPs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}, {VIPs: []netip.Addr{netip.MustParseAddr("fe80::1")}},
		{VIPs: []netip.Addr{vip4}, Tunnel: true}} {
		before := s.look("s")
		s.host("s", o, func(h *Host) error {
			if _, err := h.Up(w); err == nil {
				t.Errorf("%+v was done", w)
			}
			return nil
		})
		if after := s.look("s"); after != before {
			t.Errorf("%+v changed\n%s\nto\n%s", w, before, after)
		}
	}
}

// Who names this host's own address, or has put the virtual one where neighbours
// ask for it, is told so before anything is done.
func TestOwnAddress(t *testing.T) {
	s := newSegment(t, "s")
	o := options(t)
	before := s.look("s")
	s.host("s", o, func(h *Host) error {
		_, err := h.Up(Wanted{VIPs: []netip.Addr{vip4, netip.MustParseAddr("10.8.0.1")}})
		if err == nil || !strings.Contains(err.Error(), "10.8.0.1 is on eth0, where this host answers for it") || !strings.Contains(err.Error(), "ip address del 10.8.0.1/24 dev eth0") {
			t.Errorf("its own address: %v", err)
		}
		return nil
	})
	if after := s.look("s"); after != before {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
	// After a reboot the unit is not stopped by what somebody did meanwhile.
	s.up("s", o, Wanted{VIPs: []netip.Addr{vip4}, Persist: true})
	s.ip("s", "addr add 10.8.0.100/24 dev eth0")
	o.BootID = "second"
	s.up("s", o, Wanted{VIPs: []netip.Addr{vip4}})
	s.down("s", o)
}

// An address on a device that has no neighbours is as good as on lo.
func TestQuietDevice(t *testing.T) {
	s := newSegment(t, "s")
	o := options(t)
	s.ip("s", "link add vip0 type veth peer name vip1") // not every kernel has dummies
	s.ip("s", "link set vip0 up arp off")
	s.ip("s", "addr add 10.8.0.100/32 dev vip0")
	w := Wanted{VIPs: []netip.Addr{vip4}}
	for _, line := range s.up("s", o, w) {
		if strings.Contains(line, "on lo") {
			t.Errorf("done: %s", line)
		}
	}
	s.host("s", o, func(h *Host) error {
		list, err := h.Check(w)
		if text := texts(list); strings.Contains(text, "MISSING") || !strings.Contains(text, "ok      10.8.0.100 is on vip0, which has no neighbours") {
			t.Errorf("check:\n%s", text)
		}
		return err
	})
	s.down("s", o)
}

// Where systemd does not run, nobody is promised that its unit does.
func TestNoSystemd(t *testing.T) {
	s := newSegment(t, "s")
	o := options(t)
	o.Systemd = filepath.Join(o.Systemd, "absent")
	done := s.up("s", o, Wanted{VIPs: []netip.Addr{vip4}, Persist: true})
	if text := strings.Join(done, "\n"); !strings.Contains(text, "systemd does not run here") || strings.Contains(text, "does this after") {
		t.Errorf("done:\n%s", text)
	}
	s.host("s", o, func(h *Host) error {
		list, err := h.Check(Wanted{})
		if text := texts(list); !strings.Contains(text, "note    systemd does not run here") || strings.Contains(text, "MISSING") {
			t.Errorf("check:\n%s", text)
		}
		return err
	})
	s.down("s", o)
}

func TestUnit(t *testing.T) {
	for tunnel, want := range map[bool]string{false: `[Unit]
Description=virtual addresses of this real server (evenkeel)
After=network-pre.target systemd-sysctl.service
Before=network-online.target nginx.service apache2.service httpd.service haproxy.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart="/usr/bin/evenkeel" realserver up 10.8.0.100 2001:db8:8::100
ExecStop="/usr/bin/evenkeel" realserver down -keep-unit

[Install]
WantedBy=multi-user.target
`, true: `[Unit]
Description=virtual addresses of this real server (evenkeel)
After=network-online.target systemd-sysctl.service
Wants=network-online.target
Before=nginx.service apache2.service httpd.service haproxy.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart="/usr/bin/evenkeel" realserver up -tunnel 10.8.0.100 2001:db8:8::100
ExecStop="/usr/bin/evenkeel" realserver down -keep-unit

[Install]
WantedBy=multi-user.target
`} {
		if got := Unit("/usr/bin/evenkeel", Wanted{VIPs: []netip.Addr{vip4, vip6}, Tunnel: tunnel, Persist: true}); got != want {
			t.Errorf("got\n%s", got)
		}
	}
}

func texts(list []Finding) string {
	var b strings.Builder
	for _, f := range list {
		fmt.Fprintln(&b, f)
	}
	return b.String()
}

func TestCheck(t *testing.T) {
	s := newSegment(t, "s")
	o := options(t)
	unwrap := &recorder{name: "test"}
	o.Tunnels = []Unwrapper{unwrap}
	w := Wanted{VIPs: []netip.Addr{vip4, vip6}, Tunnel: true}
	ask := func(w Wanted) (text string) {
		s.host("s", o, func(h *Host) error {
			list, err := h.Check(w)
			text = texts(list)
			return err
		})
		return text
	}
	has := func(text string, pieces ...string) {
		t.Helper()
		for _, p := range pieces {
			if !strings.Contains(text, p) {
				t.Errorf("no %q in\n%s", p, text)
			}
		}
	}
	before := s.look("s")
	has(ask(w), "MISSING 10.8.0.100 is not on lo: this host drops packets to it\n        evenkeel realserver up 10.8.0.100\n", "MISSING 2001:db8:8::100 is not on lo",
		"MISSING arp_ignore is 0 on eth0: this host answers ARP for the virtual address", "sysctl -w net.ipv4.conf.all.arp_ignore=1", "MISSING arp_announce is 0 on eth0",
		"MISSING tunnelled packets are not unwrapped; test: not attached", "note    no unit puts 10.8.0.100 up after a reboot", "evenkeel realserver up -tunnel 10.8.0.100 2001:db8:8::100 -persist")
	if s.look("s") != before {
		t.Error("check changed something")
	}
	w.Persist = true
	s.up("s", o, w)
	if text := ask(Wanted{}); strings.Contains(text, "MISSING") || strings.Contains(text, "note") {
		t.Errorf("after up:\n%s", text)
	} else {
		has(text, "ok      10.8.0.100 is on lo", "ok      arp_ignore", "ok      tunnelled packets are unwrapped (test)")
	}
	s.ip("s", "addr add 10.8.0.100/24 dev eth0")
	s.ip("s", "addr add 10.8.0.101/24 dev lo")
	has(ask(Wanted{VIPs: []netip.Addr{vip4, netip.MustParseAddr("10.8.0.101")}}), "MISSING 10.8.0.100 is on eth0, where this host answers for it", "ip address del 10.8.0.100/24 dev eth0",
		"MISSING 10.8.0.101 is on lo with a prefix of /24")
	s.down("s", o)
}

// A director hears who answers for the virtual address, and nobody once the
// real server is up.
func TestAsk(t *testing.T) {
	s := newSegment(t, "d", "s")
	ask := func() (list []Answer) {
		s.in("d", func() (err error) {
			list, err = Ask("eth0", []netip.Addr{vip4, vip6}, 600*time.Millisecond)
			return err
		})
		return list
	}
	_ = s.try("d", func() error { // refused, and so a neighbour
		_, err := net.DialTimeout("tcp", "10.8.0.2:1", 2*time.Second)
		return err
	})
	s.ip("s", "addr add 10.8.0.100/32 dev lo")
	list := ask()
	if len(list) != 1 || list[0].VIP != vip4 || !slices.Contains(list[0].Known, netip.MustParseAddr("10.8.0.2")) || list[0].Device != "eth0" {
		t.Fatalf("with the address alone: %v", list)
	}
	if text := list[0].String(); !strings.HasPrefix(text, "10.8.0.2 (") || !strings.Contains(text, "answers for 10.8.0.100 on eth0") {
		t.Error(text)
	}
	s.up("s", options(t), Wanted{VIPs: []netip.Addr{vip4, vip6}})
	if list := ask(); len(list) != 0 {
		t.Errorf("after up: %v", list)
	}
	s.ip("s", "addr add 2001:db8:8::100/128 dev eth0 nodad")
	if list := ask(); len(list) != 1 || list[0].VIP != vip6 {
		t.Errorf("with the IPv6 address on eth0: %v", list)
	}
}

// unwrapper is our program, without a file system that keeps it.
type unwrapper struct{ d *xdp.Decapsulator }

func (*unwrapper) Name() string                 { return "eBPF" }
func (*unwrapper) Available([]netip.Addr) error { return nil }
func (*unwrapper) Works([]netip.Addr) error     { return nil }
func (u *unwrapper) Down() error                { return u.d.Close() }
func (u *unwrapper) Up(vips []netip.Addr) (bool, error) {
	var err error
	if u.d, err = xdp.OpenDecapsulator(xdp.DecapOptions{}); err != nil {
		return false, err
	}
	return true, u.d.Set(vips...)
}

// Through a director that forwards by DR and TUN, clients reach a server after
// up and none after down.
func TestTraffic(t *testing.T) {
	for _, method := range []l4.Method{l4.DR, l4.TUN} {
		t.Run(method.String(), func(t *testing.T) {
			s := newSegment(t, "c", "d", "s")
			s.ip("d", "addr add 10.8.0.100/24 dev eth0")
			s.ip("d", "addr add 2001:db8:8::100/64 dev eth0 nodad")
			if method == l4.TUN {
				// Room for the outer header.
				s.ip("s", "route replace 10.8.0.0/24 dev eth0 advmss 1300")
			}
			s.serve("s")
			var p *xdp.Plane
			s.in("d", func() (err error) {
				p, err = xdp.Open(xdp.Options{MaxFlows: 1024})
				return err
			})
			defer p.Close()
			var c l4.Config
			for i, vip := range []netip.Addr{vip4, vip6} {
				server := netip.MustParseAddr([]string{"10.8.0.3", "2001:db8:8::3"}[i])
				c.Services = append(c.Services, l4.Service{Key: l4.Key{Addr: vip, Protocol: l4.TCP, Port: 80}, Scheduler: "rr",
					Servers: []l4.Server{{Addr: server, Weight: 1, Method: method}}})
			}
			s.in("d", func() error { return p.Set(c) })

			o := options(t)
			o.Tunnels = []Unwrapper{&unwrapper{}}
			for _, vip := range []netip.Addr{vip4, vip6} {
				if got, err := s.get("c", vip, 500*time.Millisecond); err == nil {
					t.Errorf("%v before up: %q", vip, got)
				}
			}
			s.up("s", o, Wanted{VIPs: []netip.Addr{vip4, vip6}, Tunnel: method == l4.TUN})
			for _, vip := range []netip.Addr{vip4, vip6} {
				if got, err := s.get("c", vip, 30*time.Second); err != nil || got != "hello from "+vip.String() {
					t.Errorf("%v after up: %q %v", vip, got, err)
				}
			}
			s.down("s", o)
			for _, vip := range []netip.Addr{vip4, vip6} {
				if got, err := s.get("c", vip, 500*time.Millisecond); err == nil {
					t.Errorf("%v after down: %q", vip, got)
				}
			}
		})
	}
}

// serve answers connections to port 80 with the address that was asked for.
func (s *segment) serve(host string) {
	s.t.Helper()
	s.in(host, func() error {
		l, err := net.Listen("tcp", "[::]:80")
		if err != nil {
			return err
		}
		s.t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				to, _ := netip.ParseAddrPort(c.LocalAddr().String())
				_, _ = io.WriteString(c, "hello from "+to.Addr().Unmap().String())
				c.Close()
			}
		}()
		return nil
	})
}

// get asks until there is an answer, or the time is over.
func (s *segment) get(host string, vip netip.Addr, wait time.Duration) (text string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	err = s.try(host, func() error {
		for {
			// One socket in the thread's namespace at a time.
			d := net.Dialer{Timeout: time.Second, FallbackDelay: -1}
			c, err := d.DialContext(ctx, "tcp", netip.AddrPortFrom(vip, 80).String())
			if err == nil {
				b, err := io.ReadAll(c)
				c.Close()
				text = string(b)
				return err
			}
			if ctx.Err() != nil {
				return err
			}
		}
	})
	return text, err
}
