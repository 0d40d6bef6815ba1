package worker

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"evenkeel/internal/keeper/ipc"
	"evenkeel/internal/keeper/socket"
)

// sendWait bounds how long a worker waits for its keeper to read.
const sendWait = 5 * time.Second

// Remote is the Control of a worker whose keeper is another process.
type Remote struct {
	conn   *ipc.Conn
	boot   Boot
	events chan Event // closed by the reader

	mu      sync.Mutex
	nextID  int
	pending map[int]chan answer // nil after the keeper is gone
}

type answer struct {
	msg Message
	fds []int
}

var _ Control = (*Remote)(nil)

// IsWorker says whether this process was started by a keeper.
func IsWorker() bool { return os.Getenv(FDVariable) != "" }

// Connect reaches the keeper that started this process and waits for its
// first message. The variable is removed, so that programs started from here
// do not take themselves for workers.
func Connect() (*Remote, error) {
	fd, err := strconv.Atoi(os.Getenv(FDVariable))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", FDVariable, err)
	}
	os.Unsetenv(FDVariable)
	syscall.CloseOnExec(fd)
	conn, err := ipc.FromFD(fd)
	if err != nil {
		return nil, err
	}
	return NewRemote(conn)
}

// NewRemote speaks over conn, which it owns from now on.
func NewRemote(conn *ipc.Conn) (*Remote, error) {
	r := &Remote{conn: conn, events: make(chan Event, 64), pending: map[int]chan answer{}}
	packet, fds, err := conn.Receive(time.Time{})
	if err != nil {
		return nil, fmt.Errorf("the keeper says nothing: %w", err)
	}
	msg, err := Decode(packet)
	if err != nil {
		return nil, err
	}
	if msg.Op != OpBoot || msg.Boot == nil {
		return nil, fmt.Errorf("the keeper begins with %q", msg.Op)
	}
	r.boot = *msg.Boot
	if len(fds) > 0 {
		ipc.CloseAll(fds[1:])
		if r.boot.Blob, err = ipc.ReadBlob(fds[0]); err != nil {
			return nil, fmt.Errorf("the last good configuration: %w", err)
		}
	}
	go r.read()
	return r, nil
}

func (r *Remote) read() {
	defer close(r.events)
	defer r.fail()
	for {
		packet, fds, err := r.conn.Receive(time.Time{})
		if err != nil {
			return
		}
		msg, err := Decode(packet)
		if err != nil {
			ipc.CloseAll(fds)
			continue
		}
		if msg.Op == OpAnswer {
			r.mu.Lock()
			ch := r.pending[msg.ID]
			delete(r.pending, msg.ID)
			r.mu.Unlock()
			if ch == nil {
				ipc.CloseAll(fds)
				continue
			}
			ch <- answer{msg, fds}
			continue
		}
		if ev, ok := r.event(msg, fds); ok {
			r.events <- ev
		}
	}
}

// fail answers everything that waits: the keeper is gone.
func (r *Remote) fail() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ch := range r.pending {
		close(ch)
	}
	r.pending = nil
}

func (r *Remote) event(msg Message, fds []int) (Event, bool) {
	kind, ok := map[Op]EventKind{
		OpDrain: EventDrain, OpStop: EventStop, OpLeave: EventLeave, OpPause: EventPause, OpResume: EventResume,
		OpPeer: EventPeer, OpState: EventState, OpRuntime: EventRuntime,
	}[msg.Op]
	if !ok {
		ipc.CloseAll(fds)
		return Event{}, false
	}
	ev := Event{Kind: kind, FD: -1}
	switch {
	case kind == EventState:
		ipc.CloseAll(fds)
		ev.Reply = func(state []byte) { _ = r.sendBlob(Message{Op: OpAnswer, ID: msg.ID}, state) }
	case len(fds) != 1:
		ipc.CloseAll(fds)
		return ev, kind != EventPeer && kind != EventRuntime
	case kind == EventRuntime:
		ev.FD = fds[0]
	default:
		conn, err := ipc.FromFD(fds[0])
		if err != nil {
			return ev, kind != EventPeer
		}
		ev.Peer = NewPeer(conn)
	}
	return ev, true
}

