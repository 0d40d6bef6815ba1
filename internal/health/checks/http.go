package checks

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"evenkeel/internal/model"
	"evenkeel/internal/pool"
)

// buildHTTP is option httpchk with its http-check lines. Without a send line,
// the request is OPTIONS / HTTP/1.0; without an expect line, statuses 200 to
// 399 are good.
func buildHTTP(s *Script, c *model.Check, e *Env) error {
	expects, sends, comment := 0, 0, ""
	for i := range c.Steps {
		m := &c.Steps[i]
		about := m.Comment
		if about == "" {
			about = comment
		}
		var st step
		var err error
		switch m.Kind {
		case model.StepComment:
			comment = m.Comment
			continue
		case model.StepConnect:
			st, err = connectStep(m, about, e)
		case model.StepSend:
			sends++
			st, err = httpSendStep(m, c, e)
		case model.StepExpect:
			if sends == 0 {
				s.add(&httpSend{sendState: c.SendState})
				sends++
			}
			expects++
			st, err = httpExpectStep(m, about, e)
		default:
			err = fmt.Errorf("%s: variables cannot be used in checks", m.Pos)
		}
		if err != nil {
			return err
		}
		s.add(st)
	}
	if sends == 0 {
		s.add(&httpSend{sendState: c.SendState})
	}
	if expects == 0 {
		s.add(&httpExpect{match: statusMatch([][2]int{{200, 399}}), kind: onStatus})
	}
	return nil
}

// httpSend sends one request.
type httpSend struct {
	method, version string
	uri, body       func(*Facts) []byte
	headers         []httpHeader
	sendState       bool
}

type httpHeader struct {
	name  string
	value func(*Facts) []byte
}

func (*httpSend) about() string { return " (send)" }

func httpSendStep(m *model.CheckStep, c *model.Check, e *Env) (step, error) {
	h := &httpSend{method: m.Method, version: m.Version, sendState: c.SendState}
	var err error
	if h.uri, err = e.format(m.URI); err != nil {
		return nil, err
	}
	if h.body, err = e.format(m.Body); err != nil {
		return nil, err
	}
	for _, x := range m.Headers {
		value, err := e.format(x.Value)
		if err != nil {
			return nil, err
		}
		h.headers = append(h.headers, httpHeader{strings.ToLower(x.Name), value})
	}
	return h, nil
}

// request is the bytes to send. Names are in lower case and the order is
// HAProxy's.
func (h *httpSend) request(f *Facts, state string) []byte {
	method, uri, version := h.method, []byte("/"), h.version
	if method == "" {
		method = "OPTIONS"
	}
	if version == "" {
		version = "HTTP/1.0"
	}
	if h.uri != nil {
		if u := h.uri(f); len(u) > 0 {
			uri = u
		}
	}
	b := append(append(append(append([]byte(method), ' '), uri...), ' '), version...)
	b = append(b, "\r\n"...)
	closing := false
	for _, x := range h.headers {
		switch x.name {
		case "connection":
			closing = true
		case "content-length", "transfer-encoding":
			continue // the body decides
		}
		b = append(append(append(append(b, x.name...), ": "...), x.value(f)...), "\r\n"...)
	}
	if state != "" {
		b = append(append(append(b, "x-haproxy-server-state: "...), state...), "\r\n"...)
	}
	var body []byte
	if h.body != nil {
		body = h.body(f)
		b = append(append(append(b, "content-length: "...), strconv.Itoa(len(body))...), "\r\n"...)
	}
	if !closing && version != "HTTP/1.0" {
		b = append(b, "connection: close\r\n"...)
	}
	return append(append(b, "\r\n"...), body...)
}

func (h *httpSend) run(x *exchange) *Result {
	state := ""
	if h.sendState && x.target.State != nil {
		state = x.target.State()
	}
	x.in, x.response = x.in[:0], &response{toHead: h.method == "HEAD"}
	return x.write(h.request(&x.facts, state))
}

// What an http-check expect looks at.
type httpPart uint8

const (
	onStatus httpPart = iota
	onHeaders
	onBody
)

// httpExpect judges a response.
type httpExpect struct {
	comment string
	kind    httpPart
	match   func(r *response) bool
	negate  bool
	minRecv int

	ok, bad, late     pool.CheckStatus
	onSuccess, onFail func(*Facts) []byte
	code              func(*Facts) int
}

func (*httpExpect) about() string { return " (expect)" }

func (h *httpExpect) timeoutStatus() pool.CheckStatus { return h.late }

func (h *httpExpect) run(x *exchange) *Result {
	if x.response == nil {
		return &Result{Status: pool.CheckL7Response, Info: "no request was sent"}
	}
	for {
		more := x.response.parse(x.in, x.eof)
		switch {
		case x.response.broken:
			return &Result{Status: pool.CheckL7Response}
		case !more, x.response.headDone && h.kind != onBody && len(x.in) >= h.minRecv:
			return h.judge(x)
		}
		if r := x.read(); r != nil {
			return r
		}
	}
}

