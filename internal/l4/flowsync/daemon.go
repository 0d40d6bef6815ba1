package flowsync

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"evenkeel/internal/l4"
)

// The values of IPVS's daemon where nothing is set.
const (
	DefaultPort = 8848
	DefaultTTL  = 1
)

// DefaultGroup is IPVS's.
var DefaultGroup = netip.AddrFrom4([4]byte{224, 0, 0, 81})

// Settings say where directors tell each other.
type Settings struct {
	Interface string
	ID        uint8 // 0: takes what directors of every ID tell
	MaxLen    int   // bytes of a datagram's payload; 0: what the interface's MTU allows
	Group     netip.Addr
	Port      uint16
	TTL       uint8
	Keys      Keys // what is told is encrypted with the first of them; none: it is not
}

// withDefaults fills in what is zero.
func (s Settings) withDefaults() Settings {
	if !s.Group.IsValid() {
		s.Group = DefaultGroup
	}
	if s.Port == 0 {
		s.Port = DefaultPort
	}
	if s.TTL == 0 {
		s.TTL = DefaultTTL
	}
	return s
}

// Table is where connections come from and go to. Its functions are called
// from several goroutines.
type Table struct {
	// Changed is l4.Syncer's.
	Changed func(since uint32, all bool, yield func(l4.Sync) bool) (next uint32, err error)
	// Watch and Noted are l4.Noter's; nil: what has changed is found by Changed.
	Watch func(on bool) error
	Noted func(yield func(l4.Sync) bool) (mark uint32, missed bool, err error)
	// Tell says whether a connection is this director's to tell of.
	Tell func(*l4.Sync) bool
	// Insert takes connections, and says how many it had a server for.
	Insert func([]l4.Sync) (int, error)
	// Flows is how many there are.
	Flows func() int
	// Shortest is how long the others remember, at least, what goes on and is not
	// told again; nil: for long.
	Shortest func() time.Duration
}

// When something is told.
const (
	// Between two looks at what was noted. A longer time between them saves only
	// what changes several times in it.
	soon = 20 * time.Millisecond
	late = 100 * time.Millisecond

	shortest = 50 * time.Millisecond // between two looks at the table
	longest  = 5 * time.Second
	// A look takes the longer the more connections there are: so many times as
	// long it is left alone.
	leisure = 20

	refreshEvery = time.Minute // everything is told again
	refreshLeast = time.Second // also when somebody asks
	helloEvery   = time.Second

	changeRate  = 40000 // connections a second
	refreshRate = 40000
)

// medium is what datagrams go over: link is the real one.
type medium interface {
	read(b []byte) (n int, from netip.Addr, err error) // net.ErrClosed: it is over
	write(b []byte) error
	check() error // why it can not be used any more
	room() int    // bytes of a datagram
	// hush ends reading; close ends everything.
	hush()
	close()
}

// Daemon tells others of connections while it is active, and takes what they
// tell always. It goes on trying when there is no such interface.
type Daemon struct {
	settings Settings
	table    Table
	open     func(*Settings) (medium, error)
	notice   func(trouble bool, text string)
	sender   uint64
	began    time.Time
	cancel   context.CancelFunc
	ended    sync.WaitGroup
	wake     chan struct{} // one token: active has changed
	asked    chan struct{} // one token: somebody wants everything

	mu      sync.Mutex // guards what follows
	active  bool
	link    medium // nil: there is none
	trouble string
	out     outbox
	flows   uint32 // in the table, when they were last counted
	whole   bool   // somebody has told everything
	peers   peers
	count   counts
	told    meter
	took    meter
	vault   *vault // nil: nothing is encrypted
	refused refusals
}

// outbox is the datagram that is being filled.
type outbox struct {
	buffer   []byte
	records  uint16
	sequence uint32
}

// counts grow only.
type counts struct {
	told, sent, failed, refreshes uint64
	took, received, unknown       uint64
	bad, foreign                  uint64
	missed                        uint64        // looks at what was noted that found that some was not
	lag, interval                 time.Duration // of the last look
}

// Open starts a daemon. notice is told, once each time, that it cannot work and
// that it can again.
func Open(s Settings, t Table, notice func(trouble bool, text string)) *Daemon {
	return begin(s, t, notice, openLink)
}

