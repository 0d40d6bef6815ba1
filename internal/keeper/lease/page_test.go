package lease

import (
	"bytes"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func newPage(t *testing.T) *Page {
	t.Helper()
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.memory != nil {
			p.Close()
		}
	})
	return p
}

// inherit maps the same page once more, as a child process would.
func inherit(t *testing.T, p *Page) *Page {
	t.Helper()
	var fds [Descriptors]int
	for i, fd := range p.Files() {
		n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		fds[i] = n
	}
	c, err := Inherit(fds)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestWillAndStateCross(t *testing.T) {
	keeper := newPage(t)
	failover := inherit(t, keeper)
	if _, ok := keeper.ReadWill(); ok || keeper.ReadState() != nil {
		t.Fatal("a new page has a will or a state")
	}
	w := Will{Every: time.Second, Wait: 20 * time.Millisecond, Remove: [][]byte{{1, 2}},
		Leave: []Datagram{{Protocol: 112, Interface: 3, Source: netip.MustParseAddr("192.0.2.1"),
			Destination: netip.MustParseAddr("224.0.0.18"), TTL: 255, Payload: []byte{0x21, 1}}}}
	for round := range 5 {
		w.Wait = time.Duration(round+1) * time.Millisecond
		if err := failover.WriteWill(w); err != nil {
			t.Fatal(err)
		}
		if err := failover.WriteState(bytes.Repeat([]byte{byte(round)}, 5000-round)); err != nil {
			t.Fatal(err)
		}
		if got, ok := keeper.ReadWill(); !ok || !reflect.DeepEqual(got, w) {
			t.Fatalf("round %d: the keeper reads %+v, %v", round, got, ok)
		}
		if got := keeper.ReadState(); !bytes.Equal(got, bytes.Repeat([]byte{byte(round)}, 5000-round)) {
			t.Fatalf("round %d: another state", round)
		}
	}
}

func TestDamageIsNotRead(t *testing.T) {
	p := newPage(t)
	if err := p.WriteState([]byte("good")); err != nil {
		t.Fatal(err)
	}
	half := int(p.head().state.Load() & 1)
	p.memory[headerSize+areaSize+half*slotSize+slotHead] ^= 1
	if got := p.ReadState(); got != nil {
		t.Fatalf("a damaged state was read: %q", got)
	}
	if err := p.WriteState(make([]byte, slotSize)); err != ErrTooLarge {
		t.Fatalf("too large: %v", err)
	}
}

func TestInheritRefusesAnotherSize(t *testing.T) {
	p := newPage(t)
	if err := unix.Ftruncate(p.fd, pageSize*2); err != nil {
		t.Fatal(err)
	}
	if _, err := Inherit(p.Files()); err == nil {
		t.Fatal("a page of another size was taken")
	}
}

// expiry is what a timerfd has left.
func expiry(t *testing.T, fd int) time.Duration {
	t.Helper()
	var left unix.ItimerSpec
	if err := unix.TimerfdGettime(fd, &left); err != nil {
		t.Fatal(err)
	}
	return time.Duration(left.Value.Nano())
}

func TestBeat(t *testing.T) {
	p := newPage(t)
	if err := p.Beat(1000*time.Hour, time.Hour); err != nil {
		t.Fatal(err)
	}
	if left := expiry(t, p.guard); left < 59*time.Minute || left > time.Hour {
		t.Fatalf("armed for %v", left)
	}
	if p.LastBeat() != 1000*time.Hour {
		t.Fatalf("last beat: %v", p.LastBeat())
	}
	// A quarter of it has not passed: the timer stays where it is.
	if err := arm(p.guard, time.Minute); err != nil {
		t.Fatal(err)
	}
	p.Beat(1000*time.Hour+14*time.Minute, time.Hour)
	if left := expiry(t, p.guard); left > time.Minute {
		t.Fatalf("moved too early, to %v", left)
	}
	p.Beat(1000*time.Hour+16*time.Minute, time.Hour)
	if left := expiry(t, p.guard); left < 59*time.Minute {
		t.Fatalf("not moved: %v", left)
	}
	// A shorter promise counts at once.
	p.Beat(1000*time.Hour+16*time.Minute, time.Minute)
	if left := expiry(t, p.guard); left > time.Minute {
		t.Fatalf("a shorter promise was ignored: %v", left)
	}
	if err := p.Rest(); err != nil {
		t.Fatal(err)
	}
	if left := expiry(t, p.guard); left != 0 {
		t.Fatalf("still armed: %v", left)
	}
	if err := p.Watch(time.Hour); err != nil || expiry(t, p.guard) < 59*time.Minute {
		t.Fatalf("not watched: %v", err)
	}
}

func TestSilenceIsHeard(t *testing.T) {
	p := newPage(t)
	f, err := p.Silence()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := p.Beat(Now(), time.Millisecond); err != nil {
		t.Fatal(err)
	}
	var b [8]byte
	f.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := f.Read(b[:]); n != 8 {
		t.Fatalf("the watchdog did not bark: %d %v", n, err)
	}
}

func TestWorkerState(t *testing.T) {
	keeper := newPage(t)
	failover := inherit(t, keeper)
	if s, _ := failover.Worker(); s != WorkerNone {
		t.Fatalf("at first: %v", s)
	}
	drain := func() bool {
		var b [8]byte
		n, _ := unix.Read(failover.WorkerEvent(), b[:])
		return n == 8
	}
	if err := keeper.SetWorker(WorkerDown, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	s, since := failover.Worker()
	if s != WorkerDown || since != 5*time.Second || !drain() {
		t.Fatalf("%v since %v, or no event", s, since)
	}
	keeper.SetWorker(WorkerDown, 6*time.Second)
	if _, since := failover.Worker(); since != 5*time.Second || drain() {
		t.Fatal("the same state again is no change")
	}
}

func TestDownBackends(t *testing.T) {
	keeper := newPage(t)
	failover := inherit(t, keeper)
	if _, known := failover.Down(); known {
		t.Fatal("known before anybody told")
	}
	drain := func() bool {
		var b [8]byte
		n, _ := unix.Read(failover.WorkerEvent(), b[:])
		return n == 8
	}
	for _, want := range [][]string{{}, {"shop", "api"}, {"api"}} {
		if err := keeper.SetDown(want); err != nil {
			t.Fatal(err)
		}
		got, known := failover.Down()
		if !known || !reflect.DeepEqual(got, want) || !drain() {
			t.Fatalf("%v (%v) instead of %v, or no event", got, known, want)
		}
		if keeper.SetDown(want); drain() {
			t.Fatal("the same list again is no change")
		}
	}
}
