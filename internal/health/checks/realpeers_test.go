package checks

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"evenkeel/internal/model"
	"evenkeel/test/loopback"
)

// peer starts a program that has to be installed, and waits until it listens
// on a TCP port; 0: it has none.
func peer(t *testing.T, port int, argv ...string) {
	t.Helper()
	path, err := exec.LookPath(argv[0])
	if err != nil {
		t.Skipf("no %s here", argv[0])
	}
	cmd := exec.Command(path, argv[1:]...)
	out := &strings.Builder{}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(limit):
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
		if t.Failed() {
			t.Logf("%s: %s", argv[0], out)
		}
	})
	for late := time.Now().Add(limit); port != 0; {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			c.Close()
			return
		}
		select {
		case <-ended:
			t.Fatalf("%s: %s", strings.Join(argv, " "), out)
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(late) {
			t.Fatalf("%s does not listen on %d", argv[0], port)
		}
	}
}

// certificate writes a self-signed one for a name and its key into a file each.
func certificate(t *testing.T, dir, name string) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotAfter: time.Now().Add(-time.Hour)} // over already: keepalived does not look
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	kder, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	write := func(file, kind string, b []byte) string {
		path := filepath.Join(dir, file)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write(name+".crt", "CERTIFICATE", der), write(name+".key", "EC PRIVATE KEY", kder)
}

func local(port int) RealTarget {
	return RealTarget{Server: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port))}
}

func TestRealNginx(t *testing.T) {
	dir := t.TempDir()
	cert, key := certificate(t, dir, "www.example.com")
	plain := loopback.Ports(t, 2)
	secure := plain + 1
	const page = "<html>all is well</html>\n"
	conf := fmt.Sprintf(`daemon off; pid %[1]s/pid; error_log %[1]s/error; user root;
events {}
http {
  access_log off; root %[1]s;
  client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  ssl_certificate %[2]s; ssl_certificate_key %[3]s;
  server { listen 127.0.0.1:%[4]d; listen 127.0.0.1:%[5]d ssl; server_name other; location / { return 404; } location = /host { return 200 "$host|$ssl_server_name"; } }
  server { listen 127.0.0.1:%[4]d; listen 127.0.0.1:%[5]d ssl; server_name www.example.com;
    location = /down { return 503; }
    location = /host { return 200 "$host|$ssl_server_name"; }
    location = /chunked { gzip off; proxy_pass http://127.0.0.1:%[4]d/page; proxy_set_header Host www.example.com; chunked_transfer_encoding on; }
  }
}`, dir, cert, key, plain, secure)
	for name, text := range map[string]string{"nginx.conf": conf, "page": page} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	peer(t, plain, "nginx", "-p", dir, "-e", dir+"/error", "-c", dir+"/nginx.conf")
	for _, x := range []struct {
		name    string
		version string
		host    string
		sni     bool
		url     model.CheckURL
		plain   string
		secure  string
	}{
		{"page", "", "www.example.com", true, model.CheckURL{Path: "/page", Digest: sum(page), Regex: "all is well"}, "HTTP status 200 for /page", ""},
		{"page 1.1", "1.1", "www.example.com", false, model.CheckURL{Path: "/page", Digest: sum(page)}, "HTTP status 200 for /page", ""},
		{"proxied 1.1", "1.1", "www.example.com", false, model.CheckURL{Path: "/chunked", Digest: sum(page)}, "HTTP status 200 for /chunked", ""},
		{"503", "1.0C", "www.example.com", false, model.CheckURL{Path: "/down"}, "HTTP status 503 instead of 200-299 for /down", ""},
		{"503 wanted", "", "", false, model.CheckURL{Path: "/down", VirtualHost: "www.example.com", Status: []model.StatusRange{{First: 500, Last: 599}}}, "HTTP status 503 for /down", ""},
		{"another host", "", "", false, model.CheckURL{Path: "/page"}, "HTTP status 404 instead of 200-299 for /page", ""},
		{"no sni", "", "www.example.com", false, model.CheckURL{Path: "/host", Regex: `^www\.example\.com\|$`}, "HTTP status 200 for /host", ""},
		{"sni", "", "www.example.com", true, model.CheckURL{Path: "/host", Regex: `^www\.example\.com\|www\.example\.com$`}, "HTTP status 200, but nothing matches", "HTTP status 200 for /host"},
	} {
		for kind, port := range map[model.RealCheckKind]int{model.CheckerHTTP: plain, model.CheckerSSL: secure} {
			want := x.plain
			if kind == model.CheckerSSL && x.secure != "" {
				want = x.secure
			}
			c := model.RealCheck{Kind: kind, HTTP: &model.HTTPCheckSpec{VirtualHost: x.host, Version: x.version, SNI: x.sni, URLs: []*model.CheckURL{&x.url}}}
			if got := compileReal(t, c, nil).Run(t.Context(), local(port)); !strings.HasPrefix(got.Text, want) {
				t.Errorf("%s %s: %s", x.name, kind, got.Text)
			}
		}
	}
}

