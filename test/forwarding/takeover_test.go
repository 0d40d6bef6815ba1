package forwarding

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// How many connections are there when the director is lost, how much each
// download is, and how much of it a client reads four times a second. The last
// part is read when another director has the address.
const (
	downloading  = 200
	idling       = 200
	downloadSize = 384 << 10
	readAtOnce   = 16 << 10
	lastPart     = 128 << 10
)

// pairOf is the two directors of a takeover.
type pairOf struct {
	*lan
	d, e *director
	text func(state string, priority int) string // of a director's configuration
}

// pair starts two directors. Each has the same services, told of by what is in
// global.
func (l *lan) pair(global, services string, addresses ...string) *pairOf {
	l.t.Helper()
	p := &pairOf{lan: l}
	p.text = func(state string, priority int) string {
		return strings.Replace(globals, "}", "  "+global+"\n}", 1) + vrrp(state, priority, addresses...) + services
	}
	p.d = l.director("d", p.text("MASTER", 150))
	p.e = l.director("e", p.text("BACKUP", 100))
	l.eventually("the master", func() bool { return l.holds("d", vip) && !l.holds("e", vip) })
	l.eventually("both servers", func() bool { return only(l.who(8), "1", "2") })
	return p
}

// pairStatus is what "services json" says of the pair.
type pairStatus struct {
	Flows int `json:"flows"`
	Pair  *struct {
		Tells   bool   `json:"tells"`
		Trouble string `json:"trouble"`
		Told    int    `json:"told"`
		Took    int    `json:"took"`
		LagMS   int    `json:"lag_ms"`
		Unknown int    `json:"unknown"`
		Peers   []struct {
			Address string `json:"address"`
			Tells   bool   `json:"tells"`
			Lost    int    `json:"lost"`
		} `json:"peers"`
	} `json:"pair"`
	Virtual []struct {
		Servers []struct {
			Active int `json:"active"`
		} `json:"servers"`
	} `json:"virtual_servers"`
}

func (d *director) pairStatus() (s pairStatus) {
	text := d.ctl("services", "json")
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		d.t.Errorf("services json: %v\n%s", err, text)
	}
	return s
}

// active is how many established connections a director knows.
func (s *pairStatus) active() (n int) {
	for _, v := range s.Virtual {
		for _, r := range v.Servers {
			n += r.Active
		}
	}
	return n
}

// connect opens n connections from the client, with so little room that what is
// not read yet stays on the server.
func (l *lan) connect(n int) []net.Conn { l.t.Helper(); return l.connectTo(vip, n) }

func (l *lan) connectTo(address string, n int) (list []net.Conn) {
	l.t.Helper()
	dialer := net.Dialer{Timeout: patience, Control: func(_, _ string, c syscall.RawConn) (err error) {
		e := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 16<<10) })
		if e != nil {
			return e
		}
		return err
	}}
	l.inside("c", func() {
		for range n {
			c, err := dialer.Dial("tcp4", address+":80")
			if err != nil {
				l.t.Error(err)
				return
			}
			list = append(list, c)
		}
	})
	if len(list) < n {
		l.t.FailNow()
	}
	l.t.Cleanup(func() {
		for _, c := range list {
			c.Close()
		}
	})
	return list
}

// slowly reads a whole download, the last part of it when the address has been
// taken.
func slowly(c net.Conn, taken <-chan struct{}) error {
	_ = c.SetDeadline(time.Now().Add(5 * patience))
	if _, err := fmt.Fprint(c, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return err
	}
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	total := 0
	for b := make([]byte, readAtOnce); ; {
		if total+readAtOnce > downloadSize-lastPart {
			<-taken
		} else {
			select {
			case <-taken:
			case <-time.After(time.Second / 4):
			}
		}
		n, err := io.ReadFull(r.Body, b)
		total += n
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			break
		}
		if err != nil {
			return fmt.Errorf("after %d bytes: %w", total, err)
		}
	}
	if total != downloadSize {
		return fmt.Errorf("%d of %d bytes", total, downloadSize)
	}
	return nil
}

