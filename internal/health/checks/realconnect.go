package checks

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"evenkeel/internal/model"
)

// defaultTimeout is keepalived's connect_timeout.
const defaultTimeout = 5 * time.Second

// reach is how a checker gets to a server: the generic connection options.
type reach struct {
	opt     model.ConnectTo
	timeout time.Duration
}

func newReach(opt model.ConnectTo, timeout time.Duration) (*reach, error) {
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	opt.Addr, opt.BindTo = opt.Addr.Unmap(), opt.BindTo.Unmap()
	if opt.Addr.IsValid() && opt.BindTo.IsValid() && opt.Addr.Is4() != opt.BindTo.Is4() {
		return nil, fmt.Errorf("connect_ip %s and bindto %s are of different families", opt.Addr, opt.BindTo)
	}
	return &reach{opt: opt, timeout: timeout}, nil
}

// to is where a check of server goes.
func (r *reach) to(server netip.AddrPort) netip.AddrPort {
	a, port := server.Addr().Unmap(), server.Port()
	if r.opt.Addr.IsValid() {
		a = r.opt.Addr
	}
	if r.opt.Port != 0 {
		port = r.opt.Port
	}
	return netip.AddrPortFrom(r.zoned(a), port)
}

// zoned gives a link-local address the interface that bind_if names.
func (r *reach) zoned(a netip.Addr) netip.Addr {
	if a.Is6() && a.IsLinkLocalUnicast() && a.Zone() == "" && r.opt.BindIf != "" {
		return a.WithZone(r.opt.BindIf)
	}
	return a
}

// dial opens a connected socket: network is tcp, udp, or ip:PROTOCOL.
func (r *reach) dial(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	d := net.Dialer{Control: r.control, KeepAlive: -1}
	d.SetMultipathTCP(false)
	host := to.String()
	switch network {
	case "tcp", "udp":
		if r.opt.BindTo.IsValid() || r.opt.BindPort != 0 {
			from := netip.AddrPortFrom(r.from(to.Addr()), r.opt.BindPort)
			d.LocalAddr = net.UDPAddrFromAddrPort(from)
			if network == "tcp" {
				d.LocalAddr = net.TCPAddrFromAddrPort(from)
			}
		}
	default:
		host = to.Addr().String()
		if r.opt.BindTo.IsValid() {
			from := r.from(to.Addr())
			d.LocalAddr = &net.IPAddr{IP: from.AsSlice(), Zone: from.Zone()}
		}
	}
	return d.DialContext(ctx, network, host)
}

// from is the source address for a destination.
func (r *reach) from(to netip.Addr) netip.Addr {
	switch {
	case r.opt.BindTo.IsValid():
		return r.zoned(r.opt.BindTo)
	case to.Is4():
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// control sets what bind_if, fwmark and bind_port ask for.
func (r *reach) control(_, _ string, c syscall.RawConn) error {
	var err error
	if e := c.Control(func(fd uintptr) { err = r.options(int(fd)) }); e != nil {
		return e
	}
	return err
}

func (r *reach) options(fd int) error {
	if r.opt.BindIf != "" {
		if err := unix.BindToDevice(fd, r.opt.BindIf); err != nil {
			return fmt.Errorf("bind_if %s: %w", r.opt.BindIf, err)
		}
	}
	if r.opt.FwMark != 0 {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(r.opt.FwMark)); err != nil {
			return fmt.Errorf("fwmark %d: %w", r.opt.FwMark, err)
		}
	}
	if r.opt.BindPort != 0 {
		// The port of the check before may still be known to the kernel.
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}
	return nil
}

// unreached is the result of a connection that did not come about.
func (r *reach) unreached(start time.Time, what string, to fmt.Stringer, err error) RealResult {
	if isTimeout(err) {
		return outcome(start, false, "no %s to %s", what, to)
	}
	res := outcome(start, false, "%s to %s failed: %s", what, to, errorText(err))
	res.Local = isLocal(err)
	return res
}

// isLocal says that the failure is this machine's own. A network that cannot be
// reached, or that a packet filter here forbids (EPERM),
// counts against the server, as with keepalived.
func isLocal(err error) bool {
	var e syscall.Errno
	if !errors.As(err, &e) {
		return false
	}
	switch e {
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL, syscall.EADDRINUSE,
		syscall.ENODEV, syscall.EAFNOSUPPORT:
		return true
	}
	return false
}

// talk is a conversation over a connection, with a limit for each answer and
// for all of it.
type talk struct {
	net.Conn
	limit time.Duration // for each read and write
	until time.Time     // for all
	stop  func() bool
}

// converse bounds what follows on a connection; ctx cuts it off.
func converse(ctx context.Context, c net.Conn, limit, whole time.Duration) *talk {
	t := &talk{Conn: c, limit: limit, until: time.Now().Add(whole)}
	t.stop = context.AfterFunc(ctx, func() { c.Close() })
	return t
}

// deadline is when the next read or write has to be done.
func (t *talk) deadline() time.Time {
	d := time.Now().Add(t.limit)
	if d.After(t.until) {
		return t.until
	}
	return d
}

func (t *talk) Read(b []byte) (int, error) {
	t.Conn.SetReadDeadline(t.deadline())
	return t.Conn.Read(b)
}

func (t *talk) Write(b []byte) (int, error) {
	t.Conn.SetWriteDeadline(t.deadline())
	return t.Conn.Write(b)
}

// end ends the conversation. A reset spares both machines the states of a
// polite close, unless polite is wanted.
func (t *talk) end(polite bool) {
	t.stop()
	if c, ok := t.Conn.(*net.TCPConn); ok && !polite {
		c.SetLinger(0)
	}
	t.Conn.Close()
}

// broken words the end of a conversation: what was waited for.
func (t *talk) broken(start time.Time, what string, to fmt.Stringer, err error) RealResult {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) && !time.Now().Before(t.until):
		return outcome(start, false, "%s from %s was not complete", what, to)
	case isTimeout(err):
		return outcome(start, false, "no %s from %s for %s, given up", what, to, brief(t.limit))
	}
	return outcome(start, false, "no %s from %s: %s", what, to, errorText(err))
}
