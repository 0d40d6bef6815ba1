package haproxy

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"evenkeel/internal/model"
)

var streamActions = []actionEntry{
	{Name: "set-timeout", Args: "server|tunnel|client TIME|EXPRESSION", Sets: setHTTPRequest | setHTTPResponse, Help: "changes a timeout of this exchange", Parse: parseSetTimeout},
	{Name: "capture", Args: "EXPRESSION len LENGTH | id ID", Sets: setTCPContent | setHTTPRequest, Help: "stores a sample in a capture slot", Parse: parseCapture},
	{Name: "capture", Args: "EXPRESSION id ID", Sets: setHTTPResponse | setHTTPAfter, Help: "stores a sample in a capture slot", Parse: parseCapture},
	{Name: "wait-for-body", Args: "time TIME [at-least BYTES]", Sets: setHTTPRequest | setHTTPResponse, Help: "waits for the body, or the first bytes of it", Parse: parseWaitForBody},
	{Name: "wait-for-handshake", Sets: setHTTPRequest, Help: "waits for the end of the TLS handshake", Parse: plain(model.ActionWaitForHandshake{})},
	{Name: "strict-mode", Args: "on|off", Sets: setHTTP, Help: "says whether a rewrite that fails is an error", Parse: parseStrictMode},
	{Name: "disable-l7-retry", Sets: setHTTPRequest, Help: "never sends this request twice", Parse: plain(model.ActionDisableL7Retry{})},
}

// ruleTime reads digits and a unit.
func ruleTime(w word, unit time.Duration) (time.Duration, error) {
	end := 0
	for end < len(w.Text) && isDigit(w.Text[end]) {
		end++
	}
	scale := unit
	if end < len(w.Text) {
		u, ok := timeUnits[w.Text[end:]]
		if !ok {
			return 0, wrong(w.at(end), "write a number and us, ms, s, m, h or d, such as 30s", "unexpected character '%c' in '%s'", w.Text[end], w.Text)
		}
		scale = u
	}
	n, err := strconv.ParseInt("0"+w.Text[:end], 10, 64)
	if err != nil || n > int64(maxTime/scale) {
		return 0, wrong(w.Pos, "the longest time is 2147483647 ms, about 24.8 days", "timer overflow in argument '%s'", w.Text)
	}
	return time.Duration(n) * scale, nil
}

func parseSetTimeout(a *actionArgs) (model.Action, error) {
	if len(a.words) < 2 {
		return nil, a.missing("expects 2 arguments")
	}
	which := a.next()
	if err := oneOf(which, "the timeout", "server", "tunnel", "client"); err != nil {
		return nil, err
	}
	need, half := secBE, "backend"
	if which.Text == "client" {
		need, half = secFE, "frontend"
	}
	if a.p.section&need == 0 {
		return nil, wrong(which.Pos, "move the rule to a "+half, "proxy '%s' has no %s capability", a.p.sectionName, half)
	}
	t := model.ActionSetTimeout{Which: which.Text}
	if v := a.words[0]; isDigit(v.Text[0]) {
		d, err := ruleTime(a.next(), time.Millisecond)
		if err == nil && d == 0 {
			err = wrong(v.Pos, "write a time, such as 30s", "null value is not valid for a 'set-timeout' rule")
		}
		t.Value = d
		return t, err
	}
	var err error
	t.Expr, err = a.expr()
	return t, err
}

// parseCapture reads `capture SAMPLE len N`, which declares a slot, and
// `capture SAMPLE id N`.
func parseCapture(a *actionArgs) (model.Action, error) {
	e, err := a.expr()
	if err != nil {
		return nil, err
	}
	c := model.ActionCapture{Expr: e, Response: a.in(setHTTPResponse | setHTTPAfter)}
	if !a.more() || isCondition(a.words[0]) {
		return nil, a.missing("expects <expression> [ 'len' <length> | id <idx> ]")
	}
	kind := a.next()
	choices := []string{"len", "id"}
	switch {
	case c.Response:
		choices = []string{"id"}
	case a.in(setTCPContent):
		choices = []string{"len"}
	}
	if !slices.Contains(choices, kind.Text) {
		return nil, wrong(kind.Pos, "write "+a.usage, "expects '%s' behind the sample, found '%s'", strings.Join(choices, "' or '"), kind.Text)
	}
	w, err := a.value("a number")
	if err != nil {
		return nil, err
	}
	if kind.Text == "id" {
		c.ID, err = wholeNumber(w, 0, maxCaptures, "a capture id")
		return c, err
	}
	n, err := wholeNumber(w, 1, maxCaptureLength, "a length")
	if err != nil {
		return nil, err
	}
	p := a.p
	if p.section&secFE == 0 {
		return nil, wrong(kind.Pos, "declare a slot in the frontend with 'declare capture request len N', and write 'id' and its number here",
			"proxy '%s' has no frontend capability", p.sectionName)
	}
	c.ID = len(p.proxy.Frontend.RequestCaptures)
	p.proxy.Frontend.RequestCaptures = append(p.proxy.Frontend.RequestCaptures, model.Capture{Pos: kind.Pos, Len: n})
	return c, nil
}

const (
	maxCaptures      = 1 << 16
	maxCaptureLength = 1 << 20
)

func parseWaitForBody(a *actionArgs) (model.Action, error) {
	b := model.ActionWaitForBody{}
	timed := false
	for a.more() && !isCondition(a.words[0]) {
		key := a.next()
		if err := oneOf(key, "the argument", "time", "at-least"); err != nil {
			return nil, err
		}
		v, err := a.value("a value")
		if err != nil {
			return nil, err
		}
		if key.Text == "time" {
			timed = true
			if b.Time, err = ruleTime(v, time.Millisecond); err != nil {
				return nil, err
			}
			continue
		}
		n, ok := byteCount(v.Text)
		if !ok {
			return nil, wrong(v.Pos, "write a number of bytes, such as 16384 or 16k", "'at-least' expects a size, got '%s'", v.Text)
		}
		b.AtLeast = n
	}
	if !timed {
		return nil, a.missing("expects time <time> [ at-least <bytes> ]")
	}
	return b, nil
}

// byteCount reads a number with k, m or g behind it.
func byteCount(s string) (int, bool) {
	scale := 1
	if s != "" {
		switch s[len(s)-1] | 0x20 {
		case 'k':
			scale = 1 << 10
		case 'm':
			scale = 1 << 20
		case 'g':
			scale = 1 << 30
		}
		if scale > 1 {
			s = s[:len(s)-1]
		}
	}
	n, err := strconv.ParseUint(s, 10, 31)
	return int(n) * scale, err == nil
}

func parseStrictMode(a *actionArgs) (model.Action, error) {
	w, err := a.need(1)
	if err != nil {
		return nil, err
	}
	if w[0].Text != "on" && w[0].Text != "off" {
		return nil, wrong(w[0].Pos, "write on or off", "Unexpected value '%s'. Only 'on' and 'off' are supported", w[0].Text)
	}
	return model.ActionStrictMode{On: w[0].Text == "on"}, nil
}
