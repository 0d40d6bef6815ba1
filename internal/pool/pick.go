package pool

import "evenkeel/internal/balance"

// Pick chooses a server and takes a slot on it, which Finish or Release gives
// back. queued: every slot is taken and w waits; its Wake will be called. With
// w nil nothing is queued and ErrQueueFull comes instead.
func (b *Backend) Pick(ch *Choice, w *Waiter) (srv *Server, queued bool, err error) {
	now := b.clock(ch.Now)
	b.mu.Lock()
	woken := b.enter(ch, now)
	srv, queued, err = b.pick(ch, w, now)
	b.mu.Unlock()
	if woken.first != nil {
		woken.wake()
	}
	return srv, queued, err
}

func (b *Backend) pick(ch *Choice, w *Waiter, now int64) (srv *Server, queued bool, err error) {
	if ch.Cookie != nil || ch.Last != nil || ch.Avoid != nil {
		if srv = b.persistent(ch); srv != nil {
			ch.Persistent = true
			srv, queued, err = b.take(srv, ch.Force, w, now)
			if err == nil || ch.Force || !b.redispatch {
				return srv, queued, err
			}
			// Its queue is full: any other server will do.
		}
	}
	ch.Persistent = false
	return b.balance(ch, w, now)
}

// PickServer takes a slot on s itself, or queues w at s, for a transaction
// whose session has been counted already (a retry on the same server).
func (b *Backend) PickServer(s *Server, w *Waiter) (srv *Server, queued bool, err error) {
	ch := Choice{Counted: true}
	return b.PickServerFor(s, &ch, w)
}

// PickServerFor is PickServer with the choice's clock, Force and session count
// (use-server, stick rules).
func (b *Backend) PickServerFor(s *Server, ch *Choice, w *Waiter) (srv *Server, queued bool, err error) {
	now := b.clock(ch.Now)
	b.mu.Lock()
	woken := b.enter(ch, now)
	if s.oper == Stopped && !ch.Force && !b.persist {
		err = ErrServerDown
	} else {
		srv, queued, err = b.take(s, ch.Force, w, now)
	}
	b.mu.Unlock()
	if woken.first != nil {
		woken.wake()
	}
	return srv, queued, err
}

// enter counts the session, once, and refreshes what depends on load or time.
func (b *Backend) enter(ch *Choice, now int64) (woken chain) {
	if !ch.Counted {
		ch.Counted = true
		b.begin(now)
	}
	if b.warming > 0 && now >= b.warmAt {
		woken = b.warm(now)
	}
	for _, s := range b.dynamic {
		s.setLimit(now)
	}
	return woken
}

// persistent is the server that the request is bound to, if it may be used.
func (b *Backend) persistent(ch *Choice) *Server {
	if ch.Avoid != nil {
		if ch.CookieState == CookieValid {
			ch.CookieState = CookieDown
		}
		return nil
	}
	if ch.Cookie != nil {
		if ch.Ignore {
			ch.CookieState = CookieUnused
		} else if s := b.byCookie(ch); s != nil {
			return s
		}
	}
	s := ch.Last
	if s == nil || s.Backend != b || b.algo.hashed || !(ch.LastMust || b.preferLast) || !s.usable() {
		return nil
	}
	if most := b.Model.Backend.MaxKeepQueue; !ch.LastMust && most > 0 && s.full() && s.queue.len()+1 >= most {
		return nil
	}
	return s
}

func (b *Backend) byCookie(ch *Choice) *Server {
	ch.CookieState = CookieInvalid
	for _, s := range b.Servers {
		if s.cookie == "" || s.cookie != string(ch.Cookie) {
			continue
		}
		if s.oper != Stopped {
			ch.CookieState = CookieValid
			return s
		}
		ch.CookieState = CookieDown
		if b.persist || ch.Force {
			return s
		}
		// Another server with the same cookie may be up.
	}
	return nil
}

// ServerByCookie finds the server that a persistence cookie value names, one
// that is up if there are several.
func (b *Backend) ServerByCookie(value []byte) *Server {
	b.mu.Lock()
	defer b.mu.Unlock()
	var found *Server
	for _, s := range b.Servers {
		if s.cookie != "" && s.cookie == string(value) {
			if s.oper != Stopped {
				return s
			}
			if found == nil {
				found = s
			}
		}
	}
	return found
}

// balance chooses by the backend's algorithm and takes a slot.
func (b *Backend) balance(ch *Choice, w *Waiter, now int64) (*Server, bool, error) {
	if b.table.Total() == 0 {
		return nil, false, ErrNoServer
	}
	var node *balance.Node
	if b.queue.len() == 0 || b.served == 0 || !b.algo.rr {
		node = b.choose(ch)
	}
	if node == nil {
		if w == nil {
			return nil, false, ErrQueueFull
		}
		b.enqueue(w, nil, false, now)
		return nil, true, nil
	}
	s := b.Servers[node.Index]
	srv, queued, err := b.take(s, false, w, now)
	if s != ch.Avoid && err == nil {
		s.counts.balanced++
		b.counts.balanced++
	}
	return srv, queued, err
}

func (b *Backend) choose(ch *Choice) *balance.Node {
	a := &b.algo
	var avoid *balance.Node
	if ch.Avoid != nil && ch.Avoid.Backend == b {
		avoid = &ch.Avoid.node
	}
	switch {
	case a.random:
		return b.table.Random(a.draws, avoid)
	case !a.hashed:
		return b.table.Next(avoid)
	case a.lazy && b.table.Single():
		return b.table.Lookup(0, avoid)
	case a.source:
		if ch.Src.IsValid() {
			return b.table.Lookup(balance.SourceHash(ch.Src, a.mix), avoid)
		}
	case ch.HasKey:
		return b.table.Lookup(balance.Hash(a.function, a.mix, ch.Key), avoid)
	}
	return b.table.Next(avoid)
}