// s_server ends a connection without a close_notify; tls_compliant minds.
func TestRealOpenSSL(t *testing.T) {
	cert, key := certificate(t, t.TempDir(), "x")
	port := loopback.Ports(t, 1)
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	peer(t, port, "openssl", "s_server", "-accept", addr, "-cert", cert, "-key", key, "-www", "-quiet")
	c := model.RealCheck{Kind: model.CheckerSSL, HTTP: &model.HTTPCheckSpec{URLs: []*model.CheckURL{{Path: "/", Regex: "s_server"}}}}
	if got := compileReal(t, c, nil).Run(t.Context(), local(port)); !strings.HasPrefix(got.Text, "HTTP status 200 for / on "+addr+" in ") {
		t.Error(got.Text)
	}
	// The SSL block's certificate is shown to who asks, with its key encrypted
	// or not.
	locked := key + ".locked"
	if out, err := exec.Command("openssl", "ec", "-in", key, "-aes128", "-passout", "pass:secret", "-out", locked).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	port = loopback.Ports(t, 1)
	peer(t, 0, "openssl", "s_server", "-accept", fmt.Sprintf("127.0.0.1:%d", port), "-cert", cert, "-key", key, "-www", "-quiet", "-Verify", "1", "-verify_quiet", "-tls1_2")
	for name, x := range map[string]struct {
		ssl *model.CheckSSL
		ok  bool
	}{
		"none": {nil, false}, "plain": {&model.CheckSSL{Certificate: cert, Key: key}, true},
		"locked": {&model.CheckSSL{Certificate: cert, Key: locked, Password: "secret"}, true},
	} {
		c.TLS = x.ssl
		k := compileReal(t, c, nil)
		var got RealResult
		for late := time.Now().Add(limit); time.Now().Before(late); time.Sleep(10 * time.Millisecond) {
			if got = k.Run(t.Context(), local(port)); !strings.Contains(got.Text, "refused") {
				break
			}
		}
		if got.OK != x.ok {
			t.Errorf("%s: %s", name, got.Text)
		}
	}
	c.TLS = &model.CheckSSL{Certificate: cert, Key: locked, Password: "wrong"}
	if _, err := CompileReal(&c, nil); err == nil || strings.Contains(err.Error(), "wrong") {
		t.Error(err)
	}
	c.TLS = nil
	// A server that does not speak TLS.
	s := server{reply: "220 mail\r\n", stay: true}
	a := s.start(t)
	if got := compileReal(t, c, nil).Run(t.Context(), at(a)); got.OK || !strings.HasPrefix(said(got, a), "bad: TLS handshake with ADDR failed: ") {
		t.Error(got.Text)
	}
}

