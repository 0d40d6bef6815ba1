package health

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"evenkeel/internal/health/checks"
	"evenkeel/internal/model"
	"evenkeel/internal/pool"
)

// Options are what a Runner needs from outside. Every field may be left empty.
type Options struct {
	// Env compiles formats, expressions and regular expressions.
	Env checks.Env
	// Dial connects; nil: the net package, from the server's source address.
	Dial func(ctx context.Context, s *pool.Server, network, addr string) (net.Conn, error)
	// TLS is the client side for checks of a server; nil: made from the
	// server line.
	TLS TLSFactory
	// Random gives numbers in [0,1) for spread-checks; nil: math/rand.
	Random func() float64
}

// TLSFactory makes a configuration for connections to a server.
type TLSFactory func(s *pool.Server, sni string, alpn []string) (*tls.Config, error)

// Runner runs the checks of a set of backends. Start makes it; Stop ends it.
type Runner struct {
	// Set once.
	opt    Options
	global model.Global
	cancel context.CancelFunc
	wg     sync.WaitGroup
	byKey  map[*pool.Server]*watch
}

// watch is what is known of one server's checks.
type watch struct {
	server *pool.Server
	runner *Runner
	script *checks.Script
	kick   chan struct{} // one token; never closed
	agentK chan struct{}

	mu        sync.Mutex
	checkAddr string
	checkPort int
	agentAddr string
	agentPort int
	agentSend string
}

// Start compiles the checks of all backends and starts them; the first checks
// are spread over the shortest interval. It fails, with nothing started, when
// a check cannot be compiled.
func Start(ctx context.Context, backends []*pool.Backend, cfg *model.Config, o Options) (*Runner, error) {
	if o.Random == nil {
		o.Random = rand.Float64
	}
	r := &Runner{opt: o, byKey: map[*pool.Server]*watch{}}
	if cfg != nil {
		r.global = cfg.Global
	}
	if r.opt.Env.Node == "" {
		r.opt.Env.Node = r.global.Node
	}
	if o.TLS == nil {
		r.opt.TLS = newTLS(&r.global).config
	}
	if o.Dial == nil {
		r.opt.Dial = dial
	}
	var all []func(ctx context.Context, delay time.Duration)
	var shortest time.Duration
	for _, b := range backends {
		var script *checks.Script
		for _, s := range b.Servers {
			if !s.Checked && !s.Agented {
				continue
			}
			w := newWatch(r, s)
			r.byKey[s] = w
			if s.Checked && s.Model.Track == "" {
				if script == nil {
					var err error
					if script, err = checks.Compile(&b.Model.Backend.Check, &r.opt.Env); err != nil {
						return nil, fmt.Errorf("checks of backend %s: %w", b.Name, err)
					}
				}
				w.script = script
				s.SetCheckKick(w.wake)
				all = append(all, w.runChecks)
				shortest = least(shortest, s.CheckInterval())
			}
			if s.Agented {
				all = append(all, w.runAgent)
				shortest = least(shortest, s.AgentInterval())
			}
		}
	}
	if m := r.global.MaxSpread; m > 0 && shortest > m {
		shortest = m
	}
	ctx, r.cancel = context.WithCancel(ctx)
	for i, run := range all {
		delay := shortest * time.Duration(i) / time.Duration(len(all))
		r.wg.Go(func() { run(ctx, delay) })
	}
	return r, nil
}

func least(a, b time.Duration) time.Duration {
	if a == 0 || b < a {
		return b
	}
	return a
}

