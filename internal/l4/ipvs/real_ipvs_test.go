//go:build ipvs

// Tests against the kernel's IPVS: `make test-ipvs` runs them in a guest that
// has it, and that they may upset.
package ipvs

import (
	"bytes"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"evenkeel/internal/l4"
	"evenkeel/internal/l4/contract"
	"evenkeel/internal/l4/ipvsadm"
)

func realPlane(t *testing.T) *Plane {
	t.Helper()
	if missing := Probe(); len(missing) > 0 {
		t.Fatal(strings.Join(missing, "; "))
	}
	p, err := Open(Options{Flush: true, Clear: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func TestContractOnKernel(t *testing.T) {
	contract.Run(t, func(t *testing.T) l4.Plane { return realPlane(t) })
}

type realTable struct{ *Client }

func (t realTable) Version() (string, int, error) {
	i, err := t.Info()
	return i.String(), i.TableSize, err
}

// shell is our ipvsadm on the kernel's table.
func shell(c *Client, stdin string, args ...string) (stdout, stderr string, code int) {
	var out, errs bytes.Buffer
	s := ipvsadm.Shell{Table: realTable{c}, Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs}
	code = s.Main(args)
	return out.String(), errs.String(), code
}

// real is ipvsadm itself.
func real(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.Command("ipvsadm", args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// A table that one of the two made looks the same to both.
func TestIpvsadmOnKernel(t *testing.T) {
	c, err := Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	defer c.Flush()
	text, err := os.ReadFile("testdata/recorded.txt")
	if err != nil {
		t.Fatal(err)
	}
	var base []string
	var tried, compared int
	for line := range strings.SplitSeq(string(text), "\n") {
		if rule, ok := strings.CutPrefix(line, ": "); ok {
			base = append(base, rule)
		}
		command, ok := strings.CutPrefix(line, "$ ")
		// Names are not the point here, and -S has the thresholds with us.
		if !ok || strings.ContainsAny(command, "'") || !strings.Contains(command, "n") && strings.HasPrefix(command, "-L") {
			continue
		}
		args := strings.Fields(command)
		if tried++; tried%6 != 0 && args[0] != "-Ln" {
			continue // ipvsadm itself takes long in an emulated machine
		}
		if slices.ContainsFunc(args, func(a string) bool {
			return strings.ContainsAny(a, "ghijklopqrsuvwxyz") && !strings.HasPrefix(a, "-") && a != "rr" && a != "wlc"
		}) {
			continue // names
		}
		if strings.HasSuffix(command, "::9]") {
			continue // brackets without a port are more than ipvsadm takes
		}
		compared++
		var table [2]string
		var out, errs [2]string
		var code [2]int
		for who := range 2 {
			if err := c.Flush(); err != nil {
				t.Fatal(err)
			}
			if _, stderr, code := shell(c, strings.Join(base, "\n"), "-R"); code != 0 {
				t.Fatalf("base: %s", stderr)
			}
			if who == 0 {
				out[who], errs[who], code[who] = real(t, args...)
			} else {
				out[who], errs[who], code[who] = shell(c, "", args...)
			}
			table[who], _, _ = shell(c, "", "-Sn")
		}
		if code[0] != code[1] || strings.TrimSpace(errs[0]) != strings.TrimSpace(errs[1]) || out[0] != out[1] && args[0] != "-S" && args[0] != "-Sn" || table[0] != table[1] {
			t.Errorf("ipvsadm %s: %d %q %q\nwe: %d %q %q\n%s\nwe:\n%s", command, code[0], out[0], errs[0], code[1], out[1], errs[1], table[0], table[1])
		}
	}
	t.Logf("%d command lines compared", compared)
	if compared < 60 {
		t.Errorf("only %d command lines compared", compared)
	}
}

// A packet of a client comes out as each method has it, is counted where
// ipvsadm sees it too, and a server with weight 0 keeps what it has.
func TestForwarding(t *testing.T) {
	w := newWire(t)
	p := realPlane(t)
	address := netip.MustParseAddr
	services := []l4.Service{
		{Key: l4.Key{Addr: wireVIP, Protocol: l4.TCP, Port: 80}, Scheduler: "rr", Servers: []l4.Server{{Addr: address("10.1.0.1"), Port: 8080, Weight: 1, Method: l4.NAT}}},
		{Key: l4.Key{Addr: wireVIP, Protocol: l4.TCP, Port: 81}, Scheduler: "rr", Servers: []l4.Server{{Addr: address("10.1.0.2"), Weight: 1, Method: l4.TUN}}},
		{Key: l4.Key{Addr: wireVIP, Protocol: l4.UDP, Port: 53}, Scheduler: "mh", Persistence: 60 * time.Second, PersistenceMask: 24,
			Servers: []l4.Server{{Addr: address("10.1.0.3"), Weight: 1, Method: l4.NAT}}},
	}
	if err := p.Set(l4.Config{Services: services}); err != nil {
		t.Fatal(err)
	}
	client := netip.MustParseAddrPort("192.0.2.7:1234")
	w.send(tcpPacket(client, netip.AddrPortFrom(wireVIP, 80), flagSYN))
	if got := w.expect(t, l4.TCP); got.to != netip.MustParseAddrPort("10.1.0.1:8080") || got.from != client {
		t.Errorf("NAT: %+v", got)
	}
	w.send(tcpPacket(netip.MustParseAddrPort("10.1.0.1:8080"), client, flagSYN|flagACK))
	if got := w.expect(t, l4.TCP); got.from != netip.AddrPortFrom(wireVIP, 80) || got.to != client {
		t.Errorf("NAT, the answer: %+v", got)
	}
	w.send(tcpPacket(client, netip.AddrPortFrom(wireVIP, 80), flagACK))
	w.expect(t, l4.TCP)
	w.send(tcpPacket(client, netip.AddrPortFrom(wireVIP, 81), flagSYN))
	if got := w.expect(t, ipip); got.to.Addr() != address("10.1.0.2") || got.inner == nil || got.inner.to != netip.AddrPortFrom(wireVIP, 81) {
		t.Errorf("TUN: %+v", got)
	}
	w.send(udpPacket(client, netip.AddrPortFrom(wireVIP, 53)))
	if got := w.expect(t, l4.UDP); got.to != netip.MustParseAddrPort("10.1.0.3:53") {
		t.Errorf("UDP: %+v", got)
	}

	s := settled(t, p, func(s *l4.Snapshot) bool { return s.Counters.Connections == 3 })
	web := s.Find(services[0].Key)
	if web == nil || web.Connections != 1 || web.PacketsIn != 2 || web.PacketsOut != 1 || web.BytesIn != 80 || web.Servers[0].Active != 1 {
		t.Errorf("counters of the web: %+v %+v", web.Counters, web.Servers)
	}
	if dns := s.Find(services[2].Key); dns == nil || dns.Servers[0].Persistent != 1 || dns.Servers[0].Inactive != 1 {
		t.Errorf("counters of the persistent one: %+v", dns)
	}
	var flows []l4.Flow
	if err := p.Flows(func(f l4.Flow) bool { flows = append(flows, f); return true }); err != nil {
		t.Fatal(err)
	}
	templates := 0
	for _, f := range flows {
		if f.Template {
			templates++
		} else if f.Client != client {
			t.Errorf("flow %+v", f)
		}
	}
	if len(flows) != 4 || templates != 1 {
		t.Errorf("%d flows, %d of them templates: %+v", len(flows), templates, flows)
	}
	for _, args := range [][]string{{"-Ln"}, {"-Ln", "--stats"}, {"-Ln", "--persistent-conn"}} {
		want, _, _ := real(t, args...)
		if got, _, _ := shell(p.Client(), "", args...); got != want {
			t.Errorf("%v: we\n%s\nipvsadm\n%s", args, got, want)
		}
	}
	if got, _, _ := shell(p.Client(), "", "-Lnc", "--persistent-conn"); !sameButTimes(got, first(real(t, "-Lnc", "--persistent-conn"))) {
		t.Errorf("connections: we\n%s", got)
	}

	services[0].Servers[0].Weight = 0
	if err := p.Set(l4.Config{Services: services}); err != nil {
		t.Fatal(err)
	}
	w.send(tcpPacket(netip.MustParseAddrPort("192.0.2.8:1"), netip.AddrPortFrom(wireVIP, 80), flagSYN))
	w.send(tcpPacket(client, netip.AddrPortFrom(wireVIP, 80), flagACK))
	if got := w.expect(t, l4.TCP); got.from != client {
		t.Errorf("weight 0: %+v", got)
	}
	s = settled(t, p, func(s *l4.Snapshot) bool { return s.Find(services[0].Key).PacketsIn == 3 })
	if web := s.Find(services[0].Key); web.Connections != 1 || web.PacketsIn != 3 {
		t.Errorf("after the change: %+v", web.Counters)
	}
	if err := p.Zero(services[0].Key); err != nil {
		t.Fatal(err)
	}
	s = settled(t, p, func(s *l4.Snapshot) bool { return s.Find(services[0].Key).Connections == 0 })
	if web := s.Find(services[0].Key); web.Connections != 0 || web.Servers[0].Active != 1 {
		t.Errorf("after zero: %+v %+v", web.Counters, web.Servers)
	}
}

// settled reads counters until they are as expected: the kernel adds up those
// of its processors every two seconds.
func settled(t *testing.T, p *Plane, ok func(*l4.Snapshot) bool) l4.Snapshot {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		s, err := p.Stats()
		if err != nil {
			t.Fatal(err)
		}
		if ok(&s) || time.Now().After(end) {
			return s
		}
	}
}

func first(s, _ string, _ int) string { return s }

// sameButTimes compares listings of connections whose order and seconds may
// have moved on.
func sameButTimes(a, b string) bool {
	strip := func(s string) []string {
		list := strings.Split(s, "\n")
		for i, l := range list {
			if len(l) > 9 && l[6] == ':' {
				list[i] = l[:4] + l[9:]
			}
		}
		slices.Sort(list)
		return list
	}
	return slices.Equal(strip(a), strip(b))
}

// Large numbers look as ipvsadm has them.
func TestLargeCountersOnKernel(t *testing.T) {
	w := newWire(t)
	p := realPlane(t)
	s := l4.Service{Key: l4.Key{Addr: wireVIP, Protocol: l4.UDP, Port: 54}, Scheduler: "rr", Servers: []l4.Server{{Addr: netip.MustParseAddr("10.1.0.3"), Weight: 1, Method: l4.NAT}}}
	if err := p.Set(l4.Config{Services: []l4.Service{s}}); err != nil {
		t.Fatal(err)
	}
	big := udpPacket(netip.MustParseAddrPort("192.0.2.9:1"), netip.AddrPortFrom(wireVIP, 54))
	big = append(big, make([]byte, 60000)...)
	fix(big)
	for range 1700 {
		w.send(big)
	}
	settled(t, p, func(s *l4.Snapshot) bool { return s.Counters.PacketsIn == 1700 })
	for _, args := range [][]string{{"-Ln", "--stats"}, {"-Ln", "--stats", "--exact"}} {
		want, _, _ := real(t, args...)
		if got, _, _ := shell(p.Client(), "", args...); got != want || len(args) == 2 && !strings.Contains(got, "K") {
			t.Errorf("%v: we\n%s\nipvsadm\n%s", args, got, want)
		}
	}
}
