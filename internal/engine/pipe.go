package engine

import (
	"io"
	"syscall"
	"unsafe"
)

// Pipe carries bytes from one socket to another inside the kernel.
type Pipe struct {
	r, w int32
	n    int
}

// Len is the number of bytes in the pipe.
func (p *Pipe) Len() int { return p.n }

// pipesKept is how many empty pipes a loop keeps for the next connections.
const pipesKept = 64

// GetPipe gives an empty pipe.
func (l *Loop) GetPipe() (*Pipe, error) {
	if n := len(l.pipes) - 1; n >= 0 {
		p := l.pipes[n]
		l.pipes = l.pipes[:n]
		return p, nil
	}
	var fds [2]int32
	_, _, e := syscall.RawSyscall(syscall.SYS_PIPE2, uintptr(unsafe.Pointer(&fds)), syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if e != 0 {
		return nil, dialErr("pipe2", e)
	}
	if l.pipeCap > 0 {
		// Over the user's limit the kernel's own size is good enough.
		syscall.RawSyscall(syscall.SYS_FCNTL, uintptr(fds[1]), fSetPipeSize, uintptr(l.pipeCap))
	}
	return &Pipe{r: fds[0], w: fds[1]}, nil
}

// PutPipe takes a pipe back; what is in it is lost. nil is allowed.
func (l *Loop) PutPipe(p *Pipe) {
	if p == nil {
		return
	}
	if p.n != 0 || len(l.pipes) >= pipesKept {
		p.close()
		return
	}
	l.pipes = append(l.pipes, p)
}

func (p *Pipe) close() {
	sysClose(p.r)
	sysClose(p.w)
}

// SpliceIn moves up to n bytes of the socket into the pipe. ErrAgain means that
// the socket is empty or, if the pipe holds something, that it may be full: then
// Readable stays true, and SpliceOut is what helps.
func (c *Conn) SpliceIn(p *Pipe, n int) (int, error) {
	if c.tls != nil {
		return 0, ErrNotSupported
	}
	if c.flags&(flagReadable|flagClosed) != flagReadable {
		return 0, c.notReadable()
	}
	n, e := sysSplice(c.fd, p.w, n)
	if e == syscall.EAGAIN && p.n > 0 {
		return 0, ErrAgain
	}
	if e != 0 {
		return 0, c.readErr(e)
	}
	if n == 0 {
		c.flags |= flagEOF | flagReadClosed
		return 0, io.EOF
	}
	p.n += n
	return n, nil
}

// SpliceOut moves what the pipe holds into the socket.
func (c *Conn) SpliceOut(p *Pipe) (int, error) {
	if c.tls != nil {
		return 0, ErrNotSupported
	}
	if p.n == 0 {
		return 0, nil
	}
	if c.flags&(flagWritable|flagClosed) != flagWritable {
		return 0, c.notWritable()
	}
	n, e := sysSplice(p.r, c.fd, p.n)
	if e != 0 {
		return 0, c.writeErr(e)
	}
	p.n -= n
	c.sent(false)
	return n, nil
}