func (h *httpExpect) judge(x *exchange) *Result {
	r := x.response
	x.facts.Status, x.facts.Payload = r.status, r.body
	code := r.status
	if h.code != nil {
		code = h.code(&x.facts)
	}
	if x.script.disable404 && r.status == 404 && x.target.Server != nil && x.target.Server.Up() {
		x.outcome = &Result{Status: pool.CheckL7OKConditional, Code: code}
		return nil
	}
	if h.match(r) != h.negate {
		out := &Result{Status: h.ok, Code: code}
		if out.Status == 0 {
			out.Status = pool.CheckL7OK
		}
		if h.onSuccess != nil {
			out.Info = text(h.onSuccess(&x.facts))
		}
		x.outcome = out
		return nil
	}
	out := &Result{Status: h.bad, Code: code}
	if out.Status == 0 {
		out.Status = pool.CheckL7Status
		if h.kind == onBody {
			out.Status = pool.CheckL7Response
		}
	}
	switch {
	case h.onFail != nil:
		out.Info = text(h.onFail(&x.facts))
	case h.kind != onBody:
		out.Info = text([]byte(r.reason))
	case h.negate:
		out.Info = "HTTP check matched unwanted content"
	case len(r.body) == 0:
		out.Info = "HTTP content check could not find a response body"
	default:
		out.Info = "HTTP content check did not match"
		if h.comment != "" {
			out.Info += " comment: " + h.comment
		}
	}
	return out
}

func httpExpectStep(m *model.CheckStep, comment string, e *Env) (step, error) {
	h := &httpExpect{comment: comment, negate: m.Negate, minRecv: m.MinRecv}
	pattern := m.Pattern
	if f, err := e.format(m.PatternFormat); err != nil {
		return nil, err
	} else if f != nil {
		pattern = string(f(&Facts{}))
	}
	switch m.Match {
	case "status":
		ranges, err := statusRanges(pattern)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.Pos, err)
		}
		h.match = statusMatch(ranges)
	case "rstatus":
		re, err := e.regex(pattern)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.Pos, err)
		}
		h.match = func(r *response) bool { return re([]byte(strconv.Itoa(r.status))) }
	case "string", "string-lf":
		h.kind = onBody
		want := []byte(pattern)
		h.match = func(r *response) bool { return bytes.Contains(r.body, want) }
	case "rstring":
		h.kind = onBody
		re, err := e.regex(pattern)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.Pos, err)
		}
		h.match = func(r *response) bool { return len(r.body) > 0 && re(r.body) }
	case "hdr", "fhdr":
		h.kind = onHeaders
		name, err := stringMatch(m.HeaderNameMatch, m.HeaderName, true, e)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.Pos, err)
		}
		value := func([]byte) bool { return true }
		if m.HeaderValue != "" || m.HeaderValueMatch != "" {
			if value, err = stringMatch(m.HeaderValueMatch, m.HeaderValue, false, e); err != nil {
				return nil, fmt.Errorf("%s: %w", m.Pos, err)
			}
		}
		full := m.Match == "fhdr"
		h.match = func(r *response) bool { return r.hasHeader(name, value, full) }
	default:
		return nil, fmt.Errorf("%s: http-check cannot expect '%s'; one of status, rstatus, hdr, fhdr, string, rstring", m.Pos, m.Match)
	}
	return h, outcomes(m, e, &h.ok, &h.bad, &h.late, &h.onSuccess, &h.onFail, &h.code)
}

// statusRanges reads "200,300-399".
func statusRanges(s string) (out [][2]int, err error) {
	for _, part := range strings.Split(s, ",") {
		low, high, ok := strings.Cut(strings.TrimSpace(part), "-")
		if !ok {
			high = low
		}
		a, err1 := strconv.Atoi(low)
		b, err2 := strconv.Atoi(high)
		if err1 != nil || err2 != nil || a < 100 || b > 999 || a > b {
			return nil, fmt.Errorf("'%s' is not a status, or a range of them", part)
		}
		out = append(out, [2]int{a, b})
	}
	return out, nil
}

func statusMatch(ranges [][2]int) func(r *response) bool {
	return func(r *response) bool {
		for _, x := range ranges {
			if x[0] <= r.status && r.status <= x[1] {
				return true
			}
		}
		return false
	}
}

// stringMatch is the -m METHOD of a header's name or value.
func stringMatch(method, pattern string, fold bool, e *Env) (func([]byte) bool, error) {
	want := []byte(pattern)
	if fold && method != "reg" {
		want = bytes.ToLower(want)
	}
	switch method {
	case "", "str":
		return func(b []byte) bool { return bytes.Equal(b, want) }, nil
	case "beg":
		return func(b []byte) bool { return bytes.HasPrefix(b, want) }, nil
	case "end":
		return func(b []byte) bool { return bytes.HasSuffix(b, want) }, nil
	case "sub":
		return func(b []byte) bool { return bytes.Contains(b, want) }, nil
	case "reg":
		return e.regex(pattern)
	}
	return nil, fmt.Errorf("unknown match method '%s'; one of str, beg, end, sub, reg", method)
}
