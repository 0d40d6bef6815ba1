package keeper

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"evenkeel/internal/keeper/holder"
	"evenkeel/internal/keeper/ipc"
	"evenkeel/internal/keeper/lease"
	"evenkeel/internal/keeper/worker"
)

// Times of the failover process.
const (
	startPatience   = 10 * time.Second // for reading a configuration
	releasePatience = 15 * time.Second // for handing the addresses over
	preparePatience = 30 * time.Second
	controlPatience = 5 * time.Second
	ownBeat         = time.Second
	ownPromise      = 5 * time.Second // silence of the keeper that is taken for a freeze
	chanceTime      = 500 * time.Millisecond
	frozenPatience  = 150 * time.Millisecond
)

// holderChild is a failover process. Its fields belong to the loop.
type holderChild struct {
	process *os.Process
	conn    *ipc.Conn
	started time.Time
	image   fileID // of the program that it runs
	built   bool
	serves  bool
	told    bool // to end
	nextID  int
	asked   map[int]func(m holder.Message, fd int)
}

// failover is the keeper's half of everything about addresses. Its fields
// belong to the loop.
type failover struct {
	page      *lease.Page
	current   *holderChild // holds the addresses, or is about to
	candidate *holderChild // a newer program, to take current's place
	standIn   *standIn
	leaving   bool // the stand-in gives the addresses up
	releasing bool
	released  []func()
	deaths    int    // in a row, within a second each
	text      []byte // of the files that current runs with; nil: it has not said yet
	chance    chance
	sender    sender
}

// fileID tells one program file from another.
type fileID struct {
	dev, ino uint64
	size     int64
	mtime    syscall.Timespec
}

func identify(path string) fileID {
	var st syscall.Stat_t
	if syscall.Stat(path, &st) != nil {
		return fileID{}
	}
	return fileID{uint64(st.Dev), st.Ino, st.Size, st.Mtim}
}

// openFailover makes the page and starts the watchdogs.
func (k *Keeper) openFailover() error {
	page, err := lease.New()
	if err != nil {
		return err
	}
	k.failover.page = page
	silence, err := page.Silence()
	if err != nil {
		return err
	}
	go func() {
		var b [8]byte
		for {
			if _, err := silence.Read(b[:]); err != nil {
				return
			}
			k.post(k.holderSilent)
		}
	}()
	go func() { <-k.done; silence.Close() }()
	k.beatOwn()
	if !k.o.NoWorker {
		return page.SetWorker(lease.WorkerDown, lease.Now())
	}
	return nil
}

// beatOwn shows the failover process that this loop still turns.
func (k *Keeper) beatOwn() {
	_ = k.failover.page.KeeperBeat(lease.Now(), ownPromise)
	k.after(ownBeat, k.beatOwn)
}

// spawnHolder starts a failover process. It reads its files from text; nil:
// from the disk.
func (k *Keeper) spawnHolder(text []byte) (*holderChild, error) {
	ours, theirs, err := ipc.Pair()
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(theirs), "failover")
	defer file.Close()
	conn, err := ipc.FromFD(ours)
	if err != nil {
		return nil, err
	}
	env := k.childEnvironment(holder.FDVariable + "=3")
	files := []*os.File{os.Stdin, os.Stdout, os.Stderr, file}
	for _, fd := range k.failover.page.Files() {
		d, err := syscall.Dup(fd)
		if err != nil {
			conn.Close()
			return nil, err
		}
		f := os.NewFile(uintptr(d), "lease")
		defer f.Close()
		files = append(files, f)
	}
	if text != nil {
		fd, err := ipc.NewBlob(text)
		if err != nil {
			conn.Close()
			return nil, fmt.Errorf("the last good configuration: %w", err)
		}
		f := os.NewFile(uintptr(fd), "configuration")
		defer f.Close()
		env = append(env, fmt.Sprintf("%s=%d", holder.TextVariable, len(files)))
		files = append(files, f)
	}
	c := &holderChild{conn: conn, started: time.Now(), image: identify(k.o.Path), asked: map[int]func(holder.Message, int){}}
	attr := &os.ProcAttr{Env: env, Files: files, Sys: &syscall.SysProcAttr{Setpgid: true}}
	c.process, err = os.StartProcess(k.o.Path, k.o.Args, attr)
	if err != nil && os.IsNotExist(err) {
		c.process, err = os.StartProcess("/proc/self/exe", k.o.Args, attr)
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("cannot start the failover process: %w", err)
	}
	k.holders = append(k.holders, c)
	go k.listenHolder(c)
	k.after(startPatience, func() {
		if !c.built && slices.Contains(k.holders, c) {
			k.log(Alert, "The failover process (%d) does not get ready: killed.", c.process.Pid)
			_ = c.process.Kill()
		}
	})
	return c, nil
}

