package node

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"evenkeel/internal/accesslog"
	"evenkeel/internal/admin"
	"evenkeel/internal/certs"
	"evenkeel/internal/dialect/haproxy"
	"evenkeel/internal/engine"
	"evenkeel/internal/health"
	"evenkeel/internal/keeper/socket"
	"evenkeel/internal/keeper/worker"
	"evenkeel/internal/model"
	"evenkeel/internal/plan"
	"evenkeel/internal/pool"
	"evenkeel/internal/proxy"
	"evenkeel/internal/rule"
)

// Options are what the command line says about the configuration.
type Options struct {
	Files     []string // files and directories, in order
	LocalPeer string
	MaxConn   int // -n; 0: as configured
	Diag      bool
	// SSLVerifyNone: servers' certificates are not verified (-dV).
	SSLVerifyNone bool
	Stdin         io.Reader
	Stderr        io.Writer
	Quiet         bool
	// Version is what show info tells.
	Version string
}

// Service is one worker's life. It implements worker.Service.
type Service struct {
	opt Options

	// set by Build
	cfg     *model.Config
	rt      *proxy.Runtime
	pools   []*pool.Backend
	byModel map[*model.Proxy]*pool.Backend
	comp    *rule.Compiler
	keys    *certs.Store
	logs    *logs
	started time.Time

	// set by Open
	control   []controlSocket
	listening []int // of the proxies

	// set by Start
	loops     []*engine.Loop
	ran       sync.WaitGroup // the loops
	admin     *admin.Server
	patterns  admin.Patterns
	checks    *health.Runner
	endChecks context.CancelFunc

	save   atomic.Pointer[func() error] // set by Start
	saving atomic.Bool                  // a save is about to begin

	down    atomic.Pointer[func([]string) error] // set by Start; nil: nobody follows
	telling atomic.Bool

	drained  chan struct{} // closed when nothing is under way after Drain
	stopOnce sync.Once
}

type controlSocket struct {
	listener net.Listener
	info     admin.Socket
}

var _ worker.RuntimeService = (*Service)(nil)

// New makes a service that has read nothing yet.
func New(o Options) *Service {
	if o.Stderr == nil {
		o.Stderr = os.Stderr
	}
	return &Service{opt: o, drained: make(chan struct{}), started: time.Now()}
}

// Read parses the files; it is what check does before Compile.
func Read(o Options, files *worker.Files) (*model.Config, model.Diagnostics) {
	var all []haproxy.File
	var d model.Diagnostics
	names, err := expand(o.Files, files)
	if err != nil {
		d.Errorf(model.Pos{}, "%v", err)
		return nil, d
	}
	for _, name := range names {
		data, err := readOne(name, o.Stdin, files)
		if err != nil {
			d.Errorf(model.Pos{}, "Could not open configuration file %s : %s", name, cause(err))
			return nil, d
		}
		all = append(all, haproxy.File{Name: name, Data: data})
	}
	return haproxy.Parse(all, haproxy.Options{Diag: o.Diag, LocalPeer: o.LocalPeer, ReadFile: files.ReadFile})
}

func cause(err error) string {
	var pe *os.PathError
	if p, ok := err.(*os.PathError); ok {
		pe = p
		return pe.Err.Error()
	}
	return err.Error()
}

func readOne(name string, stdin io.Reader, files *worker.Files) ([]byte, error) {
	if name == "/dev/stdin" && stdin != nil {
		return io.ReadAll(stdin)
	}
	return files.ReadFile(name)
}

// expand replaces directories by their *.cfg files in the C locale's order.
func expand(names []string, files *worker.Files) ([]string, error) {
	var out []string
	for _, name := range names {
		st, err := os.Stat(name)
		if err != nil || !st.IsDir() {
			out = append(out, name)
			continue
		}
		entries, err := files.ReadDir(name)
		if err != nil {
			return nil, err
		}
		sort.Strings(entries)
		for _, e := range entries {
			if strings.HasSuffix(e, ".cfg") && !strings.HasPrefix(e, ".") {
				out = append(out, strings.TrimSuffix(name, "/")+"/"+e)
			}
		}
	}
	return out, nil
}

// Build implements worker.Service.
func (s *Service) Build(in worker.Input) (worker.Settings, model.Diagnostics) {
	if in.Master {
		os.Setenv("HAPROXY_MWORKER", "1")
	}
	cfg, d := Read(s.opt, in.Files)
	if cfg == nil || d.HasErrors() {
		return worker.Settings{}, d
	}
	if s.opt.MaxConn > 0 {
		cfg.Global.MaxConn = s.opt.MaxConn
	}
	d = append(d, s.compile(cfg, in.Files)...)
	return s.settings(), d
}

