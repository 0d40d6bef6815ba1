package failover

import (
	"fmt"
	"os"
	"strings"
	"time"

	"evenkeel/internal/alert"
	"evenkeel/internal/bfd"
	"evenkeel/internal/model"
	"evenkeel/internal/netconf"
	"evenkeel/internal/track"
	"evenkeel/internal/vrrp"
	wire "evenkeel/internal/wire/vrrp"
)

// plan is a configuration made ready: everything that can be worked out without
// the host. It is not changed once it is made.
type plan struct {
	model     *model.Failover
	routerID  string
	instances []*setup
	groups    []*groupSetup
	statics   []staticSet
	garp      map[string]garpPace // by interface
	track     track.Config
	bfd       []bfd.Config
	alert     alert.Config
	withProxy bool // every instance follows the proxy unless it says otherwise
	keep      bool // addresses have no lifetime
}

// setup is one instance.
type setup struct {
	model  *model.VRRPInstance
	config vrrp.Config // without source, which is the host's affair
	group  *groupSetup // nil: none
	hooks  *alert.Hooks
	mail   bool
	// tracked are the things that its priority depends on, the group's
	// included, with the weights that count here.
	tracked []tracker
	link    *netconf.Link // virtual MAC; nil: none
	// more are interfaces with a virtual MAC for single addresses (use_vmac_addr).
	more    []netconf.Link
	sysctls []netconf.Sysctl
	hosts   netconf.Config // addresses, routes and rules of a master, without lifetime
	lease   time.Duration  // lifetime of addresses
}

// groupSetup is one sync group.
type groupSetup struct {
	model   *model.SyncGroup
	members []string
	hooks   *alert.Hooks
	mail    bool
}

// trackKind is what sort of thing is tracked.
type trackKind uint8

const (
	trackInterface trackKind = iota
	trackScript
	trackProcess
	trackFile
	trackBFD
	trackProxy
)

var trackNames = [...]string{"interface", "script", "process", "file", "bfd", "proxy"}

// tracker is one thing that an instance's priority depends on.
type tracker struct {
	kind    trackKind
	name    string
	weight  int
	reverse bool
}

// leaseFor is the lifetime of the addresses of an instance whose peers wait for
// down: whoever has not renewed it for so long is no master any more. The kernel
// counts in whole seconds.
func leaseFor(down time.Duration) time.Duration {
	return max((down+time.Second-1)/time.Second, 1) * time.Second
}

// prepare makes a plan. The diagnostics tell what cannot be done.
func prepare(c *model.Config, o *Options) (*plan, model.Diagnostics) {
	var d model.Diagnostics
	p := &plan{model: c.Failover, withProxy: o.WithProxy, keep: o.KeepAddresses}
	if p.model == nil {
		p.model = &model.Failover{}
	}
	if p.routerID = p.model.RouterID; p.routerID == "" {
		p.routerID, _ = os.Hostname()
	}
	checkNamespace(p.model, &d)
	groups := p.prepareGroups(&d)
	known := trackedThings(p.model)
	names := map[string]*model.VRRPInstance{}
	routers := map[string]*model.VRRPInstance{}
	for _, m := range p.model.Instances {
		if first := names[m.Name]; first != nil {
			d.Errorf(m.Pos, "there is a vrrp_instance %s already, in %v", m.Name, first.Pos)
			continue
		}
		names[m.Name] = m
		id := fmt.Sprintf("%s/%d/%d", m.Interface, m.Family, m.VRID)
		if first := routers[id]; first != nil && len(m.UnicastPeers) == 0 {
			d.Errorf(m.Pos, "virtual_router_id %d is that of %s (%v) on %s already: one of them needs another number", m.VRID, first.Name, first.Pos, m.Interface)
			continue
		}
		routers[id] = m
		p.instances = append(p.instances, p.prepareInstance(m, groups[m.Name], known, &d))
	}
	for _, g := range p.groups {
		for _, name := range g.members {
			if names[name] == nil {
				d.Errorf(g.model.Pos, "vrrp_sync_group %s has a member %s, but there is no such vrrp_instance", g.model.Name, name)
			}
		}
	}
	p.statics = staticSets(p.model)
	p.garp = garpPaces(p.model.GARPGroups)
	checkFirewall(p.model, &d)
	checkHostScripts(p.model, &d)
	p.track = trackConfig(p.model, &d)
	p.bfd = bfd.FromModel(p.model.BFD)
	p.alert = alertConfig(p.model, p.routerID, o, &d)
	return p, d
}

// checkNamespace: a process that moves addresses and nothing else was started in
// the namespace. None changes it while it runs.
func checkNamespace(m *model.Failover, d *model.Diagnostics) {
	if m.Namespace == "" {
		return
	}
	want, err := os.Stat("/run/netns/" + m.Namespace)
	if err != nil {
		d.Errorf(m.Pos, "net_namespace %s: %v", m.Namespace, err)
		return
	}
	have, err := os.Stat("/proc/self/ns/net")
	if err != nil || !os.SameFile(want, have) {
		d.Errorf(m.Pos, "net_namespace %s is not the one that this process runs in, and it cannot change: restart it; with -s or beside a proxy, start all of it with 'ip netns exec %s evenkeel …' and take the line out", m.Namespace, m.Namespace)
	}
}

