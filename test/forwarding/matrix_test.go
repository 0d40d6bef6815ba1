package forwarding

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// cell is one way through the director: a method, a family and a protocol. All
// of them are services of one configuration; port 80 takes turns (rr), and
// port 81 does so by weights of 3 and 1 (wrr).
type cell struct {
	method, network string
	six             bool
	last            string // of the virtual address
}

// cells are all there are. A method has an address of its own, which real
// servers have too where packets come unchanged.
func cells() (list []cell) {
	for _, m := range []struct{ method, last string }{{"NAT", "101"}, {"DR", "102"}, {"TUN", "103"}, {"FULLNAT", "104"}} {
		for _, six := range []bool{false, true} {
			for _, network := range []string{"tcp", "udp"} {
				list = append(list, cell{m.method, network, six, m.last})
			}
		}
	}
	return list
}

func (c cell) name() string {
	family := "IPv4"
	if c.six {
		family = "IPv6"
	}
	return c.method + "/" + family + "/" + c.network
}

// in is an address of a network of this family: 79 outside, 80 inside.
func (c cell) in(network, last string) string {
	if c.six {
		return "fd" + network + "::" + last
	}
	return "10." + network + ".0." + last
}

func (c cell) vip() string { return c.in("79", c.last) }

func (c cell) at(port string) string {
	if c.six {
		return "[" + c.vip() + "]:" + port
	}
	return c.vip() + ":" + port
}

// from is the client's address: by NAT it is one that the servers reach through
// the director, otherwise one that they reach directly.
func (c cell) from() string {
	if c.method == "NAT" {
		return c.in("81", "2")
	}
	return c.in("79", "2")
}

// seen is the client's address as the real servers see it.
func (c cell) seen() string {
	if c.method == "FULLNAT" {
		return c.in("80", "50")
	}
	return c.from()
}

// config is the cell in keepalived.conf: port 80 by rr to two servers, port 81 by
// wrr.
func (c cell) config() string {
	network, port := "79", ""
	if c.method == "NAT" || c.method == "FULLNAT" {
		network, port = "80", "8080"
	}
	check := "TCP_CHECK {\n      connect_timeout 10"
	if c.network == "udp" {
		check = "UDP_CHECK {\n      payload 68\n      require_reply\n      max_reply_length 2000\n      connect_timeout 10"
	}
	text := ""
	for _, s := range []struct{ port, scheduler, weight string }{{"80", "rr", "1"}, {"81", "wrr", "3"}} {
		to := port
		if to == "" {
			to = s.port
		}
		text += fmt.Sprintf("virtual_server %s %s {\n  delay_loop 0.3\n  warmup 0\n  lb_algo %s\n  lb_kind %s\n  protocol %s\n", c.vip(), s.port, s.scheduler, c.method, strings.ToUpper(c.network))
		for i, weight := range []string{s.weight, "1"} {
			text += fmt.Sprintf("  real_server %s %s {\n    weight %s\n    %s\n      retry 1\n      delay_before_retry 0.2\n    }\n  }\n",
				c.in(network, fmt.Sprint(21+i)), to, weight, check)
		}
		text += "}\n"
	}
	return text
}

// asked is one new connection, or a datagram from a new port: who answered, and
// whom the server saw.
func (l *lan) asked(c cell, port string, within time.Duration) (name, saw string) {
	conn, err := l.dialFrom(c.network, c.from(), c.at(port), within)
	if err != nil {
		return "nobody", err.Error()
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(within))
	text := ""
	if c.network == "tcp" {
		text, err = ask(conn, "/")
	} else {
		text, err = datagram(conn, make([]byte, datagramSize))
	}
	if err != nil {
		return "nobody", err.Error()
	}
	words := strings.Fields(text)
	return words[0], words[1]
}

// turns counts who answers.
func (l *lan) turns(c cell, port string, n int, within time.Duration) map[string]int {
	seen := map[string]int{}
	for range n {
		name, _ := l.asked(c, port, within)
		seen[name]++
	}
	return seen
}

