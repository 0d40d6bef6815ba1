package socket

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"syscall"
	"time"

	"evenkeel/internal/keeper/ipc"
)

// Exported is a listening socket that is shown to another process.
type Exported struct {
	FD        int
	Namespace string
	Interface string
}

// maxSend is how many descriptors HAProxy puts into one message.
const maxSend = 252

// getsocksWait bounds each step, so that a stuck peer stops nobody.
const getsocksWait = time.Second

// SendAll answers `_getsocks` as HAProxy does: the number of sockets, then
// descriptors with the names that the kernel does not know; after each
// message the receiver sends four bytes.
func SendAll(uc *net.UnixConn, list []Exported) error {
	count := binary.NativeEndian.AppendUint32(nil, uint32(len(list)))
	if err := uc.SetDeadline(time.Now().Add(getsocksWait)); err != nil {
		return err
	}
	defer uc.SetDeadline(time.Time{})
	if _, err := uc.Write(count); err != nil {
		return err
	}
	for len(list) > 0 {
		part := list[:min(len(list), maxSend)]
		list = list[len(part):]
		var names []byte
		var fds []int
		for _, e := range part {
			names = appendName(names, e.Namespace)
			names = appendName(names, e.Interface)
			names = append(names, 0, 0, 0, 0) // once listener options
			fds = append(fds, e.FD)
		}
		if err := uc.SetDeadline(time.Now().Add(getsocksWait)); err != nil {
			return err
		}
		if _, _, err := uc.WriteMsgUnix(names, syscall.UnixRights(fds...), nil); err != nil {
			return err
		}
		var ack [4]byte
		if _, err := io.ReadFull(uc, ack[:]); err != nil && len(list) > 0 {
			return fmt.Errorf("the receiver of sockets does not acknowledge: %w", err)
		}
	}
	return nil
}

func appendName(b []byte, name string) []byte {
	b = append(b, byte(min(len(name), 127)))
	return append(b, name[:min(len(name), 127)]...)
}

// Fetch asks the process behind a runtime socket for its listening sockets
// (-x). The caller owns the descriptors, each with what it is.
func Fetch(path string) (held map[string]int, specs []Spec, err error) {
	c, err := net.DialTimeout("unix", path, getsocksWait)
	if err != nil {
		return nil, nil, fmt.Errorf("Failed to connect to the old process socket '%s': %w", path, err)
	}
	uc := c.(*net.UnixConn)
	defer uc.Close()
	if _, err := uc.Write([]byte("_getsocks\n")); err != nil {
		return nil, nil, fmt.Errorf("Failed to get the number of sockets to be transferred: %w", err)
	}
	fds, names, err := receiveAll(uc)
	if err != nil {
		ipc.CloseAll(fds)
		return nil, nil, err
	}
	held = map[string]int{}
	for i, fd := range fds {
		spec, err := Describe(fd)
		if err != nil || names[i].Namespace != "" {
			syscall.Close(fd)
			continue
		}
		if names[i].Interface != "" {
			spec.Interface = names[i].Interface
		}
		for _, taken := held[spec.Key()]; taken; _, taken = held[spec.Key()] {
			spec.Shard++
		}
		held[spec.Key()] = fd
		specs = append(specs, spec)
	}
	return held, specs, nil
}

func receiveAll(uc *net.UnixConn) (fds []int, names []Exported, err error) {
	if err := uc.SetDeadline(time.Now().Add(getsocksWait)); err != nil {
		return nil, nil, err
	}
	var head [4]byte
	if _, err := io.ReadFull(uc, head[:]); err != nil {
		return nil, nil, fmt.Errorf("Failed to get the number of sockets to be transferred: %w", err)
	}
	want := int(binary.NativeEndian.Uint32(head[:]))
	if want > 1<<16 {
		return nil, nil, fmt.Errorf("the old process offers %d sockets: it is no HAProxy", want)
	}
	var text []byte
	buf := make([]byte, 128<<10)
	oob := make([]byte, syscall.CmsgSpace(4*(maxSend+1)))
	for len(fds) < want {
		if err := uc.SetDeadline(time.Now().Add(getsocksWait)); err != nil {
			return fds, nil, err
		}
		n, oobn, _, _, err := uc.ReadMsgUnix(buf, oob)
		if err != nil {
			return fds, nil, err
		}
		if n == 0 {
			return fds, nil, fmt.Errorf("We didn't get the expected number of sockets (expecting %d got %d)", want, len(fds))
		}
		got, err := ipc.ParseRights(oob[:oobn])
		if err != nil {
			return fds, nil, err
		}
		fds = append(fds, got...)
		text = append(text, buf[:n]...)
		if _, err := uc.Write(binary.NativeEndian.AppendUint32(nil, uint32(len(fds)))); err != nil && len(fds) < want {
			return fds, nil, err
		}
	}
	if len(fds) > want {
		return fds, nil, errors.New("Got too many sockets")
	}
	names, err = parseNames(text, len(fds))
	return fds, names, err
}

// parseNames reads, for each socket: a length and that much of namespace,
// the same of the interface, and four bytes of nothing.
func parseNames(text []byte, count int) ([]Exported, error) {
	bad := errors.New("Inconsistency while transferring sockets")
	take := func() (string, bool) {
		if len(text) == 0 || int(text[0]) > len(text)-1 {
			return "", false
		}
		n := int(text[0])
		s := string(text[1 : 1+n])
		text = text[1+n:]
		return s, true
	}
	var list []Exported
	for range count {
		namespace, ok1 := take()
		iface, ok2 := take()
		if !ok1 || !ok2 || len(text) < 4 {
			return nil, bad
		}
		text = text[4:]
		list = append(list, Exported{Namespace: namespace, Interface: iface})
	}
	return list, nil
}

// tempName is how a unix socket is called before it is published, here and
// in HAProxy.
var tempName = regexp.MustCompile(`\.[0-9]+\.tmp$`)

// Describe finds out from the kernel what a listening descriptor is.
func Describe(fd int) (Spec, error) {
	var s Spec
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		return s, err
	}
	get := func(level, opt int) bool {
		v, err := syscall.GetsockoptInt(fd, level, opt)
		return err == nil && v != 0
	}
	if kind, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_TYPE); err != nil {
		return s, err
	} else if kind == syscall.SOCK_DGRAM {
		s.Datagram = true
	}
	switch sa := sa.(type) {
	case *syscall.SockaddrInet4:
		s.Addr = netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
		s.Transparent = get(syscall.SOL_IP, ipTransparent)
	case *syscall.SockaddrInet6:
		s.Addr = netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
		s.Transparent = get(syscall.SOL_IPV6, ip6Transparent)
		s.V6Only = get(syscall.IPPROTO_IPV6, syscall.IPV6_V6ONLY)
	case *syscall.SockaddrUnix:
		// HAProxy pads abstract names with zeroes to their full length.
		s.Path = strings.TrimRight(tempName.ReplaceAllString(sa.Name, ""), "\x00")
	default:
		return s, fmt.Errorf("a socket of another family")
	}
	return s, nil
}
