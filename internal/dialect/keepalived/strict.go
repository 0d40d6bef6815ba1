package keepalived

import (
	"strings"
	"time"
)

// sayStrict tells once what vrrp_strict does to this configuration, besides
// the messages about single lines.
func (p *parser) sayStrict() {
	var silent []string
	for _, i := range p.instances {
		if i.Strict && !i.Accept {
			silent = append(silent, i.Name)
		}
	}
	if len(silent) == 0 {
		return
	}
	p.warnf(p.global.strictNode.pos(0), "take vrrp_strict out, unless the addresses are only routed through; with VRRP version 3 an instance can say 'accept'",
		"vrrp_strict: packets to the addresses of %s are dropped: no ping, no connection, no proxy on them", strings.Join(silent, ", "))
}

// enforceStrict takes out what the protocol does not have.
func (p *parser) enforceStrict(i *instanceDraft) {
	said := func(cure, format string) { p.warnf(i.Pos, cure, "vrrp_strict: "+format, i.describe()) }
	if i.Master != (i.Priority == 255) {
		said("write 'state MASTER' with priority 255, and only with it", "the state of %s is set by its priority: MASTER is for the owner of the addresses")
		i.Master = i.Priority == 255
	}
	if i.Auth.Type != "" {
		said("take authentication out, or vrrp_strict, on all nodes alike", "%s has authentication, which is not used")
		i.Auth.Type, i.Auth.Password = "", [8]byte{}
	}
	if len(i.UnicastPeers) > 0 {
		p.noticef(i.UnicastPeers[0].Pos, "take vrrp_strict out", "vrrp_strict: %s has unicast peers, which RFC 5798 does not know; they are used all the same, as keepalived does", i.describe())
	}
	if i.PreemptDelay != 0 {
		said("take preempt_delay out, or vrrp_strict", "%s has a preempt_delay, which is not used")
		i.PreemptDelay = 0
	}
	if i.DownTimerAdverts != 3 {
		said("take down_timer_adverts out, or vrrp_strict", "%s has down_timer_adverts, which is not used")
		i.DownTimerAdverts = 3
	}
	if i.accept != nil && *i.accept && i.Version == 2 {
		said("write 'version 3' on all nodes", "%s has accept, which VRRP version 2 does not: it is not used")
		i.Accept = i.Priority == 255
	}
	if i.VMACAddr != "" {
		said("take the address out", "%s has a hardware address of its own choice, which is not used")
		i.VMACAddr = ""
	}
	if i.VMAC && i.VMACXmitBase {
		said("take vmac_xmit_base out", "%s has vmac_xmit_base, which is not used")
		i.VMACXmitBase = false
	}
	if i.lowerNo != nil && !*i.lowerNo {
		said("take lower_prio_no_advert out", "%s answers a lower priority, which is not used")
	}
	i.LowerPrioNoAdvert = true
	if i.higherSend != nil && *i.higherSend {
		said("take higher_prio_send_advert out", "%s has higher_prio_send_advert, which is not used")
	}
	i.HigherPrioSendAdvert = false
	if i.garpRepeat != nil || i.garpDelay != nil || i.garpRefresh != nil && *i.garpRefresh != 0 {
		said("take the garp_master_ lines out", "%s repeats gratuitous ARPs, which is not used")
	}
	i.GARPMasterRepeat, i.GARPMasterDelay, i.GARPMasterRefresh = 1, 0, 0
	i.GARPLowerPrioRepeat, i.GARPLowerPrioDelay = min(i.GARPLowerPrioRepeat, 1), time.Duration(0)
}
