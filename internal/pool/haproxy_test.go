package pool

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"evenkeel/internal/balance"
	"evenkeel/internal/model"
)

// The same choice as HAProxy's for the same key: each case is a backend of one
// haproxy process and one of ours; both get the same requests and the same
// commands, and must name the same server each time.

const haproxyPath = "/usr/sbin/haproxy"

// Sockets of HAProxy in its directory: another HAProxy could listen on a port
// beside it, and take some of the requests.
const (
	haproxyFront  = "front"
	haproxyOrigin = "origin"
)

// haCase is one backend.
type haCase struct {
	name    string
	balance string // lines of the backend
	servers []string
	model   func(*model.Proxy)
	noKeys  bool // round robin of some sort: compare the sequence
	static  bool
	// strays: a known fault of HAProxy that we do not share: after all backup
	// servers of a consistent hash were in use, requests without a key keep
	// going to them although active servers are up again.
	strays bool
}

type haServer struct {
	weight int
	backup bool
}

func haServers(specs ...haServer) ([]string, []*model.Server) {
	var lines []string
	for i, s := range specs {
		l := fmt.Sprintf("server s%d unix@%s weight %d", i+1, haproxyOrigin, s.weight)
		if s.backup {
			l += " backup"
		}
		lines = append(lines, l)
	}
	return lines, servers(len(specs), func(i int, s *model.Server) {
		s.Weight = weight(specs[i-1].weight)
		s.Backup = specs[i-1].backup
	})
}

func haCases() []haCase {
	sets := map[string][]haServer{
		"even":    {{1, false}, {1, false}, {1, false}, {1, true}},
		"uneven":  {{1, false}, {3, false}, {10, false}, {2, true}, {2, true}},
		"heavy":   {{256, false}, {100, false}, {7, false}, {0, false}, {3, true}, {9, true}},
		"common":  {{20, false}, {40, false}, {10, false}, {30, false}, {10, true}, {20, true}},
		"backups": {{1, true}, {2, true}, {5, true}},
	}
	var cases []haCase
	add := func(set, name, lines string, set2 func(*model.Proxy), c haCase) {
		text, servers := haServers(sets[set]...)
		c.name, c.balance, c.servers = name+"-"+set, lines, text
		c.model = func(p *model.Proxy) {
			p.Backend.Servers = servers
			set2(p)
		}
		cases = append(cases, c)
	}
	for set := range sets {
		for _, fn := range []string{"sdbm", "djb2", "wt6", "crc32"} {
			for _, consistent := range []bool{false, true} {
				for _, mix := range []bool{false, true} {
					for _, all := range []bool{false, true} {
						if all && fn != "sdbm" && set != "backups" {
							continue
						}
						typ, suffix := "map-based", ""
						if consistent {
							typ = "consistent"
						}
						if mix {
							suffix = " avalanche"
						}
						lines := "balance hdr(x-key)\nhash-type " + typ + " " + fn + suffix
						if all {
							lines += "\noption allbackups"
						}
						add(set, fmt.Sprintf("hdr-%s-%s-%v-%v", fn, typ, mix, all), lines, func(p *model.Proxy) {
							p.Backend.Balance = model.Balance{Algorithm: "hdr", Name: "x-key"}
							p.Backend.HashType = model.HashType{Consistent: consistent, Function: fn, Avalanche: mix}
							p.Options.AllBackups = all
						}, haCase{static: !consistent, strays: consistent && all})
					}
				}
			}
		}
		for _, algo := range []string{"roundrobin", "static-rr", "leastconn", "first"} {
			add(set, algo, "balance "+algo, func(p *model.Proxy) {
				p.Backend.Balance.Algorithm = algo
			}, haCase{noKeys: true, static: algo == "static-rr"})
		}
		for _, h := range []string{"", "hash-type consistent", "hash-type map-based sdbm avalanche", "hash-type consistent djb2 avalanche"} {
			for name, lines := range map[string]string{
				"source": "balance source", "uri": "balance uri", "uri-whole": "balance uri whole",
				"uri-len": "balance uri len 9", "uri-depth": "balance uri depth 2 whole", "uri-path": "balance uri path-only",
				"param": "balance url_param id", "domain": "balance hdr(host) use_domain_only",
				"expr": "balance hash req.hdr(x-key),lower",
			} {
				if strings.HasPrefix(name, "expr") {
					continue // 2.6 has no balance hash
				}
				add(set, name+"-"+strings.ReplaceAll(h, " ", "-"), lines+"\n"+h, func(p *model.Proxy) {
					f := strings.Fields(lines)
					a, _, _ := strings.Cut(f[1], "(")
					m := &p.Backend.Balance
					m.Algorithm = a
					m.Whole = strings.Contains(lines, "whole")
					m.PathOnly = strings.Contains(lines, "path-only")
					m.DomainOnly = name == "domain"
					if name == "uri-len" {
						m.Len = 9
					}
					if name == "uri-depth" {
						m.Depth = 2
					}
					t := &p.Backend.HashType
					t.Consistent = strings.Contains(h, "consistent")
					t.Avalanche = strings.Contains(h, "avalanche")
					if strings.Contains(h, "djb2") {
						t.Function = "djb2"
					}
				}, haCase{static: !strings.Contains(h, "consistent")})
			}
		}
	}
	return cases
}

