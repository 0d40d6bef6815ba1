package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// Client talks to a runtime API.
type Client struct {
	conn net.Conn
}

// Dial connects to a socket: a path, unix@PATH, abns@NAME or @NAME, or
// host:port, tcp@, ipv4@ and ipv6@ with one.
func Dial(ctx context.Context, addr string) (*Client, error) {
	network, where := splitAddr(addr)
	var d net.Dialer
	c, err := d.DialContext(ctx, network, where)
	if err != nil {
		return nil, fmt.Errorf("runtime API at %s: %w", addr, err)
	}
	return &Client{c}, nil
}

func splitAddr(addr string) (network, where string) {
	prefixes := []struct{ prefix, network, add string }{
		{"unix@", "unix", ""}, {"abns@", "unix", "@"}, {"tcp@", "tcp", ""}, {"tcp4@", "tcp4", ""}, {"tcp6@", "tcp6", ""},
		{"ipv4@", "tcp4", ""}, {"ipv6@", "tcp6", ""}, {"@", "unix", "@"},
	}
	for _, p := range prefixes {
		if rest, ok := strings.CutPrefix(addr, p.prefix); ok {
			return p.network, p.add + rest
		}
	}
	if strings.Contains(addr, "/") || !strings.Contains(addr, ":") {
		return "unix", addr
	}
	return "tcp", addr
}

// Run sends one line of commands (and its payload, if there is one) and copies
// the answer to out. The connection is used up.
func (c *Client) Run(ctx context.Context, command string, out io.Writer) error {
	defer c.conn.Close()
	stop := context.AfterFunc(ctx, func() { c.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if !strings.HasSuffix(command, "\n") {
		command += "\n"
	}
	if _, err := io.WriteString(c.conn, command); err != nil {
		return err
	}
	if w, ok := c.conn.(interface{ CloseWrite() error }); ok {
		w.CloseWrite()
	}
	_, err := io.Copy(out, c.conn)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// Ctl runs one line of commands on the socket at addr and gives the answer
// without its final empty line.
func Ctl(ctx context.Context, addr, command string) (string, error) {
	c, err := Dial(ctx, addr)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	err = c.Run(ctx, command, &b)
	answer := strings.TrimSuffix(b.String(), "\n")
	if err == nil && b.Len() == 0 {
		err = errors.New("the connection was closed without an answer: too many sessions, or the process is stopping")
	}
	return answer, err
}
