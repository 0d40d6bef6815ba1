package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// The load client runs as a process of its own: `bench load …`. It tells
// apart what wrk adds up: refused connections, failed requests, and
// connections that the proxy closed without having said so.
const loadCommand = "load"

// loadCounts is what the client saw, as JSON on its standard output.
type loadCounts struct {
	Requests    int64            `json:"requests"`
	PerSecond   float64          `json:"per_second"`
	Connections int64            `json:"connections"`
	Refused     int64            `json:"refused"` // connect failed
	Failed      int64            `json:"failed"`  // no whole answer, or not 200; on a connection's first request also no answer
	Cut         int64            `json:"cut"`     // a kept-alive connection that closed under a request
	Hushed      int64            `json:"hushed"`  // a kept-alive connection that closed unannounced between two requests
	P50         float64          `json:"p50_us"`
	P99         float64          `json:"p99_us"`
	LongestGap  float64          `json:"longest_gap"` // ms in which nothing was served to any connection
	What        map[string]int64 `json:"what,omitempty"`
}

func (c loadCounts) lost() int64 { return c.Refused + c.Failed + c.Cut + c.Hushed }

type loadClient struct {
	addr    string
	request []byte
	close   bool // a connection per request
	think   time.Duration
	timeout time.Duration
	stopped chan struct{} // closed by main

	lastServed atomic.Int64 // nanoseconds after began
	began      time.Time

	mu     sync.Mutex
	counts loadCounts
	took   []float64 // µs, of at most keptLatencies answers
}

func loadMain(args []string) int {
	f := flag.NewFlagSet(loadCommand, flag.ContinueOnError)
	addr := f.String("addr", "", "")
	path := f.String("path", "/1k", "")
	conns := f.Int("conns", 64, "connections")
	busy := f.Int("busy", 32, "connections that ask again at once; the others think")
	think := f.Duration("think", 20*time.Millisecond, "")
	closing := f.Bool("close", false, "a connection per request")
	idle := f.Bool("idle", false, "one request on each connection, then hold them")
	if f.Parse(args) != nil {
		return 2
	}
	connection := ""
	if *closing {
		connection = "Connection: close\r\n"
	}
	c := &loadClient{addr: *addr, close: *closing, timeout: 10 * time.Second, stopped: make(chan struct{}), began: time.Now(),
		request: []byte("GET " + *path + " HTTP/1.1\r\nHost: bench\r\nUser-Agent: bench\r\n" + connection + "\r\n")}
	c.counts.What = map[string]int64{}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	if *idle {
		return c.hold(*conns, stop)
	}
	var wg sync.WaitGroup
	for i := range *conns {
		t := *think
		if i < *busy {
			t = 0
		}
		wg.Go(func() { c.connection(t) })
	}
	<-stop
	close(c.stopped)
	c.counts.PerSecond = float64(c.lockedRequests()) / time.Since(c.began).Seconds()
	wg.Wait()
	return c.report()
}

func (c *loadClient) report() int {
	slices.Sort(c.took)
	if n := len(c.took); n > 0 {
		c.counts.P50, c.counts.P99 = c.took[n/2], c.took[n*99/100]
	}
	if json.NewEncoder(os.Stdout).Encode(c.counts) != nil {
		return 1
	}
	return 0
}

func (c *loadClient) lockedRequests() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts.Requests
}

func (c *loadClient) running() bool {
	select {
	case <-c.stopped:
		return false
	default:
		return true
	}
}

func (c *loadClient) count(field *int64, what string) {
	c.mu.Lock()
	*field++
	if what != "" {
		c.counts.What[what]++
	}
	c.mu.Unlock()
}

const keptLatencies = 1 << 20

func (c *loadClient) served(took time.Duration) {
	now := int64(time.Since(c.began))
	before := c.lastServed.Swap(now)
	c.mu.Lock()
	c.counts.Requests++
	if len(c.took) < keptLatencies {
		c.took = append(c.took, micros(took))
	}
	c.counts.LongestGap = max(c.counts.LongestGap, float64(now-before)/1e6)
	c.mu.Unlock()
}

// connection opens one after another, until told to stop.
func (c *loadClient) connection(think time.Duration) {
	for c.running() {
		conn, err := net.DialTimeout("tcp", c.addr, c.timeout)
		if err != nil {
			c.count(&c.counts.Refused, "connect: "+reason(err))
			time.Sleep(time.Millisecond)
			continue
		}
		c.count(&c.counts.Connections, "")
		c.requests(conn.(*net.TCPConn), think)
		conn.Close()
	}
}