// haRequest is what one request looks like to both.
type haRequest struct {
	target, key, host string
	src               netip.Addr
}

func haRequests(rng *rand.Rand, n int) []haRequest {
	hosts := []string{"localhost", "www.example.com", "a.b", "a..b", "x.org", ".com", "example.com.", "static.cdn.example.co.uk"}
	out := make([]haRequest, n)
	for i := range out {
		word := func() string {
			b := make([]byte, 1+rng.IntN(8))
			for i := range b {
				b[i] = "abcdefghijklmnopqrstuvwxyz0123456789-._~"[rng.IntN(40)]
			}
			return string(b)
		}
		r := haRequest{key: word(), host: hosts[rng.IntN(len(hosts))]}
		if rng.IntN(4) == 0 {
			r.host = word() + "." + word() + ".net"
		}
		for range 1 + rng.IntN(4) {
			r.target += "/" + word()
		}
		if rng.IntN(8) == 0 {
			r.host = "x" + word() + ".example"
			r.target = "http://" + r.host + r.target
		}
		if rng.IntN(2) == 0 {
			r.target += "?" + word() + "=1&id=" + word() + "&z=" + word()
		}
		if rng.IntN(10) == 0 {
			r.key = ""
		}
		var a [4]byte
		var b [16]byte
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		copy(a[:], b[:])
		if r.src = netip.AddrFrom4(a); rng.IntN(3) == 0 {
			r.src = netip.AddrFrom16(b)
		}
		out[i] = r
	}
	return out
}

// haStep is commands given to both sides between two rounds of requests.
type haStep struct {
	name     string
	commands []string // over %s/sN, with "state" or "weight"
	dynamic  bool     // not for static algorithms
}

var haSteps = []haStep{
	{name: "start"},
	{name: "s2 down", commands: []string{"s2 state maint"}},
	{name: "s2 up, s1 draining", commands: []string{"s2 state ready", "s1 state drain"}},
	{name: "on backup", commands: []string{"s1 state ready", "s1 state maint", "s2 state maint", "s3 state maint"}},
	{name: "all up again", commands: []string{"s3 state ready", "s2 state ready", "s1 state ready"}},
	{name: "half weight", commands: []string{"s2 weight 50%"}, dynamic: true},
	{name: "more weight", commands: []string{"s1 weight 200%", "s3 weight 0"}, dynamic: true},
	{name: "initial weights", commands: []string{"s3 weight 100%", "s2 weight 100%", "s1 weight 100%"}},
}

func TestSameChoiceAsHAProxy(t *testing.T) {
	needHAProxy(t)
	cases := haCases()
	ha := startHAProxy(t, cases)
	rng := rand.New(rand.NewPCG(1, 2))
	requests := haRequests(rng, 40)
	compared, failed := 0, 0
	for i := range cases {
		c := &cases[i]
		p := &model.Proxy{Name: c.name, Mode: model.ModeHTTP}
		c.model(p)
		b := newTest(t, p, Options{})
		names := len(p.Backend.Servers)
		wasOnBackup := false
		for _, step := range haSteps {
			if step.dynamic && c.static {
				continue
			}
			for _, cmd := range step.commands {
				f := strings.Fields(cmd)
				s := b.Server(f[0])
				if s == nil || names < 3 {
					continue
				}
				ha.command(t, "set server "+c.name+"/"+cmd)
				var err error
				if f[1] == "weight" {
					err = s.SetWeight(f[2])
				} else {
					err = s.SetAdmin(f[2])
				}
				if err != nil {
					t.Fatal(c.name, cmd, err)
				}
			}
			rs := requests
			if !c.noKeys {
				k := rng.IntN(len(rs) / 2)
				rs = rs[k : k+len(rs)/2]
			}
			if step.name == "on backup" {
				wasOnBackup = true
			}
			for j := range rs {
				if wasOnBackup && c.strays && rs[j].key == "" {
					continue
				}
				want := ha.ask(t, c.name, &rs[j])
				got := ask(b, &rs[j])
				compared++
				if got != want {
					t.Errorf("%s, %s: request %d %+v: haproxy chose %s, we %s", c.name, step.name, j, rs[j], want, got)
					failed++
					break
				}
			}
			if failed > 25 {
				t.Fatal("too many differences")
			}
		}
	}
	t.Logf("%d choices of %d backends compared", compared, len(cases))
}

