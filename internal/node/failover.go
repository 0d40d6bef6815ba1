package node

import (
	"fmt"
	"io"
	"os"
	"sync"

	"evenkeel/internal/alert"
	"evenkeel/internal/dialect"
	"evenkeel/internal/dialect/keepalived"
	"evenkeel/internal/failover"
	"evenkeel/internal/keeper/holder"
	"evenkeel/internal/keeper/lease"
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
}

// Failover is one failover process put together. It implements
// holder.Service.
type Failover struct {
	opt      FailoverOptions
	registry *metrics.Registry
	svc      *failover.Service
	metrics  *metrics.Server
}

var _ holder.Service = (*Failover)(nil)

// NewFailover makes a failover process that has read nothing yet.
func NewFailover(o FailoverOptions) *Failover {
	if o.Stderr == nil {
		o.Stderr = os.Stderr
	}
	registry := metrics.New(o.Version)
	return &Failover{opt: o, registry: registry, svc: failover.New(failover.Options{
		Version: o.Version, Stderr: o.Stderr, Sinks: o.Sinks, Registry: registry, WithProxy: o.WithProxy})}
}

// ReadFailover parses the files that move addresses.
func ReadFailover(o FailoverOptions) (*model.Config, model.Diagnostics) {
	var files []dialect.File
	var d model.Diagnostics
	for _, name := range o.Files {
		data, err := os.ReadFile(name)
		if err != nil {
			d.Errorf(model.Pos{}, "cannot open the configuration file %s: %s", name, cause(err))
			return nil, d
		}
		files = append(files, dialect.File{Name: name, Data: data})
	}
	return keepalived.Parse(files, dialect.Options{ConfigID: o.ConfigID})
}

// CheckTogether judges what the files that move addresses demand of the proxy
// whose configuration is proxy.
func CheckTogether(proxy *model.Config, o FailoverOptions) model.Diagnostics {
	moving, d := ReadFailover(o)
	if d.HasErrors() || proxy == nil {
		return nil // told already
	}
	both := *proxy
	both.Failover = moving.Failover
	return plan.CheckFailover(&both)
}

// Prepare implements holder.Service.
func (f *Failover) Prepare() model.Diagnostics {
	cfg, d := ReadFailover(f.opt)
	if d.HasErrors() {
		return d
	}
	if !f.opt.WithProxy {
		d = append(d, plan.CheckFailover(cfg)...)
	}
	return append(d, f.svc.Configure(cfg)...)
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
	return f.svc.Start(page, state)
}

// Apply implements holder.Service.
func (f *Failover) Apply() { f.svc.Apply() }

// Release implements holder.Service.
func (f *Failover) Release(why string) {
	if f.opt.KeepAddresses {
		f.Retire()
		return
	}
	var gone sync.WaitGroup
	gone.Add(1)
	f.svc.Stop(true, gone.Done)
	gone.Wait()
	f.closeMetrics()
}

// Retire implements holder.Service.
func (f *Failover) Retire() {
	f.svc.Retire()
	f.closeMetrics()
}

func (f *Failover) closeMetrics() {
	if f.metrics != nil {
		_ = f.metrics.Close()
	}
}

// Control implements holder.Service.
func (f *Failover) Control(line string) string { return f.svc.Control(line) }
