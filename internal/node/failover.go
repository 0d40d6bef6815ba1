package node

import (
	"fmt"
	"io"
	"os"
	"slices"
	"sync"

	"evenkeel/internal/alert"
	"evenkeel/internal/dialect"
	"evenkeel/internal/dialect/keepalived"
	"evenkeel/internal/failover"
	"evenkeel/internal/keeper/holder"
	"evenkeel/internal/keeper/lease"
	"evenkeel/internal/keeper/worker"
	"evenkeel/internal/metrics"
	"evenkeel/internal/model"
	"evenkeel/internal/plan"
)

// FailoverOptions are what the command line says about moving addresses.
type FailoverOptions struct {
	Files     []string // keepalived.conf
	ConfigID  string   // for lines that begin with @
	Version   string
	Stderr    io.Writer
	WithProxy bool         // a proxy runs under the same keeper
	Sinks     []alert.Spec // events go here as well as where the files say
	// MetricsAddr serves /metrics; "": nobody.
	MetricsAddr string
	// KeepAddresses leaves addresses where they are on a stop (keepalived -V).
	KeepAddresses bool
	// NoForwarding and NoAddresses leave the half out that virtual_server, or
	// VRRP, is about (keepalived -P, -C).
	NoForwarding, NoAddresses bool
	// KeepServices leaves virtual services where they are on a stop
	// (keepalived -I).
	KeepServices bool
	// RunDirectory is where packet forwarding keeps what outlives a process;
	// "": DefaultRunDirectory.
	RunDirectory string
}

// Failover is one failover process put together. It implements
// holder.Service.
type Failover struct {
	opt      FailoverOptions
	registry *metrics.Registry
	svc      *failover.Service
	forward  *forwarding
	metrics  *metrics.Server
}

var _ holder.Service = (*Failover)(nil)

// NewFailover makes a failover process that has read nothing yet.
func NewFailover(o FailoverOptions) *Failover {
	if o.Stderr == nil {
		o.Stderr = os.Stderr
	}
	registry := metrics.New(o.Version)
	forward := &forwarding{}
	svc := failover.New(failover.Options{Version: o.Version, Stderr: o.Stderr, Sinks: o.Sinks, Registry: registry,
		WithProxy: o.WithProxy, KeepAddresses: o.KeepAddresses, Beside: forward.beside()})
	forward.open(o, svc)
	if err := registry.Collect(slices.Concat(forwardMetrics, pairMetrics), func(emit metrics.Emit) { emitForwarding(forward.svc.View(), emit) }); err != nil {
		fmt.Fprintf(o.Stderr, "metrics: %v\n", err)
	}
	return &Failover{opt: o, registry: registry, svc: svc, forward: forward}
}

// ReadFailover parses the files that move addresses.
func ReadFailover(o FailoverOptions, from *worker.Files) (*model.Config, model.Diagnostics) {
	var files []dialect.File
	var d model.Diagnostics
	for _, name := range o.Files {
		data, err := from.ReadFile(name)
		if err != nil {
			d.Errorf(model.Pos{}, "cannot open the configuration file %s: %s", name, cause(err))
			return nil, d
		}
		files = append(files, dialect.File{Name: name, Data: data})
	}
	return keepalived.Parse(files, dialect.Options{ConfigID: o.ConfigID, ReadFile: from.ReadFile, Glob: from.Glob})
}

// halve leaves out what the command line does not want.
func (o *FailoverOptions) halve(m *model.Failover) {
	if m == nil {
		return
	}
	if o.NoForwarding {
		m.VirtualServers, m.ServerGroups = nil, nil
	}
	if o.NoAddresses {
		m.Instances, m.SyncGroups = nil, nil
		m.StaticAddresses, m.StaticRoutes, m.StaticRules = nil, nil, nil
	}
}

// CheckTogether judges what the files that move addresses demand of the proxy
// whose configuration is proxy.
func CheckTogether(proxy *model.Config, o FailoverOptions) model.Diagnostics {
	moving, d := ReadFailover(o, worker.NewFiles())
	if d.HasErrors() || proxy == nil {
		return nil // told already
	}
	both := *proxy
	both.Failover = moving.Failover
	return plan.CheckFailover(&both)
}

// Prepare implements holder.Service.
func (f *Failover) Prepare(files *worker.Files) model.Diagnostics {
	cfg, d := ReadFailover(f.opt, files)
	if d.HasErrors() {
		return d
	}
	if !f.opt.WithProxy {
		d = append(d, plan.CheckFailover(cfg)...)
	}
	f.opt.halve(cfg.Failover)
	d = append(d, f.svc.Configure(cfg)...)
	return append(d, f.forward.configure(cfg)...)
}

// Start implements holder.Service.
func (f *Failover) Start(page *lease.Page, state []byte) error {
	if f.opt.MetricsAddr != "" {
		m, err := metrics.Listen(f.opt.MetricsAddr, f.registry)
		if err != nil {
			return fmt.Errorf("metrics: %w", err)
		}
		f.metrics = m
	}
	if err := f.svc.Start(page, state); err != nil {
		return err
	}
	if len(state) == 0 {
		return nil // forwarding has begun: see beside
	}
	go f.forward.follow(f.svc.Post)
	return nil
}

// stop hands addresses over, or drops them, and then ends forwarding.
func (f *Failover) stop(graceful bool) {
	var gone sync.WaitGroup
	gone.Add(1)
	f.svc.Stop(graceful, gone.Done)
	gone.Wait()
	f.closeMetrics()
}

// Apply implements holder.Service.
func (f *Failover) Apply() {
	f.svc.Apply() // sessions and files that checkers watch are there
	f.forward.apply()
}

// Release implements holder.Service. Packets of addresses that stay, because
// they are nobody's to move, are forwarded on when the keeper has died: nobody
// wanted that to end, and the next process goes on from there.
func (f *Failover) Release(why string) {
	f.forward.retire.Store(why == holder.KeeperDied)
	if f.opt.KeepAddresses {
		f.svc.Leave()
		f.closeMetrics()
		return
	}
	f.stop(true)
}

// Retire implements holder.Service.
func (f *Failover) Retire() {
	f.forward.retire.Store(true)
	f.svc.Retire()
	f.closeMetrics()
}

func (f *Failover) closeMetrics() {
	if f.metrics != nil {
		_ = f.metrics.Close()
	}
}

// Control implements holder.Service.
func (f *Failover) Control(line string) string {
	if answer, ok := f.forward.control(line, f.svc.Control); ok {
		return answer
	}
	return f.svc.Control(line)
}
