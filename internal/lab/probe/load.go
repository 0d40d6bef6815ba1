package probe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"evenkeel/internal/lab/record"
)

// Load is how much is asked.
type Load struct {
	Kept    int           // clients that keep their connection, for each target
	Fresh   int           // clients that open one for each request
	Pause   time.Duration // between an answer and the next request
	Timeout time.Duration // after which a request is lost
}

// DefaultLoad is enough to meet every gap of a few milliseconds, and little
// enough to leave a small machine idle.
var DefaultLoad = Load{Kept: 3, Fresh: 3, Pause: 10 * time.Millisecond, Timeout: time.Second}

// Ask sends requests to all targets until stop can be read from (its end
// counts) and writes records.
func (l Load) Ask(targets []netip.AddrPort, stop io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, stop)
		cancel()
	}()
	w := &writer{out: out}
	w.looked(Now())
	var done sync.WaitGroup
	for vip, target := range targets {
		for i := range l.Kept + l.Fresh {
			c := &client{vip: vip, target: target.String(), kept: i < l.Kept, load: l, w: w}
			done.Go(func() { c.live(ctx) })
		}
	}
	tick := time.NewTicker(flushLoad)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
			w.looked(Now())
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	done.Wait()
	return w.flush()
}

// Burn keeps one processor busy until stop ends.
func Burn(stop io.Reader) {
	var ended atomic.Bool
	go func() {
		io.Copy(io.Discard, stop)
		ended.Store(true)
	}()
	for !ended.Load() {
	}
}

// Times of the load's own clockwork.
const (
	flushLoad = 20 * time.Millisecond // how often it looks at the clock and writes
	dozed     = 20 * time.Millisecond // later than that, it did not run
)

// writer gathers records of many clients, and notes when this process did not
// run.
type writer struct {
	mu     sync.Mutex
	buffer []byte
	out    io.Writer
	last   time.Duration // when it looked at the clock
}

// looked notes that the process runs.
func (w *writer) looked(now time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last > 0 {
		if late := now - w.last - flushLoad; late > dozed {
			w.buffer = record.Append(w.buffer, record.Record{At: now, Kind: record.Slept, Took: late})
		}
	}
	w.last = now
}

func (w *writer) add(r record.Record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buffer = record.Append(w.buffer, r)
}

func (w *writer) flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := w.out.Write(w.buffer)
	w.buffer = w.buffer[:0]
	return err
}

// client asks one request after the other, on one goroutine.
type client struct {
	vip    int
	target string
	kept   bool
	load   Load
	w      *writer

	conn   net.Conn
	reader *bufio.Reader
	used   bool // the connection had an answer
}

func (c *client) live(ctx context.Context) {
	defer c.hangUp()
	timer := time.NewTimer(rand.N(c.load.Pause + 1))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		start := Now()
		used, err := c.request(ctx)
		end := Now()
		r := record.Record{At: end, Kind: record.Answer, VIP: c.vip, Kept: used, Took: end - start}
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			r.Kind, r.Took, r.Text = record.Lost, 0, reason(err)
			c.hangUp()
		}
		if c.load.known(end-start, err) {
			c.w.add(r)
		}
		// Uneven, so that clients that were held up together part again.
		timer.Reset(c.load.Pause/2 + rand.N(c.load.Pause+1))
	}
}

// known says whether a request that took so long was answered or lost. Where
// this process did not run when its patience ended, an answer may have come
// before.
func (l Load) known(took time.Duration, err error) bool {
	return err == nil || !late(err) || took <= l.Timeout*5/4
}

// request asks once. used says whether it went over a connection that had an
// answer before.
func (c *client) request(ctx context.Context) (used bool, err error) {
	if c.conn != nil && c.closed() {
		// Closed between two requests: any client opens another, and nothing is lost.
		c.hangUp()
	}
	end := time.Now().Add(c.load.Timeout)
	if c.conn == nil {
		dialer := net.Dialer{Deadline: end}
		if c.conn, err = dialer.DialContext(ctx, "tcp", c.target); err != nil {
			return false, err
		}
		c.reader, c.used = bufio.NewReader(c.conn), false
	}
	used = c.used
	c.conn.SetDeadline(end)
	persistence := "keep-alive"
	if !c.kept {
		persistence = "close"
	}
	if _, err = fmt.Fprintf(c.conn, "GET / HTTP/1.1\r\nHost: lab\r\nConnection: %s\r\n\r\n", persistence); err != nil {
		return used, err
	}
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return used, err
	}
	if _, err = io.Copy(io.Discard, response.Body); err != nil {
		return used, err
	}
	c.used = true
	if !c.kept {
		// The other side closes first, so that no port is kept busy here.
		io.Copy(io.Discard, c.reader)
	}
	if !c.kept || response.Close {
		c.hangUp()
	}
	if response.StatusCode != http.StatusOK {
		return used, fmt.Errorf("status %d", response.StatusCode)
	}
	return used, nil
}

// closed says whether the other side has ended an idle connection.
func (c *client) closed() bool {
	raw, err := c.conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return true
	}
	gone := false
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		gone = n > 0 || err == nil || !errors.Is(err, unix.EAGAIN)
		return true
	})
	return err != nil || gone
}

func (c *client) hangUp() {
	if c.conn != nil {
		c.conn.Close()
		c.conn, c.reader = nil, nil
	}
}

// reason is an error in a few words, the same for the same thing.
func reason(err error) string {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "no answer in time"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "connection reset"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "no route"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed without an answer"
	}
	if late(err) {
		return "no connection in time"
	}
	return err.Error()
}

// late says whether an error is about time.
func late(err error) bool {
	var timeout net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}
