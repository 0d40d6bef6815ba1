package rule

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// addrFetch gives the address part of an end of a connection.
func addrFetch(of func(tx *Tx) netip.AddrPort) func(*binding, []string) (sampler, error) {
	return fixed(func(tx *Tx) (Value, bool) {
		a := of(tx)
		return Address(a.Addr()), a.IsValid()
	})
}

func portFetch(of func(tx *Tx) netip.AddrPort) func(*binding, []string) (sampler, error) {
	return fixed(func(tx *Tx) (Value, bool) {
		a := of(tx)
		return Int(int64(a.Port())), a.IsValid()
	})
}

func localFetch(of func(tx *Tx) netip.AddrPort) func(*binding, []string) (sampler, error) {
	return fixed(func(tx *Tx) (Value, bool) {
		a := of(tx)
		return Bool(isLocalAddr(a.Addr().Unmap())), a.IsValid()
	})
}

func (c *Conn) realSrc() netip.AddrPort {
	if c == nil {
		return netip.AddrPort{}
	}
	if c.RealSrc.IsValid() {
		return c.RealSrc
	}
	return c.Src
}

func (c *Conn) realDst() netip.AddrPort {
	if c == nil {
		return netip.AddrPort{}
	}
	if c.RealDst.IsValid() {
		return c.RealDst
	}
	return c.Dst
}

// localAddrs is this machine's addresses, read anew when older than a few
// seconds.
var localAddrs struct {
	mu   sync.Mutex
	at   time.Time
	list map[netip.Addr]bool
}

func isLocalAddr(a netip.Addr) bool {
	if a.IsLoopback() {
		return true
	}
	localAddrs.mu.Lock()
	defer localAddrs.mu.Unlock()
	if time.Since(localAddrs.at) > 5*time.Second {
		localAddrs.at = time.Now()
		localAddrs.list = map[netip.Addr]bool{}
		addrs, _ := net.InterfaceAddrs()
		for _, x := range addrs {
			if n, ok := x.(*net.IPNet); ok {
				if ip, ok := netip.AddrFromSlice(n.IP); ok {
					localAddrs.list[ip.Unmap()] = true
				}
			}
		}
	}
	return localAddrs.list[a]
}

func connInt(fn func(c *Conn) int64) func(*binding, []string) (sampler, error) {
	return fixed(func(tx *Tx) (Value, bool) {
		if tx.Conn == nil {
			return Value{}, false
		}
		return Int(fn(tx.Conn)), true
	})
}

func init() {
	src := func(tx *Tx) netip.AddrPort { return tx.Src() }
	dst := func(tx *Tx) netip.AddrPort { return tx.Dst() }
	fcSrc := func(tx *Tx) netip.AddrPort { return tx.Conn.realSrc() }
	fcDst := func(tx *Tx) netip.AddrPort { return tx.Conn.realDst() }
	bcSrc := func(tx *Tx) netip.AddrPort { return tx.ServerSrc }
	bcDst := func(tx *Tx) netip.AddrPort { return tx.ServerAddr }
	ends := []struct {
		addr, port string
		of         func(tx *Tx) netip.AddrPort
		phases     Phase
		help       string
	}{
		{"src", "src_port", src, phaseClient, "the client"},
		{"dst", "dst_port", dst, phaseClient, "what the client connected to"},
		{"fc_src", "fc_src_port", fcSrc, phaseClient, "the client end of the connection, whatever rules set"},
		{"fc_dst", "fc_dst_port", fcDst, phaseClient, "the listening end of the connection, whatever rules set"},
		{"bc_src", "bc_src_port", bcSrc, phaseServer, "the end of the server connection on this side"},
		{"bc_dst", "bc_dst_port", bcDst, phaseServer, "the server"},
	}
	for _, e := range ends {
		needs := "client address"
		if e.phases == phaseServer {
			needs = "server connection"
		}
		addFetches("addresses", []FetchSpec{
			{Name: e.addr, Out: KindAddr, Phases: e.phases, Needs: needs, Help: "address of " + e.help, build: addrFetch(e.of)},
			{Name: e.port, Out: KindInt, Phases: e.phases, Needs: needs, Help: "port of " + e.help, build: portFetch(e.of)},
		})
	}
	addFetches("addresses", []FetchSpec{
		{Name: "src_is_local", Out: KindBool, Phases: phaseClient, Help: "the client's address is one of this machine", build: localFetch(src)},
		{Name: "dst_is_local", Out: KindBool, Phases: phaseClient, Help: "the destination is one of this machine's addresses", build: localFetch(dst)},
		{Name: "dst_conn", Out: KindInt, Phases: phaseClient, Help: "connections on the same frontend", build: fixed(func(tx *Tx) (Value, bool) {
			if tx.Env == nil || tx.Frontend == nil {
				return Value{}, false
			}
			return Int(int64(tx.Env.FrontendConns(tx.Frontend.Name))), true
		})},
	})
	addClientFetches()
	addServerFetches()
	addTimerFetches()
}