// TestMethods: every method by each family and protocol, all at once in one
// director. The servers' ends are prepared by hand for DR and by `evenkeel
// realserver up` for TUN.
func TestMethods(t *testing.T) {
	if _, err := os.Stat(streamModule); err != nil {
		t.Skip("nginx has no stream module (libnginx-mod-stream), for UDP")
	}
	l := newLAN(t)
	l.sysctl("d", "net.ipv6.conf.all.forwarding=1")
	text := "global_defs {\n  lvs_source_pool 10.80.0.50 fd80::50\n}\n"
	for _, c := range cells() {
		text += c.config()
	}
	for _, a := range []string{insideVIP + "/24", "fd80::1/64", "10.80.0.50/24", "fd80::50/64"} {
		l.ip("d", "addr add "+a+" dev eth0")
	}
	for _, last := range []string{"101", "102", "103", "104"} {
		l.ip("d", "addr add 10.79.0."+last+"/24 dev eth0")
		l.ip("d", "addr add fd79::"+last+"/64 dev eth0")
	}
	for _, n := range []string{"1", "2"} {
		l.serve(n)
		l.ip(n, "route add default via "+insideVIP)
		l.ip(n, "-6 route add default via fd80::1")
		l.sysctl(n, "net.ipv4.conf.all.arp_ignore=1", "net.ipv4.conf.all.arp_announce=2")
		l.ip(n, "addr add 10.79.0.102/32 dev lo")
		l.ip(n, "addr add fd79::102/128 dev lo")
		if got := l.realserver(n, "check", "-tunnel", "10.79.0.103", "fd79::103"); !strings.Contains(got, "MISSING tunnelled packets are not unwrapped") {
			t.Errorf("check before up:\n%s", got)
		}
		l.realserver(n, "up", "-tunnel", "10.79.0.103", "fd79::103")
		if got := l.realserver(n, "check"); strings.Contains(got, "MISSING") || !strings.Contains(got, "ok      tunnelled packets are unwrapped (eBPF)") {
			t.Errorf("check after up:\n%s", got)
		}
	}
	d := l.director("d", text)
	l.eventually("all servers are up", func() bool { return strings.Count(d.services(), " up ") >= 4*len(cells()) })

	for _, c := range cells() {
		t.Run(c.name(), func(t *testing.T) {
			if seen := l.turns(c, "80", 10, patience); seen["1"] != 5 || seen["2"] != 5 {
				t.Errorf("rr: ten went to %v", seen)
			}
			if seen := l.turns(c, "81", 12, patience); seen["1"] != 9 || seen["2"] != 3 {
				t.Errorf("wrr: twelve by weights 3 and 1 went to %v", seen)
			}
			if _, saw := l.asked(c, "80", patience); saw != c.seen() {
				t.Errorf("the server sees %s, not %s", saw, c.seen())
			}
			if c.network == "tcp" {
				l.megabytes(t, c)
			} else {
				l.datagrams(t, c)
			}
		})
	}

	all := func(names ...string) func() bool {
		return func() bool {
			for _, c := range cells() {
				if !only(l.turns(c, "80", 2, asking), names...) || !only(l.turns(c, "81", 4, asking), names...) {
					return false
				}
			}
			return true
		}
	}
	l.silence("1")
	l.eventually("server 1 leaves", all("2"))
	l.serve("1")
	l.eventually("server 1 comes back", all("1", "2"))
	for _, n := range []string{"1", "2"} {
		l.realserver(n, "down")
		if got := l.realserver(n, "check", "-tunnel", "10.79.0.103"); !strings.Contains(got, "the program is not attached to eth0") {
			t.Errorf("check after down:\n%s", got)
		}
	}
	if seen := l.turns(cell{"TUN", "tcp", false, "103"}, "80", 1, asking); seen["nobody"] != 1 {
		t.Errorf("after `realserver down` %v answered by TUN", seen)
	}
	if t.Failed() {
		t.Log(d.command("status", "-p", fmt.Sprint(d.cmd.Process.Pid)))
	}
}

