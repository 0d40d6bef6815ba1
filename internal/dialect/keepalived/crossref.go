package keepalived

import (
	"slices"

	"evenkeel/internal/model"
)

// completeGroups resolves the names of instances.
func (p *parser) completeGroups() {
	var names []string
	for _, i := range p.f.Instances {
		names = append(names, i.Name)
	}
	in := map[string]string{}
	var groups []*model.SyncGroup
	for _, g := range p.f.SyncGroups {
		var keep []string
		for _, name := range g.Instances {
			switch {
			case !slices.Contains(names, name):
				p.warnf(g.Pos, closest(name, names), "vrrp_sync_group '%s' names an instance '%s' that does not exist: it is left out", g.Name, name)
			case in[name] != "":
				p.warnf(g.Pos, "put all of them into one group", "instance '%s' is in vrrp_sync_group '%s' already: it is left out of '%s'", name, in[name], g.Name)
			default:
				in[name] = g.Name
				keep = append(keep, name)
			}
		}
		g.Instances = keep
		switch len(keep) {
		case 0:
			p.warnf(g.Pos, "write group { INSTANCE INSTANCE }", "vrrp_sync_group '%s' has no instance: it is left out", g.Name)
			continue
		case 1:
			p.warnf(g.Pos, "name the others, or take the group out", "vrrp_sync_group '%s' has one instance: there is nothing to keep together", g.Name)
		}
		if p.global.priorityChanges {
			g.Notify.PriorityChanges = true
		}
		p.groupMembers(g)
		groups = append(groups, g)
	}
	p.f.SyncGroups = groups
	for _, g := range p.f.TrackGroups {
		g.Instances = slices.DeleteFunc(g.Instances, func(name string) bool {
			if slices.Contains(names, name) {
				return false
			}
			p.warnf(g.Pos, closest(name, names), "track_group '%s' names an instance '%s' that does not exist: it is left out", g.Name, name)
			return true
		})
	}
	p.completeStatic()
}

// groupMembers judges the instances of a group together.
func (p *parser) groupMembers(g *model.SyncGroup) {
	owners := 0
	var members []*model.VRRPInstance
	for _, i := range p.f.Instances {
		if slices.Contains(g.Instances, i.Name) {
			members = append(members, i)
			if i.Priority == 255 {
				owners++
			}
		}
	}
	if owners > 0 && owners < len(members) {
		p.warnf(g.Pos, "give all of them the same priority", "vrrp_sync_group '%s' has instances with priority 255 and others: they cannot be kept together", g.Name)
	}
	for _, i := range members {
		if i.Priority != members[0].Priority {
			p.noticef(i.Pos, "give them the same priority", "instances '%s' and '%s' of vrrp_sync_group '%s' have different priorities", members[0].Name, i.Name, g.Name)
		}
		if g.SyncTrackingWeight {
			continue
		}
		for _, list := range trackLists(i) {
			for k := range *list.of {
				t := &(*list.of)[k]
				if t.Weight != nil && *t.Weight != 0 {
					p.warnf(t.Pos, "track it in the group, or write sync_group_tracking_weight there",
						"instance '%s' is in vrrp_sync_group '%s', whose instances keep one priority: the weight is not used", i.Name, g.Name)
					zero := 0
					t.Weight = &zero
				}
				t.NoWeight = true
			}
		}
	}
}

// completeStatic resolves the track groups of static things.
func (p *parser) completeStatic() {
	check := func(pos model.Pos, name *string) {
		if *name == "" || slices.ContainsFunc(p.f.TrackGroups, func(g *model.TrackGroup) bool { return g.Name == *name }) {
			return
		}
		p.warnf(pos, "write track_group "+*name+" { group { INSTANCE } } at the outermost level", "there is no track_group '%s': it is not used", *name)
		*name = ""
	}
	for _, a := range p.f.StaticAddresses {
		check(a.Pos, &a.TrackGroup)
	}
	for _, r := range p.f.StaticRoutes {
		check(r.Pos, &r.TrackGroup)
	}
	for _, r := range p.f.StaticRules {
		check(r.Pos, &r.TrackGroup)
	}
}

