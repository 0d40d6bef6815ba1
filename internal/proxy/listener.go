package proxy

import (
	"crypto/tls"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"

	"evenkeel/internal/engine"
	"evenkeel/internal/model"
	"evenkeel/internal/pool"
)

// listener is one listening socket of a frontend, shared by all loops.
type listener struct {
	// set once
	fe       *Frontend
	m        *model.Bind
	tls      *tls.Config
	name     string
	id       int
	addr     string // for show stat and messages
	unix     bool
	path     string
	fixedDst netip.AddrPort // when bound to one address: no getsockname needed
	maxConn  int64
	fd       int // -1 before Listen
	want     model.ListenAddr

	conns   atomic.Int64
	perLoop []*engine.Listener // owned by each loop
}

// handBalance is by how many connections another loop must be less busy for a
// new connection to be handed over: handing over costs a wake-up.
const handBalance = 1

// OnAccept takes a new connection on whichever loop was woken, and gives it to
// the least busy one.
func (ln *listener) OnAccept(el *engine.Listener, fd int, src netip.AddrPort) {
	rt := ln.fe.rt
	w := rt.workers[el.Loop().ID()]
	if !ln.fe.admit(ln, w.loop.Now()) {
		// At once for this one: the loop would go on with what waits in the
		// socket's queue. Others may each take one connection too many.
		el.Pause()
		ln.fe.pauseAll(rt)
	}
	if len(rt.workers) > 1 {
		best, load := w, w.loop.Conns()
		for _, o := range rt.workers {
			if n := o.loop.Conns(); n+handBalance < load {
				best, load = o, n
			}
		}
		if best != w {
			best.loop.Hand(fd, src, ln)
			return
		}
	}
	w.accept(ln, fd, src)
}

// OnHanded takes a connection that another loop accepted.
func (ln *listener) OnHanded(l *engine.Loop, fd int, src netip.AddrPort) {
	ln.fe.rt.workers[l.ID()].accept(ln, fd, src)
}

// admit counts a connection in and says whether there is room for one more
// after it.
func (f *Frontend) admit(ln *listener, now int64) bool {
	if f.rateLimit.Load() > 0 {
		f.rateMu.Lock()
		f.rate.Add(now, 1)
		f.rateMu.Unlock()
	}
	if rt := f.rt; rt.connRateLimit.Load() > 0 {
		rt.rateMu.Lock()
		rt.rate.Add(now, 1)
		rt.rateMu.Unlock()
	}
	n := f.conns.Add(1)
	for peak := f.connsPeak.Load(); n > peak && !f.connsPeak.CompareAndSwap(peak, n); peak = f.connsPeak.Load() {
	}
	f.rt.conns.Add(1)
	ln.conns.Add(1)
	return !f.full(ln, now)
}

// full says whether the listener may not accept at this moment.
func (f *Frontend) full(ln *listener, now int64) bool {
	rt := f.rt
	return over(f.conns.Load(), f.maxConn.Load()) || over(ln.conns.Load(), ln.maxConn) ||
		over(rt.conns.Load(), rt.maxConn.Load()) ||
		overRate(&f.rateMu, &f.rate, f.rateLimit.Load(), now) ||
		overRate(&rt.rateMu, &rt.rate, rt.connRateLimit.Load(), now)
}

func over(n, limit int64) bool { return limit > 0 && n >= limit }

func overRate(mu *sync.Mutex, c *pool.FreqCounter, limit, now int64) bool {
	if limit <= 0 {
		return false
	}
	mu.Lock()
	defer mu.Unlock()
	return int64(c.Rate(now)) >= limit
}

// release counts a connection out, and opens what was closed for lack of room.
func (f *Frontend) release(w *worker, ln *listener) {
	f.conns.Add(-1)
	ln.conns.Add(-1)
	left := f.rt.conns.Add(-1)
	if f.rt.throttled.Load() {
		f.rt.recheck()
	}
	if left == 0 && f.rt.draining.Load() {
		f.rt.drained()
	}
}

// pauseAll stops accepting on every full listener of every loop.
func (f *Frontend) pauseAll(rt *Runtime) {
	rt.throttled.Store(true)
	rt.recheck()
}

// recheck has every loop pause or resume its listeners as limits say now.
func (rt *Runtime) recheck() {
	for _, w := range rt.workers {
		if w.rechecking.CompareAndSwap(false, true) {
			w.loop.Post(w.recheck)
		}
	}
}

func (w *worker) recheck() {
	w.rechecking.Store(false)
	rt := w.rt
	now := w.loop.Now()
	anyFull := false
	for _, f := range rt.frontends {
		off := f.disabled.Load() || rt.paused.Load() || rt.draining.Load()
		for _, ln := range f.listeners {
			el := ln.perLoop[w.id]
			if el == nil {
				continue
			}
			full := f.full(ln, now)
			anyFull = anyFull || full
			switch {
			case (off || full) && !el.Paused():
				el.Pause()
			case !off && !full && el.Paused():
				el.Resume()
			}
		}
	}
	if anyFull {
		// A rate limit ends by time, not by a connection's end.
		w.loop.Arm(&w.throttleTimer, (*throttleWake)(w), now+throttleStep)
		return
	}
	rt.throttled.Store(false)
}

const throttleStep = int64(20e6)

type throttleWake worker

func (t *throttleWake) OnTimer(*engine.Timer) { (*worker)(t).recheck() }

func closeFD(fd int) { syscall.Close(fd) }

// silence makes the kernel forget how to talk to a peer: the TTL of what is
// still sent is 1, so that neither FIN nor RST arrives.
func silence(fd int) {
	syscall.SetsockoptInt(fd, syscall.IPPROTO_IP, syscall.IP_TTL, 1)
	syscall.SetsockoptInt(fd, syscall.IPPROTO_IPV6, syscall.IPV6_UNICAST_HOPS, 1)
}
