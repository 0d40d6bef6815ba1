package keepalived

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"evenkeel/internal/model"
)

// serverState is what is being read of virtual servers.
type serverState struct {
	group    *model.VirtualServerGroup
	virtual  *model.VirtualServer
	real     *model.RealServer
	check    *checkDraft
	url      *model.CheckURL
	smtpHost *model.ConnectTo
	// protocol says whether `protocol` was given.
	protocol bool
}

// port reads a port from 1 to 65535.
func (p *parser) port(n *node, i int) (uint16, bool) {
	v, ok := wholeNumber(n.arg(i))
	if !ok || v < 1 || v > 65535 {
		cure := "write a number from 1 to 65535"
		if n.name() == "virtual_server" && strings.Contains(n.arg(i), "-") {
			cure = "put '" + n.arg(1) + " " + n.arg(i) + "' into a virtual_server_group, and write 'virtual_server group NAME {': groups have ranges"
		}
		if i == 1 && strings.Contains(n.arg(i), ":") {
			cure = "write ADDRESS PORT, with a blank"
		}
		p.errorf(n.pos(i), cure, "'%s' is not a port", n.arg(i))
		return 0, false
	}
	return uint16(v), true
}

// endpoint reads ADDRESS [PORT] from word i on.
func (p *parser) endpoint(n *node, i int) (netip.Addr, uint16, bool) {
	if !p.want(n, i, -1) {
		return netip.Addr{}, 0, false
	}
	if ap, err := netip.ParseAddrPort(n.arg(i)); err == nil {
		p.errorf(n.pos(i), "write '"+ap.Addr().String()+" "+strconv.Itoa(int(ap.Port()))+"'", "an address and its port are separated by a blank")
		return netip.Addr{}, 0, false
	}
	a, ok := p.address(n, i)
	if !ok || i+1 >= len(n.words) {
		return a, 0, ok
	}
	if n.arg(i+1) == "0" {
		return a, 0, true
	}
	port, ok := p.port(n, i+1)
	return a, port, ok
}

func readVirtualServer(p *parser, n *node) {
	v := &model.VirtualServer{Pos: n.pos(0), Quorum: 1, Weight: 1}
	switch n.arg(1) {
	case "fwmark":
		mark, ok := p.number(n, 2, 1, 1<<32-1, "the virtual server is left out")
		if !ok {
			return
		}
		v.FwMark = uint32(mark)
	case "group":
		if !p.want(n, 2, 2) {
			return
		}
		v.Group = n.arg(2)
	case "":
		p.errorf(n.pos(1), "write 'virtual_server ADDRESS PORT {', 'virtual_server fwmark NUMBER {' or 'virtual_server group NAME {'", "the virtual server has no address")
		return
	default:
		var ok bool
		if v.Addr, v.Port, ok = p.endpoint(n, 1); !ok {
			return
		}
		v.Family = family(v.Addr)
		p.want(n, 1, 2)
	}
	p.lvs = serverState{virtual: v}
	p.dispatch(n.body, placeVirtualServer)
	p.finishVirtual(n)
	p.lvs = serverState{}
	p.f.VirtualServers = append(p.f.VirtualServers, v)
}

// title names a virtual server in messages.
func title(v *model.VirtualServer) string {
	switch {
	case v.FwMark != 0:
		return "virtual_server fwmark " + strconv.FormatUint(uint64(v.FwMark), 10)
	case v.Group != "":
		return "virtual_server group '" + v.Group + "'"
	}
	return "virtual_server " + v.Addr.String() + " " + strconv.Itoa(int(v.Port))
}

// finishVirtual judges what the lines of one virtual server demand of each
// other. Groups are resolved later, when all are read.
func (p *parser) finishVirtual(n *node) {
	v := p.lvs.virtual
	name := title(v)
	if v.Protocol == "" && v.FwMark == 0 {
		v.Protocol = "UDP"
		p.warnf(n.pos(0), "write 'protocol TCP' or 'protocol UDP'", "%s has no protocol: UDP is used, as in keepalived", name)
	}
	if v.OnePacket && v.Protocol != "UDP" && v.FwMark == 0 {
		p.warnf(n.pos(0), "take 'ops' out", "%s: one-packet scheduling is for UDP: it is not used", name)
		v.OnePacket = false
	}
	if v.Scheduler == "" {
		p.warnf(n.pos(0), "write 'lvs_sched wlc', or the one that is meant", "%s has no scheduler: wlc is used", name)
		v.Scheduler = "wlc"
	}
	if v.Method == "" {
		p.warnf(n.pos(0), "write 'lvs_method NAT', DR or TUN", "%s has no forwarding method: NAT is used", name)
		v.Method = "NAT"
	}
	if v.HASuspend && !v.Addr.IsValid() {
		p.warnf(n.pos(0), "take ha_suspend out", "%s has no address of its own: ha_suspend is not used", name)
		v.HASuspend = false
	}
	p.finishReals(n, v, name)
	p.finishQuorum(n, v, name)
}

