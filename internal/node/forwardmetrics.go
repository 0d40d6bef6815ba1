package node

import (
	"evenkeel/internal/l4/director"
	"evenkeel/internal/metrics"
)

// forwardMetrics are what packet forwarding tells. Label "service" is the
// virtual_server, or the service that was added by hand.
var forwardMetrics = []metrics.Desc{
	{Name: "evenkeel_lvs_quorum", Kind: metrics.GaugeKind, Help: "1 while the virtual server has its quorum.", Labels: []string{"service"}},
	{Name: "evenkeel_lvs_sorry", Kind: metrics.GaugeKind, Help: "1 while the sorry server answers.", Labels: []string{"service"}},
	{Name: "evenkeel_lvs_server_up", Kind: metrics.GaugeKind, Help: "1 while all checks of the real server are good.", Labels: []string{"service", "server"}},
	{Name: "evenkeel_lvs_server_weight", Kind: metrics.GaugeKind, Help: "The weight in effect; no value: the data plane does not have the server.", Labels: []string{"service", "server"}},
	{Name: "evenkeel_lvs_connections_total", Kind: metrics.CounterKind, Help: "Connections that were forwarded.", Labels: []string{"service", "server"}},
	{Name: "evenkeel_lvs_packets_total", Kind: metrics.CounterKind, Help: "Packets that were forwarded; with DR and TUN those to the server only.", Labels: []string{"service", "server", "direction"}},
	{Name: "evenkeel_lvs_bytes_total", Kind: metrics.CounterKind, Help: "Bytes of whole IP packets.", Labels: []string{"service", "server", "direction"}},
	{Name: "evenkeel_lvs_connections", Kind: metrics.GaugeKind, Help: "Connections that are remembered.", Labels: []string{"service", "server", "state"}},
	{Name: "evenkeel_lvs_flows", Kind: metrics.GaugeKind, Help: "Entries of the connection table."},
	{Name: "evenkeel_lvs_dropped_total", Kind: metrics.CounterKind, Help: "Packets of services that were not forwarded, by reason.", Labels: []string{"reason"}},
	{Name: "evenkeel_lvs_in_sync", Kind: metrics.GaugeKind, Help: "1 while the data plane does what is wanted."},
	{Name: "evenkeel_lvs_server_leaving", Kind: metrics.GaugeKind, Help: "1 while the server only keeps the connections that it has.", Labels: []string{"service", "server"}},
}

// pairMetrics are what lvs_sync_daemon tells, where our own data plane
// forwards. Label "peer" is another director's address.
var pairMetrics = []metrics.Desc{
	{Name: "evenkeel_lvs_sync_up", Kind: metrics.GaugeKind, Help: "1 while the interface of lvs_sync_daemon works."},
	{Name: "evenkeel_lvs_sync_tells", Kind: metrics.GaugeKind, Help: "1 while this director tells others of its connections."},
	{Name: "evenkeel_lvs_sync_told_total", Kind: metrics.CounterKind, Help: "Connections that were told to other directors."},
	{Name: "evenkeel_lvs_sync_taken_total", Kind: metrics.CounterKind, Help: "Connections of other directors that were taken."},
	{Name: "evenkeel_lvs_sync_unknown_total", Kind: metrics.CounterKind, Help: "Connections of other directors whose service or server is not here."},
	{Name: "evenkeel_lvs_sync_lag_seconds", Kind: metrics.GaugeKind, Help: "How old a change can be that has not been told."},
	{Name: "evenkeel_lvs_sync_missed_total", Kind: metrics.CounterKind, Help: "How often more connections had changed than could be noted, so that all were looked at."},
	{Name: "evenkeel_lvs_sync_encrypted", Kind: metrics.GaugeKind, Help: "1 while what is told is encrypted."},
	{Name: "evenkeel_lvs_sync_datagrams_total", Kind: metrics.CounterKind, Help: "Datagrams: sent, received, failed (not sent, or not put in), malformed, foreign (of another ID), unsigned (without a key), keyless (with a key, where there is none here), forged (with another key), replayed.", Labels: []string{"kind"}},
	{Name: "evenkeel_lvs_sync_peer_lost_total", Kind: metrics.CounterKind, Help: "Datagrams of a director that did not come.", Labels: []string{"peer"}},
	{Name: "evenkeel_lvs_sync_peer_tells", Kind: metrics.GaugeKind, Help: "1 while a director tells of its connections.", Labels: []string{"peer"}},
	{Name: "evenkeel_lvs_sync_peer_lag_seconds", Kind: metrics.GaugeKind, Help: "The lag of a director that tells, as it says.", Labels: []string{"peer"}},
	{Name: "evenkeel_lvs_sync_peer_flows", Kind: metrics.GaugeKind, Help: "Entries of a director's connection table, as it says.", Labels: []string{"peer"}},
}

