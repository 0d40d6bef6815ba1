package checks

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"regexp"
	"time"

	"evenkeel/internal/model"
	"evenkeel/internal/pool"
)

// Result is the end of one check.
type Result struct {
	Status pool.CheckStatus
	Code   int
	Info   string
}

// Facts is what the formats of a script may look at.
type Facts struct {
	Server  *pool.Server
	Payload []byte // what the server has sent
	Status  int    // of an HTTP response
}

// Env is what compiling a script needs from outside. Every field may be nil:
// then formats and expressions must be plain text, and expressions are Go's.
type Env struct {
	Format func(f *model.Format) (func(*Facts) []byte, error)
	Expr   func(e *model.Expr) (func(*Facts) []byte, error)
	Regex  func(expr string) (func([]byte) bool, error)
	Node   string // global node, for http-check send-state
}

func (e *Env) format(f *model.Format) (func(*Facts) []byte, error) {
	if f == nil {
		return nil, nil
	}
	if s, ok := f.IsLiteral(); ok {
		b := []byte(s)
		return func(*Facts) []byte { return b }, nil
	}
	if e == nil || e.Format == nil {
		return nil, fmt.Errorf("%s: this format cannot be used in a check", f.Pos)
	}
	return e.Format(f)
}

func (e *Env) expr(x *model.Expr) (func(*Facts) []byte, error) {
	if x == nil {
		return nil, nil
	}
	if e == nil || e.Expr == nil {
		return nil, fmt.Errorf("%s: the expression '%s' cannot be used in a check", x.Pos, x.Text)
	}
	return e.Expr(x)
}

func (e *Env) regex(s string) (func([]byte) bool, error) {
	if e != nil && e.Regex != nil {
		return e.Regex(s)
	}
	re, err := regexp.Compile(s)
	if err != nil {
		return nil, err
	}
	return re.Match, nil
}

// Target is where a check goes and how, for one run.
type Target struct {
	Server  *pool.Server
	Network string // tcp, unix
	Host    string // address, or path (@ in front: abstract)
	Port    int
	// Dial connects; the script closes what it returns.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// TLS makes the client side for a connect step; nil: none is possible.
	TLS func(sni string, alpn []string) (*tls.Config, error)
	// Default TLS and PROXY header of the server line.
	UseTLS       bool
	ProxyVersion int
	SNI          string
	ALPN         []string
	// Connect bounds a connection attempt and Reply what follows it, 0: only
	// Whole, the bound of the first phase, counts.
	Whole, Connect, Reply time.Duration
	BufSize               int
	// State is the x-haproxy-server-state text, for send-state.
	State func() string
}

// Script is a compiled check. It may run for many servers at one time.
type Script struct {
	steps []step
	// user: rules of `tcp-check` lines, whose failures name the step.
	user       bool
	disable404 bool
}

// step is one thing to do. A nil result means: go on.
type step interface {
	run(x *exchange) *Result
	// about is what the suffix "at step N of tcp-check" says of the step.
	about() string
}

// kinds is the table of protocols: how each fills a script.
var kinds = map[model.CheckKind]func(s *Script, c *model.Check, e *Env) error{
	model.CheckTCP:      buildTCP,
	model.CheckHTTP:     buildHTTP,
	model.CheckSSLHello: buildSSLHello,
	model.CheckSMTP:     buildSMTP,
	model.CheckMySQL:    buildMySQL,
	model.CheckPgSQL:    buildPgSQL,
	model.CheckLDAP:     buildLDAP,
	model.CheckRedis:    buildRedis,
}

// Compile makes the script of a backend's checks.
func Compile(c *model.Check, e *Env) (*Script, error) {
	build, ok := kinds[c.Kind]
	if !ok {
		return nil, fmt.Errorf("%s: this kind of check is not supported", c.Pos)
	}
	s := &Script{disable404: c.DisableOn404}
	if err := build(s, c, e); err != nil {
		return nil, err
	}
	if len(s.steps) == 0 || !isConnect(s.steps[0]) {
		s.steps = append([]step{&connect{implicit: true, byDefault: true}}, s.steps...)
	}
	return s, nil
}

func isConnect(s step) bool {
	_, ok := s.(*connect)
	return ok
}

// add appends steps.
func (s *Script) add(steps ...step) { s.steps = append(s.steps, steps...) }

// Run performs the check. It ends when ctx does, with an unknown status that
// is not to be reported.
func (s *Script) Run(ctx context.Context, t *Target) Result {
	x := &exchange{script: s, target: t, ctx: ctx, facts: Facts{Server: t.Server}}
	defer x.close()
	stop := context.AfterFunc(ctx, x.interrupt)
	defer stop()
	number := 0
	for i, st := range s.steps {
		if c, ok := st.(*connect); !ok || !c.implicit {
			number++
		}
		x.step, x.number, x.last = st, number, i == len(s.steps)-1
		if r := st.run(x); r != nil {
			if ctx.Err() != nil {
				return Result{Status: pool.CheckUnknown}
			}
			return *r
		}
	}
	return x.passed()
}
