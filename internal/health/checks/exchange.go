package checks

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"evenkeel/internal/pool"
)

// defaultBufSize bounds what a check reads where no tune.bufsize is given.
const defaultBufSize = 16384

// exchange is one run of a script.
type exchange struct {
	// Set once.
	script *Script
	target *Target
	ctx    context.Context

	// Owned by the run.
	conn     net.Conn // what is read and written
	raw      net.Conn // the connection below TLS
	linger   bool     // close politely
	tls      bool
	in       []byte
	eof      bool
	step     step
	number   int // of the step, as users count; 0: the implicit connect
	last     bool
	facts    Facts
	response *response // of an HTTP exchange
	outcome  *Result   // of the last expect

	mu      sync.Mutex
	closing net.Conn // what interrupt may cut off
}

// interrupt ends a wait on the network. It runs on its own goroutine.
func (x *exchange) interrupt() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closing != nil {
		x.closing.SetDeadline(time.Unix(1, 0))
	}
}

// hold makes c the connection.
func (x *exchange) hold(c net.Conn) {
	x.mu.Lock()
	x.closing = c
	x.mu.Unlock()
	x.conn, x.raw = c, c
	if x.ctx.Err() != nil {
		c.SetDeadline(time.Unix(1, 0))
	}
}

// setDeadline bounds what follows, unless the run is being ended.
func (x *exchange) setDeadline(t time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.ctx.Err() == nil {
		x.raw.SetDeadline(t)
	}
}

// close ends the connection. A reset spares the server and this machine the
// states of a polite close; where the server has closed first, or the step
// asked for it, the close is polite.
func (x *exchange) close() {
	if x.raw == nil {
		return
	}
	if t, ok := x.raw.(interface{ SetLinger(int) error }); ok && !x.linger && !x.eof {
		t.SetLinger(0)
	}
	x.mu.Lock()
	x.closing = nil
	x.mu.Unlock()
	x.raw.Close()
	x.conn, x.raw = nil, nil
}

// read adds to in. false: nothing came, and r says why if it was an error (at
// the end of the stream, eof is set and r is nil).
func (x *exchange) read() (r *Result) {
	size := x.target.BufSize
	if size <= 0 {
		size = defaultBufSize
	}
	if x.eof || len(x.in) >= size {
		x.eof = true // what follows a full buffer is not looked at
		return nil
	}
	if x.in == nil {
		x.in = make([]byte, 0, min(size, 4096))
	}
	if len(x.in) == cap(x.in) {
		x.in = append(make([]byte, 0, min(size, 4*cap(x.in))), x.in...)
	}
	room := min(cap(x.in), size)
	n, err := x.conn.Read(x.in[len(x.in):room])
	x.in = x.in[:len(x.in)+n]
	switch {
	case err == nil || n > 0:
		return nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		x.eof = true
		return nil
	}
	return x.failed(err)
}

// write sends b.
func (x *exchange) write(b []byte) *Result {
	if _, err := x.conn.Write(b); err != nil {
		return x.failed(err)
	}
	return nil
}

// failed is the result of an error on an open connection.
func (x *exchange) failed(err error) *Result {
	if isTimeout(err) {
		status := pool.CheckL7Timeout
		if e, ok := x.step.(interface{ timeoutStatus() pool.CheckStatus }); ok && e.timeoutStatus() != 0 {
			status = e.timeoutStatus()
		}
		return &Result{Status: status, Info: x.where()}
	}
	return &Result{Status: pool.CheckSockErr, Info: errorText(err) + x.where()}
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}

// errorText words an error as strerror does.
func errorText(err error) string {
	var e syscall.Errno
	if !errors.As(err, &e) {
		if errors.Is(err, io.ErrClosedPipe) {
			e = syscall.EPIPE
		} else {
			return err.Error()
		}
	}
	s := e.Error()
	return strings.ToUpper(s[:1]) + s[1:]
}

// where names the step of a tcp-check script that failed.
func (x *exchange) where() string {
	if !x.script.user {
		return ""
	}
	if x.number == 0 {
		return " at initial connection step of tcp-check"
	}
	return " at step " + itoa(x.number) + " of tcp-check" + x.step.about()
}

// passed is the result when all steps went well.
func (x *exchange) passed() Result {
	if x.outcome != nil {
		return *x.outcome
	}
	if isConnect(x.step) {
		if x.tls {
			return Result{Status: pool.CheckL6OK}
		}
		return Result{Status: pool.CheckL4OK}
	}
	return Result{Status: pool.CheckL7OK, Info: "(tcp-check)"}
}
