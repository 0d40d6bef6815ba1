package checks

import (
	"bytes"
	"context"
	"strconv"
	"strings"

	"evenkeel/internal/pool"
)

// Agent asks the agent of a server: it sends text, if there is any, and reads
// one line.
func Agent(ctx context.Context, t *Target, say string) pool.AgentReport {
	s := &Script{steps: []step{&connect{implicit: true}}}
	if say != "" {
		s.add(&send{data: []byte(say)})
	}
	line := &agentLine{}
	s.add(line)
	r := s.Run(ctx, t)
	if r.Status != pool.CheckL7OK {
		return pool.AgentReport{Status: r.Status, Info: r.Info}
	}
	return ParseAgent(line.text)
}

// agentLine reads up to a line end, or the end of the stream.
type agentLine struct{ text string }

func (*agentLine) about() string { return "" }

func (a *agentLine) run(x *exchange) *Result {
	for {
		i := bytes.IndexAny(x.in, "\r\n")
		if i < 0 && x.eof {
			i = len(x.in)
		}
		if i >= 0 {
			a.text = string(x.in[:i])
			x.outcome = &Result{Status: pool.CheckL7OK}
			return nil
		}
		if r := x.read(); r != nil {
			return r
		}
	}
}

// ParseAgent reads an agent's line: words between blanks, commas and tabs, and
// a text after #. What it does not know makes the whole line worthless, except
// that nothing at all is an empty answer.
func ParseAgent(line string) pool.AgentReport {
	r := pool.AgentReport{Status: pool.CheckL7OK}
	line, reason, _ := strings.Cut(line, "#")
	r.Reason = text([]byte(strings.TrimSpace(reason)))
	words := strings.FieldsFunc(line, func(c rune) bool { return c == ' ' || c == ',' || c == '\t' })
	if len(words) == 0 {
		return pool.AgentReport{Status: pool.CheckL7Response, Info: "Invalid agent response: empty"}
	}
	for _, w := range words {
		switch lower := strings.ToLower(w); {
		case lower == "ready" || lower == "drain" || lower == "maint":
			r.Admin = lower
		case lower == "up":
			r.Oper = "up"
		case lower == "down" || lower == "stopped":
			r.Oper = lower
		case lower == "fail" || lower == "failed":
			r.Oper = "failed"
		case strings.HasPrefix(lower, "maxconn:"):
			n, err := strconv.ParseUint(lower[len("maxconn:"):], 10, 31)
			if err != nil {
				return unknownAgentWord(w)
			}
			limit := int(n)
			r.MaxConn = &limit
		case strings.HasSuffix(w, "%"):
			if n, err := strconv.ParseUint(w[:len(w)-1], 10, 31); err != nil || n > 1<<20 {
				return unknownAgentWord(w)
			}
			r.Weight = w
		default:
			return unknownAgentWord(w)
		}
	}
	return r
}

func unknownAgentWord(w string) pool.AgentReport {
	return pool.AgentReport{Status: pool.CheckL7Response, Info: "Unknown feedback string: '" + text([]byte(w)) + "'"}
}
