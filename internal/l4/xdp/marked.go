package xdp

import (
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"

	"evenkeel/internal/l4"
	"evenkeel/internal/l4/marks"
)

// Netfilter's marks are set behind ingress. Packets that the host routes on are
// seen once more on egress of where they leave; of those to the host's own
// addresses netfilter sends a copy by the loopback, where the director is anyway.

// handover has netfilter do that: *marks.Tables.
type handover interface {
	Set(marks.Config) error
	Keep() error
	Changed() <-chan struct{}
	Close() error
}

// How soon what somebody has changed of nftables is looked at: several changes
// come together. And how often it is tried again where it did not work.
const (
	settleMarks = 20 * time.Millisecond
	retryMarks  = 5 // seconds
)

// marked are the marks that have services.
func marked(c *l4.Config) (m marks.Config) {
	for i := range c.Services {
		switch k := &c.Services[i].Key; {
		case k.FwMark == 0:
		case k.AddressFamily() == l4.IPv6:
			m.IPv6 = append(m.IPv6, k.FwMark)
		default:
			m.IPv4 = append(m.IPv4, k.FwMark)
		}
	}
	return m
}

// mark has marks seen wherever netfilter sets them. Where it cannot, the rest is
// forwarded all the same. The caller has p.mu.
func (p *Plane) mark(c *l4.Config) {
	m := marked(c)
	if any := len(m.IPv4)+len(m.IPv6) > 0; any != p.marked {
		p.marked = any
		p.watch.kick()
	}
	p.noteMarks(p.handover.Set(m))
}

// keepMarks puts back what somebody has taken away of that.
func (p *Plane) keepMarks() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.told { // before, what is there is an earlier process's
		p.noteMarks(p.handover.Keep())
	}
}

// noteMarks tells it when marks begin not to be seen, or are seen again.
func (p *Plane) noteMarks(err error) {
	text := ""
	if err != nil {
		text = "marks of nftables and iptables are not seen on packets to this host's own addresses: " + err.Error()
	}
	if text == p.unmarked {
		return
	}
	p.unmarked = text
	if err != nil {
		p.opts.Log.Warn(text)
	} else {
		p.opts.Log.Info("marks of nftables and iptables are seen")
	}
}

// attachMarked puts the director on an interface's egress while there are
// services of marks: what is routed on (to caches of everybody's web, say) it
// sees here.
func (p *Plane) attachMarked(l netlink.Link) {
	p.mu.Lock()
	wanted := p.marked
	p.mu.Unlock()
	index := l.Attrs().Index
	egress := func(a *attachment) bool { return a.index == index && strings.HasSuffix(a.kind, egressKind) }
	if !wanted {
		p.detach(egress)
		return
	}
	p.mu.Lock()
	there := slices.ContainsFunc(p.attached, egress)
	p.mu.Unlock()
	if there {
		return
	}
	on := attacher{mode: p.opts.Mode, pin: p.opts.Pin, prog: p.marks, egress: true}
	a, err := on.attachTo(l)
	if err != nil {
		p.opts.Log.Error("marks are not seen", "interface", l.Attrs().Name, "error", err)
		return
	}
	p.note(a)
}
