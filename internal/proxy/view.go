package proxy

import (
	"strings"
	"sync"
	"time"

	"evenkeel/internal/pool"
)

// Everything in this file is called from other goroutines: it asks each loop
// for a copy of what the loop owns.

// onLoops runs f on every loop and waits. A loop that does not answer within
// the patience is left out: it is stuck or has ended. all says that every loop
// has answered.
func (rt *Runtime) onLoops(f func(w *worker)) (all bool) {
	var wg sync.WaitGroup
	for _, w := range rt.workers {
		wg.Add(1)
		w.loop.Post(func() {
			f(w)
			wg.Done()
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
		return true
	case <-time.After(patience):
		return false
	}
}

// Settled waits for every loop to have done what it was asked before, and
// says whether all have: after Drain no loop uses a listening socket any more.
func (rt *Runtime) Settled() bool { return rt.onLoops(func(*worker) {}) }

const patience = 2 * time.Second

// FrontendCounters is what a frontend has counted, over all loops.
type FrontendCounters struct {
	Conns, Sessions, Requests        uint64
	BytesIn, BytesOut                uint64
	DeniedReq, DeniedResp, BadReq    uint64
	DeniedConn, DeniedSess           uint64
	Intercepted                      uint64
	Responses                        [6]uint64 // 1xx … 5xx, other
	Cur, Max                         int64
	ConnRate, SessRate, ReqRate      int
	ConnRateMax, SessRateMax, ReqMax int
	MaxConn, RateLimit               int64
	Disabled, Full                   bool
}

// Counters of the frontend now.
func (f *Frontend) Counters() FrontendCounters {
	var mu sync.Mutex
	var c FrontendCounters
	f.rt.onLoops(func(w *worker) {
		s := &w.stats[f.index]
		now := w.loop.Now()
		mu.Lock()
		defer mu.Unlock()
		c.Conns += s.conns
		c.Sessions += s.sessions
		c.Requests += s.requests
		c.BytesIn += s.bytesIn
		c.BytesOut += s.bytesOut
		c.DeniedReq += s.deniedReq
		c.DeniedResp += s.deniedResp
		c.BadReq += s.badReq
		c.DeniedConn += s.deniedConn
		c.DeniedSess += s.deniedSess
		c.Intercepted += s.intercepted
		for i := range c.Responses {
			c.Responses[i] += s.responses[i]
		}
		c.Cur += s.cur
		c.ConnRate += s.connRate.Rate(now)
		c.SessRate += s.sessRate.Rate(now)
		c.ReqRate += s.reqRate.Rate(now)
		c.ConnRateMax += s.connRateMax
		c.SessRateMax += s.sessRateMax
		c.ReqMax += s.rReqMax
	})
	mu.Lock()
	defer mu.Unlock()
	c.Max = f.connsPeak.Load()
	c.MaxConn = f.maxConn.Load()
	c.RateLimit = f.rateLimit.Load()
	c.Disabled = f.disabled.Load()
	c.Full = c.MaxConn > 0 && f.conns.Load() >= c.MaxConn
	return c
}

// ClearCounters resets the maxima, or with all everything that is not a
// present state.
func (f *Frontend) ClearCounters(all bool) {
	f.connsPeak.Store(f.conns.Load())
	f.rt.onLoops(func(w *worker) {
		s := &w.stats[f.index]
		s.connRateMax, s.sessRateMax, s.rReqMax = 0, 0, 0
		if all {
			*s = feStats{cur: s.cur, connRate: s.connRate, sessRate: s.sessRate, reqRate: s.reqRate}
		}
	})
}

// SetMaxConn changes the limit of the frontend; 0: none.
func (f *Frontend) SetMaxConn(n int) { f.maxConn.Store(int64(n)); f.rt.recheck() }

// SetDisabled stops accepting, or begins again.
func (f *Frontend) SetDisabled(off bool) { f.disabled.Store(off); f.rt.recheck() }

// Conns is the number of client connections now.
func (f *Frontend) Conns() int64 { return f.conns.Load() }

// Conns, Total and Requests are the whole runtime's.
func (rt *Runtime) Conns() int64    { return rt.conns.Load() }
func (rt *Runtime) Total() int64    { return rt.connTotal.Load() }
func (rt *Runtime) Requests() int64 { return rt.reqTotal.Load() }
func (rt *Runtime) MaxConn() int64  { return rt.maxConn.Load() }

// SetMaxConn changes the limit of the process; 0: none.
func (rt *Runtime) SetMaxConn(n int) { rt.maxConn.Store(int64(n)); rt.recheck() }

// SessionView is a client connection at one moment.
type SessionView struct {
	ID                        uint64
	Source, Local             string
	Unix                      bool
	V6                        bool
	Frontend, Backend         string
	FrontendID, BackendID     int
	FrontendHTTP, BackendHTTP bool
	Server                    string
	ServerID                  int
	ServerAddr                string
	Started                   time.Time
	Age                       time.Duration
	Idle, Queued              bool
	ClientExpires             time.Duration // negative: never
	ServerExpires             time.Duration
	Retries                   int
	BytesIn, BytesOut         int64
	RequestLine               string
	Thread                    int
	ClientFD, ServerFD        int
	TLSVersion, TLSCipher     uint16
	Phase                     string
}

// Sessions copies what every loop has.
func (rt *Runtime) Sessions() []SessionView {
	var mu sync.Mutex
	var all []SessionView
	rt.onLoops(func(w *worker) {
		views := make([]SessionView, 0, w.count)
		for s := w.first; s != nil; s = s.next {
			views = append(views, s.view())
		}
		mu.Lock()
		all = append(all, views...)
		mu.Unlock()
	})
	mu.Lock()
	defer mu.Unlock()
	return all
}

func (s *session) view() SessionView {
	now := s.w.loop.Now()
	v := SessionView{
		ID: s.serial, Source: s.rc.Src.String(), Local: s.rc.Dst.String(), Unix: s.ln.unix,
		V6: s.rc.Src.Addr().Is6() && !s.rc.Src.Addr().Is4In6(), Frontend: s.fe.info.Name, FrontendID: s.fe.info.ID,
		FrontendHTTP: s.fe.info.HTTP, Started: s.rc.AcceptedAt, Age: nanos(now - s.acceptedAt),
		Idle: s.phase == sessIdle, ClientExpires: -1, ServerExpires: -1, Thread: s.w.id, ServerFD: -1,
		Phase: [...]string{"proxy", "handshake", "idle", "active", "linger", "closed"}[s.phase],
	}
	if s.ln.unix {
		v.Source = "unix:" + itoa(s.ln.id)
		v.Local = s.ln.path
	}
	if s.conn != nil {
		v.ClientFD = s.conn.FD()
	}
	if s.timer.Armed() {
		v.ClientExpires = nanos(s.timer.Deadline() - now)
	}
	if t := s.rc.TLS; t != nil {
		v.TLSVersion, v.TLSCipher = t.Version, t.CipherSuite
	}
	if st := s.st; st != nil {
		st.view(&v, now)
	}
	return v
}

func (st *stream) view(v *SessionView, now int64) {
	v.Retries, v.BytesIn, v.BytesOut = st.retries, st.bytesIn, st.bytesOut
	v.Queued = st.state == stateQueue
	if st.timer.Armed() {
		v.ServerExpires = nanos(st.timer.Deadline() - now)
	}
	if len(st.req.Method) > 0 {
		var b strings.Builder
		b.Write(st.req.Method)
		b.WriteByte(' ')
		b.Write(st.req.Target)
		v.RequestLine = b.String()
	}
	if st.be != nil {
		v.Backend, v.BackendID, v.BackendHTTP = st.be.info.Name, st.be.info.ID, st.be.info.HTTP
	}
	if st.srv != nil {
		v.Server, v.ServerID = st.srv.info.Name, st.srv.info.ID
	}
	if st.sc != nil && st.sc.conn != nil {
		v.ServerFD = st.sc.conn.FD()
		v.ServerAddr = st.sc.conn.RemoteAddr().String()
	}
}

// ShutdownSession ends one session; false: there is none of that ID.
func (rt *Runtime) ShutdownSession(id uint64) bool {
	return rt.killWhere('K', func(s *session) bool { return s.serial == id }) > 0
}

// ShutdownServer ends all sessions that use a server.
func (rt *Runtime) ShutdownServer(p *pool.Server, cause byte) int {
	return rt.killWhere(cause, func(s *session) bool {
		return s.st != nil && s.st.srv != nil && s.st.srv.p == p
	})
}

// ShutdownBackups ends all sessions on a backend's backup servers.
func (rt *Runtime) ShutdownBackups(b *pool.Backend) int {
	return rt.killWhere('U', func(s *session) bool {
		return s.st != nil && s.st.be != nil && s.st.be.pool == b && s.st.srv != nil && s.st.srv.m.Backup
	})
}

// ShutdownFrontend stops listening for good and ends nothing.
func (rt *Runtime) ShutdownFrontend(f *Frontend) {
	f.SetDisabled(true)
}

func (rt *Runtime) killWhere(cause byte, match func(*session) bool) int {
	var mu sync.Mutex
	n := 0
	rt.onLoops(func(w *worker) {
		var hit []*session
		for s := w.first; s != nil; s = s.next {
			if match(s) {
				hit = append(hit, s)
			}
		}
		for _, s := range hit {
			s.kill(cause)
		}
		mu.Lock()
		n += len(hit)
		mu.Unlock()
	})
	mu.Lock()
	defer mu.Unlock()
	return n
}

// DropIdle closes the idle connections to a server, e.g. because its address
// was changed.
func (rt *Runtime) DropIdle(p *pool.Server) {
	be := rt.bes[p.Backend.Name]
	if be == nil {
		return
	}
	s := be.byPool[p]
	if s == nil {
		return
	}
	for _, w := range rt.workers {
		w.loop.Post(func() { w.idle[s.index].closeAll() })
	}
}