func needHAProxy(t *testing.T) {
	if _, err := os.Stat(haproxyPath); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("CI needs %s to compare with: %v", haproxyPath, err)
		}
		t.Skipf("no haproxy to compare with: %v", err)
	}
	if testing.Short() {
		t.Skip("short")
	}
}

// Commands must give the same events, at the same level, and the same state
// and status of every server.
func TestSameEventsAsHAProxy(t *testing.T) {
	needHAProxy(t)
	log, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	defer log.Close()
	server, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer server.Close()
	port := server.Addr().(*net.TCPAddr).Port
	dir := t.TempDir()
	ha := runHAProxy(t, dir, fmt.Sprintf(`global
  nbthread 1
  stats socket %s/sock level admin
  log %s local0 debug
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 5s
frontend front
  bind unix@%s
backend b
  log global
  option redispatch
  server s1 127.0.0.1:%d weight 10 check inter 1h
  server s2 127.0.0.1:%d weight 3
  server s3 127.0.0.1:%d backup
  server s4 127.0.0.1:%d disabled
  server s5 127.0.0.1:%d track b/s1
`, dir, log.LocalAddr(), haproxyFront, port, port, port, port, port))
	r := &recorder{}
	p := &model.Proxy{Name: "b", ID: 3, Mode: model.ModeHTTP, Backend: model.Backend{Servers: servers(5, func(i int, s *model.Server) {
		s.Addr.Port = port
		s.Weight = weight([]int{10, 3, 1, 1, 1}[i-1])
		s.Check.Enabled, s.Backup, s.Disabled = i == 1, i == 3, i == 4
		if i == 5 {
			s.Track = "b/s1"
		}
	})}}
	p.Options.Redispatch = -1
	b := newTest(t, p, Options{Event: r.event})
	// Changes of health while a server drains are left out: 2.6 repeats that it
	// drains then, 3.0 does not.
	//
	// The first health check of s1 may come at any moment; let it be over.
	b.Servers[0].CheckDone(CheckReport{Status: CheckL4OK})
	for !strings.Contains(ha.output(t, "show servers state b"), "b 1 s1 127.0.0.1 2 0 10 10 0 6 3 4 6") &&
		!strings.Contains(ha.output(t, "show servers state b"), " 6 3 4 6 0 0 0") {
		time.Sleep(10 * time.Millisecond)
	}
	buf := make([]byte, 4096)
	for _, cmd := range []string{
		"s2 health down", "s2 health up", "s2 state drain", "s2 state ready", "s2 health stopping", "s2 health up",
		"s2 state maint", "s2 health down", "s2 state ready", "s4 state ready", "s4 state maint", "s4 state drain", "s4 state ready",
		"s1 health down", "s1 state maint", "s1 state ready", "s1 state maint", "s1 state ready", "s1 health stopping",
		"s1 health up", "s1 weight 0", "s1 weight 50%", "s3 state maint", "s3 state ready", "s3 health down",
		"s1 state maint", "s2 state maint", "s4 state maint", "s3 health up", "s3 state drain", "s3 state maint", "s3 state ready",
		"s5 state maint", "s1 state ready", "s5 state ready", "s5 state drain", "s5 state ready", "s2 state ready",
	} {
		f := strings.Fields(cmd)
		s := b.Server(f[0])
		switch f[1] {
		case "health":
			must(t, s.SetHealth(f[2]))
		case "state":
			must(t, s.SetAdmin(f[2]))
		case "weight":
			must(t, s.SetWeight(f[2]))
		}
		ha.command(t, "set server b/"+cmd)
		for _, ours := range r.take() {
			log.SetReadDeadline(time.Now().Add(30 * time.Second))
			n, _, err := log.ReadFrom(buf)
			if err != nil {
				t.Fatalf("%s: haproxy did not say %q: %v", cmd, ours, err)
			}
			if theirs := syslogText(t, string(buf[:n])); theirs != ours {
				t.Errorf("%s:\n haproxy %s\n      we %s", cmd, theirs, ours)
			}
		}
		var out bytes.Buffer
		must(t, WriteState(&out, []*Backend{b}, 0))
		if theirs, ours := stable(ha.output(t, "show servers state b")), stable(out.String()); theirs != ours {
			t.Errorf("%s: state\n%s\nwe have\n%s", cmd, theirs, ours)
		}
	}
	// Nothing more was said than what was read.
	log.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if n, _, err := log.ReadFrom(buf); err == nil {
		t.Errorf("haproxy said more: %s", buf[:n])
	}
}

