package keeper

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"evenkeel/internal/keeper/socket"
)

// Options are what the command line says.
type Options struct {
	Path    string   // executable of the workers
	Args    []string // their arguments, the name first
	Env     []string // nil: this process's
	Version string   // for `show version` and `show proc`

	Master     bool // watches, reloads (-W)
	Daemon     bool // -D
	Foreground bool // -db: `daemon` in a file is ignored
	Notify     bool // tell systemd (-Ws)
	// DiesBySignal ends the process by the very SIGTERM or SIGINT that it
	// got, as a program does that handles neither.
	DiesBySignal bool
	AlwaysPid    bool // write the pid file in the foreground as well
	Pidfile      string

	OldPids   []int // processes that this one replaces
	OldNow    bool  // -st: they stop at once
	OldSocket string
	MasterCLI *socket.Spec
	// Failover: some of the files move addresses, so that a failover process
	// is started from the same program and arguments. NoWorker: no other file
	// is given, so that there is nothing else to start.
	Failover, NoWorker bool
	// Keepalived: signals mean what they mean to keepalived.
	Keepalived bool
	Log        func(level Level, text string)
	StopWithin time.Duration // until a worker that was told to stop is killed; 0: 5 s
}

// Level of a line that the keeper prints.
type Level int

// The levels, in HAProxy's words.
const (
	Notice Level = iota
	Warning
	Alert
)

// Keeper is the parent process. Its fields belong to the loop unless they
// say otherwise.
type Keeper struct {
	o       Options // set once
	actions chan func()
	done    chan struct{} // closed by Run when the loop is over

	failover failover
	holders  []*holderChild // every failover process that lives

	children   []*child // every worker that lives
	current    *child   // serves
	candidate  *child   // starts, to become current
	generation int
	reloads    int
	failed     int // reloads in a row that changed nothing
	sockets    *table
	blob       []byte // last good configuration
	state      []byte // last saved state
	pidfile    *os.File
	settled    bool // the first worker is ready

	master     bool
	stopping   bool
	endSignal  syscall.Signal
	exit       int
	finished   bool
	reloading  bool        // the failover process reads its configuration
	again      bool        // another reload was asked for during one
	waiters    []chan bool // want to hear how the reload under way ends
	waitNext   []chan bool // and how the one after it does
	startLog   strings.Builder
	quickDeath int // in a row, within a second
	started    time.Time

	olds    []*oldKeeper
	foreign []int // old processes that are no keepers
	paused  bool  // foreign processes were sent SIGTTOU
}

// Run is the life of a keeper; it returns the exit status.
func Run(o Options) int {
	if o.Log == nil {
		o.Log = func(level Level, text string) { fmt.Fprintln(os.Stderr, text) }
	}
	if o.StopWithin == 0 {
		o.StopWithin = 5 * time.Second
	}
	if o.Env == nil {
		o.Env = os.Environ()
	}
	protectInherited()
	if o.Daemon && !o.Foreground && !detached() {
		return Detach(o)
	}
	k := &Keeper{o: o, actions: make(chan func(), 256), done: make(chan struct{}),
		sockets: newTable(), master: o.Master, started: time.Now()}
	defer close(k.done)
	// A shell has what it runs in the background born with SIGINT ignored: raised
	// again, it would end nobody.
	mute := signal.Ignored(syscall.SIGINT)
	signals := make(chan os.Signal, 64)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR1, syscall.SIGUSR2,
		syscall.SIGHUP, syscall.SIGTTOU, syscall.SIGTTIN, syscall.SIGCHLD, syscall.SIGPIPE)
	defer signal.Stop(signals)
	go func() {
		for {
			select {
			case s := <-signals:
				k.post(func() { k.signal(s.(syscall.Signal)) })
			case <-k.done:
				return
			}
		}
	}()
	if err := k.openDoors(); err != nil {
		k.log(Alert, "%v", err)
		return 1
	}
	k.findOld()
	if o.Failover {
		if err := k.openFailover(); err != nil {
			k.log(Alert, "%v", err)
			return 1
		}
		k.startFailover()
	} else {
		k.startWorker(false)
	}
	k.loop()
	k.sockets.closeAll()
	if k.endSignal != 0 && o.DiesBySignal && !k.master {
		if k.endSignal == syscall.SIGINT && mute {
			return 128 + int(syscall.SIGINT)
		}
		signal.Reset(k.endSignal)
		_ = syscall.Kill(os.Getpid(), k.endSignal)
		select {} // the signal is on its way
	}
	return k.exit
}

func (k *Keeper) loop() {
	for !k.finished {
		(<-k.actions)()
	}
	for _, w := range append(k.waiters, k.waitNext...) {
		w <- false
	}
}

// post runs f in the loop; it is dropped after the end.
func (k *Keeper) post(f func()) {
	select {
	case k.actions <- f:
	case <-k.done:
	}
}

// do runs f in the loop and waits for it. It says whether f ran.
func (k *Keeper) do(f func()) bool {
	ran := make(chan struct{})
	k.post(func() { f(); close(ran) })
	select {
	case <-ran:
		return true
	case <-k.done:
		return false
	}
}

// after posts f when d has passed.
func (k *Keeper) after(d time.Duration, f func()) { time.AfterFunc(d, func() { k.post(f) }) }

func (k *Keeper) log(level Level, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	k.startLog.WriteString(text + "\n")
	k.o.Log(level, text)
}

// narrate prints what only a master says.
func (k *Keeper) narrate(level Level, format string, args ...any) {
	if k.master {
		k.log(level, format, args...)
	}
}

func (k *Keeper) signal(s syscall.Signal) {
	if k.o.Keepalived && (s == syscall.SIGUSR1 || s == syscall.SIGUSR2) {
		k.dump(s)
		return
	}
	switch s {
	case syscall.SIGTERM, syscall.SIGINT:
		k.endSignal = s
		k.stopNow()
	case syscall.SIGUSR1:
		k.softStop()
	case syscall.SIGUSR2, syscall.SIGHUP:
		if !k.master {
			k.o.Log(Notice, "This process does not reload: it runs without master-worker mode (-W).")
			return
		}
		k.reload()
	case syscall.SIGTTOU:
		k.tell(k.current, message{Op: opPause})
	case syscall.SIGTTIN:
		k.tell(k.current, message{Op: opResume})
	case syscall.SIGCHLD:
		k.reapStrays()
	}
}

// reapStrays buries orphans, which only the first process of a container
// gets. Its own workers are left to who waits for them.
func (k *Keeper) reapStrays() {
	if os.Getpid() != 1 {
		return
	}
	for {
		pid := waitable()
		if pid <= 0 {
			return
		}
		for _, c := range k.children {
			if c.process.Pid == pid {
				return
			}
		}
		for _, c := range k.holders {
			if c.process.Pid == pid {
				return
			}
		}
		var status syscall.WaitStatus
		_, _ = syscall.Wait4(pid, &status, syscall.WNOHANG, nil)
	}
}

// protectInherited marks every descriptor from the start as close-on-exec:
// workers get theirs by message.
func protectInherited() {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return
	}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil || fd <= 2 {
			continue
		}
		flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0)
		if errno != 0 || flags&syscall.FD_CLOEXEC != 0 {
			continue // the directory itself, or the run-time's own
		}
		syscall.CloseOnExec(fd)
		if !isOurs(fd) {
			inherited = append(inherited, fd)
		}
	}
}