// megabytes fetches and sends more than 1 MB over connections of their own.
func (l *lan) megabytes(t *testing.T, c cell) {
	body := bytes.Repeat([]byte("fedcba987654321\n"), bigSize/16)
	name := strings.ReplaceAll(c.name(), "/", "-")
	for _, request := range []string{
		"GET /whole HTTP/1.1\r\nHost: x\r\n\r\n",
		fmt.Sprintf("PUT /put/%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", name, len(body), body),
	} {
		method, _, _ := strings.Cut(request, " ")
		conn, err := l.dialFrom(c.network, c.from(), c.at("80"), patience)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(patience))
		if _, err := conn.Write([]byte(request)); err != nil {
			t.Fatalf("%s: %v", method, err)
		}
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", method, err)
		}
		var got bytes.Buffer
		if _, err := got.ReadFrom(answer.Body); err != nil || answer.StatusCode/100 != 2 {
			t.Errorf("%s: %s, %v", method, answer.Status, err)
		}
		answer.Body.Close()
		if want, _ := os.ReadFile(filepath.Join(l.dir, "nginx1/html/big")); method == "GET" && !bytes.Equal(got.Bytes(), want) {
			t.Errorf("GET: %d bytes came, and not those that were sent", got.Len())
		}
	}
	files, _ := filepath.Glob(filepath.Join(l.dir, "nginx[12]/html/put", name))
	if len(files) != 1 {
		t.Fatalf("PUT: files %v", files)
	}
	if got, err := os.ReadFile(files[0]); err != nil || !bytes.Equal(got, body) {
		t.Errorf("PUT: %d bytes came, and not those that were sent: %v", len(got), err)
	}
}

// datagram sends one and waits for the answer.
func datagram(conn interface {
	Write([]byte) (int, error)
	Read([]byte) (int, error)
}, b []byte) (string, error) {
	if _, err := conn.Write(b); err != nil {
		return "", err
	}
	var answer [4 * datagramSize]byte
	n, err := conn.Read(answer[:])
	return string(answer[:n]), err
}

// answerOf sends a datagram of a size and waits for the answer to it, past those to
// datagrams of other sizes that come late.
func answerOf(conn net.Conn, size int) (words []string, err error) {
	text, err := datagram(conn, make([]byte, size))
	for {
		if words = strings.Fields(text); err != nil || len(words) != 4 || words[2] == fmt.Sprint(size) {
			return words, err
		}
		var answer [4 * datagramSize]byte
		var n int
		n, err = conn.Read(answer[:])
		text = string(answer[:n])
	}
}

// datagrams sends more than 1 MB one by one, each of which has to be answered by
// the same server, and none is sent twice. The largest fill several packets.
func (l *lan) datagrams(t *testing.T, c cell) {
	conn, err := l.dialFrom(c.network, c.from(), c.at("80"), asking)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if c.method == "TUN" {
		// The first that does not fit into the tunnel is answered by the director with
		// the size that does, and is lost: nobody sends UDP's datagrams again.
		l.eventually("a large datagram gets through the tunnel", func() bool {
			_ = conn.SetDeadline(time.Now().Add(asking / 4))
			_, err := answerOf(conn, 4*datagramSize+1)
			return err == nil
		})
	}
	first := ""
	for i := range 1<<20/datagramSize + 8 {
		size := datagramSize
		if i%128 == 1 {
			size = 4 * datagramSize
		}
		_ = conn.SetDeadline(time.Now().Add(patience))
		words, err := answerOf(conn, size)
		if err != nil {
			t.Fatalf("datagram %d of %d bytes: %v", i, size, err)
		}
		if first == "" {
			first = words[0]
		}
		if len(words) != 4 || words[0] != first || len(words[3]) != datagramSize {
			t.Fatalf("datagram %d of %d bytes to server %s was answered %.40q", i, size, first, words)
		}
	}
}
