package track

import (
	"errors"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// rescan is how often /proc is read where the kernel tells no events. Ends
	// of processes that match are seen at once all the same, by pidfd.
	rescan = time.Second
	// fullScan is how often everything is compared although events come: an
	// insurance against what events do not say.
	fullScan = time.Minute
)

// processes watches processes. One goroutine owns the table.
type processes struct {
	// Set once.
	post func(Report)
	fs   procFS
	open func() (*connector, error)
	base time.Time
	jobs chan func()   // run by the owner
	stop chan struct{} // closed by close
	done chan struct{} // closed by the owner

	// Owned by the goroutine.
	table   ProcessTable
	events  chan batch
	conn    *connector // nil: /proc is read again and again
	pidfds  map[int]*os.File
	readers sync.WaitGroup

	// Guarded by mu.
	mu     sync.Mutex
	since  map[string]time.Time
	status []Status
}

// batch is what one read of the connector gave, or a process that ended.
type batch struct {
	events []procEvent
	err    error
}

func startProcesses(post func(Report), fs procFS, open func() (*connector, error)) *processes {
	p := &processes{post: post, fs: fs, open: open, base: time.Now(), jobs: make(chan func()), stop: make(chan struct{}),
		done: make(chan struct{}), events: make(chan batch, 16), pidfds: map[int]*os.File{}, since: map[string]time.Time{}}
	go p.own()
	return p
}

// set replaces what is watched, and returns when that is in force.
func (p *processes) set(list []Process) {
	ready := make(chan struct{})
	job := func() {
		defer close(ready)
		p.table.Set(list)
		p.scan()
	}
	select {
	case p.jobs <- job:
		<-ready
	case <-p.done:
	}
}

func (p *processes) close() {
	close(p.stop)
	<-p.done
}

func (p *processes) now() time.Duration { return time.Since(p.base) }

// own runs until close.
func (p *processes) own() {
	defer close(p.done)
	p.subscribe()
	timer := time.NewTimer(rescan)
	defer timer.Stop()
	for {
		p.wait(timer)
		select {
		case <-p.stop:
			p.unsubscribe()
			for pid := range p.pidfds {
				p.forget(pid)
			}
			// Readers may be about to send.
			go func() {
				for range p.events {
				}
			}()
			p.readers.Wait()
			close(p.events)
			return
		case job := <-p.jobs:
			job()
		case b := <-p.events:
			p.take(b)
		case <-timer.C:
			if at, ok := p.table.Deadline(); !ok || at > p.now() {
				p.scan()
			}
			p.tell(p.table.Timer(p.now()))
		}
	}
}

// wait arms the timer for what comes first.
func (p *processes) wait(timer *time.Timer) {
	d := fullScan
	if p.conn == nil {
		d = rescan
	}
	if at, ok := p.table.Deadline(); ok {
		d = min(d, max(at-p.now(), 0))
	}
	timer.Reset(d)
}

func (p *processes) subscribe() {
	c, err := p.open()
	if err != nil {
		p.post(Report{Kind: KindProcess, Advisory: true, Text: "processes are looked for once a second, since the kernel does not tell of them: " + err.Error()})
		return
	}
	p.conn = c
	p.readers.Go(func() {
		for {
			list, err := c.read()
			if len(list) > 0 || err != nil {
				p.events <- batch{list, err}
			}
			if err != nil && !errors.Is(err, errOverrun) {
				return
			}
		}
	})
}

func (p *processes) unsubscribe() {
	if p.conn != nil {
		p.conn.close()
		p.conn = nil
	}
}

// take brings the table up to date with events.
func (p *processes) take(b batch) {
	switch {
	case errors.Is(b.err, errOverrun):
		p.scan()
		return
	case b.err != nil:
		p.unsubscribe()
		p.scan()
		return
	}
	lines := p.table.CommandLines()
	for _, e := range b.events {
		now := p.now()
		switch e.what {
		case procFork:
			p.tell(p.table.Fork(now, e.parent, e.pid))
		case procExec, procComm:
			if i, ok := p.fs.info(e.pid, lines); ok {
				p.tell(p.table.Became(now, i))
			}
		case procExit:
			p.forget(e.pid)
			p.tell(p.table.Exit(now, e.pid))
		}
	}
}

// scan reads all processes.
func (p *processes) scan() {
	if len(p.table.watches) > 0 {
		p.tell(p.table.Scan(p.now(), p.fs.all(p.table.CommandLines())))
	} else {
		p.tell(nil)
	}
	if p.conn == nil {
		p.watchEnds()
	}
}

// watchEnds waits for the ends of all processes that match.
func (p *processes) watchEnds() {
	wanted := map[int]bool{}
	for _, w := range p.table.watches {
		for pid := range w.pids {
			wanted[pid] = true
		}
	}
	for pid := range p.pidfds {
		if !wanted[pid] {
			p.forget(pid)
		}
	}
	for pid := range wanted {
		if p.pidfds[pid] != nil {
			continue
		}
		fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
		if err != nil {
			continue // the next scan sees that it is gone
		}
		f := os.NewFile(uintptr(fd), "pidfd")
		p.pidfds[pid] = f
		p.readers.Go(func() {
			raw, err := f.SyscallConn()
			if err != nil {
				return
			}
			ended := false
			raw.Read(func(fd uintptr) bool {
				poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
				n, _ := unix.Poll(poll, 0)
				ended = n > 0
				return ended
			})
			if ended {
				p.events <- batch{events: []procEvent{{what: procExit, pid: pid}}}
			}
		})
	}
}

func (p *processes) forget(pid int) {
	if f := p.pidfds[pid]; f != nil {
		f.Close()
		delete(p.pidfds, pid)
	}
}

// tell reports, and renews the status.
func (p *processes) tell(list []Report) {
	p.mu.Lock()
	for _, r := range list {
		p.since[r.Name] = time.Now()
	}
	p.status = p.status[:0]
	for _, w := range p.table.watches {
		p.status = append(p.status, Status{Kind: KindProcess, Name: w.Name, State: w.state, Value: int64(len(w.pids)), Since: p.since[w.Name], Text: w.lastText})
	}
	p.mu.Unlock()
	for _, r := range list {
		p.post(r)
	}
}

func (p *processes) snapshot() []Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Status(nil), p.status...)
}
