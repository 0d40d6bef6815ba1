package e2e

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBinds: every kind of address that a frontend listens on and a server is
// reached at.
func TestBinds(t *testing.T) {
	for _, p := range programs() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			dir, err := os.MkdirTemp("", "ek")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(dir) })
			inherited, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer inherited.Close()
			f, err := inherited.(*net.TCPListener).File()
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			ul, err := net.Listen("unix", filepath.Join(dir, "origin"))
			if err != nil {
				t.Fatal(err)
			}
			abstract := fmt.Sprintf("ek%s%d", p.name, os.Getpid())
			al, err := net.Listen("unix", "@"+padAbstract(p, abstract+"o"))
			if err != nil {
				t.Fatal(err)
			}
			o, ou, oa := serve(t, echo), serveOn(t, ul, echo), serveOn(t, al, echo)
			first, six := freePort(t, 3), freePort(t, 1)
			start(t, p, fmt.Sprintf(`
frontend web
    bind 127.0.0.1:%d-%d
    bind [::1]:%d
    bind unix@%s mode 600
    bind abns@%s
    bind "fd@${INHERITED}"
    use_backend unix if { path /unix }
    use_backend abstract if { path /abstract }
    default_backend tcp
backend tcp
    server s %s
backend unix
    server s unix@%s
backend abstract
    server s abns@%s
`, first, first+2, six, filepath.Join(dir, "web"), abstract, o.addr, ou.addr, abstract+"o"),
				withFiles(f), withEnv("INHERITED=3"))
			all := []*client{
				dialTo(t, "unix", filepath.Join(dir, "web")),
				dialTo(t, "unix", "@"+padAbstract(p, abstract)),
				dialTo(t, "tcp6", fmt.Sprintf("[::1]:%d", six)),
				dial(t, inherited.Addr().String()),
			}
			for port := first; port < first+3; port++ {
				all = append(all, dial(t, fmt.Sprintf("127.0.0.1:%d", port)))
			}
			for _, c := range all {
				for _, path := range []string{"/tcp", "/unix", "/abstract"} {
					c.get(path)
					c.want(200, "GET "+path+" ")
				}
			}
			if o.requests.Load() != 7 || ou.requests.Load() != 7 || oa.requests.Load() != 7 {
				t.Errorf("requests: %d over TCP, %d unix, %d abstract", o.requests.Load(), ou.requests.Load(), oa.requests.Load())
			}
		})
	}
}

// padAbstract is how an abstract socket is called by HAProxy: padded with
// zeros to the whole of sun_path.
func padAbstract(_ program, name string) string {
	return name + strings.Repeat("\x00", 107-len(name))
}

// v2Header is a PROXY protocol header of version 2 for TCP over IPv4.
func v2Header(src, dst string) string {
	b := []byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c")
	for _, a := range []string{src, dst} {
		ta, err := net.ResolveTCPAddr("tcp", a)
		if err != nil {
			panic(err)
		}
		b = append(b, ta.IP.To4()...)
	}
	for _, a := range []string{src, dst} {
		ta, _ := net.ResolveTCPAddr("tcp", a)
		b = binary.BigEndian.AppendUint16(b, uint16(ta.Port))
	}
	return string(b)
}

// TestAcceptProxy: PROXY protocol from clients.
func TestAcceptProxy(t *testing.T) {
	const cfg = "http-request return status 200 content-type text/plain lf-string \"%[src]:%[src_port]>%[dst]:%[dst_port]\""
	v1 := "PROXY TCP4 192.0.2.1 198.51.100.2 1234 80\r\n"
	const get = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
	rows := []struct{ name, send, want string }{
		{"v1", v1 + get, "192.0.2.1:1234>198.51.100.2:80"},
		{"v1 over IPv6", "PROXY TCP6 2001:db8::1 2001:db8::2 1234 80\r\n" + get, "2001:db8::1:1234>2001:db8::2:80"},
		{"v2", v2Header("192.0.2.1:1234", "198.51.100.2:80") + get, "192.0.2.1:1234>198.51.100.2:80"},
		{"unknown", "PROXY UNKNOWN\r\n" + get, "127.0.0.1:"},
		{"local", "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00" + get, "127.0.0.1:"},
		{"none", get, ""},
		{"garbage", "PROXY TCP4 nonsense\r\n" + get, ""},
	}
	for _, p := range programs() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			addr := freeAddr(t)
			d := start(t, p, fmt.Sprintf("frontend web\n    bind %s accept-proxy\n    timeout client 3s\n    %s\n", addr, cfg))
			for _, r := range rows {
				for _, trickle := range []bool{false, true} {
					if trickle && p == peer {
						continue // HAProxy refuses a header in pieces
					}
					c := dial(t, addr)
					if trickle {
						for i := range len(r.send) {
							if _, err := io.WriteString(c.Conn, r.send[i:i+1]); err != nil {
								break
							}
						}
					} else {
						io.WriteString(c.Conn, r.send)
					}
					got, _ := c.all()
					switch {
					case r.want == "" && got != "":
						t.Errorf("%s: got %q", r.name, got)
					case r.want != "" && !strings.Contains(got, "\r\n\r\n"+r.want):
						t.Errorf("%s (trickling %v): got %q, want %s", r.name, trickle, got, r.want)
					}
				}
			}
			// Half a header, and then nothing.
			c := dial(t, addr)
			c.send("PROXY TCP4 192")
			if got, _ := c.all(); got != "" {
				t.Errorf("got %q", got)
			}
			if p == evenkeel {
				d.logs.find(t, "PROXY header")
			}
		})
	}
}