// syslogText is the level and text of "<134>Nov 21 10:00:00 haproxy[1]: text".
func syslogText(t *testing.T, line string) string {
	var pri int
	if _, err := fmt.Sscanf(line, "<%d>", &pri); err != nil {
		t.Fatal(line)
	}
	_, text, _ := strings.Cut(line, "]: ")
	return fmt.Sprintf("%d %s", pri&7, strings.TrimSpace(text))
}

// stable is a state without the field that tells the seconds since a change.
func stable(state string) string {
	var out strings.Builder
	for l := range strings.Lines(state) {
		if f := strings.Fields(l); len(f) == 25 && f[0] != "#" {
			f[9] = "_"
			out.WriteString(strings.Join(f, " ") + "\n")
		}
	}
	return out.String()
}

// ask makes our choice.
func ask(b *Backend, r *haRequest) string {
	m := &b.Model.Backend.Balance
	ch := Choice{Src: r.src}
	switch m.Algorithm {
	case "uri":
		ch.Key, ch.HasKey = balance.URIKey([]byte(r.target), m.Whole, m.PathOnly, m.Len, m.Depth), true
	case "url_param":
		ch.Key, ch.HasKey = balance.URLParamKey([]byte(r.target), "id")
	case "hdr":
		if m.DomainOnly {
			ch.Key, ch.HasKey = balance.DomainKey([]byte(r.host)), true
		} else {
			ch.Key, ch.HasKey = []byte(r.key), r.key != ""
		}
	}
	s, _, err := b.Pick(&ch, nil)
	if err != nil {
		return "none"
	}
	s.Finish(&Result{Status: 200, Session: true})
	return s.Name
}

type haproxy struct {
	socket string
	conn   net.Conn
	in     *bufio.Reader
}

func startHAProxy(t *testing.T, cases []haCase) *haproxy {
	dir := t.TempDir()
	var cfg bytes.Buffer
	fmt.Fprintf(&cfg, `global
  nbthread 1
  stats socket %s/sock level admin
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 5s
frontend origin
  bind unix@%s
  http-request return status 200
frontend front
  bind unix@%s
  http-request set-src hdr(x-src)
  use_backend %%[req.hdr(x-case)]
`, dir, haproxyOrigin, haproxyFront)
	for _, c := range cases {
		fmt.Fprintf(&cfg, "backend %s\n  http-response set-header x-server %%s\n", c.name)
		for l := range strings.Lines(c.balance) {
			fmt.Fprintf(&cfg, "  %s\n", strings.TrimSpace(l))
		}
		for _, s := range c.servers {
			fmt.Fprintf(&cfg, "  %s\n", s)
		}
	}
	return runHAProxy(t, dir, cfg.String())
}

func runHAProxy(t *testing.T, dir, cfg string) *haproxy {
	file := filepath.Join(dir, "haproxy.cfg")
	if err := os.WriteFile(file, []byte(cfg), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := exec.Command(haproxyPath, "-db", "-f", file)
	cmd.Dir = dir
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { cmd.Wait(); close(exited) }()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-exited
	})
	ha := &haproxy{socket: dir + "/sock"}
	for {
		var err error
		if ha.conn, err = net.Dial("unix", filepath.Join(dir, haproxyFront)); err == nil {
			break
		}
		select {
		case <-exited:
			t.Fatalf("haproxy did not start:\n%s", out.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
	ha.in = bufio.NewReader(ha.conn)
	return ha
}

// ask sends one request and reads which server was chosen.
func (h *haproxy) ask(t *testing.T, backend string, r *haRequest) string {
	key := ""
	if r.key != "" {
		key = "x-key: " + r.key + "\r\n"
	}
	fmt.Fprintf(h.conn, "GET %s HTTP/1.1\r\nhost: %s\r\nx-case: %s\r\nx-src: %s\r\n%s\r\n", r.target, r.host, backend, r.src, key)
	res, err := http.ReadResponse(h.in, nil)
	if err != nil {
		t.Fatalf("%s: %+v: %v", backend, r, err)
	}
	io.Copy(io.Discard, res.Body)
	res.Body.Close()
	switch {
	case res.StatusCode == 503:
		return "none"
	case res.StatusCode != 200:
		t.Fatalf("%s: %+v: status %d", backend, r, res.StatusCode)
	}
	return res.Header.Get("x-server")
}

func (h *haproxy) command(t *testing.T, cmd string) {
	if text := strings.TrimSpace(h.output(t, cmd)); text != "" {
		t.Fatalf("%s: %s", cmd, text)
	}
}

func (h *haproxy) output(t *testing.T, cmd string) string {
	c, err := net.Dial("unix", h.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintln(c, cmd)
	out, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("%s: %v", cmd, err)
	}
	return string(out)
}
