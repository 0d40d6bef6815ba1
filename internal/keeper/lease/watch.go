package lease

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// arm sets a timerfd to fire once in d; 0 stops it. It never blocks, so the Go
// scheduler need not hear of it: that costs more than the call.
func arm(fd int, d time.Duration) error {
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}
	_, _, e := unix.RawSyscall6(unix.SYS_TIMERFD_SETTIME, uintptr(fd), 0, uintptr(unsafe.Pointer(&spec)), 0, 0, 0)
	if e != 0 {
		return e
	}
	return nil
}

// Beat says that the failover process is alive and will say so again within
// d. The keeper is woken only if that does not happen. Cheap enough for every
// round of a loop: the timer is moved when a quarter of d has passed.
func (p *Page) Beat(now, d time.Duration) error {
	p.head().beat.Store(int64(now))
	return beat(p.guard, &p.guardUntil, now, d)
}

// LastBeat is when the failover process last beat, on the monotonic clock.
func (p *Page) LastBeat() time.Duration { return time.Duration(p.head().beat.Load()) }

// Watch arms the failover process's watchdog from the keeper's side: for a
// process that starts, or gets another chance.
func (p *Page) Watch(d time.Duration) error { return arm(p.guard, d) }

// Rest ends the failover process's watchdog, before it exits on purpose.
func (p *Page) Rest() error {
	p.guardUntil = 0
	return arm(p.guard, 0)
}

// KeeperBeat is Beat for the keeper, watched by the failover process.
func (p *Page) KeeperBeat(now, d time.Duration) error { return beat(p.keeper, &p.keeperUntil, now, d) }

func beat(fd int, until *time.Duration, now, d time.Duration) error {
	if left := *until - now; left > d-d/4 && left <= d {
		return nil
	}
	*until = now + d
	return arm(fd, d)
}

// Silence is a copy of the failover process's watchdog for the keeper: a read
// of 8 bytes returns when the process has not beaten in time.
func (p *Page) Silence() (*os.File, error) { return file(p.guard, "failover watchdog") }

// KeeperSilence is the descriptor of the keeper's watchdog, for a poll of the
// failover process: readable when the keeper has not beaten in time.
func (p *Page) KeeperSilence() int { return p.keeper }

// WorkerState is whether the proxy of this node serves.
type WorkerState uint8

// The states of the proxy.
const (
	WorkerNone    WorkerState = iota // no proxy is configured
	WorkerServing                    // accepts connections
	WorkerDown                       // crashed, stopped, or did not start
)

// SetWorker tells the failover process about the proxy, since now.
func (p *Page) SetWorker(s WorkerState, now time.Duration) error {
	old := p.head().worker.Load()
	if WorkerState(old&0xff) == s && old != 0 {
		return nil
	}
	p.head().worker.Store(uint64(now)<<8 | uint64(s))
	return p.signal()
}

// Worker is the state of the proxy, and since when on the monotonic clock.
func (p *Page) Worker() (WorkerState, time.Duration) {
	v := p.head().worker.Load()
	return WorkerState(v & 0xff), time.Duration(v >> 8)
}

// SetDown tells the failover process which backends of the proxy have no
// server that could be used.
func (p *Page) SetDown(backends []string) error {
	b, err := json.Marshal(backends)
	if err != nil {
		return fmt.Errorf("lease: backends: %w", err)
	}
	if bytes.Equal(b, p.read(2, &p.head().down)) {
		return nil
	}
	if err := p.write(2, &p.head().down, b); err != nil {
		return err
	}
	return p.signal()
}

// Down is the backends without a server; known is false until the proxy has
// told.
func (p *Page) Down() (backends []string, known bool) {
	b := p.read(2, &p.head().down)
	if b == nil || json.Unmarshal(b, &backends) != nil {
		return nil, false
	}
	return backends, true
}

func (p *Page) signal() error {
	_, err := unix.Write(p.event, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	return err
}

// WorkerEvent is an eventfd that becomes readable when Worker or Down has changed.
// Whoever polls it reads it.
func (p *Page) WorkerEvent() int { return p.event }
