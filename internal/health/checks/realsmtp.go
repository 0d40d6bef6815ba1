package checks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"evenkeel/internal/model"
)

// realSMTP is SMTP_CHECK: greeting, HELO and QUIT with each host.
type realSMTP struct {
	hosts []*reach
	helo  string
}

func compileRealSMTP(c *model.RealCheck, _ *RealEnv) (RealChecker, error) {
	spec := c.SMTP
	if spec == nil {
		spec = &model.SMTPCheckSpec{}
	}
	k := &realSMTP{helo: spec.HELO}
	if k.helo == "" {
		k.helo = "smtp.keepalived.org" // what keepalived says
	}
	if strings.ContainsAny(k.helo, "\r\n") {
		return nil, errors.New("helo_name has a line break in it")
	}
	list := spec.Hosts
	if len(list) == 0 {
		list = []model.ConnectTo{{}}
	}
	for _, h := range list {
		merged := c.Connect
		if h.Addr.IsValid() {
			merged.Addr = h.Addr
		}
		if h.Port != 0 {
			merged.Port = h.Port
		}
		if h.BindTo.IsValid() {
			merged.BindTo = h.BindTo
		}
		if h.BindPort != 0 {
			merged.BindPort = h.BindPort
		}
		if h.BindIf != "" {
			merged.BindIf = h.BindIf
		}
		if h.FwMark != 0 {
			merged.FwMark = h.FwMark
		}
		r, err := newReach(merged, c.Timeout)
		if err != nil {
			return nil, err
		}
		k.hosts = append(k.hosts, r)
	}
	return k, nil
}

// Run talks to one host after the other, until one fails.
func (k *realSMTP) Run(ctx context.Context, t RealTarget) (res RealResult) {
	start := time.Now()
	for _, h := range k.hosts {
		if res = k.host(ctx, h, t); !res.OK {
			break
		}
	}
	if len(k.hosts) > 1 && res.OK {
		return outcome(start, true, "all %d SMTP hosts answer", len(k.hosts))
	}
	return res
}

// maxSMTPReply bounds what is read of one reply.
const maxSMTPReply = 64 << 10

func (k *realSMTP) host(ctx context.Context, r *reach, t RealTarget) RealResult {
	start, to := time.Now(), r.to(t.Server)
	c, err := r.dial(ctx, "tcp", to)
	if err != nil {
		return r.unreached(start, "connection", to, err)
	}
	x := converse(ctx, c, r.timeout, 4*r.timeout)
	defer x.end(true)
	in := &smtpReader{from: x}
	for _, step := range []struct {
		say, what string
		want      int // 0: any
	}{{"", "greeting", 220}, {"HELO " + k.helo + "\r\n", "answer to HELO", 250}, {"QUIT\r\n", "answer to QUIT", 0}} {
		if step.say != "" {
			if _, err := io.WriteString(x, step.say); err != nil {
				return x.broken(start, step.what, to, err)
			}
		}
		code, line, err := in.reply()
		switch {
		case err != nil:
			return x.broken(start, step.what, to, err)
		case step.want != 0 && code != step.want:
			return outcome(start, false, "SMTP %s %q instead of %d from %s", step.what, text(line), step.want, to)
		}
	}
	return outcome(start, true, "SMTP answers on %s", to)
}

// smtpReader reads replies, which may have several lines (RFC 5321 section
// 4.2.1), and may come many in a piece.
type smtpReader struct {
	from io.Reader
	in   []byte
}

var errSMTPReply = errors.New("not an SMTP reply")

// reply gives the code and the last line of the next reply.
func (s *smtpReader) reply() (code int, line []byte, err error) {
	for size := 0; ; {
		if i := bytes.IndexByte(s.in, '\n'); i >= 0 {
			line = bytes.TrimRight(s.in[:i], "\r")
			s.in = s.in[i+1:]
			size += i
			switch {
			case len(line) < 3 || !isDigit(line[0]) || !isDigit(line[1]) || !isDigit(line[2]):
				return 0, nil, fmt.Errorf("%w: %q", errSMTPReply, text(line))
			case len(line) == 3 || line[3] != '-':
				return leadingNumber(line[:3]), line, nil
			}
		}
		if size+len(s.in) > maxSMTPReply {
			return 0, nil, fmt.Errorf("%w: it does not end", errSMTPReply)
		}
		if bytes.IndexByte(s.in, '\n') >= 0 {
			continue
		}
		buf := make([]byte, 1024)
		n, err := s.from.Read(buf)
		s.in = append(s.in, buf[:n]...)
		if err != nil && n == 0 {
			if err == io.EOF {
				err = errors.New("the connection was closed")
			}
			return 0, nil, err
		}
	}
}