func emitForwarding(v *director.View, emit metrics.Emit) {
	if len(v.Virtual) == 0 && len(v.ByHand) == 0 {
		return
	}
	for i := range v.Virtual {
		x := &v.Virtual[i]
		emit("evenkeel_lvs_quorum", truth(x.Quorum), x.Name)
		emit("evenkeel_lvs_sorry", truth(x.Sorry), x.Name)
		emitServers(x.Name, x.Servers, emit)
	}
	for i := range v.ByHand {
		emitServers(v.ByHand[i].Name, v.ByHand[i].Servers, emit)
	}
	emit("evenkeel_lvs_flows", float64(v.Flows))
	for reason, n := range v.Drops {
		emit("evenkeel_lvs_dropped_total", float64(n), reason)
	}
	emit("evenkeel_lvs_in_sync", truth(v.Trouble == ""))
	if v.Pair != nil && v.Pair.By != "kernel" {
		emitPair(v.Pair, emit)
	}
}

func emitPair(v *director.PairView, emit metrics.Emit) {
	emit("evenkeel_lvs_sync_up", truth(v.Trouble == ""))
	emit("evenkeel_lvs_sync_tells", truth(v.Tells))
	emit("evenkeel_lvs_sync_told_total", float64(v.Told))
	emit("evenkeel_lvs_sync_taken_total", float64(v.Took))
	emit("evenkeel_lvs_sync_unknown_total", float64(v.Unknown))
	emit("evenkeel_lvs_sync_lag_seconds", float64(v.LagMS)/1000)
	emit("evenkeel_lvs_sync_missed_total", float64(v.Missed))
	emit("evenkeel_lvs_sync_encrypted", truth(v.Encrypted))
	for kind, n := range map[string]uint64{"sent": v.Sent, "received": v.Received, "failed": v.Failed, "malformed": v.Bad, "foreign": v.Foreign,
		"unsigned": v.Unsigned, "keyless": v.Keyless, "forged": v.Forged, "replayed": v.Replayed} {
		emit("evenkeel_lvs_sync_datagrams_total", float64(n), kind)
	}
	seen := map[string]bool{}
	for i := range v.Peers {
		p := &v.Peers[i]
		if seen[p.Address] {
			continue // it has just begun anew
		}
		seen[p.Address] = true
		emit("evenkeel_lvs_sync_peer_lost_total", float64(p.Lost), p.Address)
		emit("evenkeel_lvs_sync_peer_tells", truth(p.Tells), p.Address)
		emit("evenkeel_lvs_sync_peer_lag_seconds", float64(p.LagMS)/1000, p.Address)
		emit("evenkeel_lvs_sync_peer_flows", float64(p.Flows), p.Address)
	}
}

func emitServers(service string, list []director.ServerView, emit metrics.Emit) {
	for i := range list {
		r := &list[i]
		emit("evenkeel_lvs_server_up", truth(r.Up), service, r.Name)
		if !r.In {
			continue
		}
		emit("evenkeel_lvs_server_weight", float64(r.Weight), service, r.Name)
		emit("evenkeel_lvs_server_leaving", truth(r.Leaving), service, r.Name)
		emit("evenkeel_lvs_connections_total", float64(r.Total.Connections), service, r.Name)
		emit("evenkeel_lvs_packets_total", float64(r.Total.PacketsIn), service, r.Name, "in")
		emit("evenkeel_lvs_packets_total", float64(r.Total.PacketsOut), service, r.Name, "out")
		emit("evenkeel_lvs_bytes_total", float64(r.Total.BytesIn), service, r.Name, "in")
		emit("evenkeel_lvs_bytes_total", float64(r.Total.BytesOut), service, r.Name, "out")
		emit("evenkeel_lvs_connections", float64(r.Active), service, r.Name, "active")
		emit("evenkeel_lvs_connections", float64(r.Inactive), service, r.Name, "inactive")
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
