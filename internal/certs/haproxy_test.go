package certs

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"evenkeel/test/loopback"
)

const haproxyPath = "/usr/sbin/haproxy"

// TestChoiceAsHAProxy has the real one answer the clients of TestChoice.
func TestChoiceAsHAProxy(t *testing.T) {
	if _, err := os.Stat(haproxyPath); err != nil {
		t.Skip("no haproxy here to compare with")
	}
	s := newShop(t)
	dir := t.TempDir()
	var cfg bytes.Buffer
	cfg.WriteString("global\n  maxconn 100\ndefaults\n  mode http\n  timeout client 30s\n  timeout server 30s\n  timeout connect 30s\n")
	all := choices()
	port := loopback.Ports(t, len(all))
	for i, c := range all {
		m := c.bind(s)
		fmt.Fprintf(&cfg, "frontend f%d\n  bind 127.0.0.1:%d ssl", i, port+i)
		for _, x := range m.Certs {
			fmt.Fprintf(&cfg, " crt %s", dir+x.Path)
		}
		if c.list != "" {
			file := filepath.Join(dir, fmt.Sprintf("list%d", i))
			write(t, file, strings.ReplaceAll(c.list, "/c/", dir+"/c/"))
			fmt.Fprintf(&cfg, " crt-list %s", file)
		}
		if c.strict {
			cfg.WriteString(" strict-sni")
		}
		cfg.WriteString("\n")
	}
	for name, text := range s.disk {
		if !strings.HasPrefix(name, "/lists/") && (text != "" || strings.HasSuffix(name, ".ocsp")) {
			write(t, dir+name, text)
		}
	}
	startHAProxy(t, dir, cfg.String(), port+len(all)-1)
	for i, c := range all {
		for key, want := range c.clients {
			if c.ours {
				continue
			}
			got := "-"
			x := dialTLS(t, port+i, clientFor(key))
			for name, a := range s.certs {
				if x != nil && len(x.PeerCertificates) > 0 && same(x.PeerCertificates[0], a.cert) {
					got = name
				}
			}
			if got != want {
				t.Errorf("%s: %q: HAProxy gives %s, not %s", c.name, key, got, want)
			}
		}
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// startHAProxy runs one until the end of the test; port is the last that it
// opens.
func startHAProxy(t *testing.T, dir, cfg string, port int) {
	t.Helper()
	write(t, dir+"/h.cfg", cfg)
	cmd := exec.Command(haproxyPath, "-db", "-f", dir+"/h.cfg")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	awaitPort(t, port, ended, &said)
}

func awaitPort(t *testing.T, port int, ended chan struct{}, said *bytes.Buffer) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			c.Close()
			return
		}
		select {
		case <-ended:
			t.Fatalf("haproxy ended: %s", said)
		case <-tick.C:
		}
	}
	t.Fatal("haproxy does not listen")
}

func dialTLS(t *testing.T, port int, cfg *tls.Config) *tls.ConnectionState {
	t.Helper()
	raw, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	c := tls.Client(raw, cfg)
	if c.Handshake() != nil {
		return nil
	}
	st := c.ConnectionState()
	return &st
}
