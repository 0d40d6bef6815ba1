package alert

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// Bounds of a reply, RFC 5321 section 4.5.3.1 being more modest.
const (
	maxReplyLine  = 2048
	maxReplyLines = 100
)

// reply is what an SMTP server said: a code and the text of all its lines.
type reply struct {
	code int
	text string
}

// readReply reads one reply of RFC 5321 section 4.2, of one or several lines.
func readReply(r *bufio.Reader) (reply, error) {
	var all reply
	for n := 0; ; n++ {
		if n == maxReplyLines {
			return all, errors.New("the server's reply has too many lines")
		}
		line, err := r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) || len(line) > maxReplyLine {
			return all, errors.New("the server's reply has a line that is too long")
		}
		if errors.Is(err, io.EOF) {
			return all, errors.New("the server closed the connection")
		}
		if err != nil {
			return all, err
		}
		code, text, more, err := parseReplyLine(string(line))
		if err != nil {
			return all, err
		}
		if n > 0 && code != all.code {
			return all, fmt.Errorf("the server's reply changes its code from %d to %d", all.code, code)
		}
		all.code = code
		if text != "" {
			if all.text != "" {
				all.text += " "
			}
			all.text += text
		}
		if !more {
			return all, nil
		}
	}
}

// parseReplyLine takes "250-text", "250 text" or "250" apart.
func parseReplyLine(line string) (code int, text string, more bool, err error) {
	line = strings.TrimRight(line, "\r\n")
	bad := fmt.Errorf("the server does not speak SMTP: %q", oneLine(line, 80))
	if len(line) < 3 {
		return 0, "", false, bad
	}
	for _, c := range []byte(line[:3]) {
		if c < '0' || c > '9' {
			return 0, "", false, bad
		}
		code = 10*code + int(c-'0')
	}
	if code < 200 || code > 599 {
		return 0, "", false, bad
	}
	switch {
	case len(line) == 3:
		return code, "", false, nil
	case line[3] == '-' || line[3] == ' ':
		return code, oneLine(strings.TrimSpace(line[4:]), 400), line[3] == '-', nil
	}
	return 0, "", false, bad
}

// refused is a reply that was not hoped for.
type refused struct {
	code int
	text string
}

func (r refused) Error() string { return r.text }

// refusal is the error of such a reply; with a code from 500 it is for ever.
func refusal(doing string, r reply) error {
	err := refused{r.code, fmt.Sprintf("%s: the server answered %s", doing, oneLine(fmt.Sprintf("%d %s", r.code, r.text), 300))}
	if r.code >= 500 {
		return permanent{err}
	}
	return err
}

// conversation is one SMTP session.
type conversation struct {
	conn net.Conn
	r    *bufio.Reader
	step time.Duration // for one command and its reply
	stop func() bool   // forgets the context
}

// converse connects and greets.
func converse(ctx context.Context, address, helo string, connect, step time.Duration) (*conversation, error) {
	d := net.Dialer{Timeout: connect}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	c := &conversation{conn: conn, r: bufio.NewReaderSize(conn, maxReplyLine), step: connect}
	// When patience ends, whatever is being waited for fails.
	c.stop = context.AfterFunc(ctx, func() { conn.Close() })
	err = c.expect("greeting", 220)
	if err == nil {
		c.step = step
		err = c.command("HELO", 250, "HELO "+helo)
	}
	if err != nil {
		c.close()
		return nil, temporary(err)
	}
	return c, nil
}

// temporary says that what a server refuses before it saw a mail is no fault
// of the mail.
func temporary(err error) error {
	var p permanent
	if errors.As(err, &p) {
		return p.error
	}
	return err
}

func (c *conversation) expect(doing string, code int) error {
	c.conn.SetReadDeadline(time.Now().Add(c.step))
	r, err := readReply(c.r)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	// 251 is "will forward": as good as 250.
	if r.code != code && !(code == 250 && r.code == 251) {
		return refusal(doing, r)
	}
	return nil
}

func (c *conversation) command(doing string, code int, line string) error {
	c.conn.SetWriteDeadline(time.Now().Add(c.step))
	if _, err := io.WriteString(c.conn, line+"\r\n"); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return c.expect(doing, code)
}

// undelivered are the recipients that a mail did not go to.
type undelivered struct {
	refused []string // for ever: what the server said of each
	later   []string // for now: their addresses
}

// deliver sends one mail. Recipients that are not taken do not keep it from
// the others. An error means that nobody got it.
func (c *conversation) deliver(from string, to []string, data []byte) (not undelivered, err error) {
	if err := c.command("MAIL FROM", 250, "MAIL FROM:<"+from+">"); err != nil {
		return not, err
	}
	var last error
	for _, rcpt := range to {
		err := c.command("RCPT TO "+rcpt, 250, "RCPT TO:<"+rcpt+">")
		var no refused
		switch {
		case err == nil:
			continue
		case !errors.As(err, &no):
			return not, err // the conversation is over
		case no.code >= 500:
			not.refused = append(not.refused, err.Error())
		default:
			not.later = append(not.later, rcpt)
		}
		if last == nil || no.code < 500 {
			last = err // one that may still be taken decides
		}
	}
	if len(not.refused)+len(not.later) == len(to) {
		return not, last
	}
	if err := c.command("DATA", 354, "DATA"); err != nil {
		return not, err
	}
	c.conn.SetWriteDeadline(time.Now().Add(c.step))
	if _, err := c.conn.Write(appendDots(nil, data)); err != nil {
		return not, fmt.Errorf("DATA: %w", err)
	}
	return not, c.expect("end of DATA", 250)
}

// quit ends politely, and at once when that takes long.
func (c *conversation) quit() {
	c.step = time.Second
	c.command("QUIT", 221, "QUIT")
	c.close()
}

func (c *conversation) close() {
	c.stop()
	c.conn.Close()
}

// appendDots puts a mail into the form of RFC 5321 section 4.5.2: every line
// ends with CR LF, a dot at its beginning is doubled, and a dot alone ends it.
func appendDots(b, data []byte) []byte {
	start := true
	for i := 0; i < len(data); i++ {
		c := data[i]
		if start && c == '.' {
			b = append(b, '.')
		}
		start = false
		switch c {
		case '\r':
			if i+1 < len(data) && data[i+1] == '\n' {
				continue
			}
			b = append(b, '\r', '\n')
			start = true
		case '\n':
			b = append(b, '\r', '\n')
			start = true
		default:
			b = append(b, c)
		}
	}
	if !start {
		b = append(b, '\r', '\n')
	}
	return append(b, ".\r\n"...)
}
