package ipvsadm

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"evenkeel/internal/l4"
)

func golden(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func filled(t *testing.T, rules string) *memory {
	t.Helper()
	m := newMemory()
	if _, stderr, code := ask(m, "-R", rules); code != 0 {
		t.Fatalf("-R: %d %s", code, stderr)
	}
	return m
}

// Services and servers stand in the order of ipvsadm, whatever that is.
func TestOrder(t *testing.T) {
	m := filled(t, golden(t, "order.rules"))
	for line, file := range map[string]string{"-Ln": "order.list", "-Sn": "order.saved"} {
		if got, _, _ := ask(m, line, ""); got != golden(t, file) {
			t.Errorf("%s:\n%s\nwant\n%s", line, got, golden(t, file))
		}
	}
}

// Names of servers are cut where the column ends; in -S they are whole.
func TestLongNames(t *testing.T) {
	base, _ := readRecordings(t)
	m := filled(t, strings.Join(base, "\n"))
	recordedNames["10.1.0.2"] = "a-very-long-host-name-of-a-real-server.example.org"
	defer delete(recordedNames, "10.1.0.2")
	if got, _, _ := ask(m, "-L", ""); got != golden(t, "names.list") {
		t.Errorf("got\n%s\nwant\n%s", got, golden(t, "names.list"))
	}
	got, _, _ := ask(m, "-S", "")
	if got = thresholds.ReplaceAllString(got, "\n"); got != golden(t, "names.saved") {
		t.Errorf("got\n%s\nwant\n%s", got, golden(t, "names.saved"))
	}
}

func TestLargeNumbers(t *testing.T) {
	for _, c := range []struct {
		n           uint64
		text, exact string
	}{
		{0, "        0", "        0"},
		{99999999, " 99999999", " 99999999"},
		{100000000, "  100000K", " 100000000"},
		{999999999, "  999999K", " 999999999"},
		{1000000000, "    1000M", " 1000000000"},
		{99999999999, "   99999M", " 99999999999"},
		{100000000000, "     100G", " 100000000000"},
		{99999999999999, "   99999G", " 99999999999999"},
		{100000000000000, "     100T", " 100000000000000"},
		{1<<64 - 1, "18446744T", " 18446744073709551615"},
	} {
		if got := largeNumber(c.n, false); got != c.text {
			t.Errorf("%d: %q, want %q", c.n, got, c.text)
		}
		if got := largeNumber(c.n, true); got != c.exact {
			t.Errorf("%d exact: %q, want %q", c.n, got, c.exact)
		}
	}
}

func TestConnections(t *testing.T) {
	at := netip.MustParseAddrPort
	m := newMemory()
	m.flows = []l4.Flow{
		{Protocol: l4.TCP, Client: at("10.0.0.1:40570"), Virtual: at("10.0.0.1:8080"), Server: at("10.1.0.1:80"), State: "ESTABLISHED", Expires: 899 * time.Second},
		{Protocol: l4.UDP, Client: at("10.0.0.7:0"), Virtual: at("10.0.0.1:53"), Server: at("10.1.0.1:53"), State: "NONE", Expires: time.Hour,
			Template: true, PersistenceName: "sip", PersistenceData: "abc@host"},
		{Protocol: l4.TCP, Client: at("[2001:db8::7]:1"), Virtual: at("[2001:db8::1]:80"), Server: at("[2001:db8::11]:80"), State: "SYN_RECV", Expires: 60 * time.Second},
		{Client: at("10.0.0.7:0"), Virtual: at("0.0.0.3:0"), Server: at("10.1.0.1:0"), State: "NONE", Expires: time.Second, Template: true},
	}
	for line, want := range map[string]string{
		"-Lnc": `IPVS connection entries
pro expire state       source             virtual            destination
TCP 14:59  ESTABLISHED 10.0.0.1:40570     10.0.0.1:8080      10.1.0.1:80
UDP 60:00  NONE        10.0.0.7:0         10.0.0.1:53        10.1.0.1:53
TCP 01:00  SYN_RECV    [2001:db8::7]:1    [2001:db8::1]:80   [2001:db8::11]:80
IP  00:01  NONE        10.0.0.7:0         0.0.0.3:0          10.1.0.1:0
`,
		"-Lc": `IPVS connection entries
pro expire state       source             virtual            destination
TCP 14:59  ESTABLISHED web.example.org:40570 web.example.org:http-alt real1.example.org:http
UDP 60:00  NONE        10.0.0.7:0         web.example.org:domain real1.example.org:domain
TCP 01:00  SYN_RECV    [2001:db8::7]:1    [web6.example.org]:http [2001:db8::11]:http
IP  00:01  NONE        10.0.0.7:0         0.0.0.3:0          real1.example.org:0
`,
		"-Lnc --persistent-conn": `IPVS connection entries
pro expire state       source             virtual            destination        pe name          pe_data
TCP 14:59  ESTABLISHED 10.0.0.1:40570     10.0.0.1:8080      10.1.0.1:80
UDP 60:00  NONE        10.0.0.7:0         10.0.0.1:53        10.1.0.1:53        sip              abc@host
TCP 01:00  SYN_RECV    [2001:db8::7]:1    [2001:db8::1]:80   [2001:db8::11]:80
IP  00:01  NONE        10.0.0.7:0         0.0.0.3:0          10.1.0.1:0
`,
	} {
		if got, stderr, _ := ask(m, line, ""); got != want {
			t.Errorf("%s:\n%s%s\nwant\n%s", line, got, stderr, want)
		}
	}
}

func TestCounters(t *testing.T) {
	m := filled(t, "-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 10.1.0.1 -m")
	m.services[0].Counters = l4.Counters{Connections: 1, PacketsIn: 23, PacketsOut: 456, BytesIn: 123456789, BytesOut: 12345678901234}
	m.services[0].Servers[0].Counters = m.services[0].Counters
	m.services[0].Rates = l4.Rates{Connections: 9, PacketsIn: 8, PacketsOut: 7, BytesIn: 6, BytesOut: 500000000}
	for line, want := range map[string]string{
		"-Ln --stats": `IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes
  -> RemoteAddress:Port
TCP  10.0.0.1:80                         1       23      456  123456K   12345G
  -> 10.1.0.1:80                         1       23      456  123456K   12345G
`,
		"-Ln --rate --exact": `IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port                 CPS    InPPS   OutPPS    InBPS   OutBPS
  -> RemoteAddress:Port
TCP  10.0.0.1:80                         9        8        7        6 500000000
  -> 10.1.0.1:80                         0        0        0        0        0
`,
	} {
		if got, stderr, _ := ask(m, line, ""); got != want {
			t.Errorf("%s:\n%s%s\nwant\n%s", line, got, stderr, want)
		}
	}
}

// What -R does not understand ends it, what the table refuses does not.
func TestRestore(t *testing.T) {
	m := newMemory()
	_, stderr, code := ask(m, "-R", "\n# rules\nipvsadm -A -t 10.0.0.9:80 -s rr\n  \n-A -t 10.0.0.9:80\n-a -t 10.0.0.9:80 -r 10.1.0.1 -m\n-bad\n-a -t 10.0.0.9:80 -r 10.1.0.2 -m\n")
	if code != 255 || stderr != "Service already exists\nTry `ipvsadm -h' or 'ipvsadm --help' for more information.\n" {
		t.Errorf("code %d, %q", code, stderr)
	}
	if got, _, _ := ask(m, "-Sn", ""); got != "-A -t 10.0.0.9:80 -s rr\n-a -t 10.0.0.9:80 -r 10.1.0.1:80 -m -w 1\n" {
		t.Errorf("table:\n%s", got)
	}
	_, stderr, code = ask(m, "-R", "-A -t 10.0.0.9:80\n-C\n")
	if code != 255 || stderr != "Service already exists\n" || len(m.services) != 0 {
		t.Errorf("code %d, %q, %d services", code, stderr, len(m.services))
	}
	if _, _, code = ask(m, "-R", "-R\n"); code != 2 {
		t.Errorf("-R within -R: code %d", code)
	}
}

func TestZero(t *testing.T) {
	m := filled(t, "-A -t 10.0.0.1:80")
	want := l4.Key{Addr: netip.MustParseAddr("10.0.0.1"), Protocol: l4.TCP, Port: 80}
	if _, stderr, code := ask(m, "-Z -t 10.0.0.1:80", ""); code != 0 || len(m.zeroed) != 1 || m.zeroed[0] != want {
		t.Errorf("code %d, %q, zeroed %v", code, stderr, m.zeroed)
	}
}

func TestFailures(t *testing.T) {
	for _, c := range []struct {
		of   Action
		err  error
		text string
	}{
		{Clear, syscall.EPERM, "Permission denied (you must be root)"},
		{AddServer, fmt.Errorf("adding: %w", syscall.EEXIST), "Destination already exists"},
		{Clear, syscall.EEXIST, "File exists"},
		{StartDaemon, syscall.EEXIST, "Daemon has already run"},
		{StopDaemon, syscall.ESRCH, "No daemon is running"},
		{Clear, fmt.Errorf("no evenkeel runs here"), "no evenkeel runs here"},
	} {
		if got := failure(c.of, c.err); got == nil || got.Error() != c.text || got.(*Error).Code != 255 {
			t.Errorf("%v of %d: %v, want %q", c.err, c.of, got, c.text)
		}
	}
}

// random makes a table of which everything can be said with -S.
func random(r *rand.Rand) []l4.ServiceStats {
	var list []l4.ServiceStats
	seen := map[l4.Key]bool{}
	for range r.IntN(12) {
		addr := func(v6 bool) netip.Addr {
			if v6 {
				return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 14: byte(r.IntN(3)), 15: byte(1 + r.IntN(3))})
			}
			// Up to 126, where compareAddrs is an order.
			return netip.AddrFrom4([4]byte{byte(1 + r.IntN(126)), 0, 0, byte(1 + r.IntN(3))})
		}
		v6 := r.IntN(2) == 0
		var s l4.ServiceStats
		s.Addr, s.Protocol, s.Port = addr(v6), []l4.Protocol{l4.TCP, l4.UDP, l4.SCTP}[r.IntN(3)], uint16(r.IntN(3)*40)
		if r.IntN(4) == 0 {
			s.Key = l4.Key{FwMark: 1 + r.Uint32()>>r.IntN(31)>>1, Family: l4.IPv4}
			if v6 {
				s.Family = l4.IPv6
			}
		}
		if seen[s.Key] {
			continue
		}
		seen[s.Key] = true
		s.Scheduler = l4.Schedulers[r.IntN(len(l4.Schedulers))].Name
		s.Flags = l4.Flags(r.IntN(8))
		if r.IntN(2) == 0 || (s.Port == 0 && s.FwMark == 0) {
			s.Persistence = time.Duration(1+r.IntN(5000)) * time.Second
			s.PersistenceMask = r.IntN(s.AddressFamily().Bits())
			if r.IntN(3) == 0 {
				s.PersistenceName = "sip"
			}
		}
		s.OnePacket = r.IntN(2) == 0 && (s.FwMark != 0 || s.Protocol == l4.UDP)
		servers := map[l4.ServerKey]bool{}
		for range r.IntN(5) {
			x := l4.Server{Addr: addr(v6), Port: s.Port, Weight: r.IntN(4), Method: []l4.Method{l4.NAT, l4.DR, l4.TUN}[r.IntN(3)], Upper: r.IntN(3) * 50}
			if x.Upper > 0 {
				x.Lower = r.IntN(2) * 20
			}
			switch {
			case x.Method == l4.NAT && s.Port != 0:
				x.Port += uint16(r.IntN(2))
			case x.Method == l4.TUN:
				x.Addr = addr(r.IntN(2) == 0)
				x.Tunnel.Type = l4.TunnelType(r.IntN(3))
				if x.Tunnel.Type == l4.GUE {
					x.Tunnel.Port = 6080
				}
				if x.Tunnel.Type != l4.IPIP {
					x.Tunnel.Checksum = l4.TunnelChecksum(r.IntN(2))
				}
			}
			if !servers[x.Key()] {
				servers[x.Key()] = true
				s.Servers = append(s.Servers, l4.ServerStats{Server: x})
			}
		}
		list = append(list, s)
	}
	return list
}

