package failover

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"evenkeel/internal/failover/report"
	"evenkeel/internal/keeper/lease"
	"evenkeel/internal/track"
	"evenkeel/internal/vrrp"
	wire "evenkeel/internal/wire/vrrp"
)

// view is everything as it is now.
func (p *plane) view() *report.View {
	v := &report.View{Version: p.about.version, RouterID: p.plan.routerID, Now: p.wall(), Started: p.about.started,
		Scheduling: p.about.scheduling(), Proxy: p.proxyWord(), Keeper: "none", Wakeups: p.about.rounds()}
	if p.page != nil {
		v.Keeper = "alive"
		if p.about.frozen {
			v.Keeper = "frozen"
		}
	}
	t := p.about.traffic()
	v.Loop = report.Loop{WorstLateMillis: millis(p.lateness.worst), Frozen: p.lateness.frozen, Renewals: p.renewals.done,
		RenewalsFailed: p.renewals.failed, Received: t.Received, Sent: t.Sent, SendErrors: t.SendErrors}
	v.Settings = p.globalSettings()
	p.each(func(i *instance) { v.Instances = append(v.Instances, p.viewInstance(i)) })
	for _, g := range p.groups {
		x := report.Group{Name: g.setup.model.Name, State: g.machine.State().String(), Members: g.setup.members}
		for _, i := range g.members {
			if i.told != "" {
				x.Faults++
			}
		}
		v.Groups = append(v.Groups, x)
	}
	p.viewTracked(v)
	p.viewInterfaces(v)
	for _, s := range p.events.Stats() {
		v.Sinks = append(v.Sinks, report.Sink{Name: s.Key, Queued: s.Queued, Sent: s.Sent, Dropped: s.Dropped,
			Suppressed: s.Suppressed, Retries: s.Retries, Trouble: s.Trouble})
	}
	return v
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func (p *plane) proxyWord() string {
	if p.page == nil {
		return "none"
	}
	switch state, _ := p.page.Worker(); state {
	case lease.WorkerServing:
		return "serving"
	case lease.WorkerDown:
		return "down"
	}
	return "none"
}

func word(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func (p *plane) viewInstance(i *instance) report.Instance {
	m, info := i.setup.model, i.machine.Info()
	x := report.Instance{Name: m.Name, State: info.State.String(), Since: i.wallSince, Why: info.Cause.String(), Leaving: info.Leaving,
		Drill: info.Drill, Version: m.Version, Family: m.Family, VRID: int(m.VRID), Interface: m.Interface, Device: i.setup.device(),
		Source: word(i.source), Unicast: len(i.setup.config.Peers) > 0, Configured: int(info.Configured), Priority: int(info.Effective),
		PriorityWhy: info.PriorityWhy, IntervalMS: millis(i.interval()), DownMS: millis(i.machine.DownInterval()), Preempt: !m.NoPreempt,
		Holds: i.holds, LeaseS: i.setup.lease.Seconds(), LastError: i.lastError}
	if info.Detail != "" {
		x.Why += ": " + info.Detail
	}
	if i.group != nil {
		x.Group = i.group.setup.model.Name
	}
	switch {
	case info.State == vrrp.Master:
		x.MasterHere, x.Master, x.MasterPrio = true, word(i.source), int(info.Effective)
	case info.Master.IsValid() && info.Master != i.source:
		x.Master, x.MasterPrio = word(info.Master), int(info.MasterPriority)
	}
	if info.LastHeard > 0 {
		x.LastHeardMS = millis(p.now + i.pace.ahead - info.LastHeard)
	}
	if x.Unicast {
		for _, peer := range i.setup.config.Peers {
			x.Destination = append(x.Destination, peer.Addr.String())
		}
	} else {
		x.Destination = []string{multicastGroup(m).String()}
	}
	snapshot := p.host.Links()
	for n := range i.setup.hosts.Addresses {
		a := &i.setup.hosts.Addresses[n]
		l := snapshot.ByName(a.Device)
		x.Addresses = append(x.Addresses, report.Address{Prefix: a.Prefix.String(), Device: a.Device, Excluded: n >= len(m.Addresses),
			Set: l != nil && l.Address(a.Prefix.Addr()) != nil})
	}
	for n := range i.setup.tracked {
		t := &i.setup.tracked[n]
		x.Tracks = append(x.Tracks, report.Track{Kind: trackNames[t.kind], Name: t.name, Weight: t.weight, State: p.tracked[t.kind][t.name].word(t.kind)})
	}
	for _, f := range i.faults {
		if f.text != "" {
			x.Faults = append(x.Faults, f.text)
		}
	}
	for _, t := range i.history {
		x.History = append(x.History, report.Transition{At: t.at, From: t.from, To: t.to, Why: t.why})
	}
	x.Counters = i.counters(&info.Counters)
	x.Settings = instanceSettings(i)
	return x
}

// word is a status for people.
func (s status) word(k trackKind) string {
	switch {
	case !s.known:
		return "pending"
	case k == trackFile:
		return strconv.Itoa(s.value)
	case s.up:
		return "up"
	}
	return "down"
}

func (i *instance) counters(c *vrrp.Counters) report.Counters {
	e := func(kinds ...wire.Error) (n uint64) {
		for _, k := range kinds {
			n += c.PacketErrors[k]
		}
		return n
	}
	x := report.Counters{AdvertsReceived: c.AdvertsReceived, AdvertsSent: c.AdvertsSent, AdvertsLate: i.missed, BecameMaster: c.BecameMaster,
		ReleasedMaster: c.ReleasedMaster, ZeroReceived: c.PriorityZeroReceived, ZeroSent: c.PriorityZeroSent,
		DuplicateMaster: c.DuplicateMaster, Announcements: i.announced, SendErrors: i.sendErrors,
		Length: e(wire.ErrLength), TTL: c.TTLErrors, Type: e(wire.ErrType), Interval: c.IntervalErrors + e(wire.ErrInterval),
		Addresses: c.AddressListErrors + e(wire.ErrCount), Mismatch: e(wire.ErrAuthType), AuthData: e(wire.ErrAuthData),
		To: map[string]uint64{}, Discarded: map[string]uint64{}}
	for s, n := range i.transitions {
		if n > 0 {
			x.To[vrrp.State(s).String()] = n
		}
	}
	for k := range c.PacketErrors {
		if n := c.PacketErrors[k]; n > 0 {
			x.Discarded[wire.Error(k).Error()] = n
		}
	}
	for _, r := range []struct {
		n    uint64
		name string
	}{{c.TTLErrors, "TTL"}, {c.IntervalErrors, "interval"}, {c.AddressListErrors, "addresses"}, {c.UnknownPeers, "unknown peer"},
		{c.Replay, "replay"}, {c.OwnSource, "own source"}} {
		if r.n > 0 {
			x.Discarded[r.name] = r.n
		}
	}
	return x
}

func (p *plane) viewTracked(v *report.View) {
	var all []track.Status
	if p.trackers != nil {
		all = p.trackers.Status()
	}
	for _, s := range all {
		v.Tracked = append(v.Tracked, report.Tracked{Kind: trackNames[kindOf[s.Kind]], Name: s.Name, State: s.State.String(), Value: s.Value,
			Since: s.Since, Text: s.Text, Runs: s.Runs, Missed: s.Missed})
	}
	if p.sessions == nil {
		return
	}
	sessions, now := p.sessions.Status()
	for _, s := range sessions {
		v.Tracked = append(v.Tracked, report.Tracked{Kind: trackNames[trackBFD], Name: s.Name, State: s.State.String(),
			Since: v.Now.Add(s.Since - now), Text: s.Why})
	}
}

func (p *plane) viewInterfaces(v *report.View) {
	users := map[string][]string{}
	for _, i := range p.instances {
		for _, name := range []string{i.setup.model.Interface, i.setup.device()} {
			if !slices.Contains(users[name], i.name()) {
				users[name] = append(users[name], i.name())
			}
		}
	}
	for l := range p.host.Links().All() {
		if users[l.Name] == nil {
			continue
		}
		state := "DOWN"
		if l.Up {
			state = "UP"
		}
		if l.Running {
			state += ", RUNNING"
		}
		v.Interfaces = append(v.Interfaces, report.Interface{Name: l.Name, Index: l.Index, IPv4: word(l.PrimaryIPv4()), IPv6: word(l.LinkLocal()),
			MAC:   fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", l.MAC[0], l.MAC[1], l.MAC[2], l.MAC[3], l.MAC[4], l.MAC[5]),
			State: state, MTU: l.MTU, Kind: l.Kind, Users: users[l.Name]})
	}
	slices.SortFunc(v.Interfaces, func(a, b report.Interface) int { return a.Index - b.Index })
}

// globalSettings and instanceSettings are lines of keepalived's data dump.
func (p *plane) globalSettings() []report.Setting {
	m := p.plan.model
	return []report.Setting{
		{Name: "Default smtp_alert", Value: fmt.Sprint(m.Mail.AlertDefault)},
		{Name: "Dynamic interfaces", Value: "true"},
		{Name: "VRRP realtime priority", Value: p.about.scheduling()},
		{Name: "Script security", Value: fmt.Sprint(m.ScriptCheck)},
	}
}

func instanceSettings(i *instance) []report.Setting {
	m := i.setup.model
	seconds := func(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'g', -1, 64) }
	all := []report.Setting{
		{Name: "Gratuitous ARP delay", Value: seconds(m.GARPMasterDelay)},
		{Name: "Gratuitous ARP repeat", Value: strconv.Itoa(m.GARPMasterRepeat)},
		{Name: "Gratuitous ARP refresh", Value: seconds(m.GARPMasterRefresh)},
		{Name: "Gratuitous ARP refresh repeat", Value: strconv.Itoa(m.GARPMasterRefreshRepeat)},
		{Name: "Gratuitous ARP lower priority delay", Value: seconds(m.GARPLowerPrioDelay)},
		{Name: "Gratuitous ARP lower priority repeat", Value: strconv.Itoa(m.GARPLowerPrioRepeat)},
		{Name: "Down timer adverts", Value: strconv.Itoa(m.DownTimerAdverts)},
		{Name: "Send advert after receive lower priority advert", Value: fmt.Sprint(!m.LowerPrioNoAdvert)},
		{Name: "Send advert after receive higher priority advert", Value: fmt.Sprint(m.HigherPrioSendAdvert)},
	}
	if t := i.setup.config.Auth; t != wire.AuthNone {
		all = append(all, report.Setting{Name: "Authentication type", Value: t.String()})
	}
	return all
}