// compile builds everything that can fail without opening a socket.
func (s *Service) compile(cfg *model.Config, files *worker.Files) model.Diagnostics {
	s.cfg = cfg
	_, d := plan.BuildWith(cfg, plan.Options{ReadFile: files.ReadFile, SSLVerifyNone: s.opt.SSLVerifyNone})
	if d.HasErrors() {
		return d
	}
	if errs := compileErrors(cfg, files); len(errs) > 0 {
		return append(d, errs...)
	}
	s.comp = rule.NewCompiler(cfg)
	s.comp.Files = files.ReadFile
	var cd model.Diagnostics
	s.keys, cd = certs.Load(cfg, certs.Options{ReadFile: files.ReadFile, ReadDir: files.ReadDir})
	d = append(d, cd...)
	s.logs = newLogs(cfg)
	if pd := s.makePools(); len(pd) > 0 {
		d = append(d, pd...)
	}
	if d.HasErrors() {
		return d
	}
	var rd model.Diagnostics
	s.rt, rd = proxy.Build(proxy.Options{
		Config: cfg, Pools: s.byModel, Logs: s.logs.forProxy, TLS: tlsSource{s.keys},
		Compiler: s.comp, ParseFormat: haproxy.BuiltinFormat, Pid: os.Getpid(),
	})
	return append(d, rd...)
}

// compileErrors are the mistakes in rules, those of acls that nothing uses
// included: the proxy compiles what it runs.
func compileErrors(cfg *model.Config, files *worker.Files) model.Diagnostics {
	c := rule.NewCompiler(cfg)
	c.Files = files.ReadFile
	var errs model.Diagnostics
	for _, x := range plan.CompileAllWith(c) {
		if x.Severity == model.Error {
			errs = append(errs, x)
		}
	}
	return errs
}

func (s *Service) makePools() model.Diagnostics {
	var d model.Diagnostics
	s.byModel = map[*model.Proxy]*pool.Backend{}
	for _, p := range s.cfg.Proxies {
		if p.Kind&model.KindBackend == 0 {
			continue
		}
		b, err := pool.New(p, pool.Options{
			Resolve: resolve, Now: func() int64 { return engine.Monotonic() }, Wall: time.Now,
			Event:               func(level int, text string) { s.event(p, level, text) },
			CloseSessions:       func(srv *pool.Server) { s.rt.ShutdownServer(srv, 'D') },
			CloseBackupSessions: func(b *pool.Backend) { s.rt.ShutdownBackups(b) },
			StateChanged:        func(srv *pool.Server) { s.serverChanged(srv) },
			PID:                 1,
		})
		if err != nil {
			if x, ok := err.(model.Diagnostic); ok {
				d = append(d, x)
			} else {
				d.Errorf(p.Pos, "%v", err)
			}
			continue
		}
		s.byModel[p] = b
		s.pools = append(s.pools, b)
	}
	if len(d) == 0 {
		if err := pool.Link(s.pools); err != nil {
			d.Errorf(model.Pos{}, "%v", err)
		}
	}
	return d
}

func (s *Service) serverChanged(srv *pool.Server) {
	if s.rt != nil && !srv.Up() {
		s.rt.DropIdle(srv)
	}
	s.keepState()
	s.tellDown()
}

// keepState has the keeper keep the present state soon, for a worker that has
// to follow this one unannounced. Changes that come close together are kept
// together.
func (s *Service) keepState() {
	if save := s.save.Load(); save != nil && s.saving.CompareAndSwap(false, true) {
		go func() {
			s.saving.Store(false)
			_ = (*save)() // the periodic one follows
		}()
	}
}

// settings is what the global section asks of the process.
func (s *Service) settings() worker.Settings {
	if s.cfg == nil {
		return worker.Settings{}
	}
	g := &s.cfg.Global
	set := worker.Settings{
		Daemon: g.Daemon, MasterWorker: g.MasterWorker, Pidfile: g.Pidfile, HardStopAfter: g.HardStopAfter, Grace: g.Grace,
	}
	set.Privileges.Chroot = g.Chroot
	set.Privileges.UID, set.Privileges.GID = g.UID, g.GID
	set.Privileges.NoFile = g.UlimitN
	if set.Privileges.NoFile == 0 && g.MaxConn > 0 {
		set.Privileges.NoFile = 2*g.MaxConn + 100
	}
	for _, p := range s.cfg.Proxies {
		set.Privileges.KeepNetRaw = set.Privileges.KeepNetRaw || transparent(p)
	}
	return set
}