// What -S writes, -R makes again, wholly.
func TestRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	services := 0
	for range 300 {
		want := newMemory()
		want.services = ordered(random(r))
		services += len(want.services)
		text, _, _ := ask(want, "-Sn", "")
		got := newMemory()
		if _, stderr, code := ask(got, "-R", text); code != 0 {
			t.Fatalf("-R: %d %s\n%s", code, stderr, text)
		}
		got.services = ordered(got.services)
		for i := range want.services {
			w, g := &want.services[i], &got.services[i]
			if !reflect.DeepEqual(w.Service, g.Service) || len(w.Servers) != len(g.Servers) {
				t.Fatalf("%+v\nbecame\n%+v\nby\n%s", *w, *g, text)
			}
			for j := range w.Servers {
				if w.Servers[j].Server != g.Servers[j].Server {
					t.Fatalf("%+v\nbecame\n%+v\nby\n%s", w.Servers[j], g.Servers[j], text)
				}
			}
		}
		if len(want.services) != len(got.services) {
			t.Fatalf("%d services became %d", len(want.services), len(got.services))
		}
	}
	if services < 500 {
		t.Errorf("only %d services were tried", services)
	}
}

// ranged is a table that has what the kernel's has not.
type ranged struct{ *memory }

func (ranged) PortRanges() bool { return true }