func addClientFetches() {
	addFetches("client connection", []FetchSpec{
		{Name: "fc_http_major", Out: KindInt, Phases: phaseClient, Help: "HTTP version spoken with the client", build: connInt(func(c *Conn) int64 { return int64(max(c.HTTPMajor, 1)) })},
		{Name: "fc_rcvd_proxy", Out: KindBool, Phases: phaseClient, Help: "a PROXY protocol header was received", build: fixed(func(tx *Tx) (Value, bool) {
			return Bool(tx.Conn != nil && tx.Conn.ReceivedProxy), true
		})},
		{Name: "fc_err", Out: KindInt, Phases: phaseClient, Help: "number of the error of the client connection", build: fixed(func(tx *Tx) (Value, bool) {
			return Int(int64(tx.Log.FCErr)), true
		})},
		{Name: "fc_err_str", Out: KindString, Phases: phaseClient, Help: "error of the client connection", build: fixed(func(tx *Tx) (Value, bool) {
			if tx.Log.FCErrText == "" {
				return Str([]byte("Success")), true
			}
			return Str([]byte(tx.Log.FCErrText)), true
		})},
		{Name: "fe_id", Out: KindInt, Phases: phaseClient, Help: "number of the frontend", build: connInt(func(c *Conn) int64 { return int64(c.FrontendID) })},
		{Name: "so_id", Out: KindInt, Phases: phaseClient, Help: "number of the listener", build: connInt(func(c *Conn) int64 { return int64(c.ListenerID) })},
		{Name: "fe_name", Out: KindString, Phases: phaseClient, Help: "name of the frontend", build: fixed(func(tx *Tx) (Value, bool) {
			if tx.Frontend != nil {
				return nameValue(tx, tx.Frontend.Name)
			}
			if tx.Conn == nil {
				return Value{}, false
			}
			return nameValue(tx, tx.Conn.FrontendName)
		})},
		{Name: "so_name", Out: KindString, Phases: phaseClient, Help: "name of the listener", build: fixed(func(tx *Tx) (Value, bool) {
			if tx.Conn == nil {
				return Value{}, false
			}
			return nameValue(tx, tx.Conn.ListenerName)
		})},
		{Name: "fe_client_timeout", Out: KindInt, Phases: phaseStream, Help: "timeout client of the frontend, in milliseconds", build: proxyTimeout(false, func(p *ProxyInfo) time.Duration { return p.ClientTimeout })},
		{Name: "cur_client_timeout", Out: KindInt, Phases: phaseStream, Help: "timeout client in force, in milliseconds", build: fixed(func(tx *Tx) (Value, bool) {
			if tx.ClientTimeout > 0 || tx.Frontend == nil {
				return Int(tx.ClientTimeout.Milliseconds()), tx.ClientTimeout > 0
			}
			return Int(tx.Frontend.ClientTimeout.Milliseconds()), true
		})},
	})
}

func addServerFetches() {
	addFetches("server connection", []FetchSpec{
		{Name: "be_id", Out: KindInt, Phases: phaseStream, Needs: "backend", Help: "number of the backend", build: fixed(func(tx *Tx) (Value, bool) {
			if tx.Backend == nil {
				return Value{}, false
			}
			return Int(int64(tx.Backend.ID)), true
		})},
		{Name: "be_name", Out: KindString, Phases: phaseStream, Needs: "backend", Help: "name of the backend", build: fixed(func(tx *Tx) (Value, bool) {
			if tx.Backend == nil {
				return Value{}, false
			}
			return nameValue(tx, tx.Backend.Name)
		})},
		{Name: "srv_id", Out: KindInt, Phases: phaseServer, Needs: "server", Help: "number of the server", build: fixed(func(tx *Tx) (Value, bool) {
			if tx.Server == nil {
				return Value{}, false
			}
			return Int(int64(tx.Server.ID)), true
		})},
		{Name: "srv_name", Out: KindString, Phases: phaseServer, Needs: "server", Help: "name of the server", build: fixed(func(tx *Tx) (Value, bool) {
			if tx.Server == nil {
				return Value{}, false
			}
			return nameValue(tx, tx.Server.Name)
		})},
		{Name: "bc_http_major", Out: KindInt, Phases: phaseServer, Help: "HTTP version spoken with the server", build: fixed(func(tx *Tx) (Value, bool) {
			return Int(int64(max(tx.ServerMajor, 1))), tx.Server != nil
		})},
		{Name: "be_server_timeout", Out: KindInt, Phases: phaseStream, Help: "timeout server of the backend, in milliseconds", build: proxyTimeout(true, func(p *ProxyInfo) time.Duration { return p.ServerTimeout })},
		{Name: "be_tunnel_timeout", Out: KindInt, Phases: phaseStream, Help: "timeout tunnel of the backend, in milliseconds", build: proxyTimeout(true, func(p *ProxyInfo) time.Duration { return p.TunnelTimeout })},
		{Name: "cur_server_timeout", Out: KindInt, Phases: phaseStream, Help: "timeout server in force, in milliseconds", build: fixed(func(tx *Tx) (Value, bool) {
			if tx.ServerTimeout > 0 || tx.Backend == nil {
				return Int(tx.ServerTimeout.Milliseconds()), tx.ServerTimeout > 0
			}
			return Int(tx.Backend.ServerTimeout.Milliseconds()), true
		})},
		{Name: "cur_tunnel_timeout", Out: KindInt, Phases: phaseStream, Help: "timeout tunnel in force, in milliseconds", build: fixed(func(tx *Tx) (Value, bool) {
			if tx.TunnelTimeout > 0 || tx.Backend == nil {
				return Int(tx.TunnelTimeout.Milliseconds()), tx.TunnelTimeout > 0
			}
			return Int(tx.Backend.TunnelTimeout.Milliseconds()), true
		})},
		{Name: "txn.redispatched", Out: KindBool, Phases: phaseServer, Help: "the request went to another server than chosen first", build: fixed(func(tx *Tx) (Value, bool) {
			return Bool(tx.Log.Redispatched), true
		})},
		{Name: "last_rule_file", Out: KindString, Phases: phaseStream, Help: "file of the last rule that ended an evaluation", build: fixed(func(tx *Tx) (Value, bool) {
			if tx.LastRule == nil {
				return Value{}, false
			}
			return nameValue(tx, tx.LastRule.File)
		})},
		{Name: "last_rule_line", Out: KindInt, Phases: phaseStream, Help: "line of the last rule that ended an evaluation", build: fixed(func(tx *Tx) (Value, bool) {
			if tx.LastRule == nil {
				return Value{}, false
			}
			return Int(int64(tx.LastRule.Line)), true
		})},
	})
}

