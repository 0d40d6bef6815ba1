package ipvs

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"evenkeel/internal/l4"
)

var (
	vip  = netip.MustParseAddr("192.0.2.1")
	vip6 = netip.MustParseAddr("2001:db8::1")
)

func tcp(port uint16, servers ...l4.Server) l4.Service {
	return l4.Service{Key: l4.Key{Addr: vip, Protocol: l4.TCP, Port: port}, Scheduler: "rr", Servers: servers}
}

func nat(addr string, weight int) l4.Server {
	to := netip.MustParseAddrPort(addr)
	return l4.Server{Addr: to.Addr(), Port: to.Port(), Weight: weight, Method: l4.NAT}
}

func testPlane(t *testing.T, o Options) (*Plane, *kernel) {
	t.Helper()
	k := newKernel()
	o.Proc = t.TempDir()
	dir := filepath.Join(o.Proc, "net/ipv4/vs")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"expire_nodest_conn", "expire_quiescent_template", "sloppy_tcp"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("0\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return newPlane(&Client{to: k}, o), k
}

func set(t *testing.T, p *Plane, k *kernel, c l4.Config, want ...string) {
	t.Helper()
	k.changes = nil
	if err := p.Set(c); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(k.changes, want) {
		t.Fatalf("changes:\n  %s\nwant\n  %s", strings.Join(k.changes, "\n  "), strings.Join(want, "\n  "))
	}
}

// Each Set does what is different and nothing else.
func TestSetIsADifference(t *testing.T) {
	p, k := testPlane(t, Options{})
	a, b := nat("10.0.0.1:8080", 1), nat("10.0.0.2:8080", 2)
	web, tls := tcp(80, a, b), tcp(443, nat("10.0.0.1:443", 1))
	set(t, p, k, l4.Config{Services: []l4.Service{web, tls}},
		"add TCP 192.0.2.1:80 rr", "add TCP 192.0.2.1:80: 10.0.0.1:8080 NAT weight 1", "add TCP 192.0.2.1:80: 10.0.0.2:8080 NAT weight 2",
		"add TCP 192.0.2.1:443 rr", "add TCP 192.0.2.1:443: 10.0.0.1:443 NAT weight 1")
	set(t, p, k, l4.Config{Services: []l4.Service{web, tls}})

	b.Weight = 0
	set(t, p, k, l4.Config{Services: []l4.Service{tcp(80, a, b), tls}}, "edit TCP 192.0.2.1:80: 10.0.0.2:8080 NAT weight 0")

	// All servers replaced: the new one is there before the old ones go.
	c := nat("10.0.0.3:8080", 1)
	set(t, p, k, l4.Config{Services: []l4.Service{tcp(80, c), tls}},
		"add TCP 192.0.2.1:80: 10.0.0.3:8080 NAT weight 1", "delete TCP 192.0.2.1:80: 10.0.0.2:8080", "delete TCP 192.0.2.1:80: 10.0.0.1:8080")

	wlc := tcp(80, c)
	wlc.Scheduler = ""
	set(t, p, k, l4.Config{Services: []l4.Service{wlc}, Timeouts: l4.Timeouts{TCP: 100 * time.Second}},
		"timeouts 1m40s 2m0s 5m0s", "delete TCP 192.0.2.1:443", "edit TCP 192.0.2.1:80 wlc")
	set(t, p, k, l4.Config{}, "timeouts 15m0s 2m0s 5m0s", "delete TCP 192.0.2.1:80")
}

// Every property of services and servers survives the way to the kernel and
// back, so that nothing is changed twice.
func TestSetTwice(t *testing.T) {
	p, k := testPlane(t, Options{})
	tun := func(addr string, tunnel l4.Tunnel) l4.Server {
		return l4.Server{Addr: netip.MustParseAddr(addr), Weight: 1, Method: l4.TUN, Tunnel: tunnel}
	}
	services := []l4.Service{
		{Key: l4.Key{Addr: vip, Protocol: l4.UDP, Port: 53}, Scheduler: "sh", Flags: l4.HashPort | l4.HashFallback, OnePacket: true,
			Servers: []l4.Server{{Addr: netip.MustParseAddr("10.0.0.1"), Weight: 65535, Method: l4.DR, Upper: 100, Lower: 7}}},
		{Key: l4.Key{Addr: vip, Protocol: l4.TCP}, Persistence: 1500 * time.Millisecond, PersistenceMask: 24,
			Servers: []l4.Server{tun("10.0.0.1", l4.Tunnel{}), tun("2001:db8::11", l4.Tunnel{}), tun("10.0.0.3", l4.Tunnel{Type: l4.GRE, Checksum: l4.TunnelWithChecksum})}},
		{Key: l4.Key{Addr: vip6, Protocol: l4.SCTP, Port: 9}, Persistence: time.Minute, PersistenceMask: 64, PersistenceName: "sip",
			Servers: []l4.Server{tun("10.0.0.1", l4.Tunnel{Type: l4.GUE, Port: 6080, Checksum: l4.TunnelRemoteChecksum})}},
		{Key: l4.Key{FwMark: 3}, PersistenceMask: 32, Servers: []l4.Server{{Addr: netip.MustParseAddr("10.0.0.9"), Method: l4.Local, Weight: 1}}},
		{Key: l4.Key{FwMark: 4000000000, Family: l4.IPv6}, PersistenceMask: 128,
			Servers: []l4.Server{{Addr: vip6, Port: 1, Weight: 1, Tunnel: l4.Tunnel{Port: 5}}}},
	}
	if err := p.Set(l4.Config{Services: services}); err != nil {
		t.Fatal(err)
	}
	set(t, p, k, l4.Config{Services: services})
	s, err := p.Stats()
	if err != nil {
		t.Fatal(err)
	}
	for i, got := range s.Services {
		want := services[i]
		servers := want.Servers
		want.Servers = nil
		if !reflect.DeepEqual(got.Service, want) || len(got.Servers) != len(servers) {
			t.Errorf("stats of %+v are of %+v", want, got.Service)
		}
		for j := range got.Servers {
			if got.Servers[j].Server != servers[j] {
				t.Errorf("server %+v became %+v", servers[j], got.Servers[j].Server)
			}
		}
	}
}

// What others have put into the table is theirs, unless the configuration has
// it too or Flush is set.
func TestForeignServices(t *testing.T) {
	foreign := l4.ServiceStats{Service: tcp(25)}
	taken := l4.ServiceStats{Service: tcp(80), Servers: []l4.ServerStats{{Server: nat("10.0.0.1:80", 1)}}}
	want := l4.Config{Services: []l4.Service{tcp(80, nat("10.0.0.1:80", 1))}}

	p, k := testPlane(t, Options{})
	k.services = []l4.ServiceStats{foreign, taken}
	set(t, p, k, want)
	set(t, p, k, l4.Config{}, "delete TCP 192.0.2.1:80")

	p, k = testPlane(t, Options{Flush: true, Clear: true})
	k.services = []l4.ServiceStats{foreign, taken}
	set(t, p, k, want, "delete TCP 192.0.2.1:25")
	k.services = append(k.services, foreign) // by hand, later
	set(t, p, k, want)
	k.changes = nil
	if err := p.Close(); err != nil || !k.closed || !slices.Equal(k.changes, []string{"delete TCP 192.0.2.1:80"}) {
		t.Errorf("Close: %v, changes %q", err, k.changes)
	}
}

func TestSetRefusesWhole(t *testing.T) {
	p, k := testPlane(t, Options{})
	ranged := tcp(80)
	ranged.PortLast = 90
	twice := tcp(80, nat("10.0.0.1:80", 1), nat("10.0.0.1:0", 1))
	for name, s := range map[string]l4.Service{"port ranges": ranged, "there twice": twice, "does not have it": tcp(80, l4.Server{Addr: vip, Method: l4.FULLNAT})} {
		err := p.Set(l4.Config{Services: []l4.Service{tcp(443), s}})
		if err == nil || !strings.Contains(err.Error(), name) || len(k.changes) > 0 {
			t.Errorf("%s: %v, changes %q", name, err, k.changes)
		}
	}
}

// After a failure the next Set does what is left, and removes what was made.
func TestSetAfterFailure(t *testing.T) {
	p, k := testPlane(t, Options{})
	k.fail[cmdNewServer] = syscall.ENOMEM
	if err := p.Set(l4.Config{Services: []l4.Service{tcp(80, nat("10.0.0.1:80", 1))}}); !errors.Is(err, syscall.ENOMEM) {
		t.Fatalf("error %v", err)
	}
	delete(k.fail, cmdNewServer)
	set(t, p, k, l4.Config{}, "delete TCP 192.0.2.1:80")

	k.fail[cmdNewService] = syscall.ENOENT
	err := p.Set(l4.Config{Services: []l4.Service{tcp(80)}})
	if err == nil || !strings.Contains(err.Error(), "modprobe ip_vs_rr") {
		t.Errorf("no scheduler: %v", err)
	}
}

func TestSysctls(t *testing.T) {
	p, k := testPlane(t, Options{})
	set(t, p, k, l4.Config{ExpireNoDestination: true, SloppyTCP: true})
	for name, want := range map[string]string{"expire_nodest_conn": "1", "expire_quiescent_template": "0\n", "sloppy_tcp": "1"} {
		if got, _ := os.ReadFile(filepath.Join(p.options.Proc, "net/ipv4/vs", name)); string(got) != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestClient(t *testing.T) {
	k := newKernel()
	c := &Client{to: k, connections: func() ([]byte, error) { return nil, os.ErrNotExist }}
	d := l4.SyncDaemon{Backup: true, Interface: "eth0", ID: 7, MaxLen: 1000, Group: netip.MustParseAddr("224.0.0.82"), Port: 9000, TTL: 3}
	if err := c.StartDaemon(d); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Daemons(); err != nil || len(got) != 1 || got[0] != d {
		t.Errorf("daemons %+v, %v", got, err)
	}
	if err := c.StopDaemon(true); err != nil || len(k.daemons) != 0 {
		t.Errorf("stopped: %v, %v", k.daemons, err)
	}
	if i, err := c.Info(); err != nil || i.String() != "1.2.1" || i.TableSize != 4096 {
		t.Errorf("info %v %v", i, err)
	}
	if err := c.DeleteService(tcp(80).Key); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("deleting what is not there: %v", err)
	}
	if err := c.Flows(nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("flows: %v", err)
	}
}

func TestConnections(t *testing.T) {
	const text = `Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
TCP 0A000001 9E7A 0A000001 1F90 0A010001 0050 ESTABLISHED     899
UDP 0A000007 0000 0A000001 13C4 0A010001 13C4 NONE             60 sip abc 123@host
TCP [2001:0db8:0000:0000:0000:0000:0000:0007] 0001 [2001:0db8:0000:0000:0000:0000:0000:0001] 0050 [2001:0db8:0000:0000:0000:0000:0000:0011] 0050 SYN_RECV         59
IP  0A000007 0000 00000003 0000 0A010001 0000 NONE              1
`
	var got []string
	if err := parseConnections([]byte(text), func(f l4.Flow) bool {
		got = append(got, fmt.Sprint(uint8(f.Protocol), f.Client, f.Virtual, f.Server, f.State, f.Expires, f.Template, f.PersistenceName, f.PersistenceData))
		return true
	}); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"6 10.0.0.1:40570 10.0.0.1:8080 10.1.0.1:80 ESTABLISHED14m59sfalse",
		"17 10.0.0.7:0 10.0.0.1:5060 10.1.0.1:5060 NONE1m0strue sip abc 123@host",
		"6 [2001:db8::7]:1 [2001:db8::1]:80 [2001:db8::11]:80 SYN_RECV59sfalse",
		"0 10.0.0.7:0 0.0.0.3:0 10.1.0.1:0 NONE1strue",
	}
	for i := range got {
		got[i] = strings.Join(strings.Fields(got[i]), " ")
		want[i] = strings.Join(strings.Fields(want[i]), " ")
		if strings.ReplaceAll(got[i], " ", "") != strings.ReplaceAll(want[i], " ", "") {
			t.Errorf("got  %s\nwant %s", got[i], want[i])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d connections, want %d", len(got), len(want))
	}
	if err := parseConnections([]byte("x\nTCP 1 2 3"), nil); err == nil || !strings.Contains(err.Error(), ":2:") {
		t.Errorf("a short line: %v", err)
	}
}

type noFile struct{ there []string }

func (n noFile) stat(name string) (os.FileInfo, error) {
	if slices.Contains(n.there, name) {
		return nil, nil
	}
	return nil, os.ErrNotExist
}

func TestExplain(t *testing.T) {
	const dir = "/lib/modules/6.1/"
	for _, c := range []struct {
		err   error
		files []string
		want  string
	}{
		{nil, nil, ""},
		{fmt.Errorf("IPVS: %w", syscall.ENOENT), []string{dir + "modules.builtin", dir + "kernel/net/netfilter/ipvs/ip_vs.ko.xz"}, "module ip_vs is not loaded: modprobe ip_vs"},
		{syscall.ENOENT, []string{dir + "modules.builtin"}, "has no module ip_vs"},
		{syscall.ENOENT, nil, "no modules of it under /lib/modules/6.1"},
		{syscall.EPERM, nil, "CAP_NET_ADMIN"},
		{syscall.EIO, nil, "input/output error"},
	} {
		got := strings.Join(explain(c.err, noFile{c.files}.stat, "6.1"), "; ")
		if !strings.Contains(got, c.want) || (c.want == "") != (got == "") {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}

// The bytes of a request, as ipvsadm sends them for -A -t 192.0.2.1:80 -s rr.
func TestServiceBytes(t *testing.T) {
	got := appendService(nil, tcp(80))
	want := "\x06\x00\x01\x00\x02\x00\x00\x00" + "\x06\x00\x02\x00\x06\x00\x00\x00" +
		"\x14\x00\x03\x00\xc0\x00\x02\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" + "\x06\x00\x04\x00\x00\x50\x00\x00" +
		"\x07\x00\x06\x00rr\x00\x00" + "\x0c\x00\x07\x00\x00\x00\x00\x00\xff\xff\xff\xff" + "\x08\x00\x08\x00\x00\x00\x00\x00" + "\x08\x00\x09\x00\xff\xff\xff\xff"
	if string(got) != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(request(20, 0, 1, 1, appendNested(nil, attrService, func(b []byte) []byte { return appendService(b, tcp(80)) })))
	s, _ := appendServer(nil, nat("10.0.0.1:80", 3))
	f.Add(request(20, 0, 1, 1, appendNested(nil, attrServer, func(b []byte) []byte { return append(b, s...) })))
	f.Add(request(2, 0, 1, 0, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = answer(b, 1, func(body []byte) error {
			_ = attributes(body, func(a attribute) error {
				if s, err := parseService(a.value); err == nil {
					again, err := parseService(appendService(nil, s.Service))
					if err != nil || normalText(again.Service) != normalText(s.Service) {
						t.Fatalf("%+v became %+v (%v)", s.Service, again.Service, err)
					}
				}
				if s, err := parseServer(a.value, l4.IPv4); err == nil {
					b, err := appendServer(nil, s.Server)
					again, err2 := parseServer(b, l4.IPv4)
					if err != nil || err2 != nil || again.Server.Key() != s.Server.Key() {
						t.Fatalf("%+v became %+v (%v, %v)", s.Server, again.Server, err, err2)
					}
				}
				_, _, _ = parseDaemon(a.value)
				return nil
			})
			_, _ = parseInfo(body)
			_, _ = parseTimeouts(body)
			return nil
		})
	})
}

func normalText(s l4.Service) string { return fmt.Sprintf("%+v", normal(s)) }

func FuzzConnections(f *testing.F) {
	f.Add([]byte("Pro\nTCP 0A000001 9E7A 0A000001 1F90 0A010001 0050 ESTABLISHED     899\n"))
	f.Add([]byte("Pro\nUDP [2001:db8::1] 9E7A ::1 1F90 ::2 0050 NONE     899 sip x\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = parseConnections(b, func(f l4.Flow) bool {
			if !f.Client.IsValid() || !f.Server.IsValid() {
				t.Fatalf("%q: %+v", b, f)
			}
			return true
		})
	})
}

// Switches are turned on and off again for the configuration; those that the
// host's own settings have turned on stay so.
func TestSwitches(t *testing.T) {
	p, k := testPlane(t, Options{})
	path := func(name string) string { return filepath.Join(p.options.Proc, "net/ipv4/vs", name) }
	if err := os.WriteFile(path("expire_nodest_conn"), []byte("1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	are := func(want ...string) {
		t.Helper()
		for i, name := range []string{"expire_nodest_conn", "expire_quiescent_template", "sloppy_tcp"} {
			if b, err := os.ReadFile(path(name)); err != nil || strings.TrimSpace(string(b)) != want[i] {
				t.Errorf("%s is %q (%v), not %s", name, b, err, want[i])
			}
		}
	}
	set(t, p, k, l4.Config{ExpireQuiescent: true})
	are("1", "1", "0")
	set(t, p, k, l4.Config{SloppyTCP: true, ExpireNoDestination: true})
	are("1", "0", "1")
	set(t, p, k, l4.Config{})
	are("1", "0", "0")
	if err := os.Remove(path("sloppy_tcp")); err != nil {
		t.Fatal(err)
	}
	set(t, p, k, l4.Config{}) // a kernel that has not all of them
}