// finishReals: families, ports and doubles of the real servers.
func (p *parser) finishReals(n *node, v *model.VirtualServer, name string) {
	if len(v.Real) == 0 && v.Sorry == nil {
		p.warnf(n.pos(0), "write real_server ADDRESS PORT { … } in its block", "%s has no real server", name)
	}
	var keep []*model.RealServer
	for _, r := range v.Real {
		if slices.ContainsFunc(keep, func(x *model.RealServer) bool { return x.Addr == r.Addr && x.Port == r.Port }) {
			p.warnf(r.Pos, "take one of them out", "%s has the real server %s %d twice: the first is used", name, r.Addr, r.Port)
			continue
		}
		if v.Family != 0 && family(r.Addr) != v.Family && p.method(v, r) != "TUN" {
			p.errorf(r.Pos, "use lvs_method TUN for it, or an address of the same family", "the real server %s and the address of %s are of different families", r.Addr, name)
			continue
		}
		p.realPort(v, r, name)
		keep = append(keep, r)
	}
	v.Real = keep
	if v.Sorry != nil {
		p.realPort(v, v.Sorry, name)
	}
	if v.Addr.IsValid() && v.Port == 0 && v.Persistence == 0 {
		p.warnf(n.pos(0), "write 'persistence_timeout 360', or a port", "%s has no port, which persistence is needed for: 360 seconds are used", name)
		v.Persistence = defaultPersistence
	}
}

func (p *parser) method(v *model.VirtualServer, r *model.RealServer) string {
	if r.Method != "" {
		return r.Method
	}
	return v.Method
}

// realPort: only NAT changes a port.
func (p *parser) realPort(v *model.VirtualServer, r *model.RealServer, name string) {
	if r.Port == 0 {
		r.Port = v.Port
		return
	}
	if !v.Addr.IsValid() || r.Port == v.Port || strings.HasSuffix(p.method(v, r), "NAT") {
		return
	}
	p.warnf(r.Pos, "write "+strconv.Itoa(int(v.Port))+"; a checker can have its own connect_port", "%s forwards by %s, which does not change ports: %d of %s becomes %d",
		name, p.method(v, r), r.Port, r.Addr, v.Port)
	r.Port = v.Port
}

func (p *parser) finishQuorum(n *node, v *model.VirtualServer, name string) {
	total := 0
	for _, r := range v.Real {
		total += r.Weight
	}
	if total > 0 && v.Quorum > total {
		p.warnf(n.pos(0), "", "%s: the quorum %d is above the weight of all real servers: %d is used", name, v.Quorum, total)
		v.Quorum = total
	}
	if v.Hysteresis >= v.Quorum && v.Hysteresis > 0 {
		p.warnf(n.pos(0), "", "%s: the hysteresis %d is not below the quorum %d: %d is used", name, v.Hysteresis, v.Quorum, v.Quorum-1)
		v.Hysteresis = v.Quorum - 1
	}
}

// readReal reads real_server.
func readReal(p *parser, n *node) {
	a, port, ok := p.endpoint(n, 1)
	if !ok {
		return
	}
	r := &model.RealServer{Pos: n.pos(0), Addr: a, Port: port, Weight: -1}
	p.lvs.real = r
	p.dispatch(n.body, placeRealServer)
	if r.Weight < 0 {
		r.Weight = p.lvs.virtual.Weight
	}
	if r.LowerConns > 0 && r.UpperConns > 0 && r.LowerConns > r.UpperConns {
		p.warnf(n.pos(0), "exchange them", "lthreshold %d is above uthreshold %d: it is not used", r.LowerConns, r.UpperConns)
		r.LowerConns = 0
	}
	p.lvs.real = nil
	p.lvs.virtual.Real = append(p.lvs.virtual.Real, r)
}

func readSorry(p *parser, n *node) {
	a, port, ok := p.endpoint(n, 1)
	if !ok {
		return
	}
	if p.lvs.virtual.Sorry != nil {
		p.warnf(n.pos(0), "take one of them out", "there are two sorry servers: the second is used")
	}
	p.lvs.virtual.Sorry = &model.RealServer{Pos: n.pos(0), Addr: a, Port: port, Weight: 1}
}

// sorry gives the sorry server for lines that stand behind it.
func (p *parser) sorry(n *node) *model.RealServer {
	if p.lvs.virtual.Sorry == nil {
		p.warnf(n.pos(0), "write it behind sorry_server", "'%s' stands before or without a sorry_server: it is not used", n.name())
	}
	return p.lvs.virtual.Sorry
}

