package proxy

import (
	"bytes"
	"time"

	"evenkeel/internal/message"
	"evenkeel/internal/rule"
	"evenkeel/internal/wire/http1"
)

// environment answers what rules ask about the rest of the runtime.
type environment struct{ rt *Runtime }

var _ rule.Env = environment{}

func (e environment) now() int64 { return e.rt.workers[0].loop.Now() }

func (e environment) server(backend, server string) *server {
	b := e.rt.bes[backend]
	if b == nil {
		return nil
	}
	for _, s := range b.servers {
		if s.info.Name == server {
			return s
		}
	}
	return nil
}

func (e environment) NbSrv(backend string) (int, bool) {
	b := e.rt.bes[backend]
	if b == nil {
		return 0, false
	}
	return b.pool.Usable(), true
}

func (e environment) ServerIsUp(backend, server string) (up, ok bool) {
	s := e.server(backend, server)
	if s == nil {
		return false, false
	}
	return s.p.Up(), true
}

func (e environment) ConnSlots(backend string) int {
	if b := e.rt.bes[backend]; b != nil {
		return b.pool.Slots()
	}
	return 0
}

func (e environment) QueueLen(backend string) int {
	if b := e.rt.bes[backend]; b != nil {
		return b.pool.Queue()
	}
	return 0
}

func (e environment) ServerQueue(backend, server string) int {
	if s := e.server(backend, server); s != nil {
		return s.p.Queue()
	}
	return 0
}

func (e environment) ServerWeights(backend, server string) (weight, initial, user int) {
	s := e.server(backend, server)
	if s == nil {
		return 0, 0, 0
	}
	initial, user = s.p.Weights()
	return s.p.Weight(), initial, user
}

func (e environment) BackendConns(name string) int {
	if b := e.rt.bes[name]; b != nil {
		return b.pool.Conns()
	}
	return 0
}

func (e environment) FrontendConns(name string) int {
	if f := e.rt.fes[name]; f != nil {
		return int(f.conns.Load())
	}
	return 0
}

func (e environment) ServerConns(backend, server string) int {
	if s := e.server(backend, server); s != nil {
		return s.p.Conns()
	}
	return 0
}

func (e environment) BackendConnFree(name string) int {
	b := e.rt.bes[name]
	if b == nil {
		return 0
	}
	free := 0
	for _, s := range b.servers {
		if !s.p.Up() {
			continue
		}
		if s.m.MaxConn <= 0 {
			return -1
		}
		free += max(0, s.m.MaxConn-s.p.Conns())
	}
	return free
}

func (e environment) ServerConnFree(backend, server string) int {
	s := e.server(backend, server)
	if s == nil {
		return 0
	}
	if s.m.MaxConn <= 0 {
		return -1
	}
	return max(0, s.m.MaxConn-s.p.Conns())
}

func (e environment) BackendRate(name string) int {
	if b := e.rt.bes[name]; b != nil {
		return b.pool.Rate(e.now())
	}
	return 0
}

func (e environment) ServerRate(backend, server string) int {
	if s := e.server(backend, server); s != nil {
		return s.p.Rate(e.now())
	}
	return 0
}

// The rates of a frontend are kept by each loop on its own; rules see those of
// the loop they run on, times the loops. Loops share connections evenly.
func (e environment) FrontendRate(name string) int {
	if f := e.rt.fes[name]; f != nil {
		return int(f.ratesSeen.sess.Load())
	}
	return 0
}

func (e environment) FrontendReqRate(name string) int {
	if f := e.rt.fes[name]; f != nil {
		return int(f.ratesSeen.req.Load())
	}
	return 0
}

func (e environment) Stopping() bool { return e.rt.draining.Load() }

// loggedCookies are the values of the captured cookie in both heads.
func (st *stream) loggedCookies() (req, res []byte) {
	c := st.fe.cookieCap
	if c == nil {
		return nil, nil
	}
	for i := range st.req.Fields {
		if f := &st.req.Fields[i]; f.ID == message.FieldCookie {
			if v := findPrefixed(f.Value, c.Name, c.Prefix); v != nil {
				req = v[:min(len(v), c.Len)]
			}
		}
	}
	for i := range st.res.Fields {
		if f := &st.res.Fields[i]; f.ID == message.FieldSetCookie {
			if v := findPrefixed(f.Value, c.Name, c.Prefix); v != nil {
				res = v[:min(len(v), c.Len)]
			}
		}
	}
	return req, res
}

// findPrefixed gives "name=value" of the first cookie with that name, or with
// a name that begins so.
func findPrefixed(v []byte, name string, prefix bool) []byte {
	for rest := v; len(rest) > 0; {
		n, val, next := http1.NextCookie(rest)
		if n == nil {
			return nil
		}
		if string(n) == name || prefix && bytes.HasPrefix(n, []byte(name)) {
			return append(append(append([]byte(nil), n...), '='), val...)
		}
		rest = next
	}
	return nil
}

func nanos(n int64) time.Duration { return time.Duration(n) }
