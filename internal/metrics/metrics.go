package metrics

import (
	"net/http"
)

// Registry is the metrics of one process.
type Registry struct{}

// Kind says how a metric's value moves.
type Kind uint8

// The kinds.
const (
	CounterKind Kind = iota // only up
	GaugeKind
)

// Desc describes one metric: its name, what it means, and its labels in order.
type Desc struct {
	Name   string
	Kind   Kind
	Help   string
	Labels []string
}

// Emit gives out the value of one metric with its labels' values in order.
type Emit func(name string, value float64, labels ...string)

// New makes a registry with the process's own metrics and evenkeel_build_info.
func New(version string) *Registry { return &Registry{} }

// Collect adds metrics whose values are asked for at each scrape. read runs
// for each scrape, possibly in several goroutines at once, and must not block
// for long: it should read a snapshot. An emitted name that no Desc has, or a
// wrong number of labels, becomes an error of the scrape.
func (r *Registry) Collect(descs []Desc, read func(Emit)) error { return nil }

// Counter is a number that only grows.
type Counter struct{}

// Add adds n to the counter with these label values.
func (c *Counter) Add(n float64, labels ...string) {}

// Counter makes a counter. The name and labels must be new to the registry.
func (r *Registry) Counter(name, help string, labels ...string) (*Counter, error) {
	return &Counter{}, nil
}

// Gauge is a number that moves.
type Gauge struct{}

// Set sets the gauge with these label values.
func (g *Gauge) Set(n float64, labels ...string) {}

// Remove forgets the gauge with these label values.
func (g *Gauge) Remove(labels ...string) {}

// Gauge makes a gauge.
func (r *Registry) Gauge(name, help string, labels ...string) (*Gauge, error) {
	return &Gauge{}, nil
}

// Handler answers /metrics.
func (r *Registry) Handler() http.Handler { return http.NotFoundHandler() }

// Server serves a registry on one address.
type Server struct{}

// Listen serves r at an address: host:port, or unix:/path or /path for a unix
// socket. An empty host means loopback; all addresses have to be asked for
// with 0.0.0.0 or [::].
func Listen(addr string, r *Registry) (*Server, error) { return &Server{}, nil }

// Addr is the address that the server listens on.
func (s *Server) Addr() string { return "" }

// Close ends the server.
func (s *Server) Close() error { return nil }
