package keeper

import (
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"evenkeel/internal/keeper/ipc"
	"evenkeel/internal/keeper/lease"
	"evenkeel/internal/keeper/worker"
)

// Back-off of a worker that dies again and again within its first second.
const (
	quickLife   = time.Second
	quickFree   = 12 // quick deaths in a row that are answered at once
	backoffUnit = 100 * time.Millisecond
	backoffMax  = 5 * time.Second
)

// backoff is how long to wait before the next start after n quick deaths in
// a row. The first ones are answered at once: clients wait in the socket's
// queue, and a start costs a few milliseconds.
func backoff(n int) time.Duration {
	if n <= quickFree {
		return 0
	}
	return min(backoffUnit<<min(n-quickFree-1, 10), backoffMax)
}

func (k *Keeper) startWorker(recovery bool) {
	if k.stopping || k.candidate != nil {
		return
	}
	c, err := k.spawn(recovery)
	if err != nil {
		k.log(Alert, "%v", err)
		if !k.settled {
			k.finish(1)
		} else if k.current == nil {
			k.quickDeath++
			k.after(backoff(k.quickDeath), func() { k.startWorker(true) })
		} else {
			k.reloadEnded(false)
		}
		return
	}
	k.candidate = c
	k.narrate(Notice, "New worker (%d) forked", c.process.Pid)
}

// reload starts a worker from the files as they are now, beside the one
// that serves.
func (k *Keeper) reload() {
	if k.stopping || !k.settled {
		return
	}
	if k.reloading {
		k.again = true
		return
	}
	if k.candidate != nil {
		k.again = true
		if time.Since(k.candidate.started) > 30*time.Second {
			_ = k.candidate.process.Kill()
		}
		return
	}
	k.reloads++
	k.startLog.Reset()
	if k.o.NoWorker {
		k.narrate(Notice, "Reloading")
	} else {
		k.narrate(Notice, "Reloading HAProxy")
	}
	k.notify("RELOADING=1\nSTATUS=Reloading Configuration.\nMONOTONIC_USEC=" + monotonicMicroseconds())
	if !k.o.Failover {
		k.startWorker(false)
		return
	}
	k.reloading = true
	k.prepareFailover(func(ok bool) {
		k.reloading = false
		switch {
		case k.stopping:
		case !ok:
			k.failed++
			k.reloadEnded(false)
		case k.o.NoWorker:
			k.failed = 0
			k.applyFailover()
			k.narrate(Notice, "Loading success.")
			k.reloadEnded(true)
		default:
			k.startWorker(false)
		}
	})
}

func (k *Keeper) reloadEnded(ok bool) {
	for _, w := range k.waiters {
		w <- ok
	}
	k.waiters = nil
	if k.settled && !k.stopping {
		k.notify("READY=1\nSTATUS=Ready.")
	}
	if k.again {
		k.again = false
		k.waiters, k.waitNext = k.waitNext, nil
		k.reload()
	}
}

// commit makes the candidate the worker that serves.
func (k *Keeper) commit(c *child, blob []byte) error {
	if err := k.sockets.commit(c.generation); err != nil {
		return err
	}
	if len(blob) > 0 {
		k.blob = blob
	}
	old := k.current
	k.current, k.candidate = c, nil
	c.ready, c.readyAt = true, time.Now()
	if old != nil {
		old.draining = true
	}
	// Each worker that drains gets a new line to the newest one, so that no
	// worker must stay only to pass things on.
	for _, d := range k.children {
		if d.draining && d != c {
			k.join(d, c)
		}
	}
	k.replaceOld(c)
	k.failed = 0
	if k.o.Failover {
		_ = k.failover.page.SetWorker(lease.WorkerServing, lease.Now())
		switch {
		case !k.settled:
			k.startHolding(k.failover.current)
		case !c.recovery:
			k.applyFailover()
		}
	}
	if !k.settled {
		k.settled = true
		if err := k.writePid(); err != nil {
			return err
		}
	}
	if !c.recovery {
		k.narrate(Notice, "Loading success.")
	}
	return nil
}

// join drains d and leads its idle connections to c.
func (k *Keeper) join(d, c *child) {
	a, b, err := ipc.Pair()
	if err != nil {
		k.tell(d, message{Op: worker.OpDrain})
		return
	}
	k.tell(c, message{Op: worker.OpPeer}, b)
	k.tell(d, message{Op: worker.OpDrain}, a)
	ipc.CloseAll([]int{a, b})
}

// ended handles the death of any worker.
func (k *Keeper) ended(c *child, st *os.ProcessState) {
	k.children = slices.DeleteFunc(k.children, func(x *child) bool { return x == c })
	for id := range c.asked {
		c.answered(id, -1)
	}
	code, text := describeEnd(st)
	switch c {
	case k.candidate:
		k.candidate = nil
		k.sockets.abort(c.generation)
		k.candidateFailed(c, code, text)
	case k.current:
		k.current = nil
		if k.o.Failover {
			_ = k.failover.page.SetWorker(lease.WorkerDown, lease.Now())
		}
		if k.stopping || c.told {
			k.narrate(Warning, "Current worker (%d) exited with code %s", c.process.Pid, text)
		} else {
			k.crashed(c, text)
		}
	default:
		k.narrate(Warning, "Former worker (%d) exited with code %s", c.process.Pid, text)
	}
	if k.stopping && len(k.children) == 0 {
		k.narrate(Warning, "All workers exited. Exiting... (%d)", k.exit)
		k.finish(k.exit)
	}
}