func (k *Keeper) listenHolder(c *holderChild) {
	exited := make(chan *os.ProcessState, 1)
	go func() {
		st, _ := c.process.Wait()
		time.AfterFunc(time.Millisecond, func() { c.conn.Close() })
		exited <- st
	}()
	for {
		packet, fds, err := c.conn.Receive(time.Time{})
		if err != nil {
			break
		}
		m, err := holder.Decode(packet)
		if err != nil {
			ipc.CloseAll(fds)
			continue
		}
		k.post(func() { k.fromHolder(c, m, fds) })
	}
	c.conn.Close()
	st := <-exited
	k.post(func() { k.holderEnded(c, st) })
}

func (k *Keeper) tellHolder(c *holderChild, m holder.Message) {
	if c == nil {
		return
	}
	if err := c.conn.Send(m.Encode(), 0); err == ipc.ErrBusy {
		k.log(Alert, "The failover process (%d) does not listen any more: killed.", c.process.Pid)
		_ = c.process.Kill()
	}
}

// askHolder sends a question; then gets the answer, or a message with Error.
func (k *Keeper) askHolder(c *holderChild, m holder.Message, d time.Duration, then func(holder.Message, int)) {
	c.nextID++
	m.ID = c.nextID
	c.asked[m.ID] = then
	k.tellHolder(c, m)
	k.after(d, func() { c.answer(holder.Message{ID: m.ID, Error: "the failover process does not answer"}, -1) })
}

func (c *holderChild) answer(m holder.Message, fd int) {
	then := c.asked[m.ID]
	delete(c.asked, m.ID)
	if then != nil {
		then(m, fd)
	} else if fd >= 0 {
		syscall.Close(fd)
	}
}

func (k *Keeper) fromHolder(c *holderChild, m holder.Message, fds []int) {
	switch m.Op {
	case holder.OpAnswer:
		fd := -1
		if len(fds) > 0 {
			fd, fds = fds[0], fds[1:]
		}
		c.answer(m, fd)
	case holder.OpBuilt:
		if m.Error == "" {
			c.built = true
			k.holderBuilt(c)
		}
	case holder.OpServes:
		if m.Error == "" {
			fds = k.takeText(c, fds)
			k.holderServes(c)
		}
	case holder.OpText:
		fds = k.takeText(c, fds)
	case holder.OpLog:
		k.startLog.WriteString(m.Text)
	}
	ipc.CloseAll(fds)
}

// takeText keeps what a process runs with, and returns the other descriptors.
func (k *Keeper) takeText(c *holderChild, fds []int) []int {
	if len(fds) == 0 || c != k.failover.current {
		return fds
	}
	text, err := ipc.ReadBlob(fds[0])
	if err != nil {
		k.log(Warning, "The failover process's files: %v", err)
	}
	k.failover.text = text
	return fds[1:]
}

// startFailover starts the process that holds the addresses: with the
// configuration of one that died.
func (k *Keeper) startFailover() {
	c, err := k.spawnHolder(k.failover.text)
	if err != nil {
		k.log(Alert, "%v", err)
		if !k.settled {
			k.finish(1)
			return
		}
		k.failover.deaths++
		k.after(max(backoff(k.failover.deaths), backoffUnit), k.restartFailover)
		return
	}
	k.failover.current = c
}

func (k *Keeper) restartFailover() {
	if k.failover.current == nil && !k.stopping {
		k.startFailover()
	}
}

// holderBuilt: its configuration is good.
func (k *Keeper) holderBuilt(c *holderChild) {
	switch {
	case c == k.failover.candidate:
		// The old process saves its state and goes; its end starts this one.
		if old := k.failover.current; old != nil {
			old.told = true
			k.tellHolder(old, holder.Message{Op: holder.OpRetire})
			k.after(ownBeat, func() {
				if slices.Contains(k.holders, old) {
					_ = old.process.Kill()
				}
			})
		} else {
			k.promoteHolder()
		}
	case c != k.failover.current:
	case !k.settled && !k.o.NoWorker:
		k.startWorker(false)
	default:
		k.startHolding(c)
	}
}

// startHolding lets a process begin, unless the addresses are just being
// given up.
func (k *Keeper) startHolding(c *holderChild) {
	if c == nil || c.serves || !c.built || k.failover.leaving {
		return
	}
	k.tellHolder(c, holder.Message{Op: holder.OpStart, Detach: detached()})
}

func (k *Keeper) promoteHolder() {
	c := k.failover.candidate
	k.failover.candidate = nil
	k.failover.current = c
	k.startHolding(c)
}

