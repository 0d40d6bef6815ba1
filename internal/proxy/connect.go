package proxy

import (
	"net/netip"
	"strings"

	"evenkeel/internal/engine"
	"evenkeel/internal/rule"
)

type engineTimer = engine.Timer

// engineSource is where connections to servers start from.
type engineSource struct {
	addr      netip.AddrPort
	portHi    uint16
	next      uint16
	iface     string
	useClient bool // usesrc client
	clientIP  bool // usesrc clientip
	fixed     netip.AddrPort
	header    string // usesrc hdr_ip(name)
}

// abstractName is the length of an abstract socket's whole name.
const abstractName = 107

// connect gets a connection to st.srv: an idle one or a new one.
func (st *stream) connect() bool {
	srv := st.srv
	sni := ""
	if srv.tls != nil && srv.sni != nil {
		st.tx.Phase = rule.PhaseHTTPRequest
		if v, ok := srv.sni.EvalAs(&st.tx, rule.KindString); ok {
			sni = string(v.Bytes)
		}
	}
	st.state = stateConnect
	if !st.tcp && !st.freshOnly {
		if sc := st.takeIdle(srv, sni); sc != nil {
			sc.st = st
			st.sc = sc
			st.reused = true
			st.connected()
			return true
		}
	}
	st.reused = false
	return st.dial(sni)
}

// dial starts a new connection.
func (st *stream) dial(sni string) bool {
	srv, w := st.srv, st.w
	d := engine.Dialer{}
	if srv.p != nil {
		ep := srv.p.Addr()
		switch ep.Network {
		case "tcp":
			d.Addr = ep.For(st.tx.Dst())
		case "unix":
			d.Path = ep.Path
		case "abns":
			// As HAProxy calls abstract sockets: filled up with zeroes.
			d.Path = "@" + ep.Path + strings.Repeat("\x00", max(0, abstractName-len(ep.Path)))
		default:
			st.connectFailed("address unknown", false)
			return true
		}
	} else {
		d.Addr = srv.info.Addr
	}
	d.UserTimeout = srv.m.TCPUserTimeout
	d.TFO = srv.m.TFO
	d.NoDelay = true
	d.KeepAlive = st.be.opt.TCPKASrv
	st.applySource(&d)
	if st.tx.HasMark {
		d.Mark = int(st.tx.Mark)
	}
	sc := &serverConn{w: w, srv: srv, st: st, sni: sni}
	conn, err := w.loop.Dial(&d, sc)
	if err != nil {
		st.connectFailed(err.Error(), false)
		return true
	}
	sc.conn = conn
	sc.use()
	st.sc = sc
	if srv.sendProxy != nil {
		st.needProxyHeader = true
	} else if srv.tls != nil {
		st.startServerTLS()
	}
	if limit := st.be.to.connect; limit > 0 {
		w.loop.Arm(&st.timer, st, w.loop.Now()+limit)
	}
	return true
}

func (st *stream) applySource(d *engine.Dialer) {
	src := st.srv.source
	if src == nil {
		src = st.be.source
	}
	if src == nil {
		return
	}
	d.Source, d.Interface = src.addr, src.iface
	if src.portHi > src.addr.Port() {
		span := src.portHi - src.addr.Port() + 1
		d.Source = netip.AddrPortFrom(src.addr.Addr(), src.addr.Port()+src.next%span)
		src.next++
	}
	switch {
	case src.useClient:
		d.Source, d.Transparent = st.tx.Src(), true
	case src.clientIP:
		d.Source, d.Transparent = netip.AddrPortFrom(st.tx.Src().Addr(), 0), true
	case src.fixed.IsValid():
		d.Source, d.Transparent = src.fixed, true
	case src.header != "":
		if v, ok := st.req.GetName(src.header); ok {
			if a, err := netip.ParseAddr(string(v)); err == nil {
				d.Source, d.Transparent = netip.AddrPortFrom(a, 0), true
			}
		}
	}
}

func (st *stream) startServerTLS() {
	cfg := st.srv.tls
	if st.sc.sni != "" && st.sc.sni != cfg.ServerName {
		cfg = st.w.rt.opts.TLS.ServerNamed(st.srv.m, st.sc.sni)
	}
	st.sc.conn.StartTLSClient(cfg)
}

// awaitConnection goes on once the server has answered the phone.
func (st *stream) awaitConnection() bool {
	c := st.sc.conn
	if err := c.ConnectErr(); err != nil {
		st.connectFailed(err.Error(), false)
		return true
	}
	if err := c.HandshakeErr(); err != nil {
		st.connectFailed(err.Error(), false)
		return true
	}
	if st.clientAborted() {
		st.abortConnect()
		return true
	}
	if c.Handshaking() {
		return false
	}
	if st.needProxyHeader {
		if !c.Connected() {
			return false
		}
		st.needProxyHeader = false
		hdr := st.srv.sendProxy.build(nil, st)
		// The first bytes of a new connection always fit its buffer.
		if n, err := c.Write(hdr); n != len(hdr) {
			if err == nil {
				err = engine.ErrAgain
			}
			st.connectFailed(err.Error(), false)
			return true
		}
		if st.srv.tls != nil {
			st.startServerTLS()
			return true
		}
	}
	if !c.Connected() {
		if st.tcp {
			return false
		}
		// Loopback and local networks are often connected by the time
		// connect(2) returns, and the first write finds out for free.
		st.buildRequest()
		if _, _, err := st.toServer.flush(c); err != nil {
			st.connectFailed(err.Error(), false)
			return true
		}
		if !c.Connected() {
			return false
		}
	}
	st.connected()
	return true
}

// connected begins the forwarding on st.sc.
func (st *stream) connected() {
	now := st.w.loop.Now()
	st.w.loop.Disarm(&st.timer)
	st.connectAt = now
	st.sc.requests++
	st.tx.Server = &st.srv.info
	if st.w.rt.opts.Compiler.ServerAddrs {
		st.tx.ServerAddr, st.tx.ServerSrc = st.sc.conn.RemoteAddr(), st.sc.conn.LocalAddr()
	}
	st.hana = 0
	if st.tcp {
		st.beginTunnel()
		return
	}
	st.buildRequest()
	st.state = stateForward
	st.armServer()
}

// dropServer closes the stream's server connection.
func (st *stream) dropServer() {
	if st.sc == nil {
		return
	}
	sc := st.sc
	st.sc = nil
	sc.st = nil
	if st.so != nil {
		st.w.loop.PutBuffer(st.so)
		st.so = nil
	}
	st.toServer = outgoing{}
	sc.drop()
}
