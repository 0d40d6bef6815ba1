package rule

import (
	"bytes"

	"evenkeel/internal/keyhash"
	"evenkeel/internal/message"
)

const (
	needsRequest  = "HTTP request headers"
	needsResponse = "HTTP response headers"

	// phases in which HAProxy has what a request head says, and what it keeps
	// of it until the log line
	phaseHead     = phaseRequest
	phaseHeadKept = phaseStream
	phaseResHead  = phaseResponse
	phaseResKept  = phaseResponse | PhaseLog
)

// request fetches from the request head.
func request(fn func(tx *Tx, h *message.Head) (Value, bool)) func(*binding, []string) (sampler, error) {
	return fixed(func(tx *Tx) (Value, bool) {
		if h := tx.request(); h != nil {
			return fn(tx, h)
		}
		return Value{}, false
	})
}

func response(fn func(tx *Tx, h *message.Head) (Value, bool)) func(*binding, []string) (sampler, error) {
	return fixed(func(tx *Tx) (Value, bool) {
		if tx.Res == nil {
			return Value{}, false
		}
		return fn(tx, tx.Res)
	})
}

// request gives the request head. In a TCP stream it is parsed from what was
// received; while that is not a whole head, the fetch waits.
func (tx *Tx) request() *message.Head {
	if tx.Req == nil {
		return tx.sniff()
	}
	return tx.Req
}

func (tx *Tx) head(res bool) *message.Head {
	if res {
		return tx.Res
	}
	return tx.request()
}

func init() {
	addFetches("request line", []FetchSpec{
		{Name: "method", Out: KindMethod, Phases: phaseHeadKept, Needs: needsRequest, Help: "method of the request", build: request(func(tx *Tx, h *message.Head) (Value, bool) {
			return methodValue(h.MethodID, h.Method), true
		})},
		{Name: "path", Out: KindString, Phases: phaseHead, Needs: needsRequest, Help: "path, without the query", build: request(func(tx *Tx, h *message.Head) (Value, bool) {
			p := pathOf(h.Target)
			return Str(p), p != nil
		})},
		{Name: "pathq", Out: KindString, Phases: phaseHead, Needs: needsRequest, Help: "path and query", build: request(func(tx *Tx, h *message.Head) (Value, bool) {
			p := pathQueryOf(h.Target)
			return Str(p), p != nil
		})},
		{Name: "url", Out: KindString, Phases: phaseHead, Needs: needsRequest, Help: "request target as received", build: request(func(tx *Tx, h *message.Head) (Value, bool) {
			return Str(h.Target), true
		})},
		{Name: "query", Args: "([option])", Max: 1, Out: KindString, Phases: phaseHead, Needs: needsRequest, Help: "query string, without the question mark unless with_qm is given", build: buildQuery},
		{Name: "base", Out: KindString, Phases: phaseHead, Needs: needsRequest, Help: "Host header and path", build: request(func(tx *Tx, h *message.Head) (Value, bool) {
			host, path := baseOf(h)
			if len(host) == 0 {
				return Str(path), len(path) > 0
			}
			t := append(append(tx.temp(len(host) + len(path))[:0], host...), path...)
			return Str(t), true
		})},
		{Name: "base32", Out: KindInt, Phases: phaseHead, Needs: needsRequest, Help: "hash of base", build: request(func(tx *Tx, h *message.Head) (Value, bool) {
			return Int(int64(base32(h))), true
		})},
		{Name: "base32+src", Out: KindBinary, Phases: phaseHead, Needs: needsRequest, Help: "base32 and the client's address", build: request(func(tx *Tx, h *message.Head) (Value, bool) {
			return withSource(tx, base32(h))
		})},
		{Name: "url32", Out: KindInt, Phases: phaseHead, Needs: needsRequest, Help: "hash of Host and URL", build: request(func(tx *Tx, h *message.Head) (Value, bool) {
			return Int(int64(url32(h))), true
		})},
		{Name: "url32+src", Out: KindBinary, Phases: phaseHead, Needs: needsRequest, Help: "url32 and the client's address", build: request(func(tx *Tx, h *message.Head) (Value, bool) {
			return withSource(tx, url32(h))
		})},
		{Name: "url_ip", Out: KindAddr, Phases: phaseHead, Needs: needsRequest, Help: "address in an absolute URL", build: request(func(tx *Tx, h *message.Head) (Value, bool) {
			host, _, ok := urlHost(h.Target)
			if !ok {
				return Value{}, false
			}
			a, ok := parseAddr(host)
			return Address(a), ok && a.Is4()
		})},
		{Name: "url_port", Out: KindInt, Phases: phaseHead, Needs: needsRequest, Help: "port in an absolute URL", build: request(func(tx *Tx, h *message.Head) (Value, bool) {
			_, port, ok := urlHost(h.Target)
			return Int(port), ok
		})},
		{Name: "req.ver", Out: KindString, Phases: phaseHead, Needs: needsRequest, Help: "HTTP version of the request, as 1.1", build: request(func(tx *Tx, h *message.Head) (Value, bool) {
			return Str(versionText(h.Version)), true
		})},
		{Name: "req.proto_http", Out: KindBool, Phases: phaseHead, Needs: "request data", Help: "the bytes received look like an HTTP request", build: request(func(tx *Tx, h *message.Head) (Value, bool) {
			return Bool(true), true
		})},
		{Name: "http_first_req", Out: KindBool, Phases: phaseHeadKept, Needs: needsRequest, Help: "the first request of its connection", build: fixed(func(tx *Tx) (Value, bool) {
			return Bool(tx.Conn == nil || tx.Conn.Requests <= 1), true
		})},
		{Name: "unique-id", Out: KindString, Phases: phaseStream, Help: "unique-id-format's text", build: fixed(func(tx *Tx) (Value, bool) {
			return Str(tx.Log.UniqueID), len(tx.Log.UniqueID) > 0
		})},
	})
	addFetches("status line", []FetchSpec{
		{Name: "status", Out: KindInt, Phases: phaseResKept, Needs: needsResponse, Help: "status of the response", build: fixed(func(tx *Tx) (Value, bool) {
			if tx.Res == nil {
				return Int(int64(tx.Log.Status)), tx.Log.Status > 0
			}
			return Int(int64(tx.Res.Status)), true
		})},
		{Name: "txn.status", Out: KindInt, Phases: phaseResKept, Needs: needsResponse, Help: "status sent to the client", build: fixed(func(tx *Tx) (Value, bool) {
			if tx.Res == nil {
				return Int(int64(tx.Log.Status)), true
			}
			return Int(int64(tx.Res.Status)), true
		})},
		{Name: "server_status", Out: KindInt, Phases: phaseResKept, Needs: needsResponse, Help: "status that the server sent", build: response(func(tx *Tx, h *message.Head) (Value, bool) {
			return Int(int64(h.Status)), true
		})},
		{Name: "res.ver", Out: KindString, Phases: phaseResHead, Needs: needsResponse, Help: "HTTP version of the response", build: response(func(tx *Tx, h *message.Head) (Value, bool) {
			return Str(versionText(h.Version)), true
		})},
	})
}