func (p *plan) prepareGroups(d *model.Diagnostics) map[string]*groupSetup {
	of := map[string]*groupSetup{}
	for _, m := range p.model.SyncGroups {
		g := &groupSetup{model: m, members: m.Instances}
		g.hooks = hooks(&m.Notify, p.model, d)
		g.mail = wantsMail(p.model, m.Notify.MailAlert)
		p.groups = append(p.groups, g)
		for _, name := range m.Instances {
			if first := of[name]; first != nil {
				d.Errorf(m.Pos, "%s is a member of vrrp_sync_group %s already", name, first.model.Name)
				continue
			}
			of[name] = g
		}
	}
	return of
}

func wantsMail(m *model.Failover, own *bool) bool {
	switch {
	case own != nil:
		return *own
	case m.Mail.AlertVRRP != nil:
		return *m.Mail.AlertVRRP
	}
	return m.Mail.AlertDefault
}

func (p *plan) prepareInstance(m *model.VRRPInstance, g *groupSetup, known things, d *model.Diagnostics) *setup {
	s := &setup{model: m, group: g}
	s.config = machineConfig(m, p.model)
	if m.Interface == "" && len(m.UnicastPeers) == 0 {
		d.Errorf(m.Pos, "vrrp_instance %s has no interface: write 'interface NAME'", m.Name)
	}
	if err := wire.Check(&wire.Advert{Version: s.config.Version, VRID: s.config.VRID, Priority: s.config.Priority,
		Interval: s.config.Interval, Addresses: s.config.Addresses, Auth: s.config.Auth}, s.config.Family); err != nil {
		d.Errorf(m.Pos, "vrrp_instance %s: %v", m.Name, err)
	}
	s.hooks = hooks(&m.Notify, p.model, d)
	s.mail = wantsMail(p.model, m.Notify.MailAlert)
	s.tracked = p.trackers(m, g, known, d)
	s.link = vmacLink(m, p.model.VMACPrefix)
	if m.PromoteSecondaries && m.Family == 4 {
		s.sysctls = append(s.sysctls, netconf.Sysctl{Name: "net/ipv4/conf/" + m.Interface + "/promote_secondaries", Value: "1"})
	}
	s.more = addressLinks(m, p.model, s.device())
	s.hosts = hostConfig(m, s.device(), s.more)
	if !p.keep {
		s.lease = leaseFor(vrrp.New(s.config).DownInterval())
	}
	return s
}

// device is where addresses go that name none, and where advertisements leave.
func (s *setup) device() string {
	if s.link != nil {
		return s.link.Name
	}
	return s.model.Interface
}

// things are the names that track blocks may use, by kind, with the weight that
// counts where a block gives none.
type things map[trackKind]map[string]tracker

func trackedThings(m *model.Failover) things {
	t := things{trackScript: {}, trackProcess: {}, trackFile: {}, trackBFD: {}}
	for _, x := range m.Scripts {
		t[trackScript][x.Name] = tracker{trackScript, x.Name, x.Weight, x.Reverse}
	}
	for _, x := range m.Processes {
		t[trackProcess][x.Name] = tracker{trackProcess, x.Name, x.Weight, x.Reverse}
	}
	for _, x := range m.Files {
		t[trackFile][x.Name] = tracker{trackFile, x.Name, x.Weight, x.Reverse}
	}
	for _, x := range m.BFD {
		t[trackBFD][x.Name] = tracker{trackBFD, x.Name, x.Weight, x.Reverse}
	}
	return t
}

// trackers lists what an instance's priority depends on.
func (p *plan) trackers(m *model.VRRPInstance, g *groupSetup, known things, d *model.Diagnostics) []tracker {
	var all []tracker
	add := func(kind trackKind, owner string, list []model.Tracked) {
		for _, x := range list {
			t := tracker{kind: kind, name: x.Name}
			if names, ok := known[kind]; ok {
				k, ok := names[x.Name]
				if !ok {
					d.Errorf(x.Pos, "%s tracks %s %s, but there is none of that name%s", owner, trackNames[kind], x.Name, nearest(x.Name, names))
					continue
				}
				t = k
			}
			if x.Weight != nil {
				t.weight = *x.Weight
			}
			if x.NoWeight {
				t.weight = 0
			}
			if x.Reverse != nil {
				t.reverse = *x.Reverse
			}
			all = append(all, t)
		}
	}
	of := func(owner string, interfaces, scripts, processes, files, sessions, proxy []model.Tracked) {
		add(trackInterface, owner, interfaces)
		add(trackScript, owner, scripts)
		add(trackProcess, owner, processes)
		add(trackFile, owner, files)
		add(trackBFD, owner, sessions)
		add(trackProxy, owner, proxy)
	}
	of(m.Name, m.TrackInterfaces, m.TrackScripts, m.TrackProcesses, m.TrackFiles, m.TrackBFD, m.TrackProxy)
	proxy := len(m.TrackProxy) > 0
	if g != nil {
		x := g.model
		of(x.Name, x.TrackInterfaces, x.TrackScripts, x.TrackProcesses, x.TrackFiles, x.TrackBFD, x.TrackProxy)
		proxy = proxy || len(x.TrackProxy) > 0
	}
	if !proxy && p.withProxy {
		all = append(all, tracker{kind: trackProxy})
	}
	return all
}

// nearest suggests a name that is known.
func nearest(name string, known map[string]tracker) string {
	for k := range known {
		if strings.EqualFold(k, name) || strings.Contains(k, name) || strings.Contains(name, k) {
			return "; perhaps " + k + " is meant"
		}
	}
	return ""
}
