package failover

import (
	"time"

	"evenkeel/internal/failover/report"
	"evenkeel/internal/metrics"
	"evenkeel/internal/vrrp"
)

// loopMetrics are of the process itself, beside metrics.Failover.
var loopMetrics = []metrics.Desc{
	{Name: "evenkeel_failover_wakeups_total", Kind: metrics.CounterKind, Help: "Rounds of the event loop."},
	{Name: "evenkeel_failover_late_seconds", Kind: metrics.GaugeKind, Help: "How late the event loop ran at most since the last scrape."},
	{Name: "evenkeel_failover_frozen_total", Kind: metrics.CounterKind, Help: "Instances given up because the process did not run for longer than peers wait."},
	{Name: "evenkeel_failover_lease_renewals_total", Kind: metrics.CounterKind, Help: "Renewals of the leases of all addresses.", Labels: []string{"result"}},
	{Name: "evenkeel_failover_packets_total", Kind: metrics.CounterKind, Help: "VRRP packets.", Labels: []string{"direction"}},
	{Name: "evenkeel_failover_proxy_up", Kind: metrics.GaugeKind, Help: "1 while the proxy of this node serves."},
}

// collect gives the registry what instances count.
func (s *Service) collect() {
	r := s.options.Registry
	if r == nil {
		return
	}
	for _, part := range []struct {
		descs []metrics.Desc
		read  func(metrics.Emit)
	}{
		{metrics.Failover, func(emit metrics.Emit) {
			if v := s.snapshot(); v != nil {
				emitInstances(v, emit)
				emitRest(v, emit)
			}
		}},
		{loopMetrics, func(emit metrics.Emit) {
			if v := s.snapshot(); v != nil {
				emitLoop(v, s.recentLateness(), emit)
			}
		}},
	} {
		if err := r.Collect(part.descs, part.read); err != nil {
			s.say("metrics", err)
		}
	}
}

// snapshot is a view made in the loop; nil when that is over.
func (s *Service) snapshot() (v *report.View) {
	s.do(func() { v = s.plane.view() })
	return v
}

// recentLateness is the worst since it was asked for last.
func (s *Service) recentLateness() (late time.Duration) {
	s.do(func() { late, s.plane.lateness.recent = s.plane.lateness.recent, 0 })
	return late
}

func emitInstances(v *report.View, emit metrics.Emit) {
	for n := range v.Instances {
		i := &v.Instances[n]
		if i.Leaving && i.State == vrrp.Stopped.String() {
			continue // another one of its name may be there
		}
		for _, s := range []vrrp.State{vrrp.Init, vrrp.Backup, vrrp.Master, vrrp.Fault, vrrp.Stopped} {
			emit("evenkeel_vrrp_state", flag(s.String() == i.State), i.Name, s.String())
			emit("evenkeel_vrrp_transitions_total", float64(i.Counters.To[s.String()]), i.Name, s.String())
		}
		priority := i.Priority
		if i.State == vrrp.Fault.String() {
			priority = 0
		}
		c := &i.Counters
		emit("evenkeel_vrrp_priority", float64(priority), i.Name)
		emit("evenkeel_vrrp_base_priority", float64(i.Configured), i.Name)
		emit("evenkeel_vrrp_last_transition_timestamp_seconds", float64(i.Since.UnixMilli())/1000, i.Name)
		emit("evenkeel_vrrp_advertisements_sent_total", float64(c.AdvertsSent), i.Name)
		emit("evenkeel_vrrp_advertisements_received_total", float64(c.AdvertsReceived), i.Name)
		emit("evenkeel_vrrp_priority_zero_sent_total", float64(c.ZeroSent), i.Name)
		emit("evenkeel_vrrp_priority_zero_received_total", float64(c.ZeroReceived), i.Name)
		for reason, count := range c.Discarded {
			emit("evenkeel_vrrp_discarded_total", float64(count), i.Name, reason)
		}
		emit("evenkeel_vrrp_duplicate_master_total", float64(c.DuplicateMaster), i.Name)
		emit("evenkeel_vrrp_announcements_sent_total", float64(c.Announcements), i.Name)
		emit("evenkeel_vrrp_late_advertisements_total", float64(c.AdvertsLate), i.Name)
	}
}

func emitRest(v *report.View, emit metrics.Emit) {
	for _, t := range v.Tracked {
		emit("evenkeel_track_up", flag(t.State == "up" || t.State == "Up"), t.Kind, t.Name)
		if t.Kind == trackNames[trackScript] {
			emit("evenkeel_track_runs_total", float64(t.Runs), t.Name)
			emit("evenkeel_track_missed_total", float64(t.Missed), t.Name)
		}
	}
	for _, s := range v.Sinks {
		emit("evenkeel_alert_sent_total", float64(s.Sent), s.Name)
		emit("evenkeel_alert_dropped_total", float64(s.Dropped), s.Name)
		emit("evenkeel_alert_suppressed_total", float64(s.Suppressed), s.Name)
		emit("evenkeel_alert_retries_total", float64(s.Retries), s.Name)
		emit("evenkeel_alert_queued", float64(s.Queued), s.Name)
	}
}

func emitLoop(v *report.View, late time.Duration, emit metrics.Emit) {
	emit("evenkeel_failover_wakeups_total", float64(v.Wakeups))
	emit("evenkeel_failover_late_seconds", late.Seconds())
	emit("evenkeel_failover_frozen_total", float64(v.Loop.Frozen))
	emit("evenkeel_failover_lease_renewals_total", float64(v.Loop.Renewals-v.Loop.RenewalsFailed), "ok")
	emit("evenkeel_failover_lease_renewals_total", float64(v.Loop.RenewalsFailed), "failed")
	emit("evenkeel_failover_packets_total", float64(v.Loop.Received), "received")
	emit("evenkeel_failover_packets_total", float64(v.Loop.Sent), "sent")
	if v.Proxy != "none" {
		emit("evenkeel_failover_proxy_up", flag(v.Proxy == "serving"))
	}
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
