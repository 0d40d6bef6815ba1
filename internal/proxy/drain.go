package proxy

import (
	"bytes"
	"encoding/gob"
	"net/netip"
	"syscall"

	"evenkeel/internal/engine"
)

// Handoff gives idle client connections to the worker that follows.
type Handoff struct {
	// Give passes a connection on and then owns fd. It does not block and may
	// be called from any loop.
	Give func(fd int, meta []byte) error
}

// handedMeta travels with a handed-over connection.
type handedMeta struct {
	Frontend, Listener string
	Src, Dst           string
	Real               bool // Src and Dst are the socket's own
	Requests           int
}

// offer gives an idle session to the next worker, if there is one, or closes
// it when there will be none. A TLS session cannot move: its keys are here.
func (s *session) offer() {
	rt := s.w.rt
	if !rt.draining.Load() {
		return
	}
	h := rt.handoff.Load()
	if h == nil || s.conn.TLS() != nil {
		// Nobody announced to this client that the connection ends, so only
		// one that never served a request, or that a last response could be
		// announced on, may be closed. It stays until the client's next
		// request or its time-out.
		if rt.closeIdle.Load() {
			s.close()
		}
		return
	}
	meta := handedMeta{
		Frontend: s.fe.info.Name, Listener: s.ln.addr, Requests: s.rc.Requests, Real: !s.rc.ReceivedProxy,
	}
	if s.rc.ReceivedProxy {
		meta.Src, meta.Dst = s.rc.Src.String(), s.rc.Dst.String()
	}
	var b bytes.Buffer
	if gob.NewEncoder(&b).Encode(&meta) != nil {
		return
	}
	fd, err := syscall.Dup(s.conn.FD())
	if err != nil {
		return // it stays, and ends with an announced last response
	}
	if h.Give(fd, b.Bytes()) != nil {
		closeFD(fd)
		return
	}
	closeFD(s.conn.Detach())
	s.conn = nil
	s.close()
}

// Adopt takes an idle connection of the worker before this one. It owns fd.
func (rt *Runtime) Adopt(fd int, blob []byte) {
	var meta handedMeta
	if gob.NewDecoder(bytes.NewReader(blob)).Decode(&meta) != nil {
		closeFD(fd)
		return
	}
	ln := rt.findListener(meta.Frontend, meta.Listener)
	if ln == nil {
		closeFD(fd)
		return
	}
	rt.conns.Add(1)
	ln.fe.conns.Add(1)
	ln.conns.Add(1)
	best := rt.workers[0]
	for _, w := range rt.workers {
		if w.loop.Conns() < best.loop.Conns() {
			best = w
		}
	}
	best.loop.Post(func() { best.adopt(ln, fd, &meta) })
}

// findListener prefers the same frontend and address, then the frontend.
func (rt *Runtime) findListener(frontend, addr string) *listener {
	f := rt.fes[frontend]
	for _, other := range rt.frontends {
		for _, ln := range other.listeners {
			if ln.addr == addr && (f == nil || f == other) {
				return ln
			}
		}
	}
	return nil
}

func (w *worker) adopt(ln *listener, fd int, meta *handedMeta) {
	s := &session{w: w, fe: ln.fe, ln: ln}
	conn, err := w.loop.Adopt(fd, s)
	if err != nil {
		closeFD(fd)
		ln.fe.release(w, ln)
		return
	}
	s.conn = conn
	src := conn.RemoteAddr()
	s.begin(src)
	if !meta.Real {
		s.rc.RealSrc, s.rc.RealDst = s.rc.Src, s.rc.Dst
		s.rc.Src, _ = netip.ParseAddrPort(meta.Src)
		s.rc.Dst, _ = netip.ParseAddrPort(meta.Dst)
		s.rc.ReceivedProxy = true
	}
	s.rc.Requests = meta.Requests
	w.next(s)
}

// Leave ends each client connection with its next response, while new ones are
// still taken: their address is about to move to another node.
func (rt *Runtime) Leave() { rt.leaving.Store(true) }

// Pause stops accepting, Resume goes on.
func (rt *Runtime) Pause()  { rt.paused.Store(true); rt.recheck() }
func (rt *Runtime) Resume() { rt.paused.Store(false); rt.recheck() }

// Drain stops accepting and lets what is under way finish. Idle connections
// go to h; without it they are closed after an announced last response, or at
// once where no client can have a request on its way.
func (rt *Runtime) Drain(h *Handoff) {
	rt.handoff.Store(h)
	rt.draining.Store(true)
	for _, w := range rt.workers {
		w.loop.Post(w.drain)
	}
	if rt.conns.Load() == 0 {
		rt.drained()
	}
}

func (w *worker) drain() {
	for _, f := range w.rt.frontends {
		for _, ln := range f.listeners {
			if el := ln.perLoop[w.id]; el != nil {
				el.Close()
				ln.perLoop[w.id] = nil
			}
		}
	}
	for s := w.first; s != nil; {
		next := s.next
		if s.phase == sessIdle {
			s.offer()
		}
		s = next
	}
}

// Drained is closed when the last connection has ended after Drain.
func (rt *Runtime) Drained() <-chan struct{} { return rt.drainDone }

func (rt *Runtime) drained() {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if !rt.drainOver {
		rt.drainOver = true
		close(rt.drainDone)
	}
}

// Stop closes every connection. It returns when all loops have done so.
func (rt *Runtime) Stop() {
	rt.draining.Store(true)
	rt.stopped.Store(true)
	rt.handoff.Store(nil)
	done := make(chan struct{}, len(rt.workers))
	for _, w := range rt.workers {
		w.loop.Post(func() {
			w.drain()
			for w.first != nil {
				w.first.kill('K')
			}
			for i := range w.idle {
				w.idle[i].closeAll()
			}
			w.loop.Disarm(&w.sweep)
			done <- struct{}{}
		})
	}
	for range rt.workers {
		<-done
	}
}

// kill ends a session whatever it does, for the administrator.
func (s *session) kill(cause byte) {
	if s.st != nil {
		s.st.setTerm(cause, s.st.phaseLetter())
		s.st.cut()
	}
	s.close()
}

// phaseLetter is the second character of the termination state now.
func (st *stream) phaseLetter() byte {
	switch st.state {
	case stateHead, stateRules, stateTCPRules, stateBody:
		return 'R'
	case stateAssign, stateQueue:
		return 'Q'
	case stateConnect, statePause:
		return 'C'
	case stateForward:
		if !st.resHead {
			return 'H'
		}
		return 'D'
	case stateTarpit:
		return 'T'
	}
	return 'D'
}

var _ engine.Handler = (*session)(nil)