// Stop ends all checks and waits for their goroutines, or for ctx.
func (r *Runner) Stop(ctx context.Context) error {
	r.cancel()
	done := make(chan struct{})
	go func() {
		r.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func newWatch(r *Runner, s *pool.Server) *watch {
	return &watch{
		server: s, runner: r, kick: make(chan struct{}, 1), agentK: make(chan struct{}, 1),
		checkAddr: s.Model.Check.Addr, checkPort: s.Model.Check.Port,
		agentAddr: s.Model.Agent.Addr, agentPort: s.Model.Agent.Port, agentSend: s.Model.Agent.Send,
	}
}

// wake makes the next health check run at once.
func (w *watch) wake() {
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// sleep waits for d, a kick, or the end. false: the end.
func sleep(ctx context.Context, d time.Duration, kick <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-kick:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// spread moves an interval by up to spread-checks percent, either way.
func (r *Runner) spread(d time.Duration) time.Duration {
	if p := r.global.SpreadChecks; p != 0 {
		part := float64(d) * float64(p) / 100
		d += time.Duration(part - 2*part*r.opt.Random())
	}
	return max(d, time.Millisecond)
}

func (w *watch) runChecks(ctx context.Context, delay time.Duration) {
	s := w.server
	for sleep(ctx, delay, w.kick) {
		if s.CheckEnabled() {
			s.CheckStarted()
			start := time.Now()
			res := w.check(ctx)
			if ctx.Err() != nil {
				return
			}
			s.CheckDone(pool.CheckReport{Status: res.Status, Code: res.Code, Info: res.Info, Duration: time.Since(start)})
		}
		delay = w.runner.spread(s.CheckInterval())
	}
}

func (w *watch) runAgent(ctx context.Context, delay time.Duration) {
	s := w.server
	for sleep(ctx, delay, w.agentK) {
		if s.AgentEnabled() {
			start := time.Now()
			t, say := w.agentTarget()
			report := checks.Agent(ctx, t, say)
			if ctx.Err() != nil {
				return
			}
			report.Duration = time.Since(start)
			s.AgentDone(report)
		}
		delay = w.runner.spread(s.AgentInterval())
	}
}

// defaultInter is the interval where none is given.
const defaultInter = 2 * time.Second

// check runs one health check. Whatever the state of the server, inter bounds
// it.
func (w *watch) check(ctx context.Context) checks.Result {
	t, err := w.target()
	if err != nil {
		return checks.Result{Status: pool.CheckSockErr, Info: err.Error()}
	}
	if t.Whole = w.server.Model.Check.Inter; t.Whole <= 0 {
		t.Whole = defaultInter
	}
	return w.script.Run(ctx, t)
}

var errNoAddress = errors.New("General socket error (No address)")

// place is where a server is, with the address and port that checks use
// instead.
func place(e pool.Endpoint, addr string, port int) (network, host string, p int, err error) {
	switch e.Network {
	case "unix":
		if addr == "" {
			return "unix", e.Path, 0, nil
		}
	case "abns":
		if addr == "" {
			return "unix", "@" + e.Path + strings.Repeat("\x00", max(0, 107-len(e.Path))), 0, nil
		}
	}
	host, p = addr, port
	if host == "" {
		if !e.Addr.Addr().IsValid() {
			return "", "", 0, errNoAddress
		}
		host = e.Addr.Addr().String()
	}
	if p == 0 && !e.PortMapped {
		p = int(e.Addr.Port())
	}
	return "tcp", host, p, nil
}

func (w *watch) target() (*checks.Target, error) {
	s, r := w.server, w.runner
	m := s.Model
	w.mu.Lock()
	addr, port := w.checkAddr, w.checkPort
	w.mu.Unlock()
	network, host, port, err := place(s.Addr(), addr, port)
	if err != nil {
		return nil, err
	}
	px := s.Backend.Model
	t := &checks.Target{
		Server: s, Network: network, Host: host, Port: port,
		Connect: px.Timeouts.Connect, Reply: px.Timeouts.Check, BufSize: r.global.Tune.BufSize,
		SNI: m.Check.SNI,
		TLS: func(sni string, alpn []string) (*tls.Config, error) { return r.opt.TLS(s, sni, alpn) },
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return r.opt.Dial(ctx, s, network, addr)
		},
		State: func() string { return serverState(s, r.opt.Env.Node) },
	}
	if m.Check.ALPN != "" {
		t.ALPN = splitALPN(m.Check.ALPN)
	}
	// A check to an address or port of its own does what the check words say;
	// any other does what traffic does.
	own := m.Check.Addr != "" || m.Check.Port != 0
	if m.Check.TLS != nil {
		t.UseTLS = *m.Check.TLS
	} else {
		t.UseTLS = m.TLS != nil && !own
	}
	if !own {
		t.ProxyVersion = m.SendProxy.Version
	}
	if m.Check.SendProxy && t.ProxyVersion == 0 {
		t.ProxyVersion = max(1, m.SendProxy.Version)
	}
	return t, nil
}

func (w *watch) agentTarget() (*checks.Target, string) {
	s, r := w.server, w.runner
	w.mu.Lock()
	addr, port, say := w.agentAddr, w.agentPort, w.agentSend
	w.mu.Unlock()
	network, host, port, err := place(s.Addr(), addr, port)
	t := &checks.Target{
		Server: s, Network: network, Host: host, Port: port, Whole: s.AgentInterval(),
		Connect: s.Backend.Model.Timeouts.Connect, Reply: s.Backend.Model.Timeouts.Check, BufSize: r.global.Tune.BufSize,
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if err != nil {
				return nil, err
			}
			return r.opt.Dial(ctx, s, network, addr)
		},
	}
	return t, say
}

// dial connects from the server's source address, if it has one.
func dial(ctx context.Context, s *pool.Server, network, addr string) (net.Conn, error) {
	var d net.Dialer
	src := s.Model.Source
	if src == nil {
		src = s.Backend.Model.Backend.Source
	}
	if src != nil && network != "unix" {
		if src.Addr != "" && src.Addr != "*" {
			if ip, err := netip.ParseAddr(src.Addr); err == nil {
				d.LocalAddr = &net.TCPAddr{IP: ip.AsSlice(), Zone: ip.Zone()}
			}
		}
		if src.Interface != "" {
			d.Control = bindTo(src.Interface)
		}
	}
	d.KeepAlive = -1
	return d.DialContext(ctx, network, addr)
}

// SetCheckAddr moves the health checks of a server: "" keeps the address, 0
// the port.
func (r *Runner) SetCheckAddr(s *pool.Server, addr string, port int) error {
	w := r.byKey[s]
	if w == nil || !s.Checked {
		return errors.New("health checks are not enabled on this server")
	}
	w.mu.Lock()
	if addr != "" {
		w.checkAddr = addr
	}
	if port != 0 {
		w.checkPort = port
	}
	w.mu.Unlock()
	return nil
}

// SetAgentAddr moves the agent checks of a server.
func (r *Runner) SetAgentAddr(s *pool.Server, addr string, port int) error {
	w := r.byKey[s]
	if w == nil || !s.Agented {
		return errors.New("agent checks are not enabled on this server")
	}
	w.mu.Lock()
	if addr != "" {
		w.agentAddr = addr
	}
	if port != 0 {
		w.agentPort = port
	}
	w.mu.Unlock()
	return nil
}

// SetAgentSend changes what is sent to the agent of a server.
func (r *Runner) SetAgentSend(s *pool.Server, text string) error {
	w := r.byKey[s]
	if w == nil || !s.Agented {
		return errors.New("agent checks are not enabled on this server")
	}
	w.mu.Lock()
	w.agentSend = text
	w.mu.Unlock()
	return nil
}