// transparent: foreign source addresses need CAP_NET_RAW for every connection.
func transparent(p *model.Proxy) bool {
	if s := p.Backend.Source; s != nil && s.UseSrc != "" {
		return true
	}
	for _, srv := range p.Backend.Servers {
		if srv.Source != nil && srv.Source.UseSrc != "" {
			return true
		}
	}
	return false
}

// Open implements worker.Service.
func (s *Service) Open(listen func(socket.Spec) (int, error)) error {
	for _, e := range s.rt.Endpoints() {
		spec, err := bindSpec(&e)
		if err != nil {
			return err
		}
		fd, err := listen(spec)
		if err != nil {
			return fmt.Errorf("%s: Starting frontend %s: cannot bind socket (%w) for [%s]", e.Bind.Pos, e.Frontend.Name(), err, e.Text())
		}
		e.Use(fd)
		s.listening = append(s.listening, fd)
	}
	return s.openControl(listen)
}

// pipeSize is what a splice pipe holds. 64 of this size stay below the limit
// that the kernel sets for a user's pipes.
const pipeSize = 256 << 10

// Start implements worker.Service.
func (s *Service) Start(h worker.Handover) error {
	now := engine.Monotonic()
	s.loadServerStates(now)
	if h.Save != nil {
		s.save.Store(&h.Save)
	}
	if h.Down != nil {
		s.down.Store(&h.Down)
	}
	if h.State != nil {
		s.restore(h.State, now)
	}
	n := s.cfg.Global.NbThread
	if n <= 0 {
		n = runtime.NumCPU()
	}
	n = min(n, 64)
	// One thread a loop, and two for handshakes, checks and the runtime API, which
	// would otherwise wait for a busy loop to be preempted.
	runtime.GOMAXPROCS(n + 2)
	debug.SetGCPercent(60)
	for i := range n {
		l, err := engine.New(engine.Options{ID: i, BufSize: s.cfg.Global.Tune.BufSize, PipeSize: pipeSize})
		if err != nil {
			return err
		}
		s.loops = append(s.loops, l)
	}
	s.rt.Attach(s.loops)
	if err := s.rt.Start(s.cfg.Global.Tune.MaxAccept); err != nil {
		return err
	}
	for _, l := range s.loops {
		s.ran.Add(1)
		go func() {
			defer s.ran.Done()
			if err := l.Run(); err != nil {
				fmt.Fprintf(s.opt.Stderr, "event loop: %v\n", err)
			}
		}()
	}
	if err := s.startChecks(); err != nil {
		return err
	}
	s.startAdmin()
	s.tellDown()
	return nil
}

// Adopt implements worker.Service.
func (s *Service) Adopt(fd int, meta []byte) { s.rt.Adopt(fd, meta) }

// Pause implements worker.Service.
func (s *Service) Pause() { s.rt.Pause() }

// Resume implements worker.Service.
func (s *Service) Resume() { s.rt.Resume() }

// Leave implements worker.Leaver.
func (s *Service) Leave() { s.rt.Leave() }

// Drain implements worker.Service.
func (s *Service) Drain(give func(fd int, meta []byte) error) {
	var h *proxy.Handoff
	if give != nil {
		h = &proxy.Handoff{Give: give}
	}
	for _, c := range s.control {
		c.listener.Close()
	}
	s.stopChecks()
	s.rt.Drain(h)
	go s.unlisten()
	go func() {
		<-s.rt.Drained()
		close(s.drained)
	}()
}

// unlisten closes the listening sockets once no loop uses them. While any
// process holds one the kernel would take connections that nobody serves.
func (s *Service) unlisten() {
	for !s.rt.Settled() {
		select {
		case <-s.drained:
			return
		default:
		}
	}
	for _, fd := range s.listening {
		syscall.Close(fd)
	}
}

// Drained implements worker.Service.
func (s *Service) Drained() <-chan struct{} { return s.drained }

// Stop implements worker.Service.
func (s *Service) Stop() {
	s.stopOnce.Do(func() {
		s.stopChecks()
		if s.admin != nil {
			s.admin.Stop(context.Background())
		}
		s.rt.Stop()
		for _, l := range s.loops {
			l.Stop()
		}
		s.ran.Wait()
	})
}

// event is what the pool says about a server: to the proxy's log, and to the
// terminal while there is one.
func (s *Service) event(p *model.Proxy, level int, text string) {
	if t := s.logs.targets(p); t != nil {
		t.Send(level, []byte(text))
	}
	if !s.opt.Quiet {
		fmt.Fprintf(s.opt.Stderr, "[%s]   (%d) : %s\n", severityName(level), os.Getpid(), text)
	}
}

func severityName(level int) string {
	switch {
	case level <= 1:
		return "ALERT"
	case level <= 4:
		return "WARNING"
	}
	return "NOTICE"
}

var _ = accesslog.DefaultLen
