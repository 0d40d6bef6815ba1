package alert

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"
)

const (
	defaultRing  = 256
	defaultQueue = 1024

	// A sink that a reload took away has this long to deliver what it has.
	farewell = 10 * time.Second
	// What was cancelled has this long to notice. A write to a blocked
	// terminal never does: then its goroutine is left behind.
	noticed = time.Second
)

// Hub takes events and hands them to all sinks.
type Hub struct {
	set sync.Mutex // held by Set and Close, so that there is one at a time

	// Guarded by mu.
	mu     sync.Mutex
	sinks  []*sink
	ring   []*Event // the oldest at next once it is full
	next   int
	size   int
	closed bool
}

// New makes a hub without sinks. Events are remembered from the start.
func New(o Options) *Hub {
	if o.Ring <= 0 {
		o.Ring = defaultRing
	}
	return &Hub{size: o.Ring}
}

// Post hands an event to every sink that wants it. It never blocks and may be
// called from any goroutine; events of one goroutine keep their order in every
// sink.
func (h *Hub) Post(e Event) {
	if e.At.IsZero() {
		e.At = time.Now()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.ring) < h.size {
		h.ring = append(h.ring, &e)
	} else {
		h.ring[h.next] = &e
		h.next = (h.next + 1) % h.size
	}
	if h.closed {
		return
	}
	for _, s := range h.sinks {
		if e.Plane == ownPlane && (!s.traits.local || s.key == e.Name) {
			continue
		}
		if s.spec.Wants(&e) {
			s.offer(&e)
		}
	}
}

// ownPlane is the plane of events about sinks.
const ownPlane = "alert"

// tell is how a sink's troubles become events.
func (h *Hub) tell(key string, severity Severity, text string) {
	h.Post(Event{Kind: "sink", Severity: severity, Plane: ownPlane, Name: key, Text: key + ": " + text})
}

// Set switches to the sinks of c. Sinks with the same spec stay as they are,
// those whose spec changed go on with their queue, and those that are gone
// deliver what they have in the background. On an error nothing has changed.
func (h *Hub) Set(c Config) error {
	h.set.Lock()
	defer h.set.Unlock()
	if c.Queue <= 0 {
		c.Queue = defaultQueue
	}
	h.mu.Lock()
	old := slices.Clone(h.sinks)
	closed := h.closed
	h.mu.Unlock()
	if closed {
		return fmt.Errorf("alerts have ended")
	}
	byKey := map[string]*sink{}
	for _, s := range old {
		byKey[s.key] = s
	}
	var all, fresh []*sink
	seen := map[string]bool{}
	fail := func(err error) error {
		for _, s := range fresh {
			s.out.close()
		}
		return err
	}
	for _, spec := range c.Sinks {
		key := spec.Key()
		if seen[key] {
			return fail(fmt.Errorf("%s is given twice", key))
		}
		seen[key] = true
		before := byKey[key]
		if before != nil && before.limit == c.Queue && same(before.spec, spec) {
			all = append(all, before)
			continue
		}
		s := newSink(spec, c.Queue, h)
		out, err := spec.open(func(severity Severity, text string) { h.tell(key, severity, text) })
		if err != nil {
			return fail(fmt.Errorf("%s: %w", key, err))
		}
		s.out = out
		all, fresh = append(all, s), append(fresh, s)
	}
	h.mu.Lock()
	h.sinks = all
	h.mu.Unlock()
	// No event reaches the old ones any more, so what they have is final.
	for _, s := range fresh {
		s.before = byKey[s.key]
		if s.before != nil {
			s.before.handOver()
		}
		go s.run()
	}
	for _, s := range old {
		if !seen[s.key] {
			s.finish()
			s.cancelAfter(farewell)
		}
	}
	return nil
}

// same says whether two specs with one key ask for the same.
func same(a, b Spec) bool {
	if a, ok := a.(interface{ same(Spec) bool }); ok {
		return a.same(b)
	}
	return reflect.DeepEqual(a, b)
}

// Recent gives the latest events, the oldest first.
func (h *Hub) Recent() []Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]Event, 0, len(h.ring))
	for i := range h.ring {
		list = append(list, *h.ring[(h.next+i)%len(h.ring)])
	}
	return list
}

// Stats lists the sinks by key.
func (h *Hub) Stats() []SinkStats {
	h.mu.Lock()
	sinks := slices.Clone(h.sinks)
	h.mu.Unlock()
	var list []SinkStats
	for _, s := range sinks {
		list = append(list, s.snapshot())
	}
	slices.SortFunc(list, func(a, b SinkStats) int { return cmp.Compare(a.Key, b.Key) })
	return list
}

// Close delivers what is queued until ctx ends, then gives up and closes all
// sinks. Events posted afterwards are only remembered.
func (h *Hub) Close(ctx context.Context) {
	h.set.Lock()
	defer h.set.Unlock()
	h.mu.Lock()
	h.closed = true
	sinks := h.sinks
	h.sinks = nil
	h.mu.Unlock()
	for _, s := range sinks {
		s.finish()
	}
	for _, s := range sinks {
		select {
		case <-s.done:
			continue
		case <-ctx.Done():
		}
		break
	}
	for _, s := range sinks {
		s.cancel()
	}
	last := time.NewTimer(noticed)
	defer last.Stop()
	for _, s := range sinks {
		select {
		case <-s.done:
		case <-last.C:
			return
		}
	}
}