// holderServes: it advertises by itself from now on.
func (k *Keeper) holderServes(c *holderChild) {
	c.serves = true
	if s := k.failover.standIn; s != nil && !k.failover.leaving {
		close(s.stop)
		k.failover.standIn = nil
	}
	if !k.settled && k.o.NoWorker {
		if err := k.openPid(settingsWithout); err != nil {
			k.log(Alert, "%v", err)
			k.finish(1)
			return
		}
		k.settled = true
		if err := k.writePid(); err != nil {
			k.log(Alert, "%v", err)
		}
		k.nowReady()
	}
}

// holderSilent: the watchdog was not fed in time.
func (k *Keeper) holderSilent() {
	c := k.failover.current
	if c == nil || !c.serves || c.told {
		return
	}
	will, ok := k.failover.page.ReadWill()
	silence := lease.Now() - k.failover.page.LastBeat()
	if !ok || !fresh(will, silence) {
		// This process did not run either: the whole node was frozen or starved.
		// The failover process finds that out by itself if it runs again now.
		if k.failover.chance.allow(k.failover.page.LastBeat()) {
			_ = k.failover.page.Watch(chanceTime)
			return
		}
	}
	// A busy machine makes it late now and then. The peers are kept waiting at
	// once; the process is given up only if it stays silent.
	beat := k.failover.page.LastBeat()
	k.beginStandIn()
	k.after(frozenPatience, func() { k.holderStillSilent(c, beat) })
}

// holderStillSilent ends a process that is silent since beat, or thanks the
// stand-in.
func (k *Keeper) holderStillSilent(c *holderChild, beat time.Duration) {
	f := &k.failover
	switch {
	case f.current != c || c.told:
	case f.page.LastBeat() == beat:
		k.log(Alert, "The failover process (%d) is frozen: killed.", c.process.Pid)
		_ = c.process.Kill()
	case f.standIn != nil && !f.leaving:
		close(f.standIn.stop)
		f.standIn = nil
	}
}

// chance is given to a silent process once a silence, told by its last beat.
type chance struct{ beat time.Duration }

func (c *chance) allow(beat time.Duration) bool {
	if c.beat == beat {
		return false
	}
	c.beat = beat
	return true
}

// beginStandIn does the will of a process that cannot any more.
func (k *Keeper) beginStandIn() {
	f := &k.failover
	if f.standIn != nil {
		return
	}
	will, ok := f.page.ReadWill()
	if !ok || will.Empty() {
		return
	}
	s := newStandIn(will)
	f.standIn = s
	if !fresh(will, lease.Now()-f.page.LastBeat()) {
		k.log(Warning, "The failover process was silent for too long: its addresses are removed.")
		s.will.Leave = nil
		k.giveUp(s)
		return
	}
	go func() {
		defer close(s.done)
		if !s.hold(f.sender.send) {
			k.post(func() { k.giveUp(s) })
		}
	}()
}

// giveUp leaves in the place of a dead failover process. A new one that is
// ready before the end begins afterwards, as a backup.
func (k *Keeper) giveUp(s *standIn) {
	f := &k.failover
	if f.standIn != s || f.leaving {
		return
	}
	f.leaving = true
	_ = f.page.WriteState(nil)
	k.log(Alert, "No failover process holds the addresses of this node: they are handed over.")
	go func() {
		if err := s.leave(f.sender.send, request); err != nil {
			k.post(func() { k.log(Alert, "Handing over: %v", err) })
		}
		k.post(func() {
			_ = f.page.WriteWill(lease.Will{})
			f.leaving, f.standIn = false, nil
			if f.releasing {
				k.addressesReleased()
				return
			}
			k.startHolding(f.current)
		})
	}()
}

// holderEnded handles the death of a failover process.
func (k *Keeper) holderEnded(c *holderChild, st *os.ProcessState) {
	f := &k.failover
	k.holders = slices.DeleteFunc(k.holders, func(x *holderChild) bool { return x == c })
	for id := range c.asked {
		c.answer(holder.Message{ID: id, Error: "the failover process has ended"}, -1)
	}
	_, text := describeEnd(st)
	switch {
	case c == f.candidate:
		f.candidate = nil
		k.log(Warning, "The new failover program does not start (%s): the one before goes on.", text)
		k.tellHolder(f.current, holder.Message{Op: holder.OpApply})
	case c != f.current:
	case f.releasing || k.finished:
		f.current = nil
		k.addressesReleased()
	case c.told && f.candidate != nil:
		f.current = nil
		k.promoteHolder()
	case !k.settled:
		k.finish(1)
	default:
		f.current = nil
		k.holderDied(c, text)
	}
}

func (k *Keeper) holderDied(c *holderChild, text string) {
	f := &k.failover
	if c.serves {
		k.beginStandIn()
	}
	if time.Since(c.started) < quickLife {
		f.deaths++
	} else {
		f.deaths = 0
	}
	k.log(Alert, "The failover process (%d) exited with code %s: started again.", c.process.Pid, text)
	k.after(backoff(f.deaths), k.restartFailover)
}

