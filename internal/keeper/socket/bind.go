package socket

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Options of <linux/tcp.h> and <asm-generic/socket.h> that the syscall
// package does not name.
const (
	soReusePort    = 15
	ipTransparent  = 19
	ip6Transparent = 75
	tcpFastOpen    = 23
	tcpUserTimeout = 18
	tcpDeferAccept = 9
	tcpMaxSeg      = 2
)

// Open makes the socket of s and listens on it. The descriptor is
// close-on-exec and does not block. A unix file is made under a temporary
// name; publish renames it into place (and is nil for other sockets).
func Open(s Spec) (fd int, publish func() error, err error) {
	if err := s.validate(); err != nil {
		return -1, nil, err
	}
	if s.Inherited {
		fd, err := openInherited(s)
		return fd, nil, err
	}
	fd, err = newSocket(s)
	if err != nil {
		return -1, nil, fmt.Errorf("cannot create socket for %s: %w", s, err)
	}
	if s.Path != "" {
		publish, err = bindUnix(fd, s)
	} else {
		err = bindInet(fd, s)
	}
	if err == nil {
		err = Adjust(fd, s)
	}
	if err != nil {
		syscall.Close(fd)
		return -1, nil, err
	}
	return fd, publish, nil
}

func newSocket(s Spec) (int, error) {
	family := syscall.AF_INET
	switch {
	case s.Path != "":
		family = syscall.AF_UNIX
	case !s.Addr.Addr().Unmap().Is4():
		family = syscall.AF_INET6
	}
	kind := syscall.SOCK_STREAM
	if s.Datagram {
		kind = syscall.SOCK_DGRAM
	}
	return syscall.Socket(family, kind|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
}

// openInherited takes a copy, so that closing a listener of one
// configuration leaves the descriptor for the next.
func openInherited(s Spec) (int, error) {
	fd, err := Dup(s.FD)
	if err != nil {
		return -1, fmt.Errorf("fd@%d is not an open descriptor: %w", s.FD, err)
	}
	if listening, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN); err != nil {
		syscall.Close(fd)
		return -1, fmt.Errorf("fd@%d is not a socket: %w", s.FD, err)
	} else if listening == 0 && !s.Datagram {
		if err := syscall.Listen(fd, backlog(s)); err != nil {
			syscall.Close(fd)
			return -1, fmt.Errorf("cannot listen on fd@%d: %w", s.FD, err)
		}
	}
	return fd, syscall.SetNonblock(fd, true)
}

// Dup copies a descriptor, close-on-exec.
func Dup(fd int) (int, error) {
	n, _, e := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_DUPFD_CLOEXEC, 3)
	if e != 0 {
		return -1, e
	}
	return int(n), nil
}

func bindInet(fd int, s Spec) error {
	set := func(level, opt, v int) error { return syscall.SetsockoptInt(fd, level, opt, v) }
	if err := set(syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return fmt.Errorf("SO_REUSEADDR on %s: %w", s, err)
	}
	if !s.NoReusePort {
		_ = set(syscall.SOL_SOCKET, soReusePort, 1) // old kernels lack it; the bind tells
	}
	addr := s.Addr.Addr().Unmap()
	if s.Transparent {
		level, opt := syscall.SOL_IP, ipTransparent
		if !addr.Is4() {
			level, opt = syscall.SOL_IPV6, ip6Transparent
		}
		if err := set(level, opt, 1); err != nil {
			return fmt.Errorf("cannot make listening socket %s transparent: %w", s, err)
		}
	}
	if s.Interface != "" {
		if err := syscall.SetsockoptString(fd, syscall.SOL_SOCKET, syscall.SO_BINDTODEVICE, s.Interface); err != nil {
			return fmt.Errorf("cannot bind %s to interface %s: %w", s, s.Interface, err)
		}
	}
	if !addr.Is4() {
		v6only := 0
		if s.V6Only {
			v6only = 1
		}
		if err := set(syscall.IPPROTO_IPV6, syscall.IPV6_V6ONLY, v6only); err != nil {
			return fmt.Errorf("IPV6_V6ONLY on %s: %w", s, err)
		}
	}
	if err := syscall.Bind(fd, sockaddr(netip.AddrPortFrom(addr, s.Addr.Port()))); err != nil {
		return fmt.Errorf("cannot bind socket %s: %w", s, err)
	}
	return nil
}