// survive has connections of both kinds, loses the master director by lose, and
// wants all of them to go on. synced: the backup is told of them, and that is
// waited for.
func (p *pairOf) survive(synced bool, lose func()) {
	p.t.Helper()
	for _, n := range []string{"1", "2"} {
		if err := os.WriteFile(filepath.Join(p.dir, "nginx"+n, "html", "slow"), make([]byte, downloadSize), 0o644); err != nil {
			p.t.Fatal(err)
		}
	}
	idle := p.connect(idling)
	for i, c := range idle {
		_ = c.SetDeadline(time.Now().Add(patience))
		if _, err := ask(c, "/"); err != nil {
			p.t.Fatalf("idle connection %d: %v", i, err)
		}
	}
	var over sync.WaitGroup
	taken := make(chan struct{})
	defer func() {
		select {
		case <-taken:
		default:
			close(taken)
		}
		over.Wait()
	}()
	results := make([]error, downloading)
	for i, c := range p.connect(downloading) {
		over.Go(func() { results[i] = slowly(c, taken) })
	}
	if synced {
		p.eventually("the backup knows the connections", func() bool { s := p.e.pairStatus(); return s.active() >= idling+downloading })
		if s := p.d.pairStatus(); s.Pair == nil || !s.Pair.Tells || s.Pair.Told < idling+downloading || len(s.Pair.Peers) != 1 || s.Pair.Trouble != "" {
			p.t.Errorf("the master says %+v", s.Pair)
		}
	}
	lose()
	p.eventually("the backup has the address", func() bool { return p.holds("e", vip) })
	close(taken)
	bad := 0
	for i, c := range idle {
		_ = c.SetDeadline(time.Now().Add(patience))
		if _, err := ask(c, "/"); err != nil {
			if bad++; bad < 4 {
				p.t.Errorf("idle connection %d: %v", i, err)
			}
		}
	}
	over.Wait()
	failed := 0
	for i, err := range results {
		if err != nil {
			if failed++; failed < 4 {
				p.t.Errorf("download %d: %v", i, err)
			}
		}
	}
	if bad+failed > 0 {
		p.t.Errorf("%d of %d idle connections and %d of %d downloads did not survive; the backup:\n%s", bad, idling, failed, downloading, p.e.ctl("services"))
	}
}

// stop is a graceful end.
func (p *pairOf) stopMaster() { p.d.stop() }

// killMaster ends all processes of the master at once.
func (p *pairOf) killMaster() {
	child := p.d.another(0)
	_ = syscall.Kill(p.d.cmd.Process.Pid, syscall.SIGSTOP) // so that it does nothing more
	_ = syscall.Kill(child, syscall.SIGKILL)
	_ = p.d.cmd.Process.Kill()
	_ = p.d.cmd.Wait()
	p.d.cmd = nil
}

// unplugMaster takes its cable out.
func (p *pairOf) unplugMaster() { p.ip("w", "link set pd down") }

const told = "lvs_sync_daemon eth0 VI_1"

// TestPairDirect: by DR, with mh, where nothing needs to be told, and with wlc.
func TestPairDirect(t *testing.T) {
	for _, c := range []struct {
		name, scheduler, more, global string
		lose                          func(*pairOf)
	}{
		{"mh, stopped", "mh", "  mh-port", "", (*pairOf).stopMaster},
		{"mh, killed", "mh", "  mh-port", "", (*pairOf).killMaster},
		{"wlc, stopped", "wlc", "", told, (*pairOf).stopMaster},
		{"wlc, killed", "wlc", "", told, (*pairOf).killMaster},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLAN(t)
			l.direct()
			l.serve("1")
			l.serve("2")
			p := l.pair(c.global, virtual("DR", c.scheduler, c.more, real("10.79.0.21 80", ""), real("10.79.0.22 80", "")), vip+"/24")
			p.survive(c.global != "", func() { c.lose(p) })
		})
	}
}

// TestPairTunnel: by TUN, where servers unwrap with a program of ours.
func TestPairTunnel(t *testing.T) {
	for name, lose := range map[string]func(*pairOf){"stopped": (*pairOf).stopMaster, "unplugged": (*pairOf).unplugMaster} {
		t.Run(name, func(t *testing.T) {
			l := newLAN(t)
			for _, n := range []string{"1", "2"} {
				l.realserver(n, "up", "-tunnel", vip)
				l.serve(n)
			}
			p := l.pair(told, virtual("TUN", "wlc", "", real("10.79.0.21 80", ""), real("10.79.0.22 80", "")), vip+"/24")
			p.survive(true, func() { lose(p) })
		})
	}
}