// nameValue copies a name into scratch memory; no allocation.
func nameValue(tx *Tx, s string) (Value, bool) {
	t := tx.temp(len(s))
	copy(t, s)
	return Str(t), s != ""
}

func proxyTimeout(backend bool, of func(p *ProxyInfo) time.Duration) func(*binding, []string) (sampler, error) {
	return fixed(func(tx *Tx) (Value, bool) {
		p := tx.Frontend
		if backend {
			p = tx.Backend
		}
		if p == nil {
			return Value{}, false
		}
		return Int(of(p).Milliseconds()), true
	})
}

// addTimerFetches adds the log line's timers under their own names.
func addTimerFetches() {
	for _, t := range []struct {
		name, help string
		of         func(l *Log) int
	}{
		{"fc.timer.handshake", "time of the handshakes", func(l *Log) int { return l.Th }},
		{"fc.timer.total", "time of the session", func(l *Log) int { return l.Tt }},
		{"req.timer.idle", "idle time before the request", func(l *Log) int { return l.Ti }},
		{"req.timer.tq", "time to get the whole request head", func(l *Log) int { return l.Tq }},
		{"req.timer.hdr", "time to receive the request head", func(l *Log) int { return l.TR }},
		{"req.timer.queue", "time in queues", func(l *Log) int { return l.Tw }},
		{"bc.timer.connect", "time to connect to the server", func(l *Log) int { return l.Tc }},
		{"res.timer.hdr", "time until the response head", func(l *Log) int { return l.Tr }},
		{"res.timer.data", "time of the response body", func(l *Log) int { return l.Td }},
		{"txn.timer.total", "time of the transaction", func(l *Log) int { return l.Ta }},
		{"txn.timer.user", "time as the user sees it", func(l *Log) int { return l.Tu }},
	} {
		of := t.of
		addFetches("timers", []FetchSpec{{Name: t.name, Out: KindInt, Phases: phaseServer, Help: t.help + ", in milliseconds", build: fixed(func(tx *Tx) (Value, bool) {
			return Int(int64(of(&tx.Log))), true
		})}})
	}
	addFetches("log", []FetchSpec{
		{Name: "bytes_in", Out: KindInt, Phases: phaseServer, Help: "bytes uploaded", build: fixed(func(tx *Tx) (Value, bool) { return Int(tx.Log.BytesUploaded), true })},
		{Name: "bytes_out", Out: KindInt, Phases: phaseServer, Help: "bytes sent to the client", build: fixed(func(tx *Tx) (Value, bool) { return Int(tx.Log.BytesRead), true })},
		{Name: "txn.sess_term_state", Out: KindString, Phases: phaseServer, Help: "the two termination letters", build: fixed(func(tx *Tx) (Value, bool) {
			return Str(tx.tempCopy(tx.Log.TermState[:2])), true
		})},
		{Name: "retries", Out: KindInt, Phases: phaseServer, Help: "connection retries", build: fixed(func(tx *Tx) (Value, bool) { return Int(int64(tx.Log.Retries)), true })},
	})
}
