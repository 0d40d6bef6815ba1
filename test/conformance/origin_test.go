package conformance

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// origin is a server that echoes requests, or does what the path asks for.
type origin struct {
	name  string
	pace  time.Duration // how many times slower it is when it is slow
	ln    net.Listener
	conns atomic.Int32
	seen  atomic.Int32 // requests
}

func newOrigin(t testing.TB, name string, pace time.Duration) *origin {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &origin{name: name, pace: pace, ln: ln}
	t.Cleanup(func() { ln.Close() })
	go o.serve()
	return o
}

func (o *origin) addr() string { return o.ln.Addr().String() }

func (o *origin) serve() {
	for {
		c, err := o.ln.Accept()
		if err != nil {
			return
		}
		go o.conn(c, o.conns.Add(1))
	}
}

func (o *origin) conn(c net.Conn, serial int32) {
	defer c.Close()
	r := bufio.NewReaderSize(c, 65536)
	for {
		head, body, err := readMessage(r)
		if err != nil {
			return
		}
		o.seen.Add(1)
		if !o.answer(c, head, body, serial) {
			return
		}
	}
}

// readMessage takes one request off the stream, its chunks decoded.
func readMessage(r *bufio.Reader) (head, body []byte, err error) {
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return nil, nil, err
		}
		head = append(head, line...)
		if len(bytes.TrimRight(line, "\r\n")) == 0 && len(head) > 2 {
			break
		}
	}
	head = bytes.TrimRight(head, "\r\n")
	if v, ok := headerOf(head, "content-length"); ok {
		n, _ := strconv.Atoi(v)
		body = make([]byte, n)
		_, err = io.ReadFull(r, body)
		return head, body, err
	}
	if v, ok := headerOf(head, "transfer-encoding"); ok && strings.Contains(strings.ToLower(v), "chunked") {
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return nil, nil, err
			}
			n, _ := strconv.ParseInt(strings.TrimSpace(line), 16, 64)
			part := make([]byte, n+2)
			if n == 0 {
				for line != "\r\n" && err == nil {
					line, err = r.ReadString('\n')
				}
				return head, body, err
			}
			if _, err := io.ReadFull(r, part); err != nil {
				return nil, nil, err
			}
			body = append(body, part[:n]...)
		}
	}
	return head, nil, nil
}

func headerOf(head []byte, name string) (string, bool) {
	for _, line := range strings.Split(string(head), "\n")[1:] {
		n, v, ok := strings.Cut(line, ":")
		if ok && strings.EqualFold(strings.TrimSpace(n), name) {
			return strings.TrimSpace(v), true
		}
	}
	return "", false
}

// tricks are answers by path. A "\x00" at the end closes the connection.
var tricks = []struct{ path, answer string }{
	{"/close", "HTTP/1.1 200 OK\r\n\r\nuntilclose\x00"},
	{"/empty", "\x00"},
	{"/junk", "garbage\r\n\r\n\x00"},
	{"/chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3\r\nabc\r\n0\r\n\r\n"},
	{"/trailer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-t\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n"},
	{"/ten", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi\x00"},
	{"/204", "HTTP/1.1 204 No Content\r\n\r\n"},
	{"/304", "HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n"},
	{"/short", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc\x00"},
	{"/cutchunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel\x00"},
	{"/badchunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhel\r\n\x00"},
	{"/cookie", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: A=1\r\nSet-Cookie: SRV=x; path=/\r\n\r\nok"},
	{"/cachable", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nCache-Control: public, max-age=10\r\nSet-Cookie: SRV=x; path=/\r\n\r\nok"},
	{"/401", "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\nWWW-Authenticate: Basic realm=x\r\n\r\nno"},
	{"/404", "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno"},
	{"/500", "HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\nno"},
	{"/503", "HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nno"},
	{"/100", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"},
	{"/103", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"},
	{"/101", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\nhello\x00"},
	{"/two-cl", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokk\x00"},
	{"/same-cl", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok"},
	{"/te-cl", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"},
	{"/spacehdr", "HTTP/1.1 200 OK\r\nX : y\r\nContent-Length: 2\r\n\r\nok\x00"},
	{"/fold", "HTTP/1.1 200 OK\r\nX-F: y\r\n z\r\nContent-Length: 2\r\n\r\nok"},
	{"/hdrs", "HTTP/1.1 200 OK\r\nX-M: a, b\r\nX-M: c\r\nServer: origin/1.0\r\nLocation: http://o/x\r\nContent-Type: text/css\r\nContent-Length: 2\r\n\r\nok"},
	{"/srvclose", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok\x00"},
	{"/keep10", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok"},
	{"/extra", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokMORE"},
	{"/partialhead", "HTTP/1.1 200 OK\r\nContent-Le\x00"},
	{"/slowhead", "HTTP/1.1 200 OK\r\nContent-Le"},
	{"/stall", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"},
}

// answer says whether the connection goes on.
func (o *origin) answer(c net.Conn, head, body []byte, serial int32) bool {
	fields := bytes.Fields(head)
	if len(fields) < 2 {
		fmt.Fprintf(c, "raw:%s", head)
		return true
	}
	path := string(fields[1])
	for _, t := range tricks {
		if strings.Contains(path, t.path) {
			text, end := strings.CutSuffix(t.answer, "\x00")
			io.WriteString(c, text)
			return !end
		}
	}
	if strings.Contains(path, "/slow") {
		time.Sleep(3 * time.Second * o.pace)
	}
	if _, pause, ok := strings.Cut(path, "/pause"); ok {
		n, _ := strconv.Atoi(strings.TrimFunc(pause, func(r rune) bool { return r < '0' || r > '9' }))
		time.Sleep(time.Duration(n) * time.Millisecond * o.pace)
	}
	text := string(head) + "|" + string(body)
	if strings.Contains(path, "/serial") {
		text = fmt.Sprintf("connection %d", serial)
	}
	if _, size, ok := strings.Cut(path, "/size"); ok {
		n, _ := strconv.Atoi(size)
		text = strings.Repeat("x", n)
	}
	answer := fmt.Sprintf("HTTP/1.1 200 OK\r\nX-Up: %s\r\nContent-Length: %d\r\n\r\n", o.name, len(text))
	if !bytes.HasPrefix(head, []byte("HEAD")) {
		answer += text
	}
	io.WriteString(c, answer)
	return true
}

// syslog collects datagrams.
type syslog struct {
	conn  *net.UDPConn
	lines chan string
}

func newSyslog(t testing.TB) *syslog {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	s := &syslog{c, make(chan string, 10000)}
	go func() {
		buf := make([]byte, 65536)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			select {
			case s.lines <- string(buf[:n]):
			default:
			}
		}
	}()
	return s
}

func (s *syslog) addr() string { return s.conn.LocalAddr().String() }

// take gives at least want lines if they come within limit, and all that come
// before a pause.
func (s *syslog) take(want int, limit, pause time.Duration) []string {
	var out []string
	deadline := time.After(limit)
	for {
		var wait <-chan time.Time = deadline
		if len(out) >= want {
			wait = time.After(pause)
		}
		select {
		case l := <-s.lines:
			out = append(out, l)
		case <-wait:
			return out
		}
	}
}