func begin(s Settings, t Table, notice func(bool, string), open func(*Settings) (medium, error)) *Daemon {
	d := &Daemon{settings: s.withDefaults(), table: t, open: open, notice: notice, began: time.Now(), wake: make(chan struct{}, 1), asked: make(chan struct{}, 1)}
	var b [8]byte
	_, _ = rand.Read(b[:])
	d.sender = binary.BigEndian.Uint64(b[:])
	d.Rekey(s.Keys)
	d.settings.Keys = Keys{}
	var ctx context.Context
	ctx, d.cancel = context.WithCancel(context.Background())
	d.ended.Add(3)
	go func() { defer d.ended.Done(); d.attend(ctx) }()
	go func() { defer d.ended.Done(); d.follow(ctx) }()
	go func() { defer d.ended.Done(); d.refresh(ctx) }()
	return d
}

// Rekey goes on with other keys, or none. Nothing is lost where the others
// have the first of them already.
func (d *Daemon) Rekey(k Keys) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if k.None() != (d.vault == nil) {
		d.flushLocked() // what has been put in may be too long now
	}
	switch {
	case k.None():
		d.vault = nil
	case d.vault == nil:
		d.vault = newVault(k)
	default:
		d.vault.rekey(k)
	}
}

// Settings are what the daemon was opened with, but for the keys.
func (d *Daemon) Settings() Settings { return d.settings }

// Active says whether this director tells of its connections. It does not
// wait; what has not been told when it ends is told then.
func (d *Daemon) Active(active bool) {
	d.mu.Lock()
	changed := d.active != active
	d.active = active
	d.mu.Unlock()
	if changed {
		token(d.wake)
		if active {
			token(d.asked)
		}
	}
}

// settling is how long nobody may be heard that tells of connections.
const settling = 300 * time.Millisecond

// Settle waits until another director has told everything, until it is clear
// that there is none, or for the context.
func (d *Daemon) Settle(ctx context.Context) {
	look := time.NewTicker(settling / 30)
	defer look.Stop()
	for start := d.now(); ; {
		d.mu.Lock()
		done := d.whole || d.trouble != ""
		alone := !slices.ContainsFunc(d.peers, func(p *peer) bool { return p.active })
		d.mu.Unlock()
		if done || alone && d.now()-start >= settling {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
	}
}

// Close tells what has not been told, and ends.
func (d *Daemon) Close() {
	d.cancel()
	d.ended.Wait()
	d.drop()
}

func token(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (d *Daemon) now() time.Duration { return time.Since(d.began) }

// linkCheck is how often the interface is looked at.
const linkCheck = time.Second

// attend keeps the socket open, says hello and reads.
func (d *Daemon) attend(ctx context.Context) {
	tick := time.NewTicker(linkCheck)
	defer tick.Stop()
	var reader sync.WaitGroup
	for {
		d.mu.Lock()
		l := d.link
		d.mu.Unlock()
		switch {
		case l == nil:
			opened, err := d.open(&d.settings)
			if err == nil && opened.room() < sealedLeast && d.encrypts() {
				err = fmt.Errorf("a datagram of %d bytes on %s has no room for a connection, %d are needed", opened.room(), d.settings.Interface, sealedLeast)
				opened.close()
			}
			d.report(err)
			if err != nil {
				break
			}
			d.mu.Lock()
			d.link = opened
			d.out.buffer = make([]byte, headerSize, opened.room())
			d.out.records = 0
			d.mu.Unlock()
			reader.Add(1)
			go func() { defer reader.Done(); d.read(opened) }()
			d.send(&header{kind: kindRequest})
			token(d.asked)
		default:
			if err := l.check(); err != nil {
				d.report(err)
				d.drop()
				reader.Wait()
				continue
			}
			d.send(&header{kind: kindHello})
		}
		d.sample()
		select {
		case <-ctx.Done():
			// Only the reader ends: the socket is there for the last words of the
			// others, see Close.
			d.mu.Lock()
			if d.link != nil {
				d.link.hush()
			}
			d.mu.Unlock()
			reader.Wait()
			return
		case <-tick.C:
		}
	}
}

// drop closes the socket.
func (d *Daemon) drop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.link != nil {
		d.link.close()
		d.link = nil
	}
}

// report tells of trouble with the interface, and of its end.
func (d *Daemon) report(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	d.mu.Lock()
	was := d.trouble
	d.trouble = text
	d.mu.Unlock()
	switch {
	case text == was:
	case err != nil:
		d.notice(true, "connections are not told to other directors, it is tried again: "+text)
	default:
		d.notice(false, fmt.Sprintf("connections are told to other directors again: %s is there", d.settings.Interface))
	}
}

func (d *Daemon) sample() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.told.sample(d.count.told)
	d.took.sample(d.count.took)
	d.peers.forget(d.now())
	for _, p := range d.peers {
		p.rate.sample(p.received)
	}
}