func TestRealCutTLS(t *testing.T) {
	certFile, keyFile := certificate(t, t.TempDir(), "x")
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			raw.SetDeadline(time.Now().Add(limit))
			c := tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{pair}, MaxVersion: tls.VersionTLS10, MinVersion: tls.VersionTLS10,
				CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}})
			// TLS 1.0 cuts the request into two records.
			for got, buf := "", make([]byte, 1024); !strings.HasSuffix(got, "\r\n\r\n"); {
				n, err := c.Read(buf)
				if err != nil {
					break
				}
				got += string(buf[:n])
			}
			c.Write([]byte("HTTP/1.0 200 OK\r\n\r\nhello"))
			raw.(*net.TCPConn).CloseWrite() // without a close_notify
			io.Copy(io.Discard, raw)
			raw.Close()
		}
	}()
	for compliant, want := range map[bool]string{
		false: "HTTP status 200 for / on ADDR in T",
		true:  "bad: no HTTP answer to / from ADDR: the TLS stream ended without being closed (tls_compliant) in T",
	} {
		c := model.RealCheck{Kind: model.CheckerSSL, HTTP: &model.HTTPCheckSpec{URLs: []*model.CheckURL{{Path: "/", TLSCompliant: compliant}}}}
		if got := said(compileReal(t, c, nil).Run(t.Context(), at(l.Addr().(*net.TCPAddr))), l.Addr()); got != want {
			t.Errorf("%v: %s", compliant, got)
		}
	}
}