// release hands the addresses over, if there are any, and then goes on with
// then: as long as it takes, the proxy serves.
func (k *Keeper) release(then func()) {
	f := &k.failover
	c := f.current
	if f.page == nil || c == nil && f.standIn == nil {
		then()
		return
	}
	f.released = append(f.released, then)
	if f.releasing {
		return
	}
	f.releasing = true
	if f.candidate != nil {
		_ = f.candidate.process.Kill()
		f.candidate = nil
	}
	if c == nil || !c.serves && f.standIn != nil {
		// There is nobody to ask: the will is done from here, whole.
		if c != nil {
			c.told = true
			f.current = nil
			_ = c.process.Kill()
		}
		if !f.leaving {
			close(f.standIn.stop)
			k.giveUp(f.standIn)
		}
		return
	}
	k.tell(k.current, message{Op: worker.OpLeave})
	k.tellHolder(c, holder.Message{Op: holder.OpRelease})
	k.after(releasePatience, func() {
		if f.current == c {
			k.log(Alert, "The failover process (%d) does not end: killed.", c.process.Pid)
			_ = c.process.Kill()
			if will, ok := f.page.ReadWill(); ok {
				_ = request(will.Remove)
			}
		}
	})
}

func (k *Keeper) addressesReleased() {
	f := &k.failover
	all := f.released
	f.released = nil
	for _, then := range all {
		then()
	}
}

// prepareFailover lets the failover process read its configuration again,
// and then goes on with then; a newer program is started beside it.
func (k *Keeper) prepareFailover(then func(ok bool)) {
	c := k.failover.current
	if c == nil || !c.serves {
		// Whatever keeps it from serving, the next one reads what is there now.
		k.failover.text = nil
		then(c != nil && c.built)
		return
	}
	k.askHolder(c, holder.Message{Op: holder.OpPrepare}, preparePatience, func(m holder.Message, fd int) {
		ipc.CloseAll(positive(fd))
		if m.Error != "" {
			k.log(Warning, "Loading failure! %s.", m.Error)
		}
		then(m.Error == "")
	})
}

// applyFailover switches to what was prepared.
func (k *Keeper) applyFailover() {
	c := k.failover.current
	if c == nil {
		return
	}
	if now := identify(k.o.Path); now != c.image && now != (fileID{}) && k.failover.candidate == nil {
		if n, err := k.spawnHolder(nil); err == nil {
			k.failover.candidate = n
			return
		}
	}
	k.tellHolder(c, holder.Message{Op: holder.OpApply})
}

// control asks the failover process on behalf of a person. It is called
// outside the loop.
func (k *Keeper) control(line string) (string, error) {
	type reply struct {
		text string
		err  error
	}
	got := make(chan reply, 1)
	k.do(func() {
		c := k.failover.current
		switch {
		case c == nil:
			got <- reply{err: errNoFailover}
			return
		case !c.serves:
			got <- reply{err: ErrBegins}
			return
		}
		k.askHolder(c, holder.Message{Op: holder.OpControl, Text: line}, controlPatience, func(m holder.Message, fd int) {
			if m.Error != "" || fd < 0 {
				got <- reply{err: errors.New(m.Error)}
				return
			}
			b, err := ipc.ReadBlob(fd)
			got <- reply{string(b), err}
		})
	})
	select {
	case r := <-got:
		return r.text, r.err
	case <-k.done:
		return "", errNoFailover
	}
}

var errNoFailover = errors.New("no failover process serves here: none of the files has addresses that move, or virtual servers")

// ErrBegins is why Control has no answer yet.
var ErrBegins = errors.New("the failover process is only beginning: ask again in a moment")

func positive(fd int) []int {
	if fd < 0 {
		return nil
	}
	return []int{fd}
}

// settingsWithout are those of a node without a proxy.
var settingsWithout = worker.Settings{}

// dump is what SIGUSR1 and SIGUSR2 mean to keepalived.
func (k *Keeper) dump(s syscall.Signal) {
	line := "dump data"
	if s == syscall.SIGUSR2 {
		line = "dump stats"
	}
	go func() {
		text, err := k.control(line)
		if err != nil {
			text = err.Error()
		}
		k.post(func() { k.log(Notice, "%s", strings.TrimSpace(text)) })
	}()
}

// backendsDown passes on what a worker says of its backends. A candidate's word
// counts as well: it says so once, when its checks begin.
func (k *Keeper) backendsDown(c *child, fd int) {
	if fd < 0 {
		return
	}
	b, err := ipc.ReadBlob(fd)
	var names []string
	if err != nil || !k.o.Failover || c.draining || json.Unmarshal(b, &names) != nil {
		return
	}
	if err := k.failover.page.SetDown(names); err != nil {
		k.log(Warning, "%v", err)
	}
}