// Ranges of ports are added, listed, saved, restored and removed; the kernel's
// table, which would take their first port, is not asked.
func TestPortRanges(t *testing.T) {
	const rules = "-A -t 10.0.0.1:8000-8100 -s rr\n" +
		"-a -t 10.0.0.1:8000-8100 -r 10.1.0.1:0 -g -w 1\n" +
		"-a -t 10.0.0.1:8000-8100 -r 10.1.0.2:0 -m -w 1\n" +
		"-a -t 10.0.0.1:8000-8100 -r 10.1.0.3:80 -m -w 1\n" +
		"-A -u [2001:db8::1]:5000-5001 -s wlc\n"
	table := ranged{newMemory()}
	for line := range strings.Lines(strings.NewReplacer(":0 -g", " -g", ":0 -m", " -m").Replace(rules)) {
		if _, stderr, code := ask(table, strings.TrimSpace(line), ""); code != 0 {
			t.Fatalf("%s: %d %s", line, code, stderr)
		}
	}
	if got, _, _ := ask(table, "-Sn", ""); got != rules {
		t.Errorf("-Sn:\n%s", got)
	}
	again := ranged{newMemory()}
	if _, stderr, code := ask(again, "-R", rules); code != 0 || !reflect.DeepEqual(again.services, table.services) {
		t.Errorf("-R: %d %s\n%+v", code, stderr, again.services)
	}
	if got, _, _ := ask(table, "-L", ""); !strings.Contains(got, "TCP  web.example.org:8000-8100 rr\n  -> real1.example.org:0 ") {
		t.Errorf("-L:\n%s", got)
	}
	if got, _, code := ask(table, "-Ln -t 10.0.0.1:8000-8100", ""); code != 0 || !strings.Contains(got, "TCP  10.0.0.1:8000-8100 rr\n  -> 10.1.0.1:0 ") {
		t.Errorf("-Ln -t: %d\n%s", code, got)
	}
	for _, c := range []struct{ line, stderr string }{
		{"-D -t 10.0.0.1:8000", "No such service\n"},
		{"-A -t 10.0.0.1:8100-8000 -s rr", "illegal virtual server address[:port] specified\n"},
		{"-A -t 10.0.0.1:0-8000 -s rr", "illegal virtual server address[:port] specified\n"},
		{"-A -t 10.0.0.1:8000-65536 -s rr", "illegal virtual server address[:port] specified\n"},
		{"-a -t 10.0.0.1:7-8 -r 10.1.0.3", "Service not defined\n"},
		{"-d -t 10.0.0.1:8000-8100 -r 10.1.0.3", "No such destination\n"},
		{"-D -t 10.0.0.1:8000-8100", ""},
		{"-A -t 10.0.0.1:443-443 -s rr", ""},
		{"-D -t 10.0.0.1:443", ""},
	} {
		if _, stderr, _ := ask(table, c.line, ""); stderr != c.stderr {
			t.Errorf("%s: %q, not %q", c.line, stderr, c.stderr)
		}
	}
	kernel := newMemory()
	if _, stderr, code := ask(kernel, "-A -t 10.0.0.1:80-90", ""); code == 0 || stderr != "the kernel's IPVS has no ranges of ports\n" || len(kernel.services) > 0 {
		t.Errorf("the kernel is asked: %d %q %+v", code, stderr, kernel.services)
	}
}

