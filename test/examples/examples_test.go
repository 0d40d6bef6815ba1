package examples

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// examples says of each directory under examples/ what it must do.
var examples = map[string]struct {
	env     []string
	prepare func(t *testing.T, s *site)
	run     func(t *testing.T, s *site)
	// oldForms: HAProxy 2.6 refuses the file, and that is its point.
	oldForms bool
}{
	"demo":          {env: []string{"DEMO_PORT=1", "DEMO_DIR=/nowhere", "AMBER=1", "BIRCH=2", "CEDAR=3", "DUNE=4"}},
	"edge":          {run: edge},
	"virtual-hosts": {run: virtualHosts},
	"director-pair": {run: directorPair},
	"old-style":     {run: oldStyle, oldForms: true},
	"tls-edge":      {prepare: certificates, run: tlsEdge},
	"mysql":         {run: mysql},
	"rdp":           {run: rdp},
	"rules":         {run: rules},
}

func TestExamples(t *testing.T) {
	entries, err := os.ReadDir(filepath.Join("..", "..", "examples"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !e.IsDir() || e.Name() == "lab" || e.Name() == "keepalived" { // lab's are templates; internal/lab and internal/dialect/keepalived test them
			continue
		}
		t.Run(e.Name(), func(t *testing.T) {
			t.Parallel()
			example, ok := examples[e.Name()]
			if !ok {
				t.Fatal("nothing is known of this example: give it an entry in the table")
			}
			s := open(t, e.Name())
			s.env = example.env
			if example.prepare != nil {
				example.prepare(t, s)
			}
			if out, err := s.check(program, "haproxy"); err != nil {
				t.Fatalf("not valid: %v\n%s", err, out)
			}
			if path := peer(t); path != "" {
				out, err := s.check(path)
				if (err != nil) != example.oldForms {
					t.Errorf("HAProxy's verdict: %v\n%s", err, out)
				}
			}
			if example.run != nil {
				example.run(t, s)
			}
		})
	}
}

func edge(t *testing.T, s *site) {
	one, two := s.origin("172.16.39.11:80", "cache1"), s.origin("172.16.39.12:80", "cache2")
	s.start()
	c, base := client(nil), "http://"+s.bind["80"]
	owner := map[string]string{}
	count := map[string]int{}
	for i := range 40 {
		path := fmt.Sprintf("/page/%d", i)
		r := ask(t, c, "GET", base+path)
		wantStatus(t, r, 200)
		owner[path] = r.Header.Get("X-Origin")
		count[owner[path]]++
		want(t, "X-Forwarded-Port", r.Header.Get("Saw-X-Forwarded-Port"), s.bind["80"][len("127.0.0.1:"):])
	}
	if count["cache1"] < 5 || count["cache2"] < 5 {
		t.Errorf("40 URIs fell on the caches as %v", count)
	}
	for path, cache := range owner {
		want(t, "the cache of "+path, ask(t, c, "GET", base+path).Header.Get("X-Origin"), cache)
	}
	want(t, "PURGE from inside", ask(t, c, "PURGE", base+"/page/1").Header.Get("X-Saw"), "PURGE /page/1")
	kill(one)
	s.eventually("cache1 is down", func() bool { return s.status("caches", "cache1") == "DOWN" })
	for path := range owner {
		want(t, "the cache of "+path, ask(t, c, "GET", base+path).Header.Get("X-Origin"), "cache2")
	}
	kill(two)
	s.eventually("cache2 is down", func() bool { return s.status("caches", "cache2") == "DOWN" })
	r := ask(t, c, "GET", base+"/")
	wantStatus(t, r, 503)
	if !strings.Contains(body(r), "Back soon") {
		t.Error("the 503 is not the page from the file")
	}
}

func virtualHosts(t *testing.T, s *site) {
	for address, name := range map[string]string{"192.168.99.101:80": "shop1", "192.168.99.102:80": "shop2",
		"192.168.99.101:8000": "blog1", "192.168.99.102:8000": "blog2", "192.168.99.100:80": "sorry"} {
		s.origin(address, name)
	}
	s.start()
	c := client(nil)
	for _, port := range []string{"80", "8080"} {
		base := "http://" + s.bind[port]
		for host, pool := range map[string]string{"shop.example.com": "shop", "blog.example.com": "blog", "else.example.com": "shop"} {
			first := ask(t, c, "GET", base+"/a.png", "Host: "+host)
			if !strings.HasPrefix(first.Header.Get("X-Origin"), pool) {
				t.Errorf("%s went to %q", host, first.Header.Get("X-Origin"))
			}
			want(t, "X-Kind", first.Header.Get("Saw-X-Kind"), "picture")
			want(t, "X-Forwarded-For", first.Header.Get("Saw-X-Forwarded-For"), "127.0.0.1")
			for range 5 {
				want(t, "the server of one client", ask(t, c, "GET", base+"/", "Host: "+host).Header.Get("X-Origin"), first.Header.Get("X-Origin"))
			}
		}
		r := ask(t, c, "GET", base+"/basket?id=7", "Host: example.com")
		wantStatus(t, r, 301)
		want(t, "Location", r.Header.Get("Location"), "http://shop.example.com/basket?id=7")
	}
}

func directorPair(t *testing.T, s *site) {
	one, two := s.origin("192.168.1.21:80", "nginx1"), s.origin("192.168.1.22:80", "nginx2")
	s.origin("127.0.0.1:8080", "sorry")
	s.start()
	c, base := client(nil), "http://"+s.bind["80"]
	wantStatus(t, ask(t, c, "GET", base+"/director-health"), 200)
	seen := map[string]bool{}
	for range 4 {
		r := ask(t, c, "GET", base+"/")
		name, cookie := r.Header.Get("X-Origin"), r.Header.Get("Set-Cookie")
		seen[name] = true
		if !strings.HasPrefix(cookie, "SRV=n"+name[len(name)-1:]+";") {
			t.Errorf("%s gave the cookie %q", name, cookie)
		}
		value, _, _ := strings.Cut(cookie, ";")
		again := ask(t, c, "GET", base+"/", "Cookie: a=b; "+value)
		want(t, "the server of "+value, again.Header.Get("X-Origin"), name)
		want(t, "the cookies that the server sees", again.Header.Get("Saw-Cookie"), "a=b")
	}
	if !seen["nginx1"] || !seen["nginx2"] {
		t.Errorf("only %v got requests", seen)
	}
	kill(one)
	kill(two)
	s.eventually("the sorry server answers", func() bool { return ask(t, c, "GET", base+"/").Header.Get("X-Origin") == "sorry" })
}

func oldStyle(t *testing.T, s *site) {
	s.origin("10.1.1.11:80", "web01")
	s.origin("10.1.1.12:80", "web02")
	s.start()
	c, base := client(nil), "http://"+s.bind["80"]
	r := ask(t, c, "GET", base+"/static/logo.svg?v=2", "X-Secret: yes")
	wantStatus(t, r, 200)
	want(t, "what the server saw", r.Header.Get("X-Saw"), "GET /files/logo.svg?v=2")
	want(t, "X-Proto", r.Header.Get("Saw-X-Proto"), "http")
	want(t, "X-Secret", r.Header.Get("Saw-X-Secret"), "")
	want(t, "Server", r.Header.Get("Server"), "")
	if cookie := r.Header.Get("Set-Cookie"); !strings.HasPrefix(cookie, "SERVERID=") {
		t.Errorf("the cookie is %q", cookie)
	}
	wantStatus(t, ask(t, c, "GET", base+"/private/x"), 403)
}

func certificates(t *testing.T, s *site) {
	ca := newAuthority(t)
	write(t, filepath.Join(s.dir, "site.pem"), ca.issue(t, "www.example.com", "office.example.com"))
	write(t, filepath.Join(s.dir, "internal.pem"), ca.pem)
	write(t, filepath.Join(s.dir, "web.pem"), ca.issue(t, "web.example.com"))
}

func tlsEdge(t *testing.T, s *site) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(s.dir, "web.pem"), filepath.Join(s.dir, "web.pem"))
	if err != nil {
		t.Fatal(err)
	}
	for address, name := range map[string]string{"10.0.0.11:443": "web1", "10.0.0.12:443": "web2"} {
		o := s.newOrigin(address, name)
		o.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
		o.StartTLS()
	}
	s.origin("10.0.0.21:80", "office1")
	s.start()
	pool := x509.NewCertPool()
	authority, err := os.ReadFile(filepath.Join(s.dir, "internal.pem"))
	if err != nil || !pool.AppendCertsFromPEM(authority) {
		t.Fatal("no authority", err)
	}
	r := ask(t, client(nil), "GET", "http://"+s.bind["80"]+"/x?y", "Host: www.example.com")
	wantStatus(t, r, 301)
	want(t, "Location", r.Header.Get("Location"), "https://www.example.com/x?y")
	r = ask(t, client(&tls.Config{RootCAs: pool, ServerName: "www.example.com"}), "GET", "https://"+s.bind["443"]+"/")
	wantStatus(t, r, 200)
	want(t, "X-Forwarded-Proto", r.Header.Get("Saw-X-Forwarded-Proto"), "https")
	want(t, "Strict-Transport-Security", r.Header.Get("Strict-Transport-Security"), "max-age=31536000; includeSubDomains")
	if seen := r.Header.Get("Saw-X-Tls"); !strings.HasPrefix(seen, "TLSv1.3/TLS_") {
		t.Errorf("X-TLS is %q", seen)
	}
	if name := r.Header.Get("X-Origin"); !strings.HasPrefix(name, "web") {
		t.Errorf("www went to %q", name)
	}
	r = ask(t, client(&tls.Config{RootCAs: pool, ServerName: "office.example.com"}), "GET", "https://"+s.bind["443"]+"/")
	want(t, "the server of office", r.Header.Get("X-Origin"), "office1")
	if _, err := tls.Dial("tcp", s.bind["443"], &tls.Config{RootCAs: pool, ServerName: "www.example.com", MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 was accepted")
	}
}