// readMethod reads NAT|DR|TUN [type ipip|gue port N|gre] [nocsum|csum|remcsum].
func (p *parser) readMethod(n *node, method *string, tunnel *model.Tunnel) {
	if !p.want(n, 1, -1) {
		return
	}
	m := strings.ToUpper(n.arg(1))
	if m != "NAT" && m != "DR" && m != "TUN" && m != "FULLNAT" {
		p.errorf(n.pos(1), "write NAT, DR, TUN or FULLNAT", "'%s' is not a way to forward", n.arg(1))
		return
	}
	*method = m
	if m != "TUN" {
		p.want(n, 1, 1)
		return
	}
	t := model.Tunnel{Type: "ipip"}
	for i := 2; i < len(n.words); i++ {
		switch word := n.arg(i); word {
		case "type":
			i++
			if t.Type = n.arg(i); !slices.Contains([]string{"ipip", "gue", "gre"}, t.Type) {
				p.errorf(n.pos(i), "write ipip, gue or gre", "'%s' is not a kind of tunnel", t.Type)
				return
			}
		case "port":
			i++
			port, ok := p.port(n, i)
			if !ok {
				return
			}
			t.Port = port
		case "nocsum":
			t.NoCsum = true
		case "csum":
			t.Csum = true
		case "remcsum":
			t.RemCsum = true
		default:
			p.errorf(n.pos(i), closest(word, []string{"type", "port", "nocsum", "csum", "remcsum"}), "unknown word '%s' behind TUN", word)
			return
		}
	}
	switch {
	case (t.Type == "gue") != (t.Port != 0):
		p.errorf(n.pos(0), "write 'type gue port NUMBER'", "a gue tunnel has a port, the others have none")
	case t.Type == "ipip" && (t.Csum || t.RemCsum || t.NoCsum):
		p.errorf(n.pos(0), "take it out", "an ipip tunnel has no checksum")
	case t.Type == "gre" && t.RemCsum:
		p.errorf(n.pos(0), "write csum or nocsum", "a gre tunnel has no remote checksum")
	}
	*tunnel = t
}

// completeLVS resolves groups, and takes the SSL block to the checkers that
// need it.
func (p *parser) completeLVS() {
	known := names(p.f.ServerGroups, func(g *model.VirtualServerGroup) string { return g.Name })
	p.checkPool()
	p.f.VirtualServers = slices.DeleteFunc(p.f.VirtualServers, func(v *model.VirtualServer) bool {
		if v.Group == "" || slices.Contains(known, v.Group) {
			return false
		}
		cure := closest(v.Group, known)
		if cure == "" {
			cure = "write virtual_server_group " + v.Group + " { ADDRESS PORT }"
		}
		p.errorf(v.Pos, cure, "there is no virtual_server_group '%s'", v.Group)
		return true
	})
	p.resolveNamed()
	for i, v := range p.f.VirtualServers {
		p.settleServerFamily(v)
		p.completeGroup(v)
		p.completeChecks(v)
		for _, x := range p.f.VirtualServers[:i] {
			if x.Addr == v.Addr && x.Port == v.Port && x.FwMark == v.FwMark && x.Group == v.Group && x.Protocol == v.Protocol && x.Family == v.Family {
				p.errorf(v.Pos, "put the real servers of both into one", "there are two blocks %s: the other one is at line %d", title(v), x.Pos.Line)
			}
		}
	}
	p.checkSyncKey()
	lvs := &p.f.LVS
	if lvs.SyncInterface == "" {
		return
	}
	if lvs.SyncInstance != "" {
		for _, i := range p.f.Instances {
			if i.Name == lvs.SyncInstance {
				if lvs.SyncID < 0 {
					lvs.SyncID = int(i.VRID)
				}
				return
			}
		}
		p.warnf(p.global.syncPos, closest(lvs.SyncInstance, names(p.f.Instances, func(i *model.VRRPInstance) string { return i.Name })), "lvs_sync_daemon names an instance '%s' that does not exist: it is not used", lvs.SyncInstance)
		lvs.SyncInterface, lvs.SyncInstance, lvs.SyncID, lvs.SyncMaxLen, lvs.SyncPort, lvs.SyncTTL, lvs.SyncGroup = "", "", 0, 0, 0, 0, netip.Addr{}
		return
	}
	lvs.SyncID = max(lvs.SyncID, 0)
}

// settleServerFamily: of a mark or a group, what its members or real servers
// have.
func (p *parser) settleServerFamily(v *model.VirtualServer) {
	if v.Addr.IsValid() {
		v.Family = family(v.Addr)
		return
	}
	said := v.Family
	if v.Group != "" {
		for _, g := range p.f.ServerGroups {
			if g.Name != v.Group {
				continue
			}
			for _, m := range g.Members {
				if m.First.IsValid() && said == 0 {
					said = family(m.First)
				}
			}
		}
	}
	for _, r := range v.Real {
		if p.method(v, r) == "TUN" {
			continue
		}
		if said == 0 {
			said = family(r.Addr)
		} else if said != family(r.Addr) {
			p.errorf(r.Pos, "use lvs_method TUN for it, or an address of the same family", "the real server %s and %s are of different families", r.Addr, title(v))
		}
	}
	if said == 0 && len(v.Real) > 0 {
		said = family(v.Real[0].Addr)
	}
	v.Family = max(said, 4)
}
