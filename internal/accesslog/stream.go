package accesslog

import (
	"context"
	"net"
	"sync"
	"time"
	"unsafe"

	"evenkeel/internal/model"
)

const (
	streamBuffer = 256 << 10       // bytes of lines that wait for the peer
	streamRetry  = time.Second     // between two attempts to connect
	streamStuck  = 5 * time.Second // a write that takes longer ends the connection
)

// stream sends newline-terminated lines over TCP. Lines go to a bounded
// buffer; one goroutine carries them to the peer and connects again when the
// connection is lost.
type stream struct {
	// Set once.
	addr   string
	wake   chan struct{} // one token; never closed
	cancel context.CancelFunc
	done   chan struct{} // closed by run

	mu      sync.Mutex
	waiting []byte // whole lines
	spare   []byte
}

func openStream(_ *Sockets, m *model.LogTarget) (sink, error) {
	if _, _, err := net.SplitHostPort(m.Addr); err != nil {
		return sink{}, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &stream{
		addr: m.Addr, wake: make(chan struct{}, 1), cancel: cancel, done: make(chan struct{}),
		waiting: make([]byte, 0, streamBuffer), spare: make([]byte, 0, streamBuffer),
	}
	go s.run(ctx)
	return sink{stream: s}, nil
}

func (s *stream) write(v *pieces) bool {
	s.mu.Lock()
	if len(s.waiting)+v.len > streamBuffer {
		s.mu.Unlock()
		return false
	}
	for i := range v.iov[:v.n] {
		s.waiting = append(s.waiting, unsafe.Slice(v.iov[i].Base, int(v.iov[i].Len))...)
	}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return true
}

// take gives the lines that wait; the other buffer collects new ones.
func (s *stream) take() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.waiting
	s.waiting, s.spare = s.spare[:0], out
	return out
}

func (s *stream) run(ctx context.Context) {
	defer close(s.done)
	var d net.Dialer
	for ctx.Err() == nil {
		dialing, stop := context.WithTimeout(ctx, streamStuck)
		c, err := d.DialContext(dialing, "tcp", s.addr)
		stop()
		if err == nil {
			s.feed(ctx, c)
			c.Close()
		}
		select {
		case <-ctx.Done():
		case <-time.After(streamRetry):
		}
	}
}

// feed carries lines until the connection fails. Lines of a failed write are
// lost: sending them again could split or double a line.
func (s *stream) feed(ctx context.Context, c net.Conn) {
	for {
		for b := s.take(); len(b) > 0; b = s.take() {
			c.SetWriteDeadline(time.Now().Add(streamStuck))
			if _, err := c.Write(b); err != nil {
				return
			}
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			// What was taken before the end still goes out.
			c.SetWriteDeadline(time.Now().Add(streamRetry))
			c.Write(s.take())
			return
		}
	}
}

func (s *stream) close() {
	s.cancel()
	<-s.done
}
