package loopback

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"
)

func TestPorts(t *testing.T) {
	first := Ports(t, 3)
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for port := first; port < first+3; port++ {
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		if c, err := net.Dial("tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s before anybody listens: %v %v", addr, c, err)
		}
		// Nobody may have it for a connection.
		from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}}
		if c, err := from.Dial("tcp", other.Addr().String()); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("a connection from %s: %v %v", addr, c, err)
		}
		// Servers may, one after the other.
		for range 2 {
			l, err := net.Listen("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			c.Close()
			l.Close()
		}
	}
}

// The ports are given back.
func TestRelease(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for range 20 { // others may take one as soon as it is free
		port := 0
		t.Run("held", func(t *testing.T) { port = Ports(t, 1) })
		from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}}
		var c net.Conn
		if c, err = from.Dial("tcp", l.Addr().String()); err == nil {
			c.Close()
			return
		}
	}
	t.Error(err)
}
