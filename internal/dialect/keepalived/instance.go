package keepalived

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"evenkeel/internal/model"
)

// instanceDraft is an instance while it is read: what it says itself, before
// the defaults of global_defs are filled in.
type instanceDraft struct {
	*model.VRRPInstance
	node       *node
	version    int // 0: not said
	native6    bool
	state      string
	accept     *bool
	strict     *bool
	skipCheck  *bool
	lowerNo    *bool
	higherSend *bool
	downTimer  *int
	preempt    *node // the nopreempt line
	advert     *node // the advert_int line
	vips       *node
	unicast    *node // the first line that only makes sense with unicast_peer

	garpDelay, garpRefresh, garpLowerDelay, garpExtra *time.Duration
	garpRepeat, garpRefreshRepeat, garpLowerRepeat    *int
	garpExtraAll                                      bool
	priorityChanges                                   *bool
	vridGiven                                         bool
	authNode                                          *node
}

func (p *parser) readInstance(n *node) {
	if len(n.words) != 2 {
		p.errorf(n.pos(len(n.words)), "write 'vrrp_instance NAME {'", "a vrrp_instance has one name")
		return
	}
	name := n.arg(1)
	for _, x := range p.instances {
		if x.Name == name {
			p.errorf(n.pos(1), "give one of them another name", "there are two instances '%s': the other one is at line %d", name, x.Pos.Line)
			return
		}
	}
	p.instance = &instanceDraft{node: n, VRRPInstance: newInstance(n.pos(0), name)}
	p.instances = append(p.instances, p.instance)
	p.dispatch(n.body, placeInstance)
	p.instance = nil
}

// newInstance is an instance of which nothing is known but the language's
// defaults.
func newInstance(pos model.Pos, name string) *model.VRRPInstance {
	return &model.VRRPInstance{
		Pos: pos, Name: name, Priority: 100, AdvertInt: time.Second,
		UnicastTTL: 255, MulticastTTL: 255, DownTimerAdverts: 3, Accept: true,
	}
}

// inst gives the instance being read, for the entries of the table.
func inst[T any](f func(i *instanceDraft) *T) func(*parser) *T {
	return func(p *parser) *T { return f(p.instance) }
}

func readState(p *parser, n *node) {
	if !p.want(n, 1, 1) {
		return
	}
	switch s := n.arg(1); s {
	case "MASTER", "BACKUP":
		if p.instance.state == "MASTER" && s == "BACKUP" {
			p.warnf(n.pos(1), "take one of the lines out", "the state was said to be MASTER before: BACKUP is not used")
			return
		}
		p.instance.state = s
	default:
		p.instance.state = "BACKUP"
		cure := "write MASTER or BACKUP"
		if strings.EqualFold(s, "master") {
			cure = "write MASTER in capital letters"
		}
		p.warnf(n.pos(1), cure, "'%s' is not a state: BACKUP is used", s)
	}
}

func readInterface(p *parser, n *node) {
	name, ok := p.interfaceName(n, 1)
	if !ok {
		return
	}
	if name == "lo" {
		p.errorf(n.pos(1), "name the interface that the other nodes are on; addresses on lo are given with 'dev lo'", "VRRP cannot run on the loopback interface")
	}
	p.instance.Interface = name
	p.want(n, 1, 1)
}

func readVRID(p *parser, n *node) {
	p.instance.vridGiven = true
	if !p.want(n, 1, 1) {
		return
	}
	v, ok := wholeNumber(n.arg(1))
	if !ok || v < 1 || v > 255 {
		p.errorf(n.pos(1), "choose one from 1 to 255 that nobody else has on this network, and the same on all nodes of this instance",
			"the virtual_router_id '%s' is not a number from 1 to 255", n.arg(1))
		return
	}
	p.instance.VRID = uint8(v)
}

func wholeNumber(s string) (int64, bool) {
	var v int64
	for _, c := range []byte(s) {
		if c < '0' || c > '9' || v > 1<<40 {
			return 0, false
		}
		v = v*10 + int64(c-'0')
	}
	return v, s != ""
}

func readPriority(p *parser, n *node) {
	if v, ok := p.number(n, 1, 1, 255, "100 is used"); ok {
		p.instance.Priority = int(v)
	} else {
		p.instance.Priority = 100
	}
}

func readAdvert(p *parser, n *node) {
	if v, ok := p.timer(n, 1, 10*time.Millisecond, 255*time.Second, inSeconds(p.instance.AdvertInt)+" is used"); ok {
		p.instance.AdvertInt, p.instance.advert = v, n
	}
}

func readVersion(p *parser, n *node) {
	if v, ok := p.number(n, 1, 2, 3, "the line is not used"); ok {
		p.instance.version = int(v)
	}
}

