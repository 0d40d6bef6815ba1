package xdp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/cilium/ebpf/ringbuf"

	"evenkeel/internal/l4"
)

// noting is the ring of changed flows, as this process reads it.
type noting struct {
	mu     sync.Mutex
	reader *ringbuf.Reader // nil: nobody wants to know
	missed uint64          // of the programs' counter, as it was last seen
	record ringbuf.Record
}

// noteSizes are what the ring's records are: keys of either family.
const (
	noteSize4 = 16
	noteSize6 = 40
)

// noteBatch is how many changes are looked at together: what changes several
// times within them is told once.
const noteBatch = 4096

// Watch begins and ends the noting of changes; see l4.Noter.
func (p *Plane) Watch(on bool) error {
	n := &p.noting
	n.mu.Lock()
	defer n.mu.Unlock()
	if on == (n.reader != nil) {
		return nil
	}
	if !on {
		err := errors.Join(p.setTelling(0), n.reader.Close())
		n.reader = nil
		return err
	}
	r, err := ringbuf.NewReader(p.maps.Changes)
	if err != nil {
		return fmt.Errorf("changes of flows: %w", err)
	}
	r.SetDeadline(time.Unix(1, 0)) // it never waits
	n.reader = r
	if err := errors.Join(n.skip(), p.setTelling(1)); err != nil {
		n.reader = nil
		return errors.Join(err, r.Close())
	}
	return nil
}

// setTelling tells the programs. What they have missed begins at 0 again.
func (p *Plane) setTelling(on uint32) error {
	p.noting.missed = 0
	if err := p.maps.Tellings.Put(uint32(0), &directorTelling{On: on}); err != nil {
		return fmt.Errorf("changes of flows: %w", err)
	}
	return nil
}

// Noted tells of the connections that have changed since it was called last;
// see l4.Noter.
func (p *Plane) Noted(yield func(l4.Sync) bool) (since uint32, missed bool, err error) {
	n := &p.noting
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.reader == nil {
		return 0, true, nil
	}
	// A packet that changes a flow now may have read the clock just before.
	clock := now() - 1
	var t directorTelling
	if err := p.maps.Tellings.Lookup(uint32(0), &t); err != nil {
		return 0, true, fmt.Errorf("changes of flows: %w", err)
	}
	if t.Missed != n.missed {
		n.missed = t.Missed
		return 0, true, n.skip()
	}
	// What is put in from now on is for the next call.
	left := n.reader.AvailableBytes()
	if left == 0 {
		return clock, false, nil
	}
	p.mu.Lock()
	servers, limits := p.byPlace(), stateTimeouts(p.config.Timeouts.WithDefaults())
	p.mu.Unlock()
	for left > 0 {
		keys, read, err := n.batch(left)
		if err != nil {
			return 0, true, err
		}
		left -= read
		for i := range keys {
			e := entry{key: keys[i].key, v6: keys[i].v6}
			if !p.lookup(&e) || !e.told(servers) {
				continue // it has ended meanwhile, and the others end it by themselves
			}
			if !yield(syncOf(&e, servers[e.flow.Dest], now(), &limits)) {
				return clock, false, nil
			}
		}
	}
	return clock, false, nil
}

// note is a record of the ring.
type note struct {
	key directorKey6
	v6  bool
}

// batch reads some of the ring, at most so many bytes, each key once, in the order in which
// they changed first.
func (n *noting) batch(most int) (keys []note, read int, err error) {
	seen := make(map[note]bool, min(noteBatch, most/24))
	for read < most && len(keys) < noteBatch {
		if err := n.reader.ReadInto(&n.record); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return keys, most, nil
			}
			return nil, 0, fmt.Errorf("changes of flows: %w", err)
		}
		read += 8 + len(n.record.RawSample)
		x, ok := parseNote(n.record.RawSample)
		if ok && !seen[x] {
			seen[x] = true
			keys = append(keys, x)
		}
	}
	return keys, read, nil
}

// skip empties the ring.
func (n *noting) skip() error {
	for left := n.reader.AvailableBytes(); left > 0; {
		if err := n.reader.ReadInto(&n.record); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return nil
			}
			return fmt.Errorf("changes of flows: %w", err)
		}
		left -= 8 + len(n.record.RawSample)
	}
	return nil
}

// parseNote reads a key as the programs have put it down.
func parseNote(b []byte) (x note, ok bool) {
	switch len(b) {
	case noteSize4:
		x.key.Saddr[0], x.key.Daddr[0] = binary.NativeEndian.Uint32(b), binary.NativeEndian.Uint32(b[4:])
		b = b[8:]
	case noteSize6:
		x.v6 = true
		for i := range 4 {
			x.key.Saddr[i], x.key.Daddr[i] = binary.NativeEndian.Uint32(b[4*i:]), binary.NativeEndian.Uint32(b[16+4*i:])
		}
		b = b[32:]
	default:
		return x, false
	}
	x.key.Sport, x.key.Dport, x.key.Protocol, x.key.Kind = binary.NativeEndian.Uint16(b), binary.NativeEndian.Uint16(b[2:]), b[4], b[5]
	return x, true
}

// lookup fills in the flow of a key.
func (p *Plane) lookup(e *entry) bool {
	if e.v6 {
		return p.maps.Flows6.Lookup(&e.key, &e.flow) == nil
	}
	k := directorKey4{Saddr: e.key.Saddr[0], Daddr: e.key.Daddr[0], Sport: e.key.Sport, Dport: e.key.Dport, Protocol: e.key.Protocol, Kind: e.key.Kind}
	var f directorFlow4
	if err := p.maps.Flows4.Lookup(&k, &f); err != nil {
		return false
	}
	*e = wide4(&k, &f)
	return true
}

// told says whether other directors are to know of a flow. A client on this
// host ends with it.
func (e *entry) told(servers map[uint32]placed) bool {
	return e.flow.State != stateDead && e.flow.Flags&(flowLocal|flowReverse) == 0 && servers[e.flow.Dest].server != nil
}