// tell puts one connection into the next datagram. It is false when there is
// no use in going on. The last words are said also when everything ends.
func (d *Daemon) tell(ctx context.Context, s *l4.Sync, wait time.Duration, last bool) bool {
	if !tellable(s) || !d.table.Tell(s) {
		return ctx.Err() == nil || last
	}
	if wait > 0 {
		d.flush()
		select {
		case <-ctx.Done():
			if !last {
				return false
			}
		case <-time.After(wait):
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.link == nil {
		return false
	}
	before := len(d.out.buffer)
	b, ok := appendRecord(d.out.buffer, s)
	if !ok {
		return true
	}
	room := d.link.room()
	if d.vault != nil {
		room -= sealedOverhead
	}
	if len(b) > room && d.out.records > 0 {
		record := append([]byte(nil), b[before:]...)
		d.out.buffer = b[:before]
		d.flushLocked()
		b = append(d.out.buffer, record...)
	}
	if len(b) > room {
		d.count.failed++ // maxlen is less than one connection takes
		d.out.buffer = b[:headerSize]
		return true
	}
	d.out.buffer = b
	d.out.records++
	d.count.told++
	return true
}

// flush sends what is waiting.
func (d *Daemon) flush() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.flushLocked()
}

func (d *Daemon) flushLocked() {
	if d.out.records == 0 || d.link == nil {
		return
	}
	d.write(&header{kind: kindFlows, count: d.out.records}, extensions{}, d.out.buffer)
	d.out.buffer, d.out.records = d.out.buffer[:headerSize], 0
}

// send sends a datagram without records.
func (d *Daemon) send(h *header) { d.sendWith(h, extensions{}) }

func (d *Daemon) sendWith(h *header, x extensions) {
	flows := d.table.Flows()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.link == nil {
		return
	}
	d.flows = uint32(flows)
	d.write(h, x, make([]byte, headerSize))
}

// write completes a datagram and sends it. A director that does not get it
// finds the gap.
func (d *Daemon) write(h *header, x extensions, b []byte) {
	d.out.sequence++
	h.flows = d.flows
	h.id, h.active, h.sender, h.sequence, h.lag = d.settings.ID, d.active, d.sender, d.out.sequence, milliseconds(d.count.lag)
	h.put(b)
	if d.vault != nil {
		b = d.vault.seal(h.id, x, b)
	}
	if err := d.link.write(b); err != nil {
		d.count.failed++
		return
	}
	d.count.sent++
}

// read takes what others tell until the medium is closed.
func (d *Daemon) read(l medium) {
	buffer := make([]byte, 1<<16)
	var list []l4.Sync
	for {
		n, from, err := l.read(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(shortest) // the interface is down; attend finds out
			continue
		}
		list = d.receive(buffer[:n], from, list[:0])
	}
}

// receive takes one datagram. list is used again.
func (d *Daemon) receive(b []byte, from netip.Addr, list []l4.Sync) []l4.Sync {
	b, ok := d.unseal(b, from)
	if !ok {
		return list
	}
	h, list, err := parse(b, list)
	d.mu.Lock()
	switch {
	case err != nil:
		d.count.bad++
		d.mu.Unlock()
		return list
	case h.sender == d.sender:
		d.mu.Unlock()
		return list
	}
	d.count.received++
	p, take, ask := d.peers.hear(d.now(), from, &h)
	if p == nil {
		d.count.bad++
	}
	if take {
		p.received += uint64(len(list))
		d.whole = d.whole || h.whole && h.active && p.heardSince(uint32(h.target))
	}
	d.mu.Unlock()
	if ask {
		d.send(&header{kind: kindRequest, target: h.sender})
	}
	if h.kind == kindRequest && (h.target == 0 || h.target == d.sender) {
		d.send(&header{kind: kindHello}) // who begins learns that there is somebody
		token(d.asked)
	}
	if !take || len(list) == 0 {
		return list
	}
	taken, err := d.table.Insert(list)
	d.mu.Lock()
	d.count.took += uint64(taken)
	d.count.unknown += uint64(len(list) - taken)
	if err != nil {
		d.count.failed++
	}
	d.mu.Unlock()
	return list
}