func (k *Keeper) candidateFailed(c *child, code int, text string) {
	switch {
	case k.finished || k.stopping:
	case !k.settled:
		k.resumeForeign()
		k.narrate(Alert, "Current worker (%d) exited with code %s", c.process.Pid, text)
		if code == 0 {
			code = 1
		}
		k.finish(code)
	case k.current == nil:
		// Recovery did not work either; there is nothing better to try.
		k.quickDeath++
		k.log(Alert, "Worker (%d) exited with code %s before it was ready.", c.process.Pid, text)
		k.again = false
		k.after(backoff(k.quickDeath), func() { k.startWorker(true) })
		k.reloadEnded(false)
	default:
		k.failed++
		k.log(Warning, "Loading failure! The worker (%d) goes on with the configuration before.", k.current.process.Pid)
		k.reloadEnded(false)
	}
}

func (k *Keeper) crashed(c *child, text string) {
	if time.Since(c.readyAt) < quickLife {
		k.quickDeath++
	} else {
		k.quickDeath = 0
	}
	k.log(Alert, "Current worker (%d) exited with code %s: restarted on the same sockets.", c.process.Pid, text)
	if k.candidate != nil {
		return // a reload is under way and takes over
	}
	k.after(backoff(k.quickDeath), func() {
		if k.current == nil {
			k.startWorker(true)
		}
	})
}

// stopNow ends every worker at once, after the addresses are handed over.
func (k *Keeper) stopNow() {
	if k.releaseFirst(k.stopWorkers) {
		return
	}
	k.stopWorkers()
}

// releaseFirst hands the addresses over before then, while the proxy still
// serves. It says whether there was anything to hand over.
func (k *Keeper) releaseFirst(then func()) bool {
	if !k.o.Failover || len(k.holders) == 0 && k.failover.standIn == nil {
		return false
	}
	k.stopping = true
	k.release(then)
	return true
}

func (k *Keeper) stopWorkers() {
	first := !k.stopping
	k.stopping = true
	if first {
		k.notify("STOPPING=1")
		k.narrate(Warning, "Exiting Master process...")
	}
	for _, c := range k.children {
		c.told = true
		k.tell(c, message{Op: worker.OpStop})
	}
	k.after(k.o.StopWithin, func() {
		for _, c := range k.children {
			_ = c.process.Kill()
		}
	})
	if k.candidate != nil {
		_ = k.candidate.process.Kill()
	}
	if len(k.children) == 0 {
		k.finish(k.exit)
	}
}

// softStop lets every worker serve out what it has.
func (k *Keeper) softStop() {
	if k.stopping {
		return
	}
	if !k.releaseFirst(k.drainWorkers) {
		k.drainWorkers()
	}
}

func (k *Keeper) drainWorkers() {
	k.stopping = true
	k.notify("STOPPING=1")
	k.narrate(Warning, "Exiting Master process...")
	if k.candidate != nil {
		_ = k.candidate.process.Kill()
	}
	for _, c := range k.children {
		if !c.draining && c != k.candidate {
			c.draining, c.told = true, true
			k.tell(c, message{Op: worker.OpDrain})
		}
	}
	k.sockets.closeAll()
	if len(k.children) == 0 {
		k.finish(k.exit)
	}
}

func (k *Keeper) finish(code int) {
	k.exit = code
	k.finished = true
	for _, c := range k.children {
		_ = c.process.Kill()
	}
	for _, c := range k.holders {
		_ = c.process.Kill()
	}
}

// openPid creates the pid file while its failure still ends the start.
func (k *Keeper) openPid(s worker.Settings) error {
	path := k.o.Pidfile
	if path == "" {
		path = s.Pidfile
	}
	if path == "" || k.pidfile != nil || !(k.master || detached() || k.o.AlwaysPid) {
		return nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("Cannot create pidfile %s", path)
	}
	k.pidfile = f
	return nil
}

func (k *Keeper) writePid() error {
	if k.pidfile == nil {
		return nil
	}
	defer k.pidfile.Close()
	if err := k.pidfile.Truncate(0); err != nil {
		return fmt.Errorf("pid file: %w", err)
	}
	if _, err := fmt.Fprintf(k.pidfile, "%d\n", os.Getpid()); err != nil {
		return fmt.Errorf("pid file: %w", err)
	}
	return nil
}

// resumeForeign gives their sockets back to processes that were asked to
// pause for a start which failed.
func (k *Keeper) resumeForeign() {
	if !k.paused {
		return
	}
	k.paused = false
	for _, pid := range k.foreign {
		_ = syscall.Kill(pid, syscall.SIGTTIN)
	}
}