func TestUsage(t *testing.T) {
	text := Usage()
	for _, w := range append(commandWords, optionWords...) {
		if w.long != "" && !strings.Contains(text, "--"+w.long) {
			t.Errorf("help says nothing of --%s", w.long)
		}
	}
}

func TestServices(t *testing.T) {
	n := NewSystemNames(strings.NewReader("# names\nhttp\t80/tcp\twww # web\nbroken\nworse x/tcp\nwww 81/tcp\nalso 80/tcp\ndomain 53/udp"))
	if got := n.PortName(80, "tcp"); got != "http" {
		t.Errorf("80: %q", got)
	}
	if got, ok := n.Port("www", "tcp"); got != 80 || !ok {
		t.Errorf("www: %d %v", got, ok)
	}
	if _, ok := n.Port("domain", "tcp"); ok {
		t.Error("domain is not of TCP")
	}
}

func FuzzParse(f *testing.F) {
	base, list := readRecordings(&testing.T{})
	for _, line := range base {
		f.Add(line)
	}
	for _, r := range list {
		f.Add(r.line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		c, err := Parse(strings.Split(line, " "), recordedNames)
		if err != nil {
			if e, ok := err.(*Error); !ok || e.Code == 0 || e.Text == "" {
				t.Fatalf("%q: error %#v", line, err)
			}
			return
		}
		if c.Action == None {
			t.Fatalf("%q is no action and no error", line)
		}
		// What a table takes, -S can say.
		if c.Action == AddService {
			m := newMemory()
			if m.AddService(c.Service) != nil {
				return
			}
			text, _, _ := ask(m, "-Sn", "")
			again, err := Parse(strings.Fields(text), nil)
			want := c.Service
			want.Scheduler = want.SchedulerName()
			if want.Persistence == 0 {
				want.PersistenceMask = 0 // -S has it with -p only
			}
			if err != nil || !reflect.DeepEqual(again.Service, want) {
				t.Fatalf("%q: %q: %+v, want %+v (%v)", line, text, again.Service, want, err)
			}
		}
	})
}
