package e2e

import (
	"crypto/tls"
	"net"
	"testing"
	"time"
)

func soon(ms int) time.Time { return time.Now().Add(time.Duration(ms) * time.Millisecond) }

// tlsHello is the first record that a TLS client sends.
func tlsHello(t *testing.T, name string) string {
	t.Helper()
	a, b := net.Pipe()
	defer b.Close()
	go func() {
		tls.Client(a, &tls.Config{ServerName: name}).Handshake()
		a.Close()
	}()
	buf := make([]byte, 16384)
	n, err := b.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}