// TestSendProxy: the header that servers get, also before TLS.
func TestSendProxy(t *testing.T) {
	_, pair := certificate(t, "origin.example")
	for _, p := range programs() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			head := func(c *oconn) {
				// A server that speaks either version, then HTTP, maybe in TLS.
				start, err := c.br.Peek(12)
				if err != nil {
					return
				}
				if string(start[:5]) == "PROXY" {
					l, _ := c.br.ReadString('\n')
					c.note(strings.TrimSpace(l))
				} else {
					b := make([]byte, 16)
					io.ReadFull(c.br, b)
					rest := make([]byte, binary.BigEndian.Uint16(b[14:]))
					io.ReadFull(c.br, rest)
					c.note(hex.EncodeToString(b[12:14]) + " " + net.IP(rest[:4]).String())
				}
				if first, err := c.br.Peek(1); err == nil && first[0] == 0x16 {
					tc := tls.Server(buffered{c.Conn, c.br}, &tls.Config{Certificates: []tls.Certificate{pair}})
					c.br = bufio.NewReader(tc)
					c.Conn = tc
				}
				for {
					q, body, err := c.request()
					if err != nil {
						return
					}
					c.ok(q.Method + " " + q.RequestURI + " " + body)
				}
			}
			o := serve(t, head)
			addr := freeAddr(t)
			start(t, p, fmt.Sprintf(`
frontend web
    bind %s
    use_backend v1 if { path /v1 }
    use_backend v2 if { path /v2 }
    use_backend tls if { path /tls }
backend v1
    server s %s send-proxy
backend v2
    server s %s send-proxy-v2
backend tls
    server s %s send-proxy ssl verify none
`, addr, o.addr, o.addr, o.addr))
			c := dial(t, addr)
			for _, path := range []string{"/v1", "/v2", "/tls"} {
				c.get(path)
				c.want(200, "GET "+path+" ")
			}
			local := c.LocalAddr().(*net.TCPAddr)
			_, port, _ := net.SplitHostPort(addr)
			line := fmt.Sprintf("PROXY TCP4 127.0.0.1 127.0.0.1 %d %s", local.Port, port)
			if got, want := strings.Join(o.notes(), "|"), line+"|2111 127.0.0.1|"+line; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// buffered is a connection of which a reader holds the first bytes.
type buffered struct {
	net.Conn
	br *bufio.Reader
}

func (b buffered) Read(p []byte) (int, error) { return b.br.Read(p) }

// TestTLS: both sides encrypted, a PROXY header before it, and SNI towards the
// server.
func TestTLS(t *testing.T) {
	certFile, pair := certificate(t, "web.example")
	for _, p := range programs() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			o := serve(t, func(c *oconn) {
				tc := tls.Server(c.Conn, &tls.Config{Certificates: []tls.Certificate{pair}})
				if tc.Handshake() != nil {
					return
				}
				c.note(tc.ConnectionState().ServerName)
				c.Conn, c.br = tc, bufio.NewReader(tc)
				echo(c)
			})
			addr, proxied := freeAddr(t), freeAddr(t)
			d := start(t, p, fmt.Sprintf(`
frontend web
    bind %s ssl crt %s
    bind %s accept-proxy ssl crt %s
    timeout client 3s
    http-request set-header X-Src %%[src]
    default_backend b
backend b
    server s %s ssl verify none sni req.hdr(host)
`, addr, certFile, proxied, certFile, o.addr))
			cfg := &tls.Config{InsecureSkipVerify: true, ServerName: "web.example"}
			for _, before := range []string{"", "PROXY TCP4 192.0.2.1 198.51.100.2 1234 80\r\n"} {
				raw := dial(t, addr)
				if before != "" {
					raw = dial(t, proxied)
					raw.send(before)
				}
				tc := tls.Client(raw.Conn, cfg)
				c := &client{t: t, Conn: tc, br: bufio.NewReader(tc)}
				big := strings.Repeat("0123456789abcdef", 1<<14)
				for range 3 {
					go io.WriteString(c.Conn, fmt.Sprintf("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", len(big), big))
					c.want(200, "POST /x "+big)
				}
				tc.Close()
			}
			if got := o.notes()[0]; got != "h" {
				t.Errorf("server name %q", got)
			}
			// What is no handshake, and one that never goes on.
			c := dial(t, addr)
			c.send("GET / HTTP/1.1\r\n\r\n")
			c.all()
			d.logs.find(t, "SSL handshake failure")
			c = dial(t, addr)
			c.send("\x16\x03\x01")
			c.wantEOF()
		})
	}
}
