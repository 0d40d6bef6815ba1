package checks

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"

	"evenkeel/internal/model"
	"evenkeel/internal/pool"
)

// send sends bytes.
type send struct {
	data    []byte
	from    func(*Facts) []byte // instead of data
	comment string
}

func (s *send) about() string { return " (send)" + commented(s.comment) }

func (s *send) run(x *exchange) *Result {
	// What came before this is not an answer to it.
	x.in = x.in[:0]
	if x.conn == nil {
		return &Result{Status: pool.CheckSockErr, Info: "not connected" + x.where()}
	}
	data := s.data
	if s.from != nil {
		data = s.from(&x.facts)
	}
	return x.write(data)
}

// expect waits for something in what the server sends.
type expect struct {
	match   func(in []byte) bool
	negate  bool
	minRecv int // bytes that are waited for first
	// settle says that what has come decides: nothing more will change it. nil:
	// a mismatch stands once the server has closed.
	settle  func(in []byte) bool
	what    string // content 'x', content (regex)
	expects string // for the suffix: string 'x', regex
	comment string

	ok, bad, late     pool.CheckStatus // 0: L7OK, L7RSP, L7TOUT
	onSuccess, onFail func(*Facts) []byte
	code              func(*Facts) int
}

func (e *expect) about() string {
	return " (expect " + e.expects + ")" + commented(e.comment)
}

func (e *expect) timeoutStatus() pool.CheckStatus { return e.late }

func (e *expect) run(x *exchange) *Result {
	for {
		if len(x.in) == 0 && x.eof {
			return e.fail(x, "TCPCHK got an empty response at step "+itoa(x.number))
		}
		if len(x.in) > 0 && (len(x.in) >= e.minRecv || x.eof) {
			if e.match(x.in) {
				if e.negate {
					return e.refuse(x, "TCPCHK matched unwanted "+e.what+" at step "+itoa(x.number))
				}
				return e.pass(x)
			}
			if e.negate {
				return e.pass(x)
			}
			if x.eof || e.settle != nil && e.settle(x.in) {
				return e.refuse(x, "TCPCHK did not match "+e.what+" at step "+itoa(x.number))
			}
		}
		if r := x.read(); r != nil {
			return r
		}
	}
}

func (e *expect) pass(x *exchange) *Result {
	r := &Result{Status: e.ok}
	if r.Status == 0 {
		r.Status = pool.CheckL7OK
	}
	x.facts.Payload = x.in
	if e.onSuccess != nil {
		r.Info = text(e.onSuccess(&x.facts))
	} else if x.script.user {
		r.Info = "(tcp-check)"
	}
	if e.code != nil {
		r.Code = e.code(&x.facts)
	}
	x.outcome = r
	return nil
}

// refuse is fail with the message that the rule gives for wrong content.
func (e *expect) refuse(x *exchange, message string) *Result {
	x.facts.Payload = x.in
	if e.onFail != nil {
		r := e.fail(x, "")
		r.Info = text(e.onFail(&x.facts))
		return r
	}
	return e.fail(x, message+commented(e.comment))
}

func (e *expect) fail(x *exchange, message string) *Result {
	r := &Result{Status: e.bad, Info: message}
	if r.Status == 0 {
		r.Status = pool.CheckL7Response
	}
	x.facts.Payload = x.in
	if e.code != nil {
		r.Code = e.code(&x.facts)
	}
	return r
}

// maxInfo bounds the text that a server can put into events and statistics.
const maxInfo = 256

// text makes one line of what a server said.
func text(b []byte) string {
	if i := bytes.IndexAny(b, "\r\n\x00"); i >= 0 {
		b = b[:i]
	}
	return strings.ToValidUTF8(string(b[:min(len(b), maxInfo)]), "?")
}

// literal is a message that does not depend on the reply.
func literal(s string) func(*Facts) []byte {
	b := []byte(s)
	return func(*Facts) []byte { return b }
}

// firstLine is the reply's first line.
func firstLine(f *Facts) []byte {
	b, _, _ := bytes.Cut(f.Payload, []byte("\n"))
	return bytes.TrimRight(b, "\r")
}

// hexMatch applies an expression to the upper-case hex digits of the input.
func hexMatch(match func([]byte) bool) func([]byte) bool {
	return func(in []byte) bool { return match(bytes.ToUpper(hex.AppendEncode(nil, in))) }
}

// buildTCP is the connection alone, or the tcp-check lines.
func buildTCP(s *Script, c *model.Check, e *Env) error {
	comment := ""
	for i := range c.Steps {
		m := &c.Steps[i]
		if m.Kind == model.StepComment {
			comment = m.Comment
			continue
		}
		s.user = true
		about := m.Comment
		if about == "" {
			about = comment
		}
		st, err := tcpStep(m, about, e)
		if err != nil {
			return err
		}
		s.add(st)
	}
	return nil
}