// call sends a request and waits for the answer. A keeper that starts well
// answers at once; one that is gone closes the channel.
func (r *Remote) call(msg Message, fds ...int) (answer, error) {
	ch := make(chan answer, 1)
	r.mu.Lock()
	if r.pending == nil {
		r.mu.Unlock()
		return answer{}, errKeeperGone
	}
	r.nextID++
	msg.ID = r.nextID
	r.pending[msg.ID] = ch
	r.mu.Unlock()
	if err := r.conn.Send(msg.Encode(), sendWait, fds...); err != nil {
		r.mu.Lock()
		delete(r.pending, msg.ID)
		r.mu.Unlock()
		return answer{}, fmt.Errorf("cannot reach the keeper: %w", err)
	}
	a, ok := <-ch
	switch {
	case !ok:
		return a, errKeeperGone
	case a.msg.Elsewhere:
		ipc.CloseAll(a.fds)
		return a, ErrElsewhere
	case a.msg.Error != "":
		ipc.CloseAll(a.fds)
		return a, errors.New(a.msg.Error)
	}
	return a, nil
}

var errKeeperGone = errors.New("the keeper is gone")

func (r *Remote) sendBlob(msg Message, blob []byte) error {
	fd, err := ipc.NewBlob(blob)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	return r.conn.Send(msg.Encode(), sendWait, fd)
}

// Boot implements Control.
func (r *Remote) Boot() Boot { return r.boot }

// Configure implements Control.
func (r *Remote) Configure(s Settings) error {
	_, err := r.call(Message{Op: OpConfigure, Settings: &s})
	return err
}

// Listen implements Control.
func (r *Remote) Listen(spec socket.Spec) (int, error) {
	a, err := r.call(Message{Op: OpListen, Spec: &spec})
	if err != nil {
		return -1, err
	}
	if len(a.fds) != 1 {
		ipc.CloseAll(a.fds)
		return -1, fmt.Errorf("the keeper sent %d descriptors for %s", len(a.fds), spec)
	}
	return a.fds[0], nil
}

// PreviousState implements Control.
func (r *Remote) PreviousState() ([]byte, error) {
	a, err := r.call(Message{Op: OpPrevious})
	if err != nil || len(a.fds) == 0 {
		return nil, err
	}
	ipc.CloseAll(a.fds[1:])
	return ipc.ReadBlob(a.fds[0])
}

// Ready implements Control.
func (r *Remote) Ready(blob []byte) error {
	fd, err := ipc.NewBlob(blob)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	a, err := r.call(Message{Op: OpReady}, fd)
	if err != nil {
		return err
	}
	defer ipc.CloseAll(a.fds)
	if !a.msg.Detach || len(a.fds) != 1 {
		return nil
	}
	// The keeper sends /dev/null, which a new root need not have.
	return redirect(a.fds[0])
}

// ReportDown implements Control.
func (r *Remote) ReportDown(backends []string) error {
	b, err := json.Marshal(backends)
	if err != nil {
		return err
	}
	return r.sendBlob(Message{Op: OpDown}, b)
}

// SaveState implements Control.
func (r *Remote) SaveState(state []byte) error { return r.sendBlob(Message{Op: OpSave}, state) }

// Log implements Control.
func (r *Remote) Log(text string) {
	_ = r.conn.Send(Message{Op: OpLog, Text: truncate(text, ipc.MaxPacket/8)}.Encode(), sendWait)
}

func truncate(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

// Events implements Control.
func (r *Remote) Events() <-chan Event { return r.events }

// Close implements Control.
func (r *Remote) Close() error { return r.conn.Close() }

// LeaveTerminal points the standard streams at /dev/null.
func LeaveTerminal() error {
	f, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return redirect(int(f.Fd()))
}

func redirect(null int) error {
	for fd := range 3 {
		if err := syscall.Dup3(null, fd, 0); err != nil {
			return fmt.Errorf("dup of /dev/null: %w", err)
		}
	}
	return nil
}