// greeting is the first packet of a MySQL server.
func greeting(name string) []byte {
	var b bytes.Buffer
	b.WriteByte(10)
	b.WriteString("8.0.0-" + name + "\x00")
	b.Write([]byte{1, 0, 0, 0})
	b.WriteString("12345678\x00")
	b.Write([]byte{0xff, 0xf7, 33, 2, 0, 0xff, 0x81, 21})
	b.Write(make([]byte, 10))
	b.WriteString("123456789012\x00mysql_native_password\x00")
	return append([]byte{byte(b.Len()), 0, 0, 0}, b.Bytes()...)
}

func mysql(t *testing.T, s *site) {
	serve := func(name string) func(net.Conn, *bufio.Reader) {
		return func(c net.Conn, r *bufio.Reader) {
			c.Write(greeting(name))
			var head [4]byte
			if _, err := io.ReadFull(r, head[:]); err != nil {
				return
			}
			c.Write([]byte{7, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0})
			io.Copy(io.Discard, r)
		}
	}
	end := s.lineServer("10.0.0.31:3306", serve("primary"))
	s.lineServer("10.0.0.32:3306", serve("replica"))
	s.start()
	who := func(port string) string {
		c, err := net.Dial("tcp", s.bind[port])
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		b := make([]byte, 30)
		io.ReadFull(c, b)
		for _, name := range []string{"primary", "replica"} {
			if bytes.Contains(b, []byte(name)) {
				return name
			}
		}
		return fmt.Sprintf("%q", b)
	}
	for range 3 {
		want(t, "writes go to", who("3306"), "primary")
	}
	if got := who("3307"); got != "primary" && got != "replica" {
		t.Errorf("reads go to %s", got)
	}
	s.eventually("both passed a check", func() bool {
		return s.status("mysql-write", "primary") == "UP" && s.status("mysql-write", "replica") == "UP"
	})
	end()
	s.eventually("writes go to the replica", func() bool { return who("3306") == "replica" })
}

