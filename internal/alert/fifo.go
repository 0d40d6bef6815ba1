package alert

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"evenkeel/internal/command"
)

// FIFO writes keepalived's lines into a named pipe, for a program that the user
// starts, or that is started here.
type FIFO struct {
	Path    string
	Objects Objects
	User    *command.Identity // who owns the FIFO when it is made here; nil: we
	// Reader is started with the path as its last argument, and again when it
	// ends.
	Reader *command.Command
	Secure bool // see command.Verify; for the reader
}

// Objects says what a FIFO is about.
type Objects uint8

// The choices: notify_fifo, vrrp_notify_fifo, lvs_notify_fifo.
const (
	AllObjects Objects = iota
	VRRPObjects
	LVSObjects
)

// Key implements Spec.
func (f FIFO) Key() string { return "fifo " + f.Path }

// Wants implements Spec.
func (f FIFO) Wants(e *Event) bool {
	if e.Notify == nil {
		return false
	}
	vrrp := e.Notify.Object == "INSTANCE" || e.Notify.Object == "GROUP"
	return f.Objects == AllObjects || vrrp == (f.Objects == VRRPObjects)
}

func (f FIFO) traits() traits {
	return traits{local: true, timeout: time.Second, batch: 64, firstPause: 10 * time.Millisecond, lastPause: time.Second}
}

func (f FIFO) open(tell func(Severity, string)) (output, error) {
	o := &fifoOutput{spec: f, fd: -1, tell: tell}
	if err := o.attach(); err != nil {
		return nil, err
	}
	return o, nil
}

// fifoOutput holds the pipe open for reading too: then a write fails only when
// the pipe is full, and lines wait in it for a reader that starts later. The
// FIFO stays when we end, so that readers need not notice a restart.
type fifoOutput struct {
	// Set once.
	spec FIFO
	tell func(Severity, string)

	fd     int
	inode  uint64
	reader *reader
	buf    []byte
}

// attach opens the FIFO, and makes it if it is not there.
func (o *fifoOutput) attach() error {
	path := o.spec.Path
	err := unix.Mkfifo(path, 0o600)
	switch {
	case err == nil:
		if u := o.spec.User; u != nil {
			if err := os.Lchown(path, int(u.UID), int(u.GID)); err != nil {
				return err
			}
		}
	case !errors.Is(err, syscall.EEXIST):
		return fmt.Errorf("mkfifo %s: %w", path, err)
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return fmt.Errorf("%s: %w", path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFIFO {
		unix.Close(fd)
		return fmt.Errorf("%s is there and is not a FIFO: remove it, or give another name", path)
	}
	o.detach()
	o.fd, o.inode = fd, st.Ino
	return nil
}

func (o *fifoOutput) detach() {
	if o.fd >= 0 {
		unix.Close(o.fd)
		o.fd = -1
	}
}

// begin starts the reader.
func (o *fifoOutput) begin() {
	if c := o.spec.Reader; c != nil {
		o.reader = startReader(c.With(o.spec.Path), o.spec.Secure, o.tell)
	}
}

func (o *fifoOutput) send(ctx context.Context, batch []*Event) (int, error) {
	// Somebody may have removed it and made another.
	var st unix.Stat_t
	if err := unix.Lstat(o.spec.Path, &st); o.fd < 0 || err != nil || st.Ino != o.inode {
		if err := o.attach(); err != nil {
			return 0, err
		}
	}
	for i, e := range batch {
		o.buf = e.Notify.AppendLine(o.buf[:0])
		if len(o.buf) > pipeBuf {
			return i, permanent{fmt.Errorf("a line of %d bytes is too long", len(o.buf))}
		}
		if err := o.write(ctx); err != nil {
			return i, err
		}
	}
	return len(batch), nil
}

// pipeBuf is PIPE_BUF: no more is written whole or not at all.
const pipeBuf = 4096

func (o *fifoOutput) write(ctx context.Context) error {
	for {
		_, err := unix.Write(o.fd, o.buf)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			if ctx.Err() != nil {
				return fmt.Errorf("%s is full: nobody reads it", o.spec.Path)
			}
			// In short steps, so that the end of patience is noticed.
			p := []unix.PollFd{{Fd: int32(o.fd), Events: unix.POLLOUT}}
			unix.Poll(p, 50)
		default:
			return fmt.Errorf("%s: %w", o.spec.Path, err)
		}
	}
}

func (o *fifoOutput) close() {
	o.detach()
	o.reader.end()
}

// reader keeps a program running.
type reader struct {
	stop chan struct{} // closed by end
	done chan struct{} // closed when the program is no more
	once sync.Once
}

const (
	// A reader that ran for so long is started again at once.
	steady          = 10 * time.Second
	firstReaderWait = time.Second
	lastReaderWait  = 30 * time.Second
	// A reader that is to end has so long to read what is in the pipe, and as
	// long again between SIGTERM and SIGKILL.
	readerGrace = 500 * time.Millisecond
)

func startReader(c command.Command, secure bool, tell func(Severity, string)) *reader {
	r := &reader{stop: make(chan struct{}), done: make(chan struct{})}
	go r.keep(c, secure, tell)
	return r
}

// keep starts the program again each time that it ends.
func (r *reader) keep(c command.Command, secure bool, tell func(Severity, string)) {
	defer close(r.done)
	pause := firstReaderWait
	for {
		started := time.Now()
		p, err := command.Start(c, command.Options{Secure: secure, DieWithParent: true})
		if err != nil {
			tell(Error, fmt.Sprintf("its program cannot be started: %v", err))
		} else {
			e, stopped := r.attend(p)
			if stopped {
				return
			}
			tell(Warning, fmt.Sprintf("its program ended (%s) and is started again: %s", e, c))
		}
		if time.Since(started) > steady {
			pause = firstReaderWait
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-r.stop:
			t.Stop()
			return
		}
		pause = min(2*pause, lastReaderWait)
	}
}

// attend waits for the program's end, or ends it when it is to stop.
func (r *reader) attend(p *command.Process) (e command.Exit, stopped bool) {
	ended := make(chan command.Exit, 1)
	go func() { ended <- p.Wait() }()
	select {
	case e := <-ended:
		return e, false
	case <-r.stop:
	}
	// Our end of the pipe is closed by now, so most readers see its end.
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		t := time.NewTimer(readerGrace)
		select {
		case e = <-ended:
			t.Stop()
			return e, true
		case <-t.C:
			p.Kill(sig)
		}
	}
	return <-ended, true
}

// end ends the program and waits until it has ended.
func (r *reader) end() {
	if r == nil {
		return
	}
	r.once.Do(func() { close(r.stop) })
	<-r.done
}