// requests asks on one connection until it ends.
func (c *loadClient) requests(conn *net.TCPConn, think time.Duration) {
	r := bufio.NewReaderSize(conn, 8<<10)
	for n := 0; c.running(); n++ {
		if think > 0 {
			time.Sleep(think)
			if n > 0 && closedByPeer(conn) {
				c.count(&c.counts.Hushed, "")
				return
			}
		}
		asked := time.Now()
		conn.SetDeadline(asked.Add(c.timeout))
		_, werr := conn.Write(c.request)
		head, err := readHead(r)
		switch {
		case err == nil:
		case n > 0 && len(head) == 0 && !isTimeout(err):
			if werr != nil {
				err = werr
			}
			c.count(&c.counts.Cut, "cut: "+reason(err))
			return
		default:
			c.count(&c.counts.Failed, "no answer: "+reason(err))
			return
		}
		a, err := parseHead(head)
		if err == nil {
			_, err = io.CopyN(io.Discard, r, a.length)
		}
		switch {
		case err != nil:
			c.count(&c.counts.Failed, "half an answer: "+reason(err))
			return
		case a.status != 200:
			c.count(&c.counts.Failed, "status "+strconv.Itoa(a.status))
		default:
			c.served(time.Since(asked))
		}
		if a.closing || c.close {
			// Whoever closes first keeps the port busy: that is not the client's part.
			conn.SetDeadline(time.Now().Add(time.Second))
			io.Copy(io.Discard, r)
			return
		}
	}
}

// hold keeps connections open, each after one request.
func (c *loadClient) hold(n int, stop chan os.Signal) int {
	held := make([]net.Conn, n)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				conn, err := net.DialTimeout("tcp", c.addr, c.timeout)
				if err != nil {
					c.count(&c.counts.Refused, "connect: "+reason(err))
					continue
				}
				held[i] = conn
				c.count(&c.counts.Connections, "")
				asked := time.Now()
				if err := c.one(conn); err != nil {
					c.count(&c.counts.Failed, reason(err))
				} else {
					c.served(time.Since(asked))
				}
			}
		})
	}
	wg.Wait()
	if c.report() != 0 {
		return 1
	}
	<-stop
	for _, conn := range held {
		if conn != nil {
			conn.Close()
		}
	}
	return 0
}

func (c *loadClient) one(conn net.Conn) error {
	conn.SetDeadline(time.Now().Add(c.timeout))
	if _, err := conn.Write(c.request); err != nil {
		return err
	}
	r := bufio.NewReaderSize(conn, 2<<10)
	head, err := readHead(r)
	if err != nil {
		return err
	}
	a, err := parseHead(head)
	if err != nil {
		return err
	}
	if a.status != 200 {
		return fmt.Errorf("status %d", a.status)
	}
	_, err = io.CopyN(io.Discard, r, a.length)
	return err
}

// head is what this client needs to know of an answer.
type head struct {
	status  int
	length  int64
	closing bool
}

// readHead gives what was received, also with an error.
func readHead(r *bufio.Reader) ([]byte, error) {
	var all []byte
	for {
		line, err := r.ReadSlice('\n')
		all = append(all, line...)
		if err != nil {
			return all, err
		}
		if bytes.Equal(line, []byte("\r\n")) {
			return all, nil
		}
	}
}

func parseHead(b []byte) (head, error) {
	h := head{length: -1}
	lines := strings.Split(strings.TrimSuffix(string(b), "\r\n\r\n"), "\r\n")
	f := strings.Fields(lines[0])
	if len(f) < 2 || !strings.HasPrefix(f[0], "HTTP/1.") {
		return h, fmt.Errorf("status line %q", lines[0])
	}
	var err error
	if h.status, err = strconv.Atoi(f[1]); err != nil {
		return h, err
	}
	h.closing = f[0] == "HTTP/1.0"
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		switch value = strings.TrimSpace(value); strings.ToLower(name) {
		case "content-length":
			if h.length, err = strconv.ParseInt(value, 10, 64); err != nil {
				return h, err
			}
		case "connection":
			h.closing = strings.EqualFold(value, "close")
		}
	}
	if h.length < 0 {
		return h, errors.New("no Content-Length")
	}
	return h, nil
}

// closedByPeer looks whether the connection has ended, without reading.
func closedByPeer(conn *net.TCPConn) bool {
	raw, err := conn.SyscallConn()
	if err != nil {
		return true
	}
	closed := false
	raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		closed = n == 0 && err == nil || err != nil && err != syscall.EAGAIN
	})
	return closed
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

func reason(err error) string {
	var e syscall.Errno
	if errors.As(err, &e) {
		return e.Error()
	}
	if isTimeout(err) {
		return "timeout"
	}
	return err.Error()
}