func sockaddr(ap netip.AddrPort) syscall.Sockaddr {
	if ap.Addr().Is4() {
		return &syscall.SockaddrInet4{Addr: ap.Addr().As4(), Port: int(ap.Port())}
	}
	sa := &syscall.SockaddrInet6{Addr: ap.Addr().As16(), Port: int(ap.Port())}
	if z := ap.Addr().Zone(); z != "" {
		if n, err := strconv.Atoi(z); err == nil {
			sa.ZoneId = uint32(n)
		} else if b, err := os.ReadFile("/sys/class/net/" + z + "/ifindex"); err == nil {
			n, _ := strconv.Atoi(strings.TrimSpace(string(b)))
			sa.ZoneId = uint32(n)
		}
	}
	return sa
}

// bindUnix never takes a path away from who serves it now: the new socket
// appears there in one rename.
func bindUnix(fd int, s Spec) (publish func() error, err error) {
	if name, abstract := strings.CutPrefix(s.Path, "@"); abstract {
		// Padded to the full length, as every HAProxy's abns@ is: for the kernel
		// the zeroes are part of the name.
		if len(name) > 107 {
			return nil, fmt.Errorf("abstract name %s is longer than 107 bytes", s.Path)
		}
		padded := "@" + name + strings.Repeat("\x00", 107-len(name))
		if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: padded}); err != nil {
			return nil, fmt.Errorf("cannot bind abstract socket %s: %w", s.Path, err)
		}
		return nil, nil
	}
	temp := TempPath(s.Path)
	if err := os.Remove(temp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: temp}); err != nil {
		return nil, fmt.Errorf("cannot bind UNIX socket %s: %w", s.Path, err)
	}
	if err := own(temp, s); err != nil {
		os.Remove(temp)
		return nil, err
	}
	return func() error { return os.Rename(temp, s.Path) }, nil
}

// TempPath is how the file of a unix socket is called until it is published.
func TempPath(path string) string { return path + "." + strconv.Itoa(os.Getpid()) + ".tmp" }

func own(path string, s Spec) error {
	if s.Mode != 0 {
		if err := os.Chmod(path, os.FileMode(s.Mode)&os.ModePerm); err != nil {
			return fmt.Errorf("cannot change the mode of %s: %w", s.Path, err)
		}
	}
	uid, gid := -1, -1
	if s.UID != nil {
		uid = *s.UID
	}
	if s.GID != nil {
		gid = *s.GID
	}
	if uid < 0 && gid < 0 {
		return nil
	}
	if err := os.Lchown(path, uid, gid); err != nil {
		return fmt.Errorf("cannot change the owner of %s: %w", s.Path, err)
	}
	return nil
}

// Adjust applies what can be changed on an open socket, and listens.
func Adjust(fd int, s Spec) error {
	if s.Datagram {
		return nil
	}
	if s.Addr.IsValid() {
		for _, o := range []struct {
			name       string
			opt, value int
			always     bool
		}{
			{"TCP_MAXSEG", tcpMaxSeg, s.MSS, false},
			{"TCP_FASTOPEN", tcpFastOpen, s.FastOpen, false},
			{"TCP_USER_TIMEOUT", tcpUserTimeout, s.UserTimeout, true},
			{"TCP_DEFER_ACCEPT", tcpDeferAccept, truth(s.DeferAccept), true},
		} {
			if o.value == 0 && !o.always {
				continue
			}
			if err := syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, o.opt, o.value); err != nil && o.value != 0 {
				return fmt.Errorf("cannot set %s on %s: %w", o.name, s, err)
			}
		}
	}
	if err := syscall.Listen(fd, backlog(s)); err != nil {
		return fmt.Errorf("cannot listen on %s: %w", s, err)
	}
	return nil
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

// backlog asks for more than any kernel gives when nothing was said:
// net.core.somaxconn cuts it down.
func backlog(s Spec) int {
	if s.Backlog > 0 {
		return s.Backlog
	}
	return 1 << 16
}
