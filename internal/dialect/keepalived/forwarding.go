package keepalived

import (
	"math"
	"net/netip"
	"slices"
	"strings"
)

// What evenkeel's own data plane has and keepalived has no words for.

// forwardBackends are the ways to forward packets.
var forwardBackends = []string{"ebpf", "ipvs"}

func forwardingKeywords() []keyword {
	return []keyword{
		{Name: "lvs_backend", Args: strings.Join(forwardBackends, "|"), In: placeGlobal, Status: statusOurs, Help: "who forwards packets: our own programs in the kernel, or IPVS (the first that works here)", Parse: readBackend},
		{Name: "lvs_source_pool", Args: "ADDRESS …", In: placeGlobal, Status: statusOurs, Help: "the addresses of this node that servers see with FULLNAT; used for nothing else", Parse: readSourcePool},
		{Name: "lvs_sync_key_file", Args: "PATH", In: placeGlobal, Status: statusOurs, Help: "a file with the key that encrypts what lvs_sync_daemon tells, the same on all directors; lvs_backend ebpf", Parse: readSyncKeyFile},
		{Name: "lvs_xdp", Args: "INTERFACE …", In: placeGlobal, Status: statusOurs, Help: "interfaces whose drivers run our programs (XDP), before the kernel's network stack; lvs_backend ebpf", Parse: readXDP},
		{Name: "lvs_expire_nodest_conn", Args: "[on|off]", In: placeGlobal, Status: statusOurs, Help: "connections of a server that is removed end at once, as by net.ipv4.vs.expire_nodest_conn; otherwise they wait for it to come back", Parse: flag(func(p *parser) *bool { return &p.f.LVS.ExpireNodest })},
		{Name: "lvs_expire_quiescent_template", Args: "[on|off]", In: placeGlobal, Status: statusOurs, Help: "persistent clients leave a server of weight 0, as by net.ipv4.vs.expire_quiescent_template", Parse: flag(func(p *parser) *bool { return &p.f.LVS.ExpireQuiet })},
		{Name: "lvs_sloppy_tcp", Args: "[on|off]", In: placeGlobal, Status: statusOurs, Help: "any TCP packet begins a connection, not only a SYN, as by net.ipv4.vs.sloppy_tcp", Parse: flag(func(p *parser) *bool { return &p.f.LVS.SloppyTCP })},
		{Name: "syn_limit", Args: "COUNT", In: placeVirtualServer, Status: statusOurs, Help: "new TCP connections a second that are let through (0: all)", Parse: counted(0, math.MaxInt32, func(p *parser) *int { return &p.lvs.virtual.SYNLimit })},
	}
}

func readBackend(p *parser, n *node) {
	if !p.want(n, 1, 1) {
		return
	}
	name := strings.ToLower(n.arg(1))
	if !slices.Contains(forwardBackends, name) {
		cure := closest(name, forwardBackends)
		if cure == "" {
			cure = "write " + strings.Join(forwardBackends, " or ")
		}
		p.errorf(n.pos(1), cure, "there is no lvs_backend '%s'", n.arg(1))
		return
	}
	p.f.LVS.Backend = name
}

// readSourcePool reads addresses; several lines add up.
func readSourcePool(p *parser, n *node) {
	if !p.want(n, 1, -1) {
		return
	}
	for i := 1; i < len(n.words); i++ {
		a, ok := p.address(n, i)
		switch {
		case !ok:
		case a.IsMulticast() || a.IsUnspecified() || a.IsLoopback():
			p.errorf(n.pos(i), "write an address that this node has on the servers' side", "'%s' cannot be a source address", a)
		case slices.Contains(p.f.LVS.Pool, a):
			p.warnf(n.pos(i), "take one of them out", "'%s' is in the pool twice", a)
		default:
			p.f.LVS.Pool = append(p.f.LVS.Pool, a)
		}
	}
}

// readSyncKeyFile reads where the key is. Who uses it reads the file.
func readSyncKeyFile(p *parser, n *node) {
	switch path := n.arg(1); {
	case len(n.words) != 2: // nothing is told that should have been encrypted
		p.errorf(n.pos(0), "write 'lvs_sync_key_file PATH'", "'lvs_sync_key_file' takes one path")
	case p.f.LVS.SyncKeyFile != "":
		p.warnf(n.pos(0), "take one of them out; a second key stands in the same file", "'lvs_sync_key_file' stands twice: the first is used")
	case !strings.HasPrefix(path, "/"):
		p.errorf(n.pos(1), "write a path that begins with /", "'%s' is not an absolute path", path)
	default:
		p.f.LVS.SyncKeyFile, p.f.LVS.SyncKeyPos = path, n.pos(1)
	}
}

// checkSyncKey finds a key for nothing.
func (p *parser) checkSyncKey() {
	if p.f.LVS.SyncKeyFile != "" && p.f.LVS.SyncInterface == "" {
		p.warnf(p.f.LVS.SyncKeyPos, "write 'lvs_sync_daemon INTERFACE' too, or take it out", "lvs_sync_key_file without lvs_sync_daemon: it is not used")
	}
}

// readXDP reads interfaces; several lines add up.
func readXDP(p *parser, n *node) {
	if !p.want(n, 1, -1) {
		return
	}
	for i := 1; i < len(n.words); i++ {
		name, ok := p.interfaceName(n, i)
		switch {
		case !ok:
		case slices.Contains(p.f.LVS.XDP, name):
			p.warnf(n.pos(i), "take one of them out", "'%s' is listed twice", name)
		default:
			if len(p.f.LVS.XDP) == 0 {
				p.f.LVS.XDPPos = n.pos(i)
			}
			p.f.LVS.XDP = append(p.f.LVS.XDP, name)
		}
	}
}

// checkPool finds services with FULLNAT that no source address is for.
func (p *parser) checkPool() {
	for _, v := range p.f.VirtualServers {
		servers := v.Real
		if v.Sorry != nil {
			servers = append(slices.Clone(servers), v.Sorry)
		}
		for _, r := range servers {
			if p.method(v, r) == "FULLNAT" && !slices.ContainsFunc(p.f.LVS.Pool, func(a netip.Addr) bool { return family(a) == family(r.Addr) }) {
				p.errorf(r.Pos, "write 'lvs_source_pool ADDRESS …' in global_defs", "%s reaches %s by FULLNAT, and there is no source address of its family to do that with", title(v), r.Addr)
				break
			}
		}
	}
}
