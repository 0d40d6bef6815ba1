package pool

// counts are the counters that servers and backends have in common; guarded
// by the backend's mutex.
type counts struct {
	total, most             int64 // sessions, most at a time
	balanced                int64 // lbtot
	in, out                 int64
	deniedReq, deniedResp   int64
	errConn, errResp        int64
	retries, redispatches   int64
	cliAborts, srvAborts    int64
	errInternal, rewrites   int64
	http                    [6]int64 // by hundreds, 0: other
	requests                int64
	answers                 int64 // those with a status
	hana                    int64
	connects, reuses        int64
	cacheLookups, cacheHits int64
	compIn, compOut         int64
	compSkipped, compressed int64
	rate                    FreqCounter // sessions
	rateMost                uint32
	reqRate                 FreqCounter
	reqRateMost             uint32
	connRate                FreqCounter
	connRateMost            uint32
	lastSession             int64 // nanoseconds, -1: never
	queueT, connectT        meanTime
	responseT, totalT       meanTime
}

// samples is the number of transactions over which times are averaged.
const samples = 512

// meanTime is a sliding average of milliseconds, and the maximum. sum is
// samples times the average once there were that many values.
type meanTime struct {
	sum  uint64
	most int
}

// add takes one value; n is how many there were before, up to samples.
func (m *meanTime) add(ms int, n uint64) {
	v := uint64(max(ms, 0))
	m.most = max(m.most, int(v))
	if n >= samples {
		m.sum += v - (m.sum+samples-1)/samples
		return
	}
	m.sum += v
}

func (m *meanTime) mean(count int64) int {
	n := uint64(min(max(count, 1), samples))
	return int((m.sum + n - 1) / n)
}

// Begin counts a session of the backend before any server is chosen. Pick does
// it itself when Choice.Counted is false.
func (b *Backend) Begin(now int64) {
	now = b.clock(now)
	b.mu.Lock()
	b.begin(now)
	b.mu.Unlock()
}

func (b *Backend) begin(now int64) {
	b.conns++
	c := &b.counts
	c.total++
	c.most = max(c.most, int64(b.conns))
	c.rate.Add(now, 1)
	c.rateMost = max(c.rateMost, c.rate.curr)
}

// End counts the end of a transaction that holds no server.
func (b *Backend) End(r *Result) {
	now := b.clock(r.Now)
	b.mu.Lock()
	b.counts.finish(r, now)
	b.ended(r)
	b.mu.Unlock()
}

func (b *Backend) ended(r *Result) {
	if r.Session {
		b.conns--
	}
}

// Finish gives the slot back, counts the transaction and wakes a waiter.
func (s *Server) Finish(r *Result) {
	b := s.Backend
	now := b.clock(r.Now)
	b.mu.Lock()
	s.drop()
	b.counts.finish(r, now)
	if answer := *r; r.Own {
		answer.Status = 0
		s.counts.finish(&answer, now)
	} else {
		s.counts.finish(r, now)
	}
	b.ended(r)
	slow := r.Hana != HanaNone && s.Model.Observe != "" && s.observe(r.Hana)
	b.dequeueAndUnlock(s, now)
	if slow {
		s.unhealthy(r.Hana, now)
	}
}

// Count adds what a transaction has done so far, without ending it: long
// tunnels report their bytes from time to time.
func (s *Server) Count(r *Result) {
	b := s.Backend
	b.mu.Lock()
	for _, c := range [...]*counts{&s.counts, &b.counts} {
		c.in += r.BytesIn
		c.out += r.BytesOut
		c.retries += int64(r.Retries)
	}
	b.mu.Unlock()
}

// Redispatched counts that a transaction left s for another server.
func (s *Server) Redispatched() {
	b := s.Backend
	b.mu.Lock()
	s.counts.redispatches++
	b.counts.redispatches++
	b.mu.Unlock()
}

// finish counts one transaction.
func (c *counts) finish(r *Result, now int64) {
	c.in += r.BytesIn
	c.out += r.BytesOut
	c.retries += int64(r.Retries)
	if r.Err != ErrNone {
		c.fail(r.Err)
	}
	if r.Redispatched {
		c.redispatches++
	}
	if r.Connect {
		c.connects++
		c.connRate.Add(now, 1)
		c.connRateMost = max(c.connRateMost, c.connRate.curr)
	}
	if r.Reuse {
		c.reuses++
	}
	n := uint64(min(c.requests, samples))
	if r.Status != 0 {
		class := r.Status / 100
		if class < 1 || class > 5 {
			class = 0
		}
		c.http[class]++
		c.answers++
		c.reqRate.Add(now, 1)
		c.reqRateMost = max(c.reqRateMost, c.reqRate.curr)
	}
	c.requests++
	c.queueT.add(r.Tw, n)
	c.connectT.add(r.Tc, n)
	c.responseT.add(r.Tr, n)
	c.totalT.add(r.Tt, n)
	if r.CacheLookup {
		c.cacheLookups++
		if r.CacheHit {
			c.cacheHits++
		}
	}
	if r.Compressed {
		c.compressed++
		c.compIn += r.CompIn
		c.compOut += r.CompOut
	}
	c.compSkipped += r.CompB
	c.rewrites += int64(r.FailedRewrites)
}

func (c *counts) fail(e ErrKind) {
	switch e {
	case ErrConn, ErrQueue:
		c.errConn++
	case ErrResponse:
		c.errResp++
	case ErrClientAbort:
		c.cliAborts++
	case ErrServerAbort:
		c.srvAborts++
		c.errResp++
	case ErrInternal:
		c.errInternal++
	case ErrDeniedRequest:
		c.deniedReq++
	case ErrDeniedResponse:
		c.deniedResp++
	}
}

// ClearCounters is `clear counters all`, or without all only the maxima.
func (b *Backend) ClearCounters(all bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.counts.clear(all)
	b.queue.most = b.queue.len()
	if all {
		b.downs = 0
	}
	for _, s := range b.Servers {
		s.counts.clear(all)
		s.queue.most = s.queue.len()
		if all {
			s.downs, s.check.failed = 0, 0
		}
	}
}

func (c *counts) clear(all bool) {
	if all {
		*c = counts{lastSession: c.lastSession}
		return
	}
	c.most, c.rateMost, c.reqRateMost, c.connRateMost = 0, 0, 0, 0
	c.queueT.most, c.connectT.most, c.responseT.most, c.totalT.most = 0, 0, 0, 0
}