// take gives a slot of s, or a place in its queue.
func (b *Backend) take(s *Server, forced bool, w *Waiter, now int64) (*Server, bool, error) {
	if !s.full() {
		b.grant(s, now)
		return s, false, nil
	}
	if w == nil || (s.Model.MaxQueue > 0 && s.queue.len() >= s.Model.MaxQueue) {
		return nil, false, ErrQueueFull
	}
	b.enqueue(w, s, forced, now)
	return s, true, nil
}

// grant takes a slot of s.
func (b *Backend) grant(s *Server, now int64) {
	b.served++
	s.node.Served++
	b.table.Loaded(&s.node, 1)
	c := &s.counts
	c.total++
	c.most = max(c.most, int64(s.node.Served))
	c.rate.Add(now, 1)
	c.rateMost = max(c.rateMost, c.rate.curr)
	c.lastSession = now
	b.counts.lastSession = now
}

func (b *Backend) enqueue(w *Waiter, s *Server, forced bool, now int64) {
	w.backend, w.server, w.forced, w.granted = b, s, forced, nil
	b.waiting++
	if s == nil {
		b.queue.push(w, now)
		return
	}
	s.queue.push(w, now)
	s.node.Pending = s.queue.len()
	b.table.Loaded(&s.node, 0)
}

// leave takes w out of its queue.
func (b *Backend) leave(w *Waiter) {
	w.q.remove(w)
	b.waiting--
	if s := w.server; s != nil {
		s.node.Pending = s.queue.len()
		b.table.Loaded(&s.node, 0)
	}
}

// Cancel takes w out of its queue. false: it was not queued any more: Wake has
// been or will be called, and the slot it got must be given back.
func (b *Backend) Cancel(w *Waiter) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if w.q == nil {
		return false
	}
	b.leave(w)
	return true
}

// Release gives the slot back and wakes a waiter, and counts nothing: for an
// attempt that will be followed by another one. !ok: the connection to the
// server failed, which `observe` sees. The attempt that ends the transaction
// ends with Finish instead, with Err: ErrConn and Hana: HanaL4Err.
func (s *Server) Release(ok bool) {
	b := s.Backend
	now := b.opt.Now()
	b.mu.Lock()
	s.drop()
	slow := false
	if !ok && s.Model.Observe != "" {
		slow = s.observe(HanaL4Err)
	}
	b.dequeueAndUnlock(s, now)
	if slow {
		s.unhealthy(HanaL4Err, now)
	}
}

// drop gives one slot of s back.
func (s *Server) drop() {
	b := s.Backend
	if s.node.Served == 0 {
		b.mu.Unlock()
		panic("pool: a slot of " + s.String() + " was given back twice")
	}
	b.served--
	s.node.Served--
	b.table.Loaded(&s.node, -1)
}

// dequeueAndUnlock gives free slots of s to waiters and wakes them.
func (b *Backend) dequeueAndUnlock(s *Server, now int64) {
	if b.waiting == 0 {
		b.mu.Unlock()
		return
	}
	woken := b.dequeue(s, now)
	b.orphans(&woken)
	b.mu.Unlock()
	woken.wake()
}

// chain is waiters to wake, in order.
type chain struct{ first, last *Waiter }

func (c *chain) add(w *Waiter) {
	w.next = nil
	if c.last == nil {
		c.first = w
	} else {
		c.last.next = w
	}
	c.last = w
}

// join moves the waiters of other to the end of c and counts them.
func (c *chain) join(other chain) (n int) {
	for w := other.first; w != nil; n++ {
		next := w.next
		c.add(w)
		w = next
	}
	return n
}

func (c *chain) wake() {
	for w := c.first; w != nil; {
		next, wake, s := w.next, w.Wake, w.granted
		// From here on w is its owner's again.
		w.next = nil
		wake(s)
		w = next
	}
	*c = chain{}
}

// dequeue grants the free slots of s to those who wait for it or for any
// server.
func (b *Backend) dequeue(s *Server, now int64) (woken chain) {
	if s.dynamicLimit() {
		s.setLimit(now)
	}
	for s.node.Limit == 0 || s.node.Served < s.node.Limit {
		w := s.queue.first()
		if any := b.queue.first(); any != nil && s.usable() && b.table.InUse(&s.node) &&
			(w == nil || before(any, w) < 0) {
			w = any
		}
		if w == nil {
			break
		}
		q := w.q
		b.leave(w)
		q.served++
		w.granted = s
		b.grant(s, now)
		woken.add(w)
	}
	return woken
}

// redistribute lets those who wait for s pick again, when s can no longer
// serve them; it returns how many.
func (b *Backend) redistribute(s *Server, fx *effects) (n int) {
	if b.redispatch && !b.persist {
		for i := 0; i < len(s.queue.heap); {
			w := s.queue.heap[i]
			if w.forced {
				i++
				continue
			}
			b.leave(w)
			w.granted = nil
			fx.woken.add(w)
			n++
			i = 0 // the heap was reordered
		}
	}
	return n + b.orphans(&fx.woken)
}

// orphans lets those in the backend's queue see that there is no server, when
// nobody will ever free a slot for them.
func (b *Backend) orphans(woken *chain) (n int) {
	if b.table.Total() > 0 || b.served > 0 {
		return 0
	}
	for w := b.queue.first(); w != nil; w = b.queue.first() {
		b.leave(w)
		w.granted = nil
		woken.add(w)
		n++
	}
	return n
}
