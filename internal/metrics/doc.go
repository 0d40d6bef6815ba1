// Package metrics holds what a process counts and serves it to Prometheus.
//
// It owns the registry, the names (which are a documented interface) and the
// HTTP server of /metrics. It never measures anything: planes count, or answer
// when the page is asked for.
package metrics
