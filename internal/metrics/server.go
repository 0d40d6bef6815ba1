package metrics

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"
)

// Server serves a registry on one address.
type Server struct {
	listener net.Listener
	http     *http.Server
	done     chan struct{} // closed when nothing is served any more
}

// Listen serves r at an address: host:port, or unix:/path or /path for a unix
// socket. An empty host means loopback; all addresses have to be asked for
// with 0.0.0.0 or [::].
func Listen(addr string, r *Registry) (*Server, error) {
	l, err := listen(addr)
	if err != nil {
		return nil, fmt.Errorf("metrics on %s: %w", addr, err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", r.Handler())
	s := &Server{listener: l, done: make(chan struct{}), http: &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 16 << 10,
	}}
	go func() {
		defer close(s.done)
		s.http.Serve(l)
	}()
	return s, nil
}

func listen(addr string) (net.Listener, error) {
	path, unix := strings.CutPrefix(addr, "unix:")
	if !unix && !strings.HasPrefix(addr, "/") {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, errors.New("the address must be host:port, or the path of a unix socket")
		}
		if host == "" {
			host = "localhost"
		}
		return net.Listen("tcp", net.JoinHostPort(host, port))
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	return net.Listen("unix", path)
}

// removeStale removes the socket of a process that is no more. Nothing else is
// removed.
func removeStale(path string) error {
	st, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if st.Mode()&fs.ModeSocket == 0 {
		return errors.New("there is a file that is not a socket: remove it, or give another path")
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
		return errors.New("another process serves it")
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

// Addr is the address that the server listens on.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Close ends the server; a scrape that is under way has a second to end.
func (s *Server) Close() error {
	if s == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = s.http.Close()
	}
	<-s.done
	return err
}
