package metrics

// Failover is what the failover process tells, label "instance" being the name
// of the vrrp_instance. The names are kept once they are here.
var Failover = []Desc{
	{"evenkeel_vrrp_state", GaugeKind, "1 for the state that the instance is in, 0 for the others.", []string{"instance", "state"}},
	{"evenkeel_vrrp_priority", GaugeKind, "The effective priority, 0 in a fault.", []string{"instance"}},
	{"evenkeel_vrrp_base_priority", GaugeKind, "The configured priority.", []string{"instance"}},
	{"evenkeel_vrrp_transitions_total", CounterKind, "Changes to a state.", []string{"instance", "to"}},
	{"evenkeel_vrrp_last_transition_timestamp_seconds", GaugeKind, "When the state last changed.", []string{"instance"}},
	{"evenkeel_vrrp_advertisements_sent_total", CounterKind, "Advertisements sent.", []string{"instance"}},
	{"evenkeel_vrrp_advertisements_received_total", CounterKind, "Valid advertisements received.", []string{"instance"}},
	{"evenkeel_vrrp_priority_zero_sent_total", CounterKind, "Advertisements of priority 0 sent (leaving).", []string{"instance"}},
	{"evenkeel_vrrp_priority_zero_received_total", CounterKind, "Advertisements of priority 0 received.", []string{"instance"}},
	{"evenkeel_vrrp_discarded_total", CounterKind, "Packets thrown away, by reason.", []string{"instance", "reason"}},
	{"evenkeel_vrrp_duplicate_master_total", CounterKind, "Times that another master was seen while this one was master.", []string{"instance"}},
	{"evenkeel_vrrp_announcements_sent_total", CounterKind, "Gratuitous ARP and unsolicited neighbour advertisement frames sent.", []string{"instance"}},
	{"evenkeel_vrrp_late_advertisements_total", CounterKind, "Advertisements sent more than half an interval late.", []string{"instance"}},
	{"evenkeel_track_up", GaugeKind, "1 while the tracked thing is up.", []string{"kind", "name"}},
	{"evenkeel_track_runs_total", CounterKind, "Runs of a script that ended.", []string{"name"}},
	{"evenkeel_track_missed_total", CounterKind, "Runs of a script left out because one was still going.", []string{"name"}},
	{"evenkeel_alert_sent_total", CounterKind, "Events that a sink delivered.", []string{"sink"}},
	{"evenkeel_alert_dropped_total", CounterKind, "Events lost because a queue was full or a sink refused.", []string{"sink"}},
	{"evenkeel_alert_suppressed_total", CounterKind, "Events held back by rate limits.", []string{"sink"}},
	{"evenkeel_alert_retries_total", CounterKind, "Deliveries that failed and were tried again.", []string{"sink"}},
	{"evenkeel_alert_queued", GaugeKind, "Events that wait for a sink.", []string{"sink"}},
}
