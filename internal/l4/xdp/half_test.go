package xdp

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"evenkeel/internal/l4"
)

// A process that ended, or an attempt that failed, between two steps of Set
// leaves no service behind that cannot be removed.
func TestHalfMadeServiceIsRemoved(t *testing.T) {
	b := newBench(t, Options{MaxFlows: 64})
	for _, k := range []l4.Key{farm("rr", 1).Key, {Addr: farm("rr", 1).Addr, Protocol: l4.TCP, Port: 100, PortLast: 1000}} {
		id, err := b.serials.take()
		if err != nil {
			t.Fatal(err)
		}
		if err := b.maps.Ledgers.Put(id, ledgerOf(k)); err != nil {
			t.Fatal(err)
		}
		b.mu.Lock() // interfaces are followed meanwhile
		b.services, b.gone = map[l4.Key]*service{}, map[goneKey]*server{}
		err = b.adopt()
		adopted := b.services[k] != nil
		b.mu.Unlock()
		if err != nil || !adopted {
			t.Fatalf("adopted %v, %v", b.services, err)
		}
		if err := b.Set(l4.Config{}); err != nil {
			t.Error(err)
		}
		if len(b.services) != 0 {
			t.Errorf("left: %v", b.services)
		}
	}
}

// What does not fit takes nothing away from what does.
func TestServiceWithoutRoom(t *testing.T) {
	b := newBench(t, Options{MaxFlows: 64})
	b.blocks = newSpans(3) // the list of servers, but not the table
	s := farm("mh", 1, 1)
	for range 5 {
		if err := b.Set(l4.Config{Services: []l4.Service{s}}); err == nil {
			t.Fatal("there was room")
		}
	}
	s.Scheduler = "wlc"
	if err := b.Set(l4.Config{Services: []l4.Service{s}}); err != nil {
		t.Fatal(err)
	}
	if n := b.connect(1); n < 0 {
		t.Error("nothing is forwarded")
	}
}

// A list that is read while another service gets its place leads to none of
// that one's servers.
func TestServersOfOthersAreNotChosen(t *testing.T) {
	b := newBench(t, Options{MaxFlows: 64})
	for _, scheduler := range []string{"rr", "mh"} {
		mine, other := farm(scheduler, 1), farm("rr", 1)
		other.Port, other.Servers[0].Port = 81, 81
		b.set(l4.Config{Services: []l4.Service{mine, other}})
		stranger := b.services[other.Key].order[0].id
		s := b.services[mine.Key]
		for i := range s.table.count {
			var block directorBlock
			for n := range block.Dest {
				block.Dest[n] = stranger
			}
			if err := b.maps.Blocks.Put(s.table.first+i, &block); err != nil {
				t.Fatal(err)
			}
		}
		if v := b.send(1, flagSYN); v == tcRedirect {
			t.Errorf("%s: sent to another service's server", scheduler)
		}
		b.forget()
	}
}

// Two processors that begin the same connection at once, each with another
// server, leave nothing behind of the one that was slower.
func TestBegunTwice(t *testing.T) {
	b := newBench(t, Options{MaxFlows: 8192})
	s := farm("rr", 1, 1)
	for i := range s.Servers {
		s.Servers[i].Method = l4.NAT
	}
	b.set(l4.Config{Services: []l4.Service{s}})
	const tries = 2000
	var at [2]atomic.Int64
	var both sync.WaitGroup
	for n := range at {
		both.Go(func() {
			for i := range tries {
				frame := packet{client: clientNumber(i, false)}.frame()
				at[n].Store(int64(i) + 1)
				for spins := 0; at[1-n].Load() <= int64(i); spins++ {
					if spins%100 == 99 {
						runtime.Gosched()
					}
				}
				for {
					if _, err := b.prog.Run(&ebpf.RunOptions{Data: frame}); !errors.Is(err, unix.EINTR) {
						break
					}
				}
			}
		})
	}
	both.Wait()
	var forward, back int
	for _, e := range b.entries() {
		if e.flow.Flags&flowReverse != 0 {
			back++
		} else {
			forward++
		}
	}
	if forward != tries || back != tries {
		t.Errorf("%d connections, %d ways back, want %d of each", forward, back, tries)
	}
}