var versionTexts = map[message.Version][]byte{
	message.HTTP10: []byte("1.0"), message.HTTP11: []byte("1.1"), message.HTTP20: []byte("2.0"), message.HTTP30: []byte("3.0"),
}

func versionText(v message.Version) []byte {
	if v == message.HTTP11 {
		return versionTexts[message.HTTP11]
	}
	if t, ok := versionTexts[v]; ok {
		return t
	}
	return []byte{'0' + byte(v/10)%10, '.', '0' + byte(v)%10}
}

// pathQueryOf gives path and query of a request target; nil for the authority
// and asterisk forms and for an absolute form without a path.
func pathQueryOf(t []byte) []byte {
	if len(t) == 0 || t[0] == '/' {
		return t
	}
	i := bytes.Index(t, []byte("://"))
	if i < 0 {
		return nil
	}
	rest := t[i+3:]
	if j := bytes.IndexByte(rest, '/'); j >= 0 {
		return rest[j:]
	}
	return nil
}

// pathOf gives the path of a request target.
func pathOf(t []byte) []byte {
	p := pathQueryOf(t)
	if i := bytes.IndexByte(p, '?'); i >= 0 {
		return p[:i]
	}
	return p
}

// splitTarget cuts a target before the path, and between path and query; query
// has its question mark.
func splitTarget(t []byte) (authority, path, query []byte) {
	p := pathQueryOf(t)
	authority = t[:len(t)-len(p)]
	if i := bytes.IndexByte(p, '?'); i >= 0 {
		return authority, p[:i], p[i:]
	}
	return authority, p, nil
}

func buildQuery(b *binding, args []string) (sampler, error) {
	withMark := len(args) == 1 && args[0] == "with_qm"
	return func(tx *Tx) (Value, bool) {
		h := tx.request()
		if h == nil {
			return Value{}, false
		}
		i := bytes.IndexByte(h.Target, '?')
		if i < 0 {
			return Value{}, false
		}
		if !withMark {
			i++
		}
		return Str(h.Target[i:]), true
	}, nil
}

func baseOf(h *message.Head) (host, path []byte) {
	host, _ = h.Get(message.FieldHost)
	path = pathOf(h.Target)
	if len(path) > 0 && path[0] != '/' {
		path = nil
	}
	return host, path
}

func base32(h *message.Head) uint32 {
	host, path := baseOf(h)
	return keyhash.Avalanche(keyhash.SDBMFrom(keyhash.SDBM(host), path))
}

func url32(h *message.Head) uint32 {
	host, _ := h.Get(message.FieldHost)
	return keyhash.Avalanche(keyhash.SDBMFrom(keyhash.SDBM(host), pathQueryOf(h.Target)))
}

// withSource appends the client's address to a hash.
func withSource(tx *Tx, hash uint32) (Value, bool) {
	a := tx.Src().Addr().Unmap()
	if !a.IsValid() {
		return Value{}, false
	}
	t := append(tx.temp(20)[:0], byte(hash>>24), byte(hash>>16), byte(hash>>8), byte(hash))
	if a.Is4() {
		b := a.As4()
		return Bin(append(t, b[:]...)), true
	}
	b := a.As16()
	return Bin(append(t, b[:]...)), true
}

// urlHost takes host and port from an absolute URL.
func urlHost(t []byte) (host []byte, port int64, ok bool) {
	i := bytes.Index(t, []byte("://"))
	if i < 0 {
		return nil, 0, false
	}
	port = 80
	if i == 5 {
		port = 443
	}
	host = t[i+3:]
	if j := bytes.IndexAny(host, "/?"); j >= 0 {
		host = host[:j]
	}
	if j := bytes.LastIndexByte(host, ':'); j >= 0 && bytes.IndexByte(host[j:], ']') < 0 {
		port, _ = readInt(host[j+1:])
		host = host[:j]
	}
	return bytes.Trim(host, "[]"), port, true
}
