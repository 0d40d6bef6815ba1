package main

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// serviceTime is how long an origin thinks: without it hardly a request would
// be under way at the moment of a kill.
const serviceTime = time.Millisecond

// bodySize is the size of an origin's answer.
const bodySize = 1024

// origin is one HTTP server, which names itself in each answer.
type origin struct {
	name string
	addr string // 127.0.0.1:port, kept through its deaths
	body []byte

	handled atomic.Int64 // requests that reached it, checks not counted
	checks  atomic.Int64

	mu     sync.Mutex
	server *http.Server
	conns  map[net.Conn]struct{}
}

func newOrigin(name, addr string) *origin {
	line := "This is " + name + ", one of four origins.\n"
	body := []byte(strings.Repeat(line, bodySize/len(line)+1)[:bodySize])
	return &origin{name: name, addr: addr, body: body}
}

// ServeHTTP answers checks and requests.
func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Origin", o.name)
	if r.URL.Path == "/health" {
		o.checks.Add(1)
		return
	}
	o.handled.Add(1)
	time.Sleep(serviceTime)
	w.Header().Set("Content-Type", "text/plain")
	w.Header().Set("Content-Length", strconv.Itoa(len(o.body)))
	w.Write(o.body)
}

// start listens; the origin must not be running.
func (o *origin) start() error {
	listener, err := net.Listen("tcp", o.addr)
	if err != nil {
		return fmt.Errorf("origin %s: %w", o.name, err)
	}
	server := &http.Server{Handler: o, ReadHeaderTimeout: 10 * time.Second, ConnState: o.track}
	o.mu.Lock()
	o.server, o.conns = server, map[net.Conn]struct{}{}
	o.mu.Unlock()
	go server.Serve(listener) // until kill or stop
	return nil
}

func (o *origin) track(c net.Conn, state http.ConnState) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch state {
	case http.StateNew:
		o.conns[c] = struct{}{}
	case http.StateClosed, http.StateHijacked:
		delete(o.conns, c)
	}
}

// kill ends the origin as a crash does: nobody listens any more, and every
// open connection is reset, whatever is under way on it. It says how many
// connections that were.
func (o *origin) kill() int {
	o.mu.Lock()
	server, conns := o.server, o.conns
	o.server, o.conns = nil, map[net.Conn]struct{}{}
	open := make([]net.Conn, 0, len(conns))
	for c := range conns {
		open = append(open, c)
	}
	o.mu.Unlock()
	if server == nil {
		return 0
	}
	for _, c := range open {
		if t, ok := c.(*net.TCPConn); ok {
			t.SetLinger(0) // closing resets
		}
	}
	server.Close()
	return len(open)
}