func readAddresses(kind addressKind) func(p *parser, n *node) {
	return func(p *parser, n *node) {
		i := p.instance
		if kind == addressVirtual {
			i.vips = n
		}
		for _, line := range n.body {
			if !p.value(line) {
				continue
			}
			a := p.ipAddress(line, kind)
			if a == nil {
				continue
			}
			if at := i.sameAddress(a); at != nil {
				p.warnf(a.Pos, "take one of them out", "%s is listed twice: it stands at line %d already", a.Prefix.Addr(), at.Pos.Line)
				continue
			}
			if kind == addressVirtual {
				i.Addresses = append(i.Addresses, a)
			} else {
				i.AddressesExcluded = append(i.AddressesExcluded, a)
			}
		}
		if kind == addressVirtual && len(n.body) == 0 {
			p.warnf(n.pos(0), "list the addresses that the master has", "the block is empty")
		}
	}
}

func (i *instanceDraft) sameAddress(a *model.IPAddress) *model.IPAddress {
	for _, list := range [][]*model.IPAddress{i.Addresses, i.AddressesExcluded} {
		for _, x := range list {
			if x.Prefix.Addr() == a.Prefix.Addr() && x.Device == a.Device {
				return x
			}
		}
	}
	return nil
}

func readAuthentication(p *parser, n *node) {
	p.instance.authNode = n
	p.instance.Auth.Pos = n.pos(0)
	p.dispatch(n.body, placeAuth)
}

func readAuthType(p *parser, n *node) {
	if !p.want(n, 1, 1) {
		return
	}
	switch t := n.arg(1); t {
	case "PASS", "AH":
		p.instance.Auth.Type = t
	default:
		p.errorf(n.pos(1), "write PASS or AH", "'%s' is not a type of authentication", t)
	}
}

// readAuthPass never repeats the password.
func readAuthPass(p *parser, n *node) {
	if !p.want(n, 1, 1) {
		return
	}
	pass := n.arg(1)
	if len(pass) > 8 {
		p.warnf(n.pos(1), "shorten it to the 8 that count, which all nodes then see alike", "the password has %d characters: the first 8 count", len(pass))
	}
	if pass == "" {
		p.errorf(n.pos(1), "write 'auth_pass WORD'", "the password is empty")
	}
	p.instance.Auth.Password = [8]byte{}
	copy(p.instance.Auth.Password[:], pass)
	if p.instance.Auth.Type == "" {
		p.instance.Auth.Pos = n.pos(0)
	}
}

func readSource(multicast bool) func(p *parser, n *node) {
	return func(p *parser, n *node) {
		a, ok := p.address(n, 1)
		if !ok {
			return
		}
		if multicast {
			p.instance.MulticastSource = a
		} else {
			p.instance.UnicastSource = a
			p.instance.needsPeers(n)
		}
	}
}

// needsPeers remembers a line that only means something with unicast_peer.
func (i *instanceDraft) needsPeers(n *node) {
	if i.unicast == nil {
		i.unicast = n
	}
}

func readPeers(p *parser, n *node) {
	for _, line := range n.body {
		if !p.value(line) {
			continue
		}
		a, ok := p.address(line, 0)
		if !ok {
			continue
		}
		peer := model.UnicastPeer{Pos: line.pos(0), Addr: a}
		for i := 1; i < len(line.words); i += 2 {
			word := line.arg(i)
			if word != "min_ttl" && word != "max_ttl" {
				cure := closest(word, []string{"min_ttl", "max_ttl"})
				if looksLikeAddress(word) {
					cure = "write each peer on a line of its own"
				}
				p.warnf(line.pos(i), cure, "unknown word '%s' behind a peer: it is not used", word)
				i--
				continue
			}
			v, ok := p.number(line, i+1, 0, 255, "it is not used")
			if !ok {
				continue
			}
			if word == "min_ttl" {
				peer.MinTTL = int(v)
			} else {
				peer.MaxTTL = int(v)
			}
			p.instance.CheckUnicastSrc = true
		}
		if peer.MaxTTL > 0 && peer.MinTTL > peer.MaxTTL {
			p.warnf(line.pos(0), "exchange them", "min_ttl is above max_ttl: everything from %s is thrown away", a)
		}
		if slices.ContainsFunc(p.instance.UnicastPeers, func(x model.UnicastPeer) bool { return x.Addr == a }) {
			p.warnf(line.pos(0), "take one of them out", "the peer %s is listed twice", a)
			continue
		}
		p.instance.UnicastPeers = append(p.instance.UnicastPeers, peer)
	}
	if len(n.body) == 0 {
		p.instance.needsPeers(n)
	}
}

func readMulticastGroup(p *parser, n *node) {
	a, ok := p.address(n, 1)
	if !ok {
		return
	}
	if !a.IsMulticast() {
		p.warnf(n.pos(1), "", "'%s' is not a multicast address: the line is not used", a)
		return
	}
	p.instance.MulticastGroup = a
}