func tcpStep(m *model.CheckStep, comment string, e *Env) (step, error) {
	switch m.Kind {
	case model.StepConnect:
		return connectStep(m, comment, e)
	case model.StepSend:
		from, err := e.format(m.DataFormat)
		return &send{data: m.Data, from: from, comment: comment}, err
	case model.StepExpect:
		return tcpExpect(m, comment, e)
	}
	return nil, fmt.Errorf("%s: variables cannot be used in checks", m.Pos)
}

func connectStep(m *model.CheckStep, comment string, e *Env) (*connect, error) {
	port, err := e.expr(m.PortExpr)
	if err != nil {
		return nil, err
	}
	if m.ViaSOCKS4 {
		return nil, fmt.Errorf("%s: SOCKS4 is not supported", m.Pos)
	}
	if m.Proto != "" && m.Proto != "none" && m.Proto != "h1" {
		return nil, fmt.Errorf("%s: proto %s is not supported in a check", m.Pos, m.Proto)
	}
	c := &connect{byDefault: m.Default, addr: m.Addr, port: m.Port, portFrom: port, tls: m.TLS, sendProxy: m.SendProxy,
		linger: m.Linger, sni: m.SNI, comment: comment}
	if m.ALPN != "" {
		c.alpn = strings.Split(m.ALPN, ",")
	}
	return c, nil
}

func tcpExpect(m *model.CheckStep, comment string, e *Env) (step, error) {
	x := &expect{negate: m.Negate, minRecv: m.MinRecv, comment: comment}
	pattern := []byte(m.Pattern)
	if f, err := e.format(m.PatternFormat); err != nil {
		return nil, err
	} else if f != nil {
		// The server's own facts do not change between runs of a check.
		pattern = f(&Facts{})
	}
	switch m.Match {
	case "string", "string-lf":
		x.match = func(in []byte) bool { return bytes.Contains(in, pattern) }
		x.minRecv = max(x.minRecv, len(pattern))
		x.what, x.expects = "content '"+string(pattern)+"'", "string '"+string(pattern)+"'"
	case "binary", "binary-lf":
		pattern = m.PatternBytes
		if len(pattern) == 0 {
			b, err := hex.DecodeString(m.Pattern)
			if err != nil {
				return nil, fmt.Errorf("%s: '%s' is not made of pairs of hex digits", m.Pos, m.Pattern)
			}
			pattern = b
		}
		x.match = func(in []byte) bool { return bytes.Contains(in, pattern) }
		x.minRecv = max(x.minRecv, len(pattern))
		x.what, x.expects = "content (binary)", "binary '"+m.Pattern+"'"
	case "rstring", "rbinary":
		re, err := e.regex(m.Pattern)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.Pos, err)
		}
		x.match, x.what, x.expects = re, "content (regex)", "regex"
		if m.Match == "rbinary" {
			x.match, x.expects = hexMatch(re), "binary regex"
		}
	default:
		return nil, fmt.Errorf("%s: tcp-check cannot expect '%s'; one of string, rstring, binary, rbinary", m.Pos, m.Match)
	}
	return x, outcomes(m, e, &x.ok, &x.bad, &x.late, &x.onSuccess, &x.onFail, &x.code)
}

// outcomes reads ok-status, error-status, tout-status, on-success, on-error
// and status-code.
func outcomes(m *model.CheckStep, e *Env, ok, bad, late *pool.CheckStatus, onSuccess, onFail *func(*Facts) []byte, code *func(*Facts) int) (err error) {
	for _, x := range []struct {
		name string
		to   *pool.CheckStatus
	}{{m.OKStatus, ok}, {m.ErrorStatus, bad}, {m.TimeoutStatus, late}} {
		if x.name == "" {
			continue
		}
		st, known := pool.ParseCheckStatus(x.name)
		if !known {
			return fmt.Errorf("%s: unknown check status '%s'", m.Pos, x.name)
		}
		*x.to = st
	}
	if *onSuccess, err = e.format(m.OnSuccess); err != nil {
		return err
	}
	if *onFail, err = e.format(m.OnError); err != nil {
		return err
	}
	from, err := e.expr(m.StatusCode)
	if from != nil {
		*code = func(f *Facts) int { return leadingNumber(from(f)) }
	}
	return err
}

// leadingNumber reads up to nine digits.
func leadingNumber(b []byte) (n int) {
	for i := 0; i < len(b) && i < 9 && b[i] >= '0' && b[i] <= '9'; i++ {
		n = n*10 + int(b[i]-'0')
	}
	return n
}