func TestRealSocat(t *testing.T) {
	echo, mail := loopback.Ports(t, 1), loopback.Ports(t, 1)
	peer(t, 0, "socat", fmt.Sprintf("UDP4-RECVFROM:%d,bind=127.0.0.1,fork", echo), "SYSTEM:cat")
	script := filepath.Join(t.TempDir(), "smtp")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nprintf '220 hello\\r\\n'; read x; printf '250 ok\\r\\n'; read x; printf '221 bye\\r\\n'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	peer(t, mail, "socat", fmt.Sprintf("TCP4-LISTEN:%d,bind=127.0.0.1,fork,reuseaddr", mail), "EXEC:"+script)
	c := model.RealCheck{Kind: model.CheckerUDP, Timeout: 2 * time.Second,
		UDP: &model.UDPCheckSpec{Payload: []byte("echo me"), RequireReply: true, Reply: []byte("echo me"), MinReply: 7}}
	k := compileReal(t, c, nil)
	var got RealResult
	for late := time.Now().Add(limit); time.Now().Before(late); { // until it listens
		if got = k.Run(t.Context(), local(echo)); got.OK {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if !strings.HasPrefix(got.Text, fmt.Sprintf("reply of 7 octets from 127.0.0.1:%d in ", echo)) {
		t.Error(got.Text)
	}
	c = model.RealCheck{Kind: model.CheckerSMTP}
	if got := compileReal(t, c, nil).Run(t.Context(), local(mail)); !strings.HasPrefix(got.Text, fmt.Sprintf("SMTP answers on 127.0.0.1:%d in ", mail)) {
		t.Error(got.Text)
	}
}

// inside runs f on a thread in a new network namespace with loopback, where
// 10.98.0.1/24 is on a link d0 that leads nowhere.
func inside(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	name := fmt.Sprintf("ekEc%d", os.Getpid())
	ip := func(argv ...string) {
		t.Helper()
		if out, err := exec.Command("ip", argv...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v\n%s", strings.Join(argv, " "), err, out)
		}
	}
	ip("netns", "add", name)
	t.Cleanup(func() { exec.Command("ip", "netns", "del", name).Run() })
	ip("-n", name, "link", "set", "lo", "up")
	ip("-n", name, "link", "add", "d0", "type", "veth", "peer", "name", "d1")
	ip("-n", name, "link", "set", "d1", "up")
	ip("-n", name, "addr", "add", "10.98.0.1/24", "dev", "d0")
	ip("-n", name, "link", "set", "d0", "up")
	ip("-n", name, "rule", "add", "fwmark", "7", "prio", "1", "unreachable")
	ip("-n", name, "rule", "del", "prio", "0")
	ip("-n", name, "rule", "add", "prio", "2", "lookup", "local")
	fd, err := unix.Open("/run/netns/"+name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // the thread ends with the goroutine
		if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			t.Error(err)
			return
		}
		f()
	}()
	<-done
}

// bind_if, fwmark and pings of nobody, where the routes are known.
func TestRealRoutes(t *testing.T) {
	inside(t, func() {
		l, err := net.Listen("tcp", "10.98.0.1:80")
		if err != nil {
			t.Error(err)
			return
		}
		defer l.Close()
		target := RealTarget{Server: netip.MustParseAddrPort("10.98.0.1:80")}
		nobody := RealTarget{Server: netip.MustParseAddrPort("10.98.0.77:80")}
		ping := func(o model.ConnectTo) model.RealCheck {
			return model.RealCheck{Kind: model.CheckerPING, Connect: o, Timeout: 3 * time.Second}
		}
		tcp := func(o model.ConnectTo) model.RealCheck {
			return model.RealCheck{Kind: model.CheckerTCP, Connect: o}
		}
		for i, x := range []struct {
			check  model.RealCheck
			target RealTarget
			want   string
		}{
			{tcp(model.ConnectTo{}), target, "connected to 10.98.0.1:80 in T"},
			{tcp(model.ConnectTo{FwMark: 8, BindTo: netip.MustParseAddr("10.98.0.1")}), target, "connected to 10.98.0.1:80 in T"},
			{tcp(model.ConnectTo{FwMark: 7}), target, "bad: connection to 10.98.0.1:80 failed: Network is unreachable in T"},
			{tcp(model.ConnectTo{BindIf: "nothere"}), target, "local bad: connection to 10.98.0.1:80 failed: No such device in T"},
			{tcp(model.ConnectTo{Addr: netip.MustParseAddr("192.0.2.1")}), target, "bad: connection to 192.0.2.1:80 failed: Network is unreachable in T"},
			{ping(model.ConnectTo{}), target, "reply to a ping of 10.98.0.1 in T"},
			{ping(model.ConnectTo{FwMark: 7}), target, "bad: ping to 10.98.0.1 failed: Network is unreachable in T"},
			{ping(model.ConnectTo{}), nobody, "bad: no reply to a ping of 10.98.0.77 in T"},
			{ping(model.ConnectTo{BindIf: "lo", Addr: netip.MustParseAddr("127.0.0.1")}), target, "reply to a ping of 127.0.0.1 in T"},
			{ping(model.ConnectTo{BindIf: "d0", Addr: netip.MustParseAddr("127.0.0.1")}), target, "bad: no reply to a ping of 127.0.0.1 in T"},
			{ping(model.ConnectTo{BindTo: netip.MustParseAddr("10.98.0.1")}), target, "reply to a ping of 10.98.0.1 in T"},
		} {
			if strings.Contains(x.want, "no reply") {
				x.check.Timeout = 100 * time.Millisecond
			}
			if got := said(compileReal(t, x.check, nil).Run(t.Context(), x.target), &net.TCPAddr{}); got != x.want {
				t.Errorf("%d: %s, want %s", i, got, x.want)
			}
		}
		// Where ping sockets are granted they do without privileges. (/proc/sys
		// shows the namespace of the thread that opens the file.)
		if err := os.WriteFile("/proc/sys/net/ipv4/ping_group_range", []byte("0 0"), 0o644); err != nil {
			t.Error(err)
		}
		k := compileReal(t, ping(model.ConnectTo{BindTo: netip.MustParseAddr("10.98.0.1"), BindIf: "lo"}), nil).(*realPING)
		if c, err := k.pingSocket(target.Server.Addr()); err != nil {
			t.Error(err)
		} else {
			c.Close()
		}
		for addr, want := range map[string]string{"10.98.0.1": "reply to a ping of 10.98.0.1 in T", "::1": "bad: ping to ::1 failed"} {
			got := said(k.Run(t.Context(), RealTarget{Server: netip.AddrPortFrom(netip.MustParseAddr(addr), 0)}), &net.TCPAddr{})
			if !strings.Contains(got, want) {
				t.Errorf("%s, want %s", got, want)
			}
		}
		six := compileReal(t, ping(model.ConnectTo{}), nil)
		if got := said(six.Run(t.Context(), RealTarget{Server: netip.MustParseAddrPort("[::1]:0")}), &net.TCPAddr{}); got != "reply to a ping of ::1 in T" {
			t.Error(got)
		}
	})
}
