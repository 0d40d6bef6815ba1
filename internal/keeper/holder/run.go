package holder

import (
	"bytes"
	"fmt"
	"io"
	"syscall"
	"time"

	"evenkeel/internal/keeper/ipc"
	"evenkeel/internal/keeper/lease"
	"evenkeel/internal/keeper/worker"
	"evenkeel/internal/model"
)

// Service is what holds the addresses. Run calls its methods one at a time,
// except Control, which may come at any time after Start.
type Service interface {
	// Prepare reads and checks the configuration, all of it from files. It
	// changes nothing that runs; Start or Apply switches to it.
	Prepare(files *worker.Files) model.Diagnostics
	// Start begins to serve, as the process that left state; nil: as new.
	Start(page *lease.Page, state []byte) error
	// Apply switches to what Prepare read.
	Apply()
	// Release hands all addresses over, and returns when they are gone. why is
	// Stopped or KeeperDied.
	Release(why string)
	// Retire writes the state down and stops; addresses stay as they are.
	Retire()
	// Control answers one command of a person.
	Control(line string) string
}

// Reasons of Release.
const (
	Stopped    = "stopped"
	KeeperDied = "the keeper has died" // nobody wanted it to end
)

// Options are how Run behaves around a service.
type Options struct {
	Stderr io.Writer
	// Report prints diagnostics; nil: one plain line each.
	Report func(w io.Writer, d model.Diagnostics)
	Quiet  bool // warnings are not printed
}

type runner struct {
	conn  *ipc.Conn
	page  *lease.Page
	files *worker.Files // of the last Prepare without errors
	svc   Service
	o     Options
}

// sendWait bounds how long a message waits for a keeper that is busy.
const sendWait = 2 * time.Second

// Run takes a service from its configuration to its end and returns the exit
// status of the process. When the keeper dies the addresses are handed over:
// nobody could start the proxy again.
func Run(l *Link, svc Service, o Options) int {
	r := &runner{conn: l.Conn, page: l.Page, svc: svc, o: o}
	defer r.conn.Close()
	if r.o.Stderr == nil {
		r.o.Stderr = io.Discard
	}
	messages := make(chan Message)
	go r.listen(messages)
	if !r.prepare(l.Files) {
		r.send(Message{Op: OpBuilt, Error: errConfiguration})
		return 1
	}
	r.send(Message{Op: OpBuilt})
	serves := false
	for m := range messages {
		switch m.Op {
		case OpStart:
			if err := r.start(m.Detach); err != nil {
				r.report(model.Diagnostics{{Severity: model.Error, Message: err.Error()}})
				r.send(Message{Op: OpServes, Error: err.Error()})
				return 1
			}
			serves = true
			r.tellText(OpServes)
		case OpPrepare:
			answer := Message{Op: OpAnswer, ID: m.ID}
			if !r.prepare(worker.NewFiles()) {
				answer.Error = errConfiguration
			}
			r.send(answer)
		case OpApply:
			svc.Apply()
			r.tellText(OpText)
		case OpControl:
			go r.control(m)
		case OpRetire:
			svc.Retire()
			return 0
		case OpRelease:
			if serves {
				svc.Release(Stopped)
			}
			return 0
		}
	}
	if serves {
		svc.Release(KeeperDied)
	}
	return 1
}

const errConfiguration = "the configuration has errors"

// prepare reads a configuration; files are those of what Apply switches to.
func (r *runner) prepare(files *worker.Files) bool {
	d := r.svc.Prepare(files)
	r.report(d)
	if d.HasErrors() {
		return false
	}
	r.files = files
	return true
}

// tellText gives the keeper what the next process is built from if this one
// dies.
func (r *runner) tellText(op Op) {
	fd, err := ipc.NewBlob(r.files.Snapshot())
	if err != nil {
		r.report(model.Diagnostics{{Severity: model.Warning, Message: "a crash of the failover process would read its files from the disk again: " + err.Error()}})
		r.send(Message{Op: op})
		return
	}
	r.send(Message{Op: op}, fd)
	syscall.Close(fd)
}

// listen closes messages when the keeper is gone.
func (r *runner) listen(messages chan<- Message) {
	defer close(messages)
	for {
		packet, fds, err := r.conn.Receive(time.Time{})
		if err != nil {
			return
		}
		ipc.CloseAll(fds)
		if m, err := Decode(packet); err == nil {
			messages <- m
		}
	}
}

func (r *runner) start(detach bool) error {
	state := r.page.ReadState()
	if err := r.svc.Start(r.page, state); err != nil {
		return err
	}
	if detach {
		return worker.LeaveTerminal()
	}
	return nil
}

func (r *runner) control(m Message) {
	answer := Message{Op: OpAnswer, ID: m.ID}
	fd, err := ipc.NewBlob([]byte(r.svc.Control(m.Text)))
	if err != nil {
		answer.Error = err.Error()
		r.send(answer)
		return
	}
	r.send(answer, fd)
	syscall.Close(fd)
}

// send gives up on a keeper that does not read: its death or its silence is
// noticed elsewhere.
func (r *runner) send(m Message, fds ...int) { _ = r.conn.Send(m.Encode(), sendWait, fds...) }

func (r *runner) report(d model.Diagnostics) {
	if len(d) == 0 {
		return
	}
	var b bytes.Buffer
	if r.o.Report != nil {
		r.o.Report(&b, d)
	} else {
		for _, x := range d {
			fmt.Fprintln(&b, x)
		}
	}
	if !r.o.Quiet || d.HasErrors() {
		_, _ = r.o.Stderr.Write(b.Bytes())
	}
	text := b.String()
	if len(text) > ipc.MaxPacket/2 {
		text = text[:ipc.MaxPacket/2]
	}
	r.send(Message{Op: OpLog, Text: text})
}

func closeOnExec(fd int) { syscall.CloseOnExec(fd) }
