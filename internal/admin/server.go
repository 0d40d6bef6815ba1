package admin

import (
	"bufio"
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"evenkeel/internal/model"
)

// Defaults of Options.
const (
	DefaultTimeout = 10 * time.Second
	DefaultBufSize = 16384
	DefaultMaxConn = 10
)

// Options say what a Server offers.
type Options struct {
	// Commands is the table; nil: Commands(), the worker's. The session
	// commands (help, prompt, quit, levels) are always there.
	Commands []Command
	Source   Source
	// Timeout ends a session that sends or reads nothing for so long.
	Timeout time.Duration
	// BufSize bounds a line, and its payload (tune.bufsize).
	BufSize int
	// MaxConn bounds the sessions at one time (stats maxconn).
	MaxConn int
	// Prefix, if not nil, is asked first about a command that starts with @:
	// it runs rest itself (at another process, say), or returns false. nil:
	// "@1 CMD" and its like mean CMD.
	Prefix func(c *Call, prefix, rest string) bool
	// Prompt stands before "> " in interactive mode.
	Prompt string
}

// Server speaks the runtime API on the listeners given to it.
type Server struct {
	// Set once.
	opt      Options
	commands *table
	slots    chan struct{}
	ctx      context.Context
	cancel   context.CancelFunc
	wg       sync.WaitGroup

	mu        sync.Mutex
	stopped   bool
	listeners map[net.Listener]*Socket
	order     []*Socket
	conns     map[*session]struct{}

	timeout atomic.Int64
	nextID  atomic.Uint64
}

// Socket describes one listener to `show cli sockets`.
type Socket struct {
	Name  string // unix@/path, 127.0.0.1:9999, sockpair@, fd@3
	Level model.AdminLevel
	// Severity is the `severity-output` of the socket: none, number, string.
	Severity string
	// Expose, if not nil, answers `_getsocks` on a unix socket: the listening
	// sockets, for a process that takes over (expose-fd listeners).
	Expose func(*net.UnixConn) error
}

// New makes a server. Stop must be called in the end.
func New(o Options) *Server {
	if o.Commands == nil {
		o.Commands = Commands()
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.BufSize <= 0 {
		o.BufSize = DefaultBufSize
	}
	if o.MaxConn <= 0 {
		o.MaxConn = DefaultMaxConn
	}
	s := &Server{
		opt: o, commands: newTable(sessionCommands(), o.Commands),
		slots:     make(chan struct{}, o.MaxConn),
		listeners: map[net.Listener]*Socket{}, conns: map[*session]struct{}{},
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.timeout.Store(int64(o.Timeout))
	return s
}

// Serve accepts sessions until l fails or Stop is called, and closes l.
func (s *Server) Serve(l net.Listener, so Socket) error {
	if so.Level == 0 {
		so.Level = model.LevelOperator
	}
	s.mu.Lock()
	if s.stopped {
		s.mu.Unlock()
		l.Close()
		return net.ErrClosed
	}
	s.listeners[l] = &so
	s.order = append(s.order, &so)
	s.wg.Add(1)
	s.mu.Unlock()
	defer s.wg.Done()
	defer func() {
		l.Close()
		s.mu.Lock()
		delete(s.listeners, l)
		s.mu.Unlock()
	}()
	for {
		c, err := l.Accept()
		if err != nil {
			if s.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			if t, ok := err.(interface{ Temporary() bool }); ok && t.Temporary() {
				// Out of descriptors: waiting is all that can be done.
				select {
				case <-time.After(100 * time.Millisecond):
					continue
				case <-s.ctx.Done():
					return nil
				}
			}
			return err
		}
		// One connection a listener may wait here for a place; a place is
		// never held by a listener that waits for a connection.
		select {
		case s.slots <- struct{}{}:
		case <-s.ctx.Done():
			c.Close()
			return nil
		}
		s.wg.Add(1)
		go func() {
			defer s.wg.Done()
			defer func() { <-s.slots }()
			s.ServeConn(c, so)
		}()
	}
}

// ServeConn runs one session on c and closes it.
func (s *Server) ServeConn(c net.Conn, so Socket) {
	if so.Level == 0 {
		so.Level = model.LevelOperator
	}
	x := &session{server: s, conn: c, expose: so.Expose, level: so.Level, severity: so.Severity, id: s.nextID.Add(1)}
	x.timeout.Store(s.timeout.Load())
	x.in = bufio.NewReaderSize(deadlineConn{x}, s.opt.BufSize)
	x.out = bufio.NewWriterSize(deadlineConn{x}, 16384)
	s.mu.Lock()
	if s.stopped {
		s.mu.Unlock()
		c.Close()
		return
	}
	s.conns[x] = struct{}{}
	s.mu.Unlock()
	x.run()
	c.Close()
	s.mu.Lock()
	delete(s.conns, x)
	s.mu.Unlock()
}

// Stop closes the listeners, lets running commands end until ctx is done, and
// then closes their connections. It returns when all goroutines have ended.
func (s *Server) Stop(ctx context.Context) {
	s.mu.Lock()
	s.stopped = true
	for l := range s.listeners {
		l.Close()
	}
	for x := range s.conns {
		// A session that waits for input ends; one that answers goes on.
		x.closing.Store(true)
		x.conn.SetReadDeadline(time.Unix(1, 0))
	}
	s.mu.Unlock()
	s.cancel()
	done := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return
	case <-ctx.Done():
	}
	s.mu.Lock()
	for x := range s.conns {
		x.broken.Store(true)
		x.conn.Close()
	}
	s.mu.Unlock()
	<-done
}

// Sockets lists the listeners in the order they were given.
func (s *Server) Sockets() []Socket {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Socket, 0, len(s.order))
	for _, so := range s.order {
		out = append(out, *so)
	}
	return out
}

// Done is closed when Stop was called: commands that wait listen to it.
func (c *Call) Done() <-chan struct{} { return c.session.server.ctx.Done() }