// trackList is one kind of tracking, with the names that it can have.
type trackList struct {
	keyword, block string
	of             *[]model.Tracked
	known          func(f *model.Failover) []string
}

func names[T any](list []*T, name func(*T) string) []string {
	var out []string
	for _, x := range list {
		out = append(out, name(x))
	}
	return out
}

func scriptNames(f *model.Failover) []string {
	return names(f.Scripts, func(x *model.TrackScript) string { return x.Name })
}

func processNames(f *model.Failover) []string {
	return names(f.Processes, func(x *model.TrackProcess) string { return x.Name })
}

func fileNames(f *model.Failover) []string {
	return names(f.Files, func(x *model.TrackFile) string { return x.Name })
}

func bfdNames(f *model.Failover) []string {
	return names(f.BFD, func(x *model.BFDInstance) string { return x.Name })
}

func trackLists(i *model.VRRPInstance) []trackList {
	return []trackList{
		{"track_script", "vrrp_script", &i.TrackScripts, scriptNames}, {"track_process", "vrrp_track_process", &i.TrackProcesses, processNames},
		{"track_file", "track_file", &i.TrackFiles, fileNames}, {"track_bfd", "bfd_instance", &i.TrackBFD, bfdNames},
		{"track_interface", "", &i.TrackInterfaces, nil}, {"track_proxy", "", &i.TrackProxy, nil},
	}
}

func groupLists(g *model.SyncGroup) []trackList {
	return []trackList{
		{"track_script", "vrrp_script", &g.TrackScripts, scriptNames}, {"track_process", "vrrp_track_process", &g.TrackProcesses, processNames},
		{"track_file", "track_file", &g.TrackFiles, fileNames}, {"track_bfd", "bfd_instance", &g.TrackBFD, bfdNames},
		{"track_interface", "", &g.TrackInterfaces, nil}, {"track_proxy", "", &g.TrackProxy, nil},
	}
}

// completeTracks resolves what is tracked, and keeps the priority of an owner
// where it is.
func (p *parser) completeTracks() {
	used := map[string]bool{}
	for _, i := range p.f.Instances {
		for _, list := range trackLists(i) {
			p.resolveTracked(list, used)
			if i.Priority == 255 {
				p.ownerWeights(i, list)
			}
		}
		for _, t := range i.TrackInterfaces {
			if t.Name == i.Interface && (t.Weight == nil || *t.Weight == 0) {
				p.noticef(t.Pos, "take the line out", "instance '%s' runs on '%s', which is watched anyway", i.Name, t.Name)
			}
		}
	}
	for _, g := range p.f.SyncGroups {
		for _, list := range groupLists(g) {
			p.resolveTracked(list, used)
		}
		p.trackedTwice(g)
	}
	for _, s := range p.f.Scripts {
		if !used[s.Name] {
			p.noticef(s.Pos, "name it in a track_script block", "vrrp_script '%s' is used by nobody: it is not run", s.Name)
		}
	}
}

func (p *parser) resolveTracked(list trackList, used map[string]bool) {
	if list.known == nil {
		return
	}
	known := list.known(p.f)
	*list.of = slices.DeleteFunc(*list.of, func(t model.Tracked) bool {
		if slices.Contains(known, t.Name) {
			if list.keyword == "track_script" {
				used[t.Name] = true
			}
			return false
		}
		cure := closest(t.Name, known)
		if cure == "" {
			cure = "write " + list.block + " " + t.Name + " { … } at the outermost level"
		}
		p.warnf(t.Pos, cure, "there is no %s '%s': it is not tracked", list.block, t.Name)
		return true
	})
}

// ownerWeights: the priority of an address owner does not move.
func (p *parser) ownerWeights(i *model.VRRPInstance, list trackList) {
	for k := range *list.of {
		t := &(*list.of)[k]
		if w := p.weightOf(list, t); w != 0 {
			p.warnf(t.Pos, "write 'weight 0', or a priority below 255", "instance '%s' has priority 255, which nothing can change: '%s' is tracked without its weight", i.Name, t.Name)
			zero := 0
			t.Weight = &zero
		}
	}
}

