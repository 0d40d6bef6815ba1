package xdp

import (
	"errors"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"evenkeel/internal/l4"
)

// The director routes clients' packets to anywhere, netfilter marks those to the
// web, and they go to caches: by NAT here, so that a plain server can be one.
func TestMarksOfNetfilter(t *testing.T) {
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("no nft")
	}
	l := newLAN(t, "mrk")
	l.throughDirector()
	l.servers(func(n int) []string { return []string{serverIP(n, false)} })
	// Somewhere behind the director, where nobody is.
	l.ip("w", "link add name far0 type veth peer name up0 netns "+l.prefix+"d")
	l.ip("d", "link set up0 up")
	l.ip("w", "link set far0 up")
	l.ip("d", "addr add 198.51.100.1/24 dev up0")
	l.ip("d", "route add 198.18.0.0/15 via 198.51.100.2")
	l.ip("d", "neigh add 198.51.100.2 lladdr 02:00:00:00:00:99 dev up0")
	l.run("ip", "netns", "exec", l.prefix+"d", "nft", "add table ip ek; add chain ip ek pre { type filter hook prerouting priority mangle; }; add rule ip ek pre tcp dport 80 meta mark set 7")
	o := Options{Pin: filepath.Join(t.TempDir(), "bpf")}
	p := l.director(o)
	t.Cleanup(func() { p.Close(); Remove(o.Pin) })
	s := both(l4.NAT, l4.TCP, false)
	s.Key, s.Scheduler = l4.Key{FwMark: 7}, "lblc"
	l.set(p, l4.Config{Services: []l4.Service{s}})
	waitFor(t, "egress of up0", func() bool { return p.on()["up0"] == 2 && p.on()["eth0"] == 2 })
	count := make(map[string]int)
	for i := range 12 {
		site := netip.AddrFrom4([4]byte{198, 18, 0, byte(1 + i)})
		address := net.JoinHostPort(site.String(), "80")
		first, err := l.ask("tcp", address, 400)
		if err != nil {
			t.Fatalf("%s: %v", address, err)
		}
		count[first]++
		if again, err := l.ask("tcp", address, 1<<18); err != nil || again != first {
			t.Errorf("%s goes to %s, before to %s, %v", address, again, first, err)
		}
	}
	if count["s1"] == 0 || count["s2"] == 0 {
		t.Errorf("sites by cache: %v", count)
	}
	if st, err := p.Stats(); err != nil || len(st.Drops) != 0 || st.Services[0].Connections != 24 {
		t.Errorf("%+v, %v", st, err)
	}
	// Who asks where no server is hears of it, though his packet was on its way
	// out.
	none := s
	none.Servers = nil
	l.set(p, l4.Config{Services: []l4.Service{none}})
	if _, err := l.ask("tcp", "198.18.0.1:80", 400); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("without servers: %v", err)
	}
	l.set(p, l4.Config{Services: []l4.Service{s}})
	// The next process takes it over, and lets go of it without marks.
	p.Close()
	p = l.director(o)
	waitFor(t, "egress is taken over", func() bool { return p.on()["up0"] == 2 && p.on()["eth0"] == 2 })
	if got, err := l.ask("tcp", "198.18.0.1:80", 400); err != nil {
		t.Errorf("after a restart: %s, %v", got, err)
	}
	pinned := len(p.pins(t))
	l.set(p, l4.Config{})
	waitFor(t, "egress is left", func() bool { return p.on()["up0"] == 1 && p.on()["lo"] == 1 })
	if got := p.pins(t); len(got) != pinned-2 {
		t.Errorf("still pinned: %v", got)
	}
}
