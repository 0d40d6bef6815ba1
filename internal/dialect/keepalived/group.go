package keepalived

import (
	"slices"
	"strings"
	"time"

	"evenkeel/internal/model"
)

func readSyncGroup(p *parser, n *node) {
	name, ok := p.named(n, taken(p.f.SyncGroups, func(x *model.SyncGroup) (string, model.Pos) { return x.Name, x.Pos }))
	if !ok {
		return
	}
	p.group = &model.SyncGroup{Pos: n.pos(0), Name: name}
	p.f.SyncGroups = append(p.f.SyncGroups, p.group)
	p.dispatch(n.body, placeSyncGroup)
	p.group = nil
}

// readGroupList reads the `group` block of a sync group or a track group.
func readGroupList(p *parser, n *node) {
	list := &[]string{}
	if p.group != nil {
		list = &p.group.Instances
	} else {
		list = &p.tracks.Instances
	}
	if len(*list) > 0 {
		p.warnf(n.pos(0), "put all names into one block", "'group' stands twice: the first is used")
		return
	}
	for _, w := range p.words(n) {
		if slices.Contains(*list, w.Text) {
			p.warnf(n.pos(0), "take one of them out", "'%s' is listed twice", w.Text)
			continue
		}
		*list = append(*list, w.Text)
	}
	if len(*list) == 0 {
		p.warnf(n.pos(0), "name the instances", "the group is empty")
	}
}

func readTrackGroup(p *parser, n *node) {
	name, ok := p.named(n, taken(p.f.TrackGroups, func(x *model.TrackGroup) (string, model.Pos) { return x.Name, x.Pos }))
	if !ok {
		return
	}
	p.tracks = &model.TrackGroup{Pos: n.pos(0), Name: name}
	p.f.TrackGroups = append(p.f.TrackGroups, p.tracks)
	p.dispatch(n.body, placeTrackGroup)
	p.tracks = nil
}

func readGARPGroup(p *parser, n *node) {
	p.garp = &model.GARPGroup{Pos: n.pos(0)}
	p.dispatch(n.body, placeGARPGroup)
	g := p.garp
	p.garp = nil
	switch {
	case g.GARPInterval == nil && g.NAInterval == nil:
		p.warnf(n.pos(0), "write garp_interval or gna_interval", "the garp_group sets no interval: it is left out")
	case len(g.Interfaces) == 0:
		p.warnf(n.pos(0), "write 'interface NAME'", "the garp_group names no interface: it is left out")
	default:
		p.f.GARPGroups = append(p.f.GARPGroups, g)
	}
}

func readGARPInterfaces(p *parser, n *node) {
	for _, line := range n.body {
		if !p.value(line) {
			continue
		}
		for i := range line.words {
			p.addGARPInterface(line, i)
		}
	}
	p.garp.Shared = true
	if len(p.garp.Interfaces) == 0 {
		p.warnf(n.pos(0), "name the interfaces", "the block is empty")
	}
}

func (p *parser) addGARPInterface(n *node, i int) {
	name, ok := p.interfaceName(n, i)
	if !ok {
		return
	}
	for _, g := range append(slices.Clone(p.f.GARPGroups), p.garp) {
		if slices.Contains(g.Interfaces, name) {
			p.warnf(n.pos(i), "take one of them out", "'%s' is in a garp_group already: the first is used", name)
			return
		}
	}
	p.garp.Interfaces = append(p.garp.Interfaces, name)
}

func readLinkbeatInterfaces(p *parser, n *node) {
	p.once("linkbeat", n.pos(0), linkbeatCure, "nothing is polled: linkbeat_interfaces has no effect here")
	for _, line := range n.body {
		if !p.value(line) {
			continue
		}
		name, ok := p.interfaceName(line, 0)
		if !ok {
			continue
		}
		l := model.LinkbeatInterface{Pos: line.pos(0), Name: name}
		switch m := strings.ToUpper(line.arg(1)); m {
		case "", "MII", "ETHTOOL", "IOCTL":
			l.Method = m
		default:
			p.warnf(line.pos(1), "write MII, ETHTOOL or IOCTL", "unknown way to poll '%s': it is not used", line.arg(1))
		}
		p.f.LinkbeatInterfaces = append(p.f.LinkbeatInterfaces, l)
	}
}

func readInterfaceDelays(p *parser, n *node) {
	for _, line := range n.body {
		if !p.value(line) {
			continue
		}
		d := model.InterfaceDelay{Pos: line.pos(0)}
		var ok bool
		if d.Name, ok = p.interfaceName(line, 0); !ok {
			continue
		}
		if d.Down, ok = p.timer(line, 1, 0, 255*time.Second, "the line is not used"); !ok {
			continue
		}
		d.Up = d.Down
		if len(line.words) > 2 {
			if d.Up, ok = p.timer(line, 2, 0, 255*time.Second, "the line is not used"); !ok {
				continue
			}
		}
		if len(line.words) > 3 {
			p.warnf(line.pos(3), "write INTERFACE DOWN_DELAY [UP_DELAY]", "too many words: those behind the two times are not read")
		}
		p.f.InterfaceDelays = append(p.f.InterfaceDelays, d)
	}
}

// notify gives the scripts of what is being read.
func (p *parser) notify() *model.Notify {
	if p.instance != nil {
		return &p.instance.Notify
	}
	return &p.group.Notify
}

// notifyScript makes the entry of a notify line.
func notifyScript(at func(n *model.Notify) **model.Command) func(*parser, *node) {
	return func(p *parser, n *node) {
		c := at(p.notify())
		if *c != nil {
			p.warnf(n.pos(0), "take one of them out, or call both from one script", "'%s' stands twice: the first is used", n.name())
			return
		}
		if *c = p.command(n, 1, true); *c != nil {
			p.checkExists(*c)
		}
	}
}

func readNotifyDeleted(p *parser, n *node) {
	p.notify().DeletedSent = true
	if len(n.words) > 1 {
		notifyScript(func(x *model.Notify) **model.Command { return &x.Deleted })(p, n)
	}
}

func readPriorityChanges(p *parser, n *node) {
	v, ok := p.boolean(n, 1)
	if !ok {
		return
	}
	p.notify().PriorityChanges = v
	if p.instance != nil {
		p.instance.priorityChanges = &v
	}
}

func readGlobalTracking(p *parser, n *node) {
	p.warnf(n.pos(0), "write track_interface, track_script and so on in the group itself", "'global_tracking' is deprecated: it is read as sync_group_tracking_weight")
	p.group.SyncTrackingWeight = true
}

// checkExists warns of a script that is not there: the file may still come
// before it is needed.
func (p *parser) checkExists(c *model.Command) {
	name := c.Argv[0]
	if strings.HasPrefix(name, "/") && !p.opt.Exists(name) {
		p.warnf(c.Pos, "make the file, and make it executable", "'%s' is not there or cannot be run", name)
	}
}
