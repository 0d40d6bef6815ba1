package keeper

import (
	"errors"
	"os"
	"syscall"
	"time"

	"evenkeel/internal/keeper/ipc"
	"evenkeel/internal/keeper/socket"
	"evenkeel/internal/keeper/worker"
)

// stateWait is how long a worker may take to write its state down for the
// next one. After it the last saved state is used.
const stateWait = 2 * time.Second

// receive handles one message of a worker; fds are its to close.
func (k *Keeper) receive(c *child, msg message, fds []int) {
	take := func() int {
		if len(fds) == 0 {
			return -1
		}
		fd := fds[0]
		fds = fds[1:]
		return fd
	}
	switch msg.Op {
	case worker.OpAnswer:
		c.answered(msg.ID, take())
	case worker.OpConfigure:
		k.configure(c, msg)
	case worker.OpListen:
		k.open(c, msg)
	case worker.OpPrevious:
		k.previous(c, msg.ID)
	case worker.OpReady:
		k.readiness(c, msg.ID, take())
	case worker.OpSave:
		if fd := take(); fd >= 0 {
			if state, err := ipc.ReadBlob(fd); err == nil && c == k.current {
				k.state = state
			}
		}
	case worker.OpDown:
		k.backendsDown(c, take())
	case worker.OpLog:
		k.startLog.WriteString(msg.Text)
	}
	ipc.CloseAll(fds)
}

func (k *Keeper) reply(c *child, id int, err error) {
	m := message{Op: worker.OpAnswer, ID: id}
	if err != nil {
		m.Error = err.Error()
	}
	k.tell(c, m)
}

func (k *Keeper) configure(c *child, msg message) {
	if msg.Settings == nil {
		k.reply(c, msg.ID, errors.New("no settings"))
		return
	}
	c.settings = *msg.Settings
	if k.settled {
		k.reply(c, msg.ID, nil)
		return
	}
	if c.settings.Daemon && !k.o.Foreground && !detached() {
		// The worker holds nothing yet; it starts over from a keeper that no
		// terminal knows.
		k.tell(c, message{Op: worker.OpAnswer, ID: msg.ID, Elsewhere: true})
		k.candidate = nil
		c.told = true
		k.exit = Detach(k.o)
		k.finished = true
		return
	}
	if c.settings.MasterWorker {
		k.master = true
	}
	err := k.openPid(c.settings)
	k.reply(c, msg.ID, err)
}

// open answers with a socket that is held, or a new one.
func (k *Keeper) open(c *child, msg message) {
	if msg.Spec == nil {
		k.reply(c, msg.ID, errors.New("no description of a socket"))
		return
	}
	spec := *msg.Spec
	if fd, ok := k.sockets.find(spec, c.generation); ok {
		k.tell(c, message{Op: worker.OpAnswer, ID: msg.ID}, fd)
		return
	}
	fd, publish, err := socket.Open(spec)
	if errors.Is(err, syscall.EADDRINUSE) && len(k.foreign) > 0 {
		k.openWhenFree(c, msg.ID, spec, 200)
		return
	}
	k.opened(c, msg.ID, spec, fd, publish, err)
}

func (k *Keeper) opened(c *child, id int, spec socket.Spec, fd int, publish func() error, err error) {
	if err != nil {
		k.reply(c, id, err)
		return
	}
	if c != k.candidate {
		syscall.Close(fd)
		return
	}
	k.sockets.add(spec, c.generation, fd, publish)
	k.tell(c, message{Op: worker.OpAnswer, ID: id}, fd)
}

// openWhenFree asks the processes that are being replaced to let go of their
// addresses, and tries again until they have.
func (k *Keeper) openWhenFree(c *child, id int, spec socket.Spec, tries int) {
	if !k.paused {
		k.paused = true
		for _, pid := range k.foreign {
			_ = syscall.Kill(pid, syscall.SIGTTOU)
		}
	}
	k.after(10*time.Millisecond, func() {
		fd, publish, err := socket.Open(spec)
		if errors.Is(err, syscall.EADDRINUSE) && tries > 0 && c == k.candidate {
			k.openWhenFree(c, id, spec, tries-1)
			return
		}
		k.opened(c, id, spec, fd, publish, err)
	})
}

// previous answers with the freshest state there is.
func (k *Keeper) previous(c *child, id int) {
	answer := func(fd int) {
		switch {
		case fd >= 0:
			k.tell(c, message{Op: worker.OpAnswer, ID: id}, fd)
			syscall.Close(fd)
		case len(k.state) > 0:
			k.tellBlob(c, message{Op: worker.OpAnswer, ID: id}, k.state)
		default:
			k.reply(c, id, nil)
		}
	}
	switch {
	case k.current != nil:
		k.ask(k.current, worker.OpState, stateWait, answer)
	case !k.settled && len(k.olds) > 0:
		old := k.olds[0]
		go func() {
			fd := old.state(stateWait)
			k.post(func() { answer(fd) })
		}()
	default:
		answer(-1)
	}
}

func (k *Keeper) readiness(c *child, id, fd int) {
	var blob []byte
	if fd >= 0 {
		var err error
		if blob, err = ipc.ReadBlob(fd); err != nil {
			k.reply(c, id, err)
			return
		}
	}
	if c != k.candidate {
		k.reply(c, id, errors.New("this worker is not wanted any more"))
		return
	}
	wasSettled := k.settled
	if err := k.commit(c, blob); err != nil {
		k.log(Alert, "%v", err)
		k.reply(c, id, err)
		return
	}
	var null []int
	if detached() {
		if fd, err := syscall.Open(os.DevNull, syscall.O_RDWR|syscall.O_CLOEXEC, 0); err == nil {
			null = []int{fd}
		}
	}
	k.tell(c, message{Op: worker.OpAnswer, ID: id, Detach: detached()}, null...)
	ipc.CloseAll(null)
	if wasSettled {
		k.reloadEnded(true)
		return
	}
	k.nowReady()
}

// nowReady tells whoever waits for the start.
func (k *Keeper) nowReady() {
	k.notify("READY=1\nMAINPID=" + itoa(os.Getpid()) + "\nSTATUS=Ready.")
	if detached() {
		k.leaveTerminal()
	}
}
