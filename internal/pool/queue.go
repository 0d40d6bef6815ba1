package pool

// queue is the waiters in front of a server or a backend, in the order in
// which they get slots: priority class first, then time of arrival moved by
// the priority offset, then arrival.
type queue struct {
	heap []*Waiter
	seq  uint64
	// served counts the waiters that left for a slot: the difference between
	// a waiter's arrival and departure is its position for the log.
	served int
	most   int
}

// waiterLinks is a waiter's place; guarded by the mutex of its backend.
type waiterLinks struct {
	backend *Backend // set when first queued, by the owner
	server  *Server  // whose queue it is in; nil: the backend's
	forced  bool     // persistence is forced: not redistributed
	at      int      // index in the heap
	due     int64    // arrival plus offset, milliseconds
	seq     uint64
	arrival int // queue.served at arrival
	srvPos  int
	bePos   int
	granted *Server
	next    *Waiter // chain of those to wake
}

func (q *queue) len() int { return len(q.heap) }

func (q *queue) first() *Waiter {
	if len(q.heap) == 0 {
		return nil
	}
	return q.heap[0]
}

// before says whether a gets a slot before b. Of two queues' heads that tie,
// the server's goes first, which is why seq is left out there.
func before(a, b *Waiter) int {
	switch {
	case a.Class != b.Class:
		return a.Class - b.Class
	case a.due < b.due:
		return -1
	case a.due > b.due:
		return 1
	}
	return 0
}

func (q *queue) less(i, j int) bool {
	a, b := q.heap[i], q.heap[j]
	if c := before(a, b); c != 0 {
		return c < 0
	}
	return a.seq < b.seq
}

func (q *queue) swap(i, j int) {
	q.heap[i], q.heap[j] = q.heap[j], q.heap[i]
	q.heap[i].at, q.heap[j].at = i, j
}

func (q *queue) push(w *Waiter, now int64) {
	q.seq++
	w.q, w.seq, w.at = q, q.seq, len(q.heap)
	w.due = now/1e6 + int64(w.Offset)
	w.arrival = q.served
	q.heap = append(q.heap, w)
	q.most = max(q.most, len(q.heap))
	q.rise(w.at)
}

// remove takes w out and notes how many left before it (itself included).
func (q *queue) remove(w *Waiter) {
	i, last := w.at, len(q.heap)-1
	if i != last {
		q.swap(i, last)
	}
	q.heap[last] = nil
	q.heap = q.heap[:last]
	if i != last {
		q.rise(i)
		q.sink(i)
	}
	pos := q.served - w.arrival + 1
	if w.server != nil {
		w.srvPos += pos
	} else {
		w.bePos += pos
	}
	w.q = nil
}

func (q *queue) rise(i int) {
	for i > 0 {
		p := (i - 1) / 2
		if !q.less(i, p) {
			return
		}
		q.swap(i, p)
		i = p
	}
}

func (q *queue) sink(i int) {
	for {
		c := 2*i + 1
		if c >= len(q.heap) {
			return
		}
		if c+1 < len(q.heap) && q.less(c+1, c) {
			c++
		}
		if !q.less(c, i) {
			return
		}
		q.swap(i, c)
		i = c
	}
}
