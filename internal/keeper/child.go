package keeper

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"evenkeel/internal/keeper/ipc"
	"evenkeel/internal/keeper/worker"
)

type message = worker.Message

const (
	opPause  = worker.OpPause
	opResume = worker.OpResume
)

// child is one worker. Its fields belong to the loop.
type child struct {
	generation int
	reloads    int // of the keeper when it started
	process    *os.Process
	conn       *ipc.Conn
	started    time.Time
	ready      bool
	readyAt    time.Time
	recovery   bool
	draining   bool
	told       bool // to stop, or to go away: its end is no crash
	settings   worker.Settings
	nextID     int
	asked      map[int]func(fd int) // answers that are waited for; fd -1: none
}

// childEnvironment is this process's own without what concerns it alone, and
// with more.
func (k *Keeper) childEnvironment(more ...string) []string {
	env := make([]string, 0, len(k.o.Env)+len(more)+1)
	for _, v := range k.o.Env {
		if !strings.HasPrefix(v, detachVariable+"=") && !strings.HasPrefix(v, "NOTIFY_SOCKET=") {
			env = append(env, v)
		}
	}
	return append(env, more...)
}

// spawn starts a worker process.
func (k *Keeper) spawn(recovery bool) (*child, error) {
	ours, theirs, err := ipc.Pair()
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(theirs), "worker")
	defer file.Close()
	conn, err := ipc.FromFD(ours)
	if err != nil {
		return nil, err
	}
	env := k.childEnvironment(worker.FDVariable + "=3")
	if k.master {
		env = append(env, "HAPROXY_MWORKER=1")
	}
	attr := &os.ProcAttr{Env: env, Files: []*os.File{os.Stdin, os.Stdout, os.Stderr, file},
		// Ctrl-C in a terminal reaches the keeper alone, which then decides.
		Sys: &syscall.SysProcAttr{Setpgid: true}}
	process, err := os.StartProcess(k.o.Path, k.o.Args, attr)
	if err != nil && os.IsNotExist(err) {
		// The file was replaced or removed; what runs now can still run.
		process, err = os.StartProcess("/proc/self/exe", k.o.Args, attr)
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("cannot start a worker: %w", err)
	}
	k.generation++
	c := &child{generation: k.generation, reloads: k.reloads, process: process, conn: conn,
		started: time.Now(), recovery: recovery, asked: map[int]func(int){}}
	k.children = append(k.children, c)
	boot := message{Op: worker.OpBoot, Boot: &worker.Boot{Generation: c.generation, Recovery: recovery,
		Master: k.master, Lease: k.o.Failover}}
	if recovery {
		k.tellBlob(c, boot, k.blob)
	} else {
		k.tell(c, boot)
	}
	go k.listen(c)
	return c, nil
}

// listen reads from a worker until its socket ends, then waits for its end.
// What it sent is thereby handled before its death is.
func (k *Keeper) listen(c *child) {
	exited := make(chan *os.ProcessState, 1)
	go func() {
		st, _ := c.process.Wait()
		// A child of the worker may hold its socket open; it is over all the same.
		time.AfterFunc(50*time.Millisecond, func() { c.conn.Close() })
		exited <- st
	}()
	for {
		packet, fds, err := c.conn.Receive(time.Time{})
		if err != nil {
			break
		}
		msg, err := worker.Decode(packet)
		if err != nil {
			ipc.CloseAll(fds)
			continue
		}
		k.post(func() { k.receive(c, msg, fds) })
	}
	c.conn.Close()
	st := <-exited
	k.post(func() { k.ended(c, st) })
}

// tell sends to a worker without waiting. One that does not read its few
// messages is stuck for good.
func (k *Keeper) tell(c *child, msg message, fds ...int) {
	if c == nil {
		return
	}
	if err := c.conn.Send(msg.Encode(), 0, fds...); err == ipc.ErrBusy {
		k.log(Alert, "Worker (%d) does not listen any more: killed.", c.process.Pid)
		_ = c.process.Kill()
	}
}

func (k *Keeper) tellBlob(c *child, msg message, blob []byte) {
	fd, err := ipc.NewBlob(blob)
	if err != nil {
		msg.Error = err.Error()
		k.tell(c, msg)
		return
	}
	k.tell(c, msg, fd)
	syscall.Close(fd)
}

// ask sends a question; then gets the blob's descriptor, or -1 when nothing
// came within d or the worker died.
func (k *Keeper) ask(c *child, op worker.Op, d time.Duration, then func(fd int)) {
	c.nextID++
	id := c.nextID
	c.asked[id] = then
	k.tell(c, message{Op: op, ID: id})
	k.after(d, func() { c.answered(id, -1) })
}

func (c *child) answered(id, fd int) {
	then := c.asked[id]
	delete(c.asked, id)
	switch {
	case then != nil:
		then(fd)
	case fd >= 0:
		syscall.Close(fd)
	}
}

// describeEnd is HAProxy's "code (name)".
func describeEnd(st *os.ProcessState) (code int, text string) {
	if st == nil {
		return 1, "1 (lost)"
	}
	ws := st.Sys().(syscall.WaitStatus)
	if ws.Signaled() {
		code = 128 + int(ws.Signal())
		name := ws.Signal().String()
		return code, fmt.Sprintf("%d (%s)", code, strings.ToUpper(name[:1])+name[1:])
	}
	return ws.ExitStatus(), fmt.Sprintf("%d (Exit)", ws.ExitStatus())
}
