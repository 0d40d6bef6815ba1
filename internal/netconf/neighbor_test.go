package netconf_test

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"evenkeel/internal/netconf"
)

// TestNeighborsAskedAnew: whoever gets an address asks at once for the clients
// that were asked for in vain before, and remembers the others.
func TestNeighborsAskedAnew(t *testing.T) {
	n := newNamespace(t)
	n.ip(t, "addr add 2001:db8::1/64 dev eth0 nodad")
	for _, family := range []string{"ipv4", "ipv6"} {
		// Asked for during a minute, so that the test cannot come too late.
		if err := os.WriteFile("/proc/sys/net/"+family+"/neigh/eth0/mcast_solicit", []byte("60"), 0); err != nil {
			t.Fatal(err)
		}
	}
	n.ip(t, "neigh add 10.9.0.78 lladdr 02:00:00:00:00:78 dev eth0 nud stale")
	n.ip(t, "neigh add 2001:db8::78 lladdr 02:00:00:00:00:78 dev eth0 nud stale")
	h := open(t)
	for _, c := range []struct{ client, known, vip string }{
		{"10.9.0.77", "10.9.0.78", "10.9.0.100/24"}, {"2001:db8::77", "2001:db8::78", "2001:db8::100/64"},
	} {
		conn, err := net.Dial("udp", net.JoinHostPort(c.client, "9"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if got := n.ip(t, "neigh show "+c.client+" dev eth0"); !strings.Contains(got, "INCOMPLETE") {
			t.Fatalf("%s: %q, so this test shows nothing", c.client, got)
		}
		config := netconf.Config{Addresses: []netconf.Address{{Prefix: prefix(c.vip), Device: "eth0"}}}
		if _, err := h.Set(c.vip, config); err != nil {
			t.Fatal(err)
		}
		_, read := h.Watch()
		for end := time.Now().Add(20 * time.Second); strings.Contains(n.ip(t, "neigh show "+c.client+" dev eth0"), "INCOMPLETE"); {
			if _, err := read(); err != nil {
				t.Fatal(err)
			}
			if time.Now().After(end) {
				t.Fatalf("still waiting for %s", c.client)
			}
		}
		if got := n.ip(t, "neigh show "+c.known+" dev eth0"); !strings.Contains(got, "02:00:00:00:00:78") {
			t.Errorf("%s is forgotten: %q", c.known, got)
		}
	}
}
