package loopback

import (
	"net/netip"
	"syscall"
	"testing"
)

// Ports gives n ports in a row on 127.0.0.1 and ::1 and returns the first. They
// are held until the test ends, by sockets that are bound and do not listen:
// the kernel gives them to no connection and to nobody who asks for any port,
// a connection to them is refused, and whoever sets SO_REUSEADDR, as servers
// do, can listen on them.
func Ports(t testing.TB, n int) int {
	t.Helper()
	var err error
	for range 1000 {
		var first int
		if first, err = hold(t, n); err == nil {
			return first
		}
	}
	t.Fatalf("no %d free ports in a row: %v", n, err)
	return 0
}

// Address is a port on 127.0.0.1, with it.
func Address(t testing.TB) string {
	t.Helper()
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(Ports(t, 1))).String()
}

func hold(t testing.TB, n int) (first int, err error) {
	var held []int
	release := func() {
		for _, fd := range held {
			syscall.Close(fd)
		}
	}
	for i := range n {
		port := 0 // any
		if i > 0 {
			port = first + i
		}
		fd, err := bound(syscall.AF_INET, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
		if err != nil {
			release()
			return 0, err
		}
		held = append(held, fd)
		if i == 0 {
			name, err := syscall.Getsockname(fd)
			if err != nil {
				release()
				return 0, err
			}
			first = name.(*syscall.SockaddrInet4).Port
		}
		fd, err = bound(syscall.AF_INET6, &syscall.SockaddrInet6{Port: first + i, Addr: [16]byte{15: 1}})
		switch err {
		case nil:
			held = append(held, fd)
		case syscall.EADDRINUSE:
			release()
			return 0, err
		} // else there is no IPv6 here, or it has no ::1
	}
	t.Cleanup(release)
	return first, nil
}

func bound(family int, addr syscall.Sockaddr) (int, error) {
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err == nil {
		err = syscall.Bind(fd, addr)
	}
	if err != nil {
		syscall.Close(fd)
		return -1, err
	}
	return fd, nil
}
