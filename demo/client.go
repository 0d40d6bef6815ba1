package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// answerTimeout is when a client gives up; nothing here takes that long.
const answerTimeout = 10 * time.Second

// errCut tells of a connection that was closed while no request was on it,
// without the "Connection: close" that announces it.
var errCut = errors.New("connection closed between two requests")

// errRefused tells of a connection that could not be opened.
var errRefused = errors.New("no connection")

// client is one HTTP/1.1 client with at most one connection. It never sends
// a request twice.
type client struct {
	addr string
	keep bool // keep the connection for the next request

	conn   net.Conn
	opened time.Time
	r      *bufio.Reader
}

// answer is a complete and correct response.
type answer struct {
	origin string
	status int
	close  bool
}

func (c *client) hangUp() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// idleCut says whether the kept connection was closed meanwhile. It hangs up
// when it was.
func (c *client) idleCut() bool {
	if c.conn == nil {
		return false
	}
	raw, err := c.conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return false
	}
	open := false
	raw.Read(func(fd uintptr) bool {
		var one [1]byte
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		open = err == syscall.EAGAIN
		return true
	})
	if !open {
		c.hangUp()
	}
	return !open
}

// do asks once for path. An answer that is no 200, or not what an origin
// sends, is an error too.
func (c *client) do(path string) (answer, error) {
	if c.conn == nil {
		conn, err := net.DialTimeout("tcp", c.addr, answerTimeout)
		if err != nil {
			c.opened = time.Now()
			return answer{}, fmt.Errorf("%w: %w", errRefused, err)
		}
		c.conn, c.opened = conn, time.Now()
		if c.r == nil {
			c.r = bufio.NewReaderSize(nil, 4096)
		}
		c.r.Reset(conn)
	}
	a, err := c.exchange(path)
	if err != nil || a.close || !c.keep {
		c.hangUp()
	}
	return a, err
}

func (c *client) exchange(path string) (answer, error) {
	connection := ""
	if !c.keep {
		connection = "Connection: close\r\n"
	}
	c.conn.SetDeadline(time.Now().Add(answerTimeout))
	request := "GET " + path + " HTTP/1.1\r\nHost: demo.example\r\nUser-Agent: evenkeel-demo\r\n" + connection + "\r\n"
	if _, err := io.WriteString(c.conn, request); err != nil {
		return answer{}, fmt.Errorf("sending: %w", err)
	}
	a, length, err := c.head()
	if err != nil {
		return a, err
	}
	body := make([]byte, length)
	if n, err := io.ReadFull(c.r, body); err != nil {
		return a, fmt.Errorf("answer cut after %d of %d bytes: %w", n, length, err)
	}
	switch {
	case a.status != 200:
		return a, fmt.Errorf("status %d", a.status)
	case !bytes.HasPrefix(body, []byte("This is "+a.origin+",")) || length != bodySize:
		return a, errors.New("a wrong answer")
	case c.r.Buffered() > 0:
		return a, errors.New("more than one answer")
	}
	return a, nil
}

// head reads a response's head, and the length of its body.
func (c *client) head() (a answer, length int, err error) {
	line, err := c.line()
	if err != nil {
		return a, 0, fmt.Errorf("waiting for the answer: %w", err)
	}
	if len(line) < 12 || !strings.HasPrefix(line, "HTTP/1.1 ") {
		return a, 0, fmt.Errorf("no status line: %q", line)
	}
	if a.status, err = strconv.Atoi(line[9:12]); err != nil {
		return a, 0, fmt.Errorf("no status: %q", line)
	}
	length = -1
	for {
		line, err := c.line()
		if err != nil {
			return a, 0, fmt.Errorf("in the head: %w", err)
		}
		if line == "" {
			break
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch {
		case strings.EqualFold(name, "content-length"):
			if length, err = strconv.Atoi(value); err != nil {
				return a, 0, fmt.Errorf("length %q", value)
			}
		case strings.EqualFold(name, "connection"):
			a.close = strings.EqualFold(value, "close")
		case strings.EqualFold(name, "x-origin"):
			a.origin = value
		}
	}
	if length < 0 || length > 1<<20 {
		return a, 0, fmt.Errorf("status %d without a usable length", a.status)
	}
	return a, length, nil
}

func (c *client) line() (string, error) {
	b, err := c.r.ReadSlice('\n')
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return strings.TrimRight(string(b), "\r\n"), err
}
