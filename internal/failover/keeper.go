package failover

import "evenkeel/internal/alert"

// keeperSilent is told when the keeper has not shown that it is alive, and when
// it does again. Without it nobody would act if this process died, so the
// addresses go to a node where somebody would.
func (p *plane) keeperSilent(silent bool) {
	p.about.frozen = silent
	text, severity := "the keeper is back", alert.Notice
	f := fault{}
	if silent {
		text, severity = "the keeper of this node is frozen: its addresses are handed over", alert.Critical
		f.text = "the keeper is frozen"
	}
	p.post(alert.Event{Kind: "keeper", Severity: severity, Plane: "vrrp", Text: text})
	for _, i := range p.instances {
		p.setFault(i, faultKeeper, f)
	}
}
