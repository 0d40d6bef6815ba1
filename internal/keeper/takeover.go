package keeper

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"

	"evenkeel/internal/keeper/ipc"
	"evenkeel/internal/keeper/socket"
	"evenkeel/internal/keeper/worker"
)

// DoorName is the abstract socket of the keeper with that process id.
func DoorName(pid int) string { return "@evenkeel-keeper-" + itoa(pid) }

// Requests at a keeper's door. Who asks must be root or the keeper's user.
const (
	doorSockets = "sockets" // every listening socket
	doorState   = "state"   // the worker's state, as a blob
	doorReplace = "replace" // somebody else serves now; carries a peer
	doorRuntime = "runtime" // a stream to the worker's runtime API
	doorStatus  = "status"
	doorReload  = "reload"
	doorControl = "control" // Text is a command for the failover process; the answer carries a blob
)

type doorMessage struct {
	Op    string
	Now   bool          `json:",omitempty"` // replace: do not drain
	Specs []socket.Spec `json:",omitempty"`
	More  bool          `json:",omitempty"` // another message of sockets follows
	Text  string        `json:",omitempty"`
	Error string        `json:",omitempty"`
}

// doorStep bounds each message between two keepers.
const doorStep = 2 * time.Second

// perMessage is how many sockets travel in one message.
const perMessage = 64

// openDoors starts to listen for other keepers and tools, and on the master
// socket.
func (k *Keeper) openDoors() error {
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: DoorName(os.Getpid()), Net: "unixpacket"})
	if err != nil {
		// Without it the process serves all the same; only -sf has to use signals.
		k.log(Warning, "No other process can take over from this one: %v", err)
	} else {
		go func() { <-k.done; l.Close() }()
		go func() {
			for {
				uc, err := l.AcceptUnix()
				if err != nil {
					return
				}
				go k.attend(ipc.FromUnixConn(uc))
			}
		}()
	}
	if k.o.MasterCLI != nil {
		return k.openMasterCLI()
	}
	return nil
}

// attend serves one client of the door, on its own goroutine.
func (k *Keeper) attend(c *ipc.Conn) {
	defer c.Close()
	cred, err := c.PeerCred()
	if err != nil || (cred.Uid != 0 && int(cred.Uid) != os.Geteuid()) {
		return
	}
	for {
		packet, fds, err := c.Receive(time.Now().Add(time.Minute))
		if err != nil {
			return
		}
		var msg doorMessage
		if json.Unmarshal(packet, &msg) != nil {
			ipc.CloseAll(fds)
			return
		}
		err = k.atDoor(c, msg, fds)
		ipc.CloseAll(fds)
		if err != nil {
			_ = doorSend(c, doorMessage{Op: msg.Op, Error: err.Error()})
		}
	}
}

func doorSend(c *ipc.Conn, m doorMessage, fds ...int) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return c.Send(b, doorStep, fds...)
}

var errNoWorker = errors.New("no worker serves at the moment")

func (k *Keeper) atDoor(c *ipc.Conn, msg doorMessage, fds []int) error {
	switch msg.Op {
	case doorSockets:
		return k.showSockets(c)
	case doorState:
		got := make(chan int, 1)
		k.do(func() {
			if k.current == nil {
				got <- -1
				return
			}
			k.ask(k.current, worker.OpState, stateWait, func(fd int) { got <- fd })
		})
		select {
		case fd := <-got:
			if fd < 0 {
				return errNoWorker
			}
			defer syscall.Close(fd)
			return doorSend(c, doorMessage{Op: msg.Op}, fd)
		case <-k.done:
			return errNoWorker
		}
	case doorReplace:
		k.do(func() { k.replaced(msg.Now, fds) })
		return doorSend(c, doorMessage{Op: msg.Op})
	case doorRuntime:
		fd, err := k.runtimeStream(func() *child { return k.current })
		if err != nil {
			return err
		}
		defer syscall.Close(fd)
		return doorSend(c, doorMessage{Op: msg.Op}, fd)
	case doorStatus:
		var text string
		k.do(func() { text = k.showProc() })
		return doorSend(c, doorMessage{Op: msg.Op, Text: text})
	case doorControl:
		text, err := k.control(msg.Text)
		if err != nil {
			return err
		}
		fd, err := ipc.NewBlob([]byte(text))
		if err != nil {
			return err
		}
		defer syscall.Close(fd)
		return doorSend(c, doorMessage{Op: msg.Op}, fd)
	case doorReload:
		ok, text := k.reloadAndWait()
		if !ok {
			return fmt.Errorf("the configuration was not loaded\n%s", text)
		}
		return doorSend(c, doorMessage{Op: msg.Op, Text: text})
	}
	return fmt.Errorf("unknown request %q", msg.Op)
}

func (k *Keeper) showSockets(c *ipc.Conn) error {
	var specs []socket.Spec
	var fds []int
	k.do(func() {
		list, held := k.sockets.list()
		for i, fd := range held {
			if d, err := socket.Dup(fd); err == nil {
				specs, fds = append(specs, list[i]), append(fds, d)
			}
		}
	})
	defer ipc.CloseAll(fds)
	for first := 0; ; first += perMessage {
		last := min(first+perMessage, len(specs))
		m := doorMessage{Op: doorSockets, Specs: specs[first:last], More: last < len(specs)}
		if err := doorSend(c, m, fds[first:last]...); err != nil || !m.More {
			return err
		}
	}
}

