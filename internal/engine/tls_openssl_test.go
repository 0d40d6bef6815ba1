package engine

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// openssl as the peer, both ways, with key updates asked for by it.
func TestAgainstOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl")
	}
	server, client := tlsConfigs(t)
	dir := t.TempDir()
	certFile, keyFile := writePEM(t, dir, server.Certificates[0])

	t.Run("client", func(t *testing.T) {
		for _, version := range []string{"-tls1_2", "-tls1_3"} {
			l := startLoop(t, Options{})
			fd, addr := listen(t, "tcp", "127.0.0.1:0")
			on(t, l, func() {
				l.Listen(fd, acceptFunc(func(ln *Listener, fd int, src netip.AddrPort) {
					c, _ := l.Adopt(fd, &echo{l: l})
					c.StartTLSServer(server)
				}), 0)
			})
			cmd := exec.Command(openssl, "s_client", "-connect", addr.String(), version, "-CAfile", certFile, "-servername", "localhost")
			in, _ := cmd.StdinPipe()
			out, _ := cmd.StdoutPipe()
			said, _ := cmd.StderrPipe()
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			// "K" alone on a line is s_client's command for a key update with an
			// answer asked for; in TLS 1.2 "R" is one for renegotiation.
			fmt.Fprintf(in, "first\n")
			expect(t, out, "first")
			if version == "-tls1_3" {
				for _, text := range []string{"second", "third"} {
					fmt.Fprintf(in, "K\n")
					expect(t, said, "KEYUPDATE")
					fmt.Fprintf(in, "%s\n", text)
					expect(t, out, text)
				}
			} else {
				fmt.Fprintf(in, "R\n")
				// Refused: the connection ends, the loop goes on.
				until(t, l, func() bool { return l.Conns() == 0 })
			}
			in.Close()
			cmd.Process.Kill()
			cmd.Wait()
			until(t, l, func() bool { return l.Conns() == 0 })
		}
	})
	t.Run("server", func(t *testing.T) {
		l := startLoop(t, Options{})
		free, _ := net.Listen("tcp", "127.0.0.1:0")
		addr := free.Addr().String()
		free.Close()
		cmd := exec.Command(openssl, "s_server", "-accept", addr, "-cert", certFile, "-key", keyFile, "-rev", "-naccept", "1")
		out, _ := cmd.StdoutPipe()
		cmd.Stderr = nil
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { cmd.Process.Kill(); cmd.Wait() }()
		expect(t, out, "ACCEPT")
		got := make(chan string, 1)
		on(t, l, func() {
			wrote := false
			c, err := l.Dial(&Dialer{Addr: netip.MustParseAddrPort(addr)}, handlerFunc(func(c *Conn) {
				if c.Handshaking() {
					return
				}
				if err := c.HandshakeErr(); err != nil {
					got <- err.Error()
					c.Close()
					return
				}
				if !wrote {
					wrote = true
					c.Write([]byte("olleh\n"))
				}
				buf := make([]byte, 100)
				if n, err := c.Read(buf); err == nil {
					got <- string(buf[:n])
				}
			}))
			if err != nil {
				t.Fatal(err)
			}
			c.StartTLSClient(client)
		})
		if s := wait(t, got); s != "hello\n" {
			t.Errorf("%q", s)
		}
	})
}

func writePEM(t testing.TB, dir string, cert tls.Certificate) (certFile, keyFile string) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}), 0o600)
	os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
	return certFile, keyFile
}

// expect reads until text has come.
func expect(t testing.TB, r io.Reader, text string) {
	t.Helper()
	found := make(chan bool, 1)
	go func() {
		var all []byte
		buf := make([]byte, 4096)
		for {
			n, err := r.Read(buf)
			all = append(all, buf[:n]...)
			if bytes.Contains(all, []byte(text)) {
				found <- true
				return
			}
			if err != nil {
				found <- false
				return
			}
		}
	}()
	if !wait(t, found) {
		t.Fatalf("%q never came", text)
	}
}