func rdp(t *testing.T, s *site) {
	for address, name := range map[string]string{"10.0.0.41:3389": "ts1", "10.0.0.42:3389": "ts2"} {
		s.lineServer(address, func(c net.Conn, r *bufio.Reader) {
			if _, err := r.Peek(1); err == nil {
				fmt.Fprintln(c, name)
			}
			io.Copy(io.Discard, r)
		})
	}
	s.start()
	send := func(first []byte) string {
		c, err := net.Dial("tcp", s.bind["3389"])
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		c.Write(first)
		line, _ := bufio.NewReader(c).ReadString('\n')
		return strings.TrimSpace(line)
	}
	connect := func(user string) []byte {
		cookie := "Cookie: mstshash=" + user + "\r\n"
		size := 11 + len(cookie)
		return append([]byte{3, 0, 0, byte(size), byte(size - 5), 0xe0, 0, 0, 0, 0, 0}, cookie...)
	}
	seen := map[string]bool{}
	for i := range 20 {
		user := fmt.Sprintf("user%d", i)
		name := send(connect(user))
		seen[name] = true
		want(t, "the server of "+user, send(connect(user)), name)
	}
	if len(seen) != 2 || seen[""] {
		t.Errorf("20 users fell on %v", seen)
	}
	want(t, "what is no RDP", send([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")), "")
}

func rules(t *testing.T, s *site) {
	s.origin("10.0.1.11:8080", "app1")
	s.origin("10.0.1.12:8080", "app2")
	s.origin("10.0.1.13:8080", "app3")
	s.start()
	c, base := client(nil), "http://"+s.bind["8000"]
	get := func(path string, fields ...string) *http.Response {
		t.Helper()
		return ask(t, c, "GET", base+path, fields...)
	}
	want(t, "/up", body(get("/up")), "up with 2 servers\n")
	r := get("/v0/users")
	want(t, "/v0", r.Header.Get("Content-Type")+" "+body(r), `application/json {"maintenance":true}`)
	r = get("/")
	wantStatus(t, r, 302)
	want(t, "Location", r.Header.Get("Location"), "/docs/")
	wantStatus(t, get("/.env"), 403)
	wantStatus(t, get("/x?"+strings.Repeat("a", 2100)), 400)
	wantStatus(t, get("/admin"), 401)
	for user, status := range map[string]int{"alice:wonder": 200, "alice:wrong": 401, "bob:builder": 401} {
		name, password, _ := strings.Cut(user, ":")
		request, _ := http.NewRequest("GET", base+"/admin", nil)
		request.SetBasicAuth(name, password)
		wantStatus(t, get("/admin", "Authorization: "+request.Header.Get("Authorization")), status)
	}
	want(t, "/users", get("/users/7?a=b").Header.Get("X-Saw"), "GET /v2/users/7?a=b")
	want(t, "/old", get("/old/thing").Header.Get("X-Saw"), "GET /new/thing")
	want(t, "trace", get("/a?b=c", "X-Trace: 1").Header.Get("X-Saw"), "GET /a?b=c&trace=1")
	r = get("/moved", "User-Agent: iPhone", "X-Debug: 1", "X-Real-IP: 1.2.3.4")
	want(t, "X-Device", r.Header.Get("Saw-X-Device"), "mobile")
	want(t, "X-Debug", r.Header.Get("Saw-X-Debug"), "")
	want(t, "X-Real-IP", r.Header.Get("Saw-X-Real-Ip"), "127.0.0.1")
	want(t, "Location", r.Header.Get("Location"), "https://api.example.com/elsewhere")
	want(t, "Server", r.Header.Get("Server"), "")
	want(t, "X-Served-By", r.Header.Get("X-Served-By"), r.Header.Get("X-Origin"))
	if id := r.Header.Get("X-Request-ID"); len(id) != 36 {
		t.Errorf("X-Request-ID is %q", id)
	}
	for _, field := range []string{"Cookie: canary=on", "X-Canary: YES", "X-Pool: Canary"} {
		want(t, field, get("/y", field).Header.Get("X-Origin"), "app3")
	}
	first := get("/y?user=42").Header.Get("X-Origin")
	for range 3 {
		want(t, "the server of user 42", get("/z?user=42").Header.Get("X-Origin"), first)
	}
}
