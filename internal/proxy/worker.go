package proxy

import (
	"sync/atomic"
	"time"

	"evenkeel/internal/engine"
	"evenkeel/internal/pool"
	"evenkeel/internal/rule"
)

// worker is the part of the runtime that one loop owns.
type worker struct {
	rt   *Runtime
	loop *engine.Loop
	id   int

	idle          []idleList // by server.index
	stats         []feStats  // by Frontend.index
	streams       *stream    // free list
	nfree         int
	first         *session // all sessions of this loop
	count         int
	scratch       []byte
	sweep         engine.Timer
	earlyTx       *rule.Tx // of rules that run before there is a stream
	throttleTimer engine.Timer
	rechecking    atomic.Bool // a recheck is posted
	seq           uint32      // numbers streams, for show sess and log lines
}

// feStats is what one loop counts for a frontend.
type feStats struct {
	conns, sessions, requests         uint64 // totals
	bytesIn, bytesOut                 uint64
	deniedReq, deniedResp, badReq     uint64
	deniedConn, deniedSess            uint64
	intercepted                       uint64
	responses                         [6]uint64 // 1xx … 5xx, other
	cur                               int64
	connRate, sessRate, reqRate       pool.FreqCounter
	connRateMax, sessRateMax, rReqMax int
}

// maxFreeStreams bounds the free list: a stream holds its arenas, some KiB.
const maxFreeStreams = 256

func newWorker(rt *Runtime, loop *engine.Loop, servers, frontends int) *worker {
	w := &worker{rt: rt, loop: loop, id: loop.ID(), idle: make([]idleList, servers), stats: make([]feStats, frontends)}
	w.scratch = make([]byte, 0, 4096)
	return w
}

// getStream takes a stream from the free list.
func (w *worker) getStream() *stream {
	st := w.streams
	if st == nil {
		st = &stream{w: w}
		st.waiter.Wake = st.wakeFromQueue
		return st
	}
	w.streams = st.nextFree
	w.nfree--
	st.nextFree = nil
	return st
}

func (w *worker) putStream(st *stream) {
	st.generation++
	if st.waiting {
		return // its waiter is still known to the pool: the wake-up lets it go
	}
	if w.nfree >= maxFreeStreams {
		return
	}
	st.nextFree = w.streams
	w.streams = st
	w.nfree++
}

func (w *worker) link(s *session) {
	s.next = w.first
	if w.first != nil {
		w.first.prev = s
	}
	w.first = s
	w.count++
}

func (w *worker) unlink(s *session) {
	if s.prev != nil {
		s.prev.next = s.next
	} else {
		w.first = s.next
	}
	if s.next != nil {
		s.next.prev = s.prev
	}
	s.prev, s.next = nil, nil
	w.count--
}

// sweepInterval is how often idle server connections are looked over.
const sweepInterval = int64(time.Second)

// OnTimer closes server connections that were idle for too long.
func (w *worker) OnTimer(*engine.Timer) {
	now := w.loop.Now()
	for i := range w.idle {
		w.idle[i].closeOlder(now)
		w.idle[i].estimate()
	}
	w.loop.Arm(&w.sweep, w, now+sweepInterval)
}
