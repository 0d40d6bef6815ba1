package checks

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"evenkeel/internal/model"
)

// realPING is PING_CHECK: an ICMP echo.
type realPING struct{ reach *reach }

func compileRealPING(c *model.RealCheck, _ *RealEnv) (RealChecker, error) {
	r, err := newReach(c.Connect, c.Timeout)
	return &realPING{r}, err
}

// ICMP types of echo request and reply, RFC 792 and RFC 4443.
const (
	echoRequest4, echoReply4 = 8, 0
	echoRequest6, echoReply6 = 128, 129
	icmpHead                 = 8
	pingData                 = 56
)

// Run sends one echo request and waits for its reply.
func (k *realPING) Run(ctx context.Context, t RealTarget) RealResult {
	start := time.Now()
	to := k.reach.to(t.Server).Addr()
	c, raw, err := k.open(ctx, to)
	if err != nil {
		return k.reach.unreached(start, "ping", to, err)
	}
	x := converse(ctx, c, k.reach.timeout, k.reach.timeout)
	defer x.end(true)
	var seed [4]byte
	rand.Read(seed[:])
	id, seq := binary.BigEndian.Uint16(seed[:]), binary.BigEndian.Uint16(seed[2:])
	request := echo(to.Is6(), id, seq)
	if _, err := x.Write(request); err != nil {
		return k.reach.unreached(start, "ping", to, err)
	}
	buf := make([]byte, 2048)
	for {
		n, err := x.Read(buf)
		switch {
		case isTimeout(err):
			return outcome(start, false, "no reply to a ping of %s", to)
		case err != nil:
			return x.broken(start, "reply to a ping", to, err)
		}
		p := buf[:n]
		if raw && to.Is4() {
			p = unwrapped(p)
		}
		if isReply(to.Is6(), p, request) {
			return outcome(start, true, "reply to a ping of %s", to)
		}
	}
}

// echo is a request. Its data is random: no other's reply is taken for ours.
func echo(v6 bool, id, seq uint16) []byte {
	p := make([]byte, icmpHead+pingData)
	p[0] = echoRequest4
	if v6 {
		p[0] = echoRequest6
	}
	binary.BigEndian.PutUint16(p[4:], id)
	binary.BigEndian.PutUint16(p[6:], seq)
	rand.Read(p[icmpHead:])
	if !v6 { // of ICMPv6 the kernel makes it
		binary.BigEndian.PutUint16(p[2:], checksum(p))
	}
	return p
}

// isReply compares sequence number and data; a ping socket has an identifier
// of its own.
func isReply(v6 bool, p, request []byte) bool {
	want := byte(echoReply4)
	if v6 {
		want = echoReply6
	}
	return len(p) == len(request) && p[0] == want && p[1] == 0 && bytes.Equal(p[6:], request[6:])
}

// unwrapped takes the IPv4 header off, which a raw socket gives too.
func unwrapped(p []byte) []byte {
	if len(p) == 0 || p[0]>>4 != 4 {
		return nil
	}
	n := int(p[0]&0xf) * 4
	if n < 20 || n > len(p) {
		return nil
	}
	return p[n:]
}

// checksum is RFC 1071's, over an even number of octets.
func checksum(p []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(p); i += 2 {
		sum += uint32(p[i])<<8 | uint32(p[i+1])
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// open gives a connected ping socket, or where the system does not grant those
// to our group (net.ipv4.ping_group_range), a raw one.
func (k *realPING) open(ctx context.Context, to netip.Addr) (c net.Conn, raw bool, err error) {
	c, err = k.pingSocket(to)
	if errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPROTONOSUPPORT) {
		network := "ip4:icmp"
		if to.Is6() {
			network = "ip6:ipv6-icmp"
		}
		c, err = k.reach.dial(ctx, network, netip.AddrPortFrom(to, 0))
		raw = true
	}
	return c, raw, err
}

func (k *realPING) pingSocket(to netip.Addr) (net.Conn, error) {
	family, protocol := unix.AF_INET, unix.IPPROTO_ICMP
	if to.Is6() {
		family, protocol = unix.AF_INET6, unix.IPPROTO_ICMPV6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), "ping")
	defer f.Close()
	if err := k.reach.options(fd); err != nil {
		return nil, err
	}
	if k.reach.opt.BindTo.IsValid() {
		if err := unix.Bind(fd, sockaddr(k.reach.from(to))); err != nil {
			return nil, os.NewSyscallError("bind", err)
		}
	}
	if err := unix.Connect(fd, sockaddr(to)); err != nil {
		return nil, os.NewSyscallError("connect", err)
	}
	return net.FileConn(f)
}

func sockaddr(a netip.Addr) unix.Sockaddr {
	if a.Is4() {
		return &unix.SockaddrInet4{Addr: a.As4()}
	}
	s := &unix.SockaddrInet6{Addr: a.As16()}
	if i, err := net.InterfaceByName(a.Zone()); err == nil {
		s.ZoneId = uint32(i.Index)
	}
	return s
}
