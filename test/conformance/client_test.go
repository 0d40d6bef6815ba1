package conformance

import (
	"errors"
	"io"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// settle is how long a client goes on listening after the answers that it
// waited for: for a close, or for more than there should be.
const settle = 70 * time.Millisecond

var requestLine = regexp.MustCompile(`(?m)^[A-Z]+ \S+ HTTP/1\.[01]\r?$`)

// exchange sends data and reads until the expected number of answers is there
// and nothing follows, the peer closes, or wait is over. The second result is
// what became of the connection.
func (d *director) exchange(c net.Conn, data string, wait time.Duration, v *verge) (answer, fate string) {
	defer c.Close()
	parts := strings.Split(data, pause)
	for i, part := range parts {
		if i > 0 {
			d.sleep(150 * time.Millisecond)
		}
		if _, err := io.WriteString(c, part); err != nil && i == 0 {
			return "", "write: " + reason(err)
		}
	}
	return d.read(c, strings.Join(parts, ""), wait, v)
}

// verge is the place where the two clients of a step wait for each other: one
// that sees its connection open does not leave before the other knows, too,
// and when the other was closed it waits for that as well. Which of the two
// programs is slower on a busy machine makes no difference then.
type verge struct {
	mu   sync.Mutex
	open [2]bool // guarded by mu: who has seen its connection open last
}

// meet tells the fate so far of one client. done: it need not wait for another,
// which for a connection that is open is when both are; what becomes of them
// after that moment does not count.
func (v *verge) meet(who int, fate string) (final string, done bool) {
	if v == nil {
		return fate, true
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	both := v.open[0] && v.open[1]
	if !both {
		v.open[who] = fate == "open"
		both = v.open[0] && v.open[1]
	}
	if both {
		return "open", true
	}
	return fate, fate != "open"
}

// pause in data has the client wait a moment before it goes on.
const pause = "\x00pause\x00"

func (d *director) read(c net.Conn, sent string, wait time.Duration, v *verge) (answer, fate string) {
	want := len(requestLine.FindAllString(sent, -1))
	head := strings.HasPrefix(sent, "HEAD ")
	deadline := time.Now().Add(wait * d.pace)
	var out []byte
	buf := make([]byte, 65536)
	for {
		limit := deadline
		if want > 0 && countAnswers(string(out), head) >= want {
			if s := time.Now().Add(settle * d.pace); s.Before(limit) {
				limit = s
			}
		}
		c.SetReadDeadline(limit)
		n, err := c.Read(buf)
		out = append(out, buf[:n]...)
		if err == nil {
			continue
		}
		if fate, done := v.meet(d.who, reason(err)); done || !limit.Before(deadline) {
			return string(out), fate
		}
	}
}

func reason(err error) string {
	switch {
	case err == io.EOF:
		return "closed"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "open"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset"
	}
	return err.Error()
}

// countAnswers counts the complete final responses in s.
func countAnswers(s string, head bool) int {
	n := 0
	for {
		i := strings.Index(s, "\r\n\r\n")
		if i < 0 || len(s) < 12 {
			return n
		}
		h := strings.ToLower(s[:i])
		s = s[i+4:]
		status := h[min(9, len(h)):min(12, len(h))]
		switch {
		case status[0] == '1' && status != "101":
			continue
		case head, status == "204", status == "304":
		case strings.Contains(h, "transfer-encoding: chunked"):
			_, rest, ok := strings.Cut(s, "0\r\n")
			if !ok {
				return n
			}
			_, rest, ok = strings.Cut("\r\n"+rest, "\r\n\r\n")
			if !ok {
				return n
			}
			s = rest
		case strings.Contains(h, "content-length: "):
			_, v, _ := strings.Cut(h, "content-length: ")
			v, _, _ = strings.Cut(v, "\r\n")
			size, _ := strconv.Atoi(v)
			if len(s) < size {
				return n
			}
			s = s[size:]
		default:
			return n
		}
		n++
	}
}

// request is one exchange with a frontend.
func (d *director) request(fe int, data string) string {
	c, err := net.Dial("tcp", d.fes[fe-1])
	if err != nil {
		return err.Error()
	}
	answer, fate := d.exchange(c, data, patience, nil)
	return answer + "[" + fate + "]"
}

// halfClosed sends data, closes that direction, and reads to the end.
func (d *director) halfClosed(fe int, data string) string {
	c, err := net.Dial("tcp", d.fes[fe-1])
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	io.WriteString(c, data)
	c.(*net.TCPConn).CloseWrite()
	answer, fate := d.read(c, data, patience, nil)
	return answer + "[" + fate + "]"
}