// TestPairNAT: by NAT, where the servers' gateway moves, too.
func TestPairNAT(t *testing.T) {
	for name, lose := range map[string]func(*pairOf){"stopped": (*pairOf).stopMaster, "killed": (*pairOf).killMaster, "unplugged": (*pairOf).unplugMaster} {
		t.Run(name, func(t *testing.T) {
			l := newLAN(t)
			l.behind(insideVIP)
			l.serve("1")
			l.serve("2")
			p := l.pair(told, virtual("NAT", "wlc", "", real("10.80.0.21 8080", ""), real("10.80.0.22 8080", "")), vip+"/24", insideVIP+"/24")
			p.survive(true, func() { lose(p) })
		})
	}
}

// TestPairBack: a director that comes back takes its address again, and with it
// the connections, also those that are older than its absence.
func TestPairBack(t *testing.T) {
	l := newLAN(t)
	l.behind(insideVIP)
	l.serve("1")
	l.serve("2")
	p := l.pair(told, virtual("NAT", "wlc", "", real("10.80.0.21 8080", ""), real("10.80.0.22 8080", "")), vip+"/24", insideVIP+"/24")
	idle := p.connect(idling)
	all := func(when string) { t.Helper(); l.goOn(when, idle) }
	all("at first")
	l.eventually("the backup knows the connections", func() bool { s := p.e.pairStatus(); return s.active() >= idling })
	p.d.stop()
	all("by the backup")
	p.d = l.director("d", p.text("MASTER", 150))
	l.eventually("the master is back", func() bool { return l.holds("d", vip) && !l.holds("e", vip) })
	all("by the master that has come back")
	if s := p.e.pairStatus(); s.Pair == nil || s.Pair.Tells {
		t.Errorf("the backup says %+v", s.Pair)
	}
}

// goOn wants an answer over each connection.
func (l *lan) goOn(when string, idle []net.Conn) {
	l.t.Helper()
	bad := 0
	var last error
	for _, c := range idle {
		_ = c.SetDeadline(time.Now().Add(patience))
		if _, err := ask(c, "/"); err != nil {
			bad, last = bad+1, err
		}
	}
	if bad > 0 {
		l.t.Fatalf("%s: %d of %d connections did not go on: %v", when, bad, len(idle), last)
	}
}

// TestPairBoth: two addresses, each director master of one. Both tell, each of
// its own connections, and each can take the other's.
func TestPairBoth(t *testing.T) {
	const second = "10.79.0.110"
	l := newLAN(t)
	l.direct()
	for _, n := range []string{"1", "2"} {
		l.ip(n, "addr add "+second+"/32 dev lo")
		l.serve(n)
	}
	servers := []string{real("10.79.0.21 80", ""), real("10.79.0.22 80", "")}
	services := virtual("DR", "wlc", "", servers...) + strings.Replace(virtual("DR", "wlc", "", servers...), vip, second, 1)
	text := func(one, two string, first, other int) string {
		instance := strings.NewReplacer("VI_1", "VI_2", "virtual_router_id 51", "virtual_router_id 52").Replace(vrrp(two, other, second+"/24"))
		return strings.Replace(globals, "}", "  lvs_sync_daemon eth0 id 9\n}", 1) + vrrp(one, first, vip+"/24") + instance + services
	}
	d := l.director("d", text("MASTER", "BACKUP", 150, 100))
	e := l.director("e", text("BACKUP", "MASTER", 100, 150))
	each := func() bool {
		return l.holds("d", vip) && l.holds("e", second) && !l.holds("d", second) && !l.holds("e", vip)
	}
	l.eventually("each its own", each)
	const some = 50
	idle := append(l.connectTo(vip, some), l.connectTo(second, some)...)
	l.goOn("at first", idle)
	for _, x := range []*director{d, e} {
		l.eventually(x.node+" knows all connections", func() bool { s := x.pairStatus(); return s.active() >= 2*some })
		if s := x.pairStatus(); s.Pair == nil || !s.Pair.Tells || s.Pair.Unknown > 0 || len(s.Pair.Peers) != 1 || !s.Pair.Peers[0].Tells {
			t.Errorf("%s says %+v", x.node, s.Pair)
		}
	}
	d.stop()
	l.goOn("by one of them", idle)
	d = l.director("d", d.text())
	l.eventually("each its own again", each)
	l.goOn("by both again", idle)
}

// text is the director's configuration.
func (d *director) text() string {
	b, err := os.ReadFile(d.file)
	if err != nil {
		d.t.Fatal(err)
	}
	return string(b)
}