// readVMAC reads use_vmac [NAME] [MAC].
func readVMAC(p *parser, n *node) {
	i := p.instance
	i.VMAC = true
	for k := 1; k < len(n.words); k++ {
		w := n.arg(k)
		if strings.Count(w, ":") >= 4 {
			mac, err := net.ParseMAC(w)
			if strings.Count(w, ":") == 4 {
				mac, err = net.ParseMAC(w + ":00")
			}
			switch {
			case err != nil || len(mac) != 6:
				p.warnf(n.pos(k), "write six numbers, or five and the virtual_router_id is the sixth", "'%s' is not a hardware address: it is not used", w)
			case mac[0]&1 != 0:
				p.warnf(n.pos(k), "", "'%s' is a multicast address: it is not used", w)
			default:
				i.VMACAddr = strings.ToLower(w)
			}
			continue
		}
		if i.VMACName != "" {
			p.warnf(n.pos(k), "", "use_vmac has one name: '%s' is not used", w)
			continue
		}
		if name, ok := p.interfaceName(n, k); ok {
			i.VMACName = name
		}
	}
}

// readIPVLAN reads use_ipvlan [NAME] [ADDRESS] [MODE].
func readIPVLAN(p *parser, n *node) {
	i := p.instance
	if i.IPVLAN {
		p.warnf(n.pos(0), "take one of them out", "use_ipvlan stands twice: the first is used")
		return
	}
	i.IPVLAN = true
	for k := 1; k < len(n.words); k++ {
		w := n.arg(k)
		switch {
		case w == "bridge" || w == "private" || w == "vepa":
			i.IPVLANMode = w
		case looksLikeAddress(w):
			if a, ok := p.prefix(n, k); ok {
				i.IPVLANAddr = a
			}
		case i.IPVLANName != "":
			p.warnf(n.pos(k), "", "use_ipvlan has one name: '%s' is not used", w)
		default:
			if name, ok := p.interfaceName(n, k); ok {
				i.IPVLANName = name
			}
		}
	}
}

func readOldChecksum(p *parser, n *node) {
	switch n.arg(1) {
	case "never":
		p.instance.ChecksumCompatNever = true
		p.instance.needsPeers(n)
	case "":
		p.instance.ChecksumOld = true
		p.instance.needsPeers(n)
	default:
		p.warnf(n.pos(1), closest(n.arg(1), []string{"never"}), "'%s' is not known behind old_unicast_checksum: it is not used", n.arg(1))
	}
}

func readUnicastTTL(p *parser, n *node) {
	if v, ok := p.number(n, 1, 0, 255, "255 is used"); ok {
		p.instance.UnicastTTL = int(v)
		p.instance.needsPeers(n)
	}
}

func readNoPreempt(p *parser, n *node) {
	p.instance.NoPreempt, p.instance.preempt = true, n
}

func readPreemptDelay(p *parser, n *node) {
	if v, ok := p.timer(n, 1, 0, 1000*time.Second, "there is no delay"); ok {
		p.instance.PreemptDelay = v
	}
}

func readAccept(v bool) func(p *parser, n *node) {
	return func(p *parser, n *node) { p.instance.accept = &v }
}

// readGARPExtra reads [all] SECONDS.
func readGARPExtra(all *bool, every **time.Duration, p *parser, n *node) {
	i := 1
	if n.arg(1) == "all" {
		*all, i = true, 2
	}
	if v, ok := p.number(n, i, 0, 86400, "the line is not used"); ok {
		d := time.Duration(v) * time.Second
		*every = &d
	}
}

// repeat reads how many packets are sent at a time; 0 becomes 1.
func repeat(at func(p *parser) **int) func(*parser, *node) {
	return func(p *parser, n *node) {
		v, ok := p.number(n, 1, 0, 4294967295, "the line is not used")
		if !ok {
			return
		}
		if v == 0 {
			p.warnf(n.pos(1), "write 1", "'%s' is at least 1: 1 is used", n.name())
			v = 1
		}
		if v > 1000 {
			p.warnf(n.pos(1), "write 5 or less", "'%s %d' would flood the network: 1000 is used", n.name(), v)
			v = 1000
		}
		i := int(v)
		*at(p) = &i
	}
}

func readDebug(p *parser, n *node) {
	p.once("debug", n.pos(0), "take it out; -D and the status commands tell what an instance does", "'debug' is accepted and has no effect here")
	if v, ok := p.number(n, 1, 0, 4, "0 is used"); ok {
		p.instance.DebugLevel = int(v)
	}
}

func readLinkbeat(p *parser, n *node) {
	p.warnf(n.pos(0), "take it out: "+linkbeatCure, "linkbeat_use_polling in an instance is deprecated: nothing is polled")
	p.instance.LinkbeatPolling = true
}

func readSyncInterface(p *parser, n *node) {
	if !p.want(n, 1, 1) {
		return
	}
	p.warnf(n.pos(0), "write 'lvs_sync_daemon "+n.arg(1)+" "+p.instance.Name+"' in global_defs", "lvs_sync_daemon_interface in an instance is deprecated")
	if p.f.LVS.SyncInterface != "" {
		p.warnf(n.pos(0), "take one of them out", "the interface of the LVS sync daemon has been given already: the first is used")
		return
	}
	p.global.syncPos = n.pos(0)
	lvs := &p.f.LVS
	lvs.SyncInterface, lvs.SyncInstance, lvs.SyncID, lvs.SyncPort = n.arg(1), p.instance.Name, -1, 8848
}

// describe names an instance in messages.
func (i *instanceDraft) describe() string { return fmt.Sprintf("instance '%s'", i.Name) }
