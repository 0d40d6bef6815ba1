package proxy

import (
	"fmt"
	"syscall"

	"evenkeel/internal/engine"
	"evenkeel/internal/model"
)

// Endpoint is one address that a frontend wants to listen on.
type Endpoint struct {
	Addr     model.ListenAddr // with one port
	Bind     *model.Bind
	Frontend *Frontend
	ln       *listener
}

// Endpoints lists every address to listen on.
func (rt *Runtime) Endpoints() []Endpoint {
	var all []Endpoint
	for _, f := range rt.frontends {
		for _, ln := range f.listeners {
			all = append(all, Endpoint{Addr: ln.want, Bind: ln.m, Frontend: f, ln: ln})
		}
	}
	return all
}

// Use gives an endpoint its listening socket, which stays the caller's.
func (e Endpoint) Use(fd int) { e.ln.fd = fd }

// FD is the listening socket, -1 before Use.
func (e Endpoint) FD() int { return e.ln.fd }

// Text names the address in messages.
func (e Endpoint) Text() string { return e.ln.addr }

// Start begins to accept on every listener that was given a socket. The loops
// must not run yet, or the call be made on them.
func (rt *Runtime) Start(maxAccept int) error {
	for _, f := range rt.frontends {
		for _, ln := range f.listeners {
			ln.perLoop = make([]*engine.Listener, len(rt.workers))
			if ln.fd < 0 {
				continue
			}
			// What is accepted inherits it. A unix socket knows no such thing.
			_ = syscall.SetsockoptInt(ln.fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
			for i, w := range rt.workers {
				el, err := w.loop.Listen(ln.fd, ln, maxAccept)
				if err != nil {
					return fmt.Errorf("%s: frontend %s, address %s: %w", ln.m.Pos, f.info.Name, ln.addr, err)
				}
				ln.perLoop[i] = el
			}
		}
	}
	return nil
}
