package netconf

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A routeMetric is an option of a route that goes into RTA_METRICS.
type routeMetric struct {
	kind  uint16
	value func(string) (uint32, error)
}

var routeMetrics = map[string]routeMetric{
	"mtu":                {unix.RTAX_MTU, plain},
	"window":             {unix.RTAX_WINDOW, plain},
	"rtt":                {unix.RTAX_RTT, eighths(8)},
	"rttvar":             {unix.RTAX_RTTVAR, eighths(4)},
	"ssthresh":           {unix.RTAX_SSTHRESH, plain},
	"cwnd":               {unix.RTAX_CWND, plain},
	"advmss":             {unix.RTAX_ADVMSS, plain},
	"reordering":         {unix.RTAX_REORDERING, plain},
	"hoplimit":           {unix.RTAX_HOPLIMIT, plain},
	"initcwnd":           {unix.RTAX_INITCWND, plain},
	"initrwnd":           {unix.RTAX_INITRWND, plain},
	"features":           {unix.RTAX_FEATURES, features},
	"rto_min":            {unix.RTAX_RTO_MIN, eighths(1)},
	"quickack":           {unix.RTAX_QUICKACK, plain},
	"fastopen_no_cookie": {unix.RTAX_FASTOPEN_NO_COOKIE, plain},
}

func plain(s string) (uint32, error) {
	v, err := strconv.ParseUint(s, 0, 32)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number", s)
	}
	return uint32(v), nil
}

// eighths reads a time: with a unit in fractions of a millisecond as the kernel
// keeps it, without one as it is.
func eighths(scale float64) func(string) (uint32, error) {
	return func(s string) (uint32, error) {
		if v, err := strconv.ParseUint(s, 0, 32); err == nil {
			return uint32(v), nil
		}
		d, err := time.ParseDuration(s)
		if err != nil || d < 0 || d > time.Hour {
			return 0, fmt.Errorf("%q is neither a number nor a time such as 20ms", s)
		}
		return uint32(scale * float64(d) / float64(time.Millisecond)), nil
	}
}

func features(s string) (uint32, error) {
	switch s {
	case "ecn":
		return unix.RTAX_FEATURE_ECN, nil
	case "tcp_usec_ts":
		return unix.RTAX_FEATURE_TCP_USEC_TS, nil
	}
	return plain(s)
}

var routePreferences = map[string]byte{"low": 3, "medium": 0, "high": 1}

// routeOptions adds everything of Options.
func (c *compiler) routeOptions(m *message, r *Route) error {
	lock := uint32(0)
	metrics := message{}
	for _, name := range slices.Sorted(maps.Keys(r.Options)) {
		value := r.Options[name]
		locked, isLocked := strings.CutPrefix(value, "lock ")
		metric, ok := routeMetrics[name]
		switch {
		case name == "congctl":
			if isLocked {
				lock |= 1 << unix.RTAX_CC_ALGO
			}
			metrics.text(unix.RTAX_CC_ALGO, locked)
		case ok:
			v, err := metric.value(locked)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if isLocked {
				lock |= 1 << metric.kind
			}
			metrics.uint32(metric.kind, v)
		case name == "realms" || name == "realm":
			flow, err := c.realms(value)
			if err != nil {
				return err
			}
			m.uint32(unix.RTA_FLOW, flow)
		case name == "pref":
			p, ok := routePreferences[value]
			if !ok {
				return fmt.Errorf("pref %q is not low, medium or high", value)
			}
			m.byte(unix.RTA_PREF, p)
		case name == "expires":
			v, err := plain(value)
			if err != nil {
				return fmt.Errorf("expires: %w", err)
			}
			m.uint32(unix.RTA_EXPIRES, v)
		default:
			return fmt.Errorf("unknown option %q", name)
		}
	}
	if lock != 0 {
		metrics.uint32(unix.RTAX_LOCK, lock)
	}
	if len(metrics) > 0 {
		m.attr(unix.RTA_METRICS, metrics)
	}
	return nil
}

// realms reads "TO" or "FROM/TO".
func (c *compiler) realms(s string) (uint32, error) {
	from, to, two := strings.Cut(s, "/")
	if !two {
		from, to = "0", s
	}
	a, err := number("realm", from, c.names.realms, 255)
	if err != nil {
		return 0, err
	}
	b, err := number("realm", to, c.names.realms, 255)
	return a<<16 | b, err
}