// weightOf is the weight that a tracked thing has in the end.
func (p *parser) weightOf(list trackList, t *model.Tracked) int {
	if t.Weight != nil {
		return *t.Weight
	}
	switch list.keyword {
	case "track_script":
		for _, s := range p.f.Scripts {
			if s.Name == t.Name {
				return s.Weight
			}
		}
	case "track_process":
		for _, x := range p.f.Processes {
			if x.Name == t.Name {
				return x.Weight
			}
		}
	case "track_file":
		for _, x := range p.f.Files {
			if x.Name == t.Name {
				return x.Weight
			}
		}
	case "track_bfd":
		for _, x := range p.f.BFD {
			if x.Name == t.Name {
				return x.Weight
			}
		}
	}
	return 0
}

// trackedTwice: what a group tracks, its instances need not.
func (p *parser) trackedTwice(g *model.SyncGroup) {
	of := groupLists(g)
	for _, i := range p.f.Instances {
		if !slices.Contains(g.Instances, i.Name) {
			continue
		}
		for k, list := range trackLists(i) {
			*list.of = slices.DeleteFunc(*list.of, func(t model.Tracked) bool {
				if !slices.ContainsFunc(*of[k].of, func(x model.Tracked) bool { return x.Name == t.Name }) {
					return false
				}
				p.warnf(t.Pos, "take the line out", "'%s' is tracked by vrrp_sync_group '%s' already: the instance's line is not used", t.Name, g.Name)
				return true
			})
		}
	}
}

// checkDuplicates finds instances that would hear each other.
func (p *parser) checkDuplicates() {
	for k, a := range p.f.Instances {
		for _, b := range p.f.Instances[:k] {
			if a.VRID == 0 || a.VRID != b.VRID || a.Family != b.Family || a.Interface != b.Interface || !sameWire(a, b) {
				continue
			}
			p.errorf(a.Pos, "give each instance of an interface a virtual_router_id of its own, the same on all nodes",
				"instances '%s' and '%s' both have virtual_router_id %d on %s", b.Name, a.Name, a.VRID, a.Interface)
		}
	}
	p.sharedAddresses()
}

// sameWire: the advertisements of one reach the other.
func sameWire(a, b *model.VRRPInstance) bool {
	if (len(a.UnicastPeers) > 0) != (len(b.UnicastPeers) > 0) {
		return false
	}
	if len(a.UnicastPeers) == 0 {
		return a.MulticastGroup == b.MulticastGroup
	}
	for _, x := range a.UnicastPeers {
		if slices.ContainsFunc(b.UnicastPeers, func(y model.UnicastPeer) bool { return x.Addr == y.Addr }) {
			return true
		}
	}
	return false
}

// sharedAddresses finds an address that two instances would both put on an
// interface.
func (p *parser) sharedAddresses() {
	seen := map[string]*model.VRRPInstance{}
	for _, i := range p.f.Instances {
		for _, a := range slices.Concat(i.Addresses, i.AddressesExcluded) {
			dev := a.Device
			if dev == "" {
				dev = i.Interface
			}
			key := a.Prefix.Addr().String() + " " + dev
			if other := seen[key]; other != nil && other != i {
				p.warnf(a.Pos, "take it out of one of them", "%s is in instance '%s' too: the one that goes to backup takes it away from the other", a.Prefix.Addr(), other.Name)
				continue
			}
			seen[key] = i
		}
	}
}

// completeFIFOs: every pipe has its own name.
func (p *parser) completeFIFOs() {
	n := &p.f.Notify
	pos := p.f.Pos
	if n.Path != "" && n.Path == n.VRRPPath {
		p.warnf(pos, "choose another name", "notify_fifo and vrrp_notify_fifo are the same pipe '%s': vrrp_notify_fifo is not used", n.Path)
		n.VRRPPath, n.VRRPScript = "", nil
	}
	if n.LVSPath != "" && (n.LVSPath == n.Path || n.LVSPath == n.VRRPPath) {
		p.warnf(pos, "choose another name", "lvs_notify_fifo is the same pipe '%s' as another one: it is not used", n.LVSPath)
		n.LVSPath, n.LVSScript = "", nil
	}
}
