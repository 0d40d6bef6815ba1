package metrics

import (
	"fmt"
	"net/http"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Registry is the metrics of one process.
type Registry struct {
	all *prometheus.Registry
}

// New makes a registry with the process's own metrics and evenkeel_build_info.
func New(version string) *Registry {
	r := &Registry{all: prometheus.NewRegistry()}
	r.all.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	info := prometheus.NewGauge(prometheus.GaugeOpts{Name: "evenkeel_build_info", Help: "1; the labels say what runs.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()}})
	info.Set(1)
	r.all.MustRegister(info)
	return r
}

// Collect adds metrics whose values are asked for at each scrape. read runs
// for each scrape, possibly in several goroutines at once, and must not block
// for long: it should read a snapshot. An emitted name that no Desc has, or a
// wrong number of labels, becomes an error of the scrape.
func (r *Registry) Collect(descs []Desc, read func(Emit)) error {
	c := &reader{read: read, known: map[string]known{}}
	for _, d := range descs {
		if err := d.check(); err != nil {
			return err
		}
		k := known{desc: prometheus.NewDesc(d.Name, d.Help, d.Labels, nil), kind: prometheus.GaugeValue}
		if d.Kind == CounterKind {
			k.kind = prometheus.CounterValue
		}
		c.known[d.Name] = k
	}
	return r.all.Register(c)
}

// known is a Desc in the library's terms.
type known struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

// reader is a collector that asks at each scrape.
type reader struct {
	read  func(Emit)
	known map[string]known
}

// Describe implements prometheus.Collector.
func (c *reader) Describe(ch chan<- *prometheus.Desc) {
	for _, k := range c.known {
		ch <- k.desc
	}
}

// Collect implements prometheus.Collector.
func (c *reader) Collect(ch chan<- prometheus.Metric) {
	c.read(func(name string, value float64, labels ...string) {
		k, ok := c.known[name]
		if !ok {
			err := fmt.Errorf("%s was never described", name)
			ch <- prometheus.NewInvalidMetric(prometheus.NewInvalidDesc(err), err)
			return
		}
		m, err := prometheus.NewConstMetric(k.desc, k.kind, value, labels...)
		if err != nil {
			m = prometheus.NewInvalidMetric(k.desc, err)
		}
		ch <- m
	})
}

// Counter is a number that only grows.
type Counter struct{ vec *prometheus.CounterVec }

// Counter makes a counter. The name and labels must be new to the registry.
func (r *Registry) Counter(name, help string, labels ...string) (*Counter, error) {
	if err := (Desc{Name: name, Labels: labels}).check(); err != nil {
		return nil, err
	}
	c := &Counter{prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)}
	return c, r.all.Register(c.vec)
}

// Add adds n to the counter with these label values, which are as many as the
// counter has labels.
func (c *Counter) Add(n float64, labels ...string) {
	if m, err := c.vec.GetMetricWithLabelValues(labels...); err == nil && n >= 0 {
		m.Add(n)
	}
}

// Gauge is a number that moves.
type Gauge struct{ vec *prometheus.GaugeVec }

// Gauge makes a gauge.
func (r *Registry) Gauge(name, help string, labels ...string) (*Gauge, error) {
	if err := (Desc{Name: name, Labels: labels}).check(); err != nil {
		return nil, err
	}
	g := &Gauge{prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)}
	return g, r.all.Register(g.vec)
}

// Set sets the gauge with these label values.
func (g *Gauge) Set(n float64, labels ...string) {
	if m, err := g.vec.GetMetricWithLabelValues(labels...); err == nil {
		m.Set(n)
	}
}

// Remove forgets the gauge with these label values.
func (g *Gauge) Remove(labels ...string) { g.vec.DeleteLabelValues(labels...) }

// Handler answers /metrics.
func (r *Registry) Handler() http.Handler {
	return promhttp.HandlerFor(r.all, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}