// replaced makes way for another keeper whose worker serves now.
func (k *Keeper) replaced(now bool, peer []int) {
	if now {
		k.stopNow()
		return
	}
	if k.stopping {
		return
	}
	if k.current != nil && len(peer) > 0 {
		k.current.draining, k.current.told = true, true
		k.tell(k.current, message{Op: worker.OpDrain}, peer[0])
	}
	k.softStop()
}

// runtimeStream connects to a worker's runtime API. It may be called from
// any goroutine; which is called in the loop.
func (k *Keeper) runtimeStream(which func() *child) (fd int, err error) {
	p, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	err = errNoWorker
	k.do(func() {
		if c := which(); c != nil {
			k.tell(c, message{Op: worker.OpRuntime}, p[1])
			err = nil
		}
	})
	syscall.Close(p[1])
	if err != nil {
		syscall.Close(p[0])
		return -1, err
	}
	return p[0], nil
}

// oldKeeper is a keeper that this one replaces.
type oldKeeper struct {
	pid  int
	conn *ipc.Conn
}

// knock reaches the keeper with a process id, if that is one.
func knock(pid int) (*ipc.Conn, error) {
	uc, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: DoorName(pid), Net: "unixpacket"})
	if err != nil {
		return nil, err
	}
	c := ipc.FromUnixConn(uc)
	// The number in the name is one of the keeper's process namespace, which
	// need not be ours: what counts is whose process it is.
	cred, err := c.PeerCred()
	if err != nil || (cred.Uid != 0 && int(cred.Uid) != os.Geteuid()) {
		c.Close()
		return nil, fmt.Errorf("process %d is not the keeper that it seems to be", pid)
	}
	if int(cred.Uid) != os.Geteuid() && os.Geteuid() != 0 {
		c.Close() // it would hang up
		return nil, fmt.Errorf("process %d belongs to root: %w (you must be root)", pid, fs.ErrPermission)
	}
	return c, nil
}

func doorReceive(c *ipc.Conn, wait time.Duration) (m doorMessage, fds []int, err error) {
	packet, fds, err := c.Receive(time.Now().Add(wait))
	if err != nil {
		return m, nil, err
	}
	if err := json.Unmarshal(packet, &m); err != nil {
		ipc.CloseAll(fds)
		return m, nil, err
	}
	if m.Error != "" {
		ipc.CloseAll(fds)
		if m.Error == ErrBegins.Error() {
			return m, nil, ErrBegins
		}
		return m, nil, errors.New(m.Error)
	}
	return m, fds, nil
}

// findOld collects the sockets of the processes that this one replaces, so
// that nothing is refused and nothing is bound twice.
func (k *Keeper) findOld() {
	if k.o.OldSocket != "" && k.o.OldSocket != "none" {
		held, specs, err := socket.Fetch(k.o.OldSocket)
		if err != nil {
			k.log(Warning, "%v", err)
		}
		for _, s := range specs {
			k.sockets.adopt(s, held[s.Key()])
		}
	}
	for _, pid := range k.o.OldPids {
		if pid <= 0 || syscall.Kill(pid, 0) != nil {
			continue
		}
		c, err := knock(pid)
		if err != nil {
			k.foreign = append(k.foreign, pid)
			continue
		}
		old := &oldKeeper{pid, c}
		if err := old.sockets(k.sockets); err != nil {
			c.Close()
			k.foreign = append(k.foreign, pid)
			continue
		}
		k.olds = append(k.olds, old)
	}
}

func (o *oldKeeper) sockets(t *table) error {
	if err := doorSend(o.conn, doorMessage{Op: doorSockets}); err != nil {
		return err
	}
	for {
		m, fds, err := doorReceive(o.conn, doorStep)
		if err != nil {
			return err
		}
		if len(fds) != len(m.Specs) {
			ipc.CloseAll(fds)
			return fmt.Errorf("the old process sent %d sockets for %d names", len(fds), len(m.Specs))
		}
		for i, s := range m.Specs {
			t.adopt(s, fds[i])
		}
		if !m.More {
			return nil
		}
	}
}

// state asks for the state of the old worker; -1: there is none.
func (o *oldKeeper) state(wait time.Duration) int {
	if doorSend(o.conn, doorMessage{Op: doorState}) != nil {
		return -1
	}
	_, fds, err := doorReceive(o.conn, wait+doorStep)
	if err != nil || len(fds) == 0 {
		return -1
	}
	ipc.CloseAll(fds[1:])
	return fds[0]
}

// replaceOld ends the processes that this one replaces, once c serves.
func (k *Keeper) replaceOld(c *child) {
	olds, now := k.olds, k.o.OldNow
	k.olds = nil
	for _, old := range olds {
		var peer []int
		if !now {
			if a, b, err := ipc.Pair(); err == nil {
				k.tell(c, message{Op: worker.OpPeer}, b)
				syscall.Close(b)
				peer = []int{a}
			}
		}
		go func() {
			defer old.conn.Close()
			defer ipc.CloseAll(peer)
			err := doorSend(old.conn, doorMessage{Op: doorReplace, Now: now}, peer...)
			if err == nil {
				_, _, err = doorReceive(old.conn, doorStep)
			}
			if err != nil {
				_ = syscall.Kill(old.pid, endSignal(now))
			}
		}()
	}
	for _, pid := range k.foreign {
		_ = syscall.Kill(pid, endSignal(now))
	}
	k.foreign, k.paused = nil, false
}

func endSignal(now bool) syscall.Signal {
	if now {
		return syscall.SIGTERM
	}
	return syscall.SIGUSR1
}
