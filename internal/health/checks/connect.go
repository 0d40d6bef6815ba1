package checks

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"time"

	"evenkeel/internal/pool"
	"evenkeel/internal/wire/proxyproto"
)

func itoa(n int) string { return strconv.Itoa(n) }

// connect opens a new connection, closing the one before.
type connect struct {
	implicit  bool
	byDefault bool // the server line's TLS, PROXY header and names
	addr      string
	port      int
	portFrom  func(*Facts) []byte
	tls       bool
	sendProxy bool
	linger    bool
	sni       string
	alpn      []string
	comment   string
}

func (c *connect) about() string {
	s := " (connect)"
	if c.port > 0 {
		s = " (connect port " + itoa(c.port) + ")"
	}
	return s + commented(c.comment)
}

// commented is how a comment ends a message.
func commented(s string) string {
	if s == "" {
		return ""
	}
	return " comment: '" + s + "'"
}

func (c *connect) run(x *exchange) *Result {
	t := x.target
	x.close()
	x.in, x.eof, x.tls, x.linger, x.response, x.outcome = x.in[:0], false, false, c.linger, nil, nil
	network, addr, r := c.where(x)
	if r != nil {
		return r
	}
	bound := t.Whole
	if t.Reply > 0 && t.Connect > 0 && (bound <= 0 || t.Connect < bound) {
		bound = t.Connect
	}
	start := time.Now()
	ctx, cancel := x.ctx, context.CancelFunc(func() {})
	if bound > 0 {
		ctx, cancel = context.WithTimeout(x.ctx, bound)
	}
	conn, err := t.Dial(ctx, network, addr)
	cancel()
	if err != nil {
		return x.dialFailed(err)
	}
	x.hold(conn)
	if t.Reply > 0 {
		x.setDeadline(time.Now().Add(t.Reply))
	} else if bound > 0 {
		x.setDeadline(start.Add(bound))
	}
	if r := c.proxyHeader(x); r != nil {
		return r
	}
	if c.tls || c.byDefault && t.UseTLS {
		return c.handshake(x)
	}
	return nil
}

// where is the address of the connection.
func (c *connect) where(x *exchange) (network, addr string, r *Result) {
	t := x.target
	network, host, port := t.Network, t.Host, t.Port
	if c.addr != "" {
		network, host = "tcp", c.addr
	}
	if c.port > 0 {
		port = c.port
	}
	if c.portFrom != nil {
		n, err := strconv.Atoi(string(c.portFrom(&x.facts)))
		if err != nil || n < 1 || n > 65535 {
			return "", "", &Result{Status: pool.CheckSockErr, Info: "no port was found" + x.where()}
		}
		port = n
	}
	if network == "unix" {
		return network, host, nil
	}
	return network, net.JoinHostPort(host, itoa(port)), nil
}

// dialFailed words a failed connection. What went wrong on this side is a
// socket error, what the network or the peer answered is layer 4.
func (x *exchange) dialFailed(err error) *Result {
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return &Result{Status: pool.CheckL4Timeout, Info: x.where()}
	}
	var e syscall.Errno
	if errors.As(err, &e) {
		switch e {
		case syscall.ENOENT, syscall.EACCES, syscall.EPERM, syscall.EMFILE, syscall.ENFILE, syscall.EADDRNOTAVAIL,
			syscall.EADDRINUSE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EINVAL, syscall.EAFNOSUPPORT, syscall.EAGAIN:
			return &Result{Status: pool.CheckSockErr, Info: "General socket error (" + errorText(err) + ")" + x.where()}
		}
		return &Result{Status: pool.CheckL4Con, Info: errorText(err) + x.where()}
	}
	if isTimeout(err) {
		return &Result{Status: pool.CheckL4Timeout, Info: x.where()}
	}
	return &Result{Status: pool.CheckSockErr, Info: "General socket error (" + errorText(err) + ")" + x.where()}
}

// proxyHeader sends the PROXY header: version 1 has the addresses of the
// check's own connection, version 2 says LOCAL.
func (c *connect) proxyHeader(x *exchange) *Result {
	version := 0
	if c.byDefault {
		version = x.target.ProxyVersion
	}
	if c.sendProxy && version == 0 {
		version = 1
	}
	switch version {
	case 0:
		return nil
	case 2:
		return x.write(proxyproto.AppendV2(nil, &proxyproto.Header{Version: 2, Local: true}))
	}
	h := proxyproto.Header{Version: 1}
	src, dst := addrPort(x.conn.LocalAddr()), addrPort(x.conn.RemoteAddr())
	if src.IsValid() && dst.IsValid() {
		h.Src, h.Dst, h.Transport = src, dst, proxyproto.TransportStream
		h.Family = proxyproto.FamilyIPv4
		if src.Addr().Is6() {
			h.Family = proxyproto.FamilyIPv6
		}
	}
	return x.write(proxyproto.AppendV1(nil, &h))
}

func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		ap := t.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}

func (c *connect) handshake(x *exchange) *Result {
	sni, alpn := c.sni, c.alpn
	if c.byDefault {
		if sni == "" {
			sni = x.target.SNI
		}
		if len(alpn) == 0 {
			alpn = x.target.ALPN
		}
	}
	if x.target.TLS == nil {
		return &Result{Status: pool.CheckL6Response, Info: "TLS is not set up for this server" + x.where()}
	}
	cfg, err := x.target.TLS(sni, alpn)
	if err != nil {
		return &Result{Status: pool.CheckL6Response, Info: err.Error() + x.where()}
	}
	t := tls.Client(x.raw, cfg)
	if err := t.HandshakeContext(x.ctx); err != nil {
		if isTimeout(err) {
			return &Result{Status: pool.CheckL6Timeout, Info: x.where()}
		}
		return &Result{Status: pool.CheckL6Response, Info: "SSL handshake failure" + x.where()}
	}
	x.conn, x.tls = t, true
	return nil
}
