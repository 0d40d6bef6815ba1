package xdp

import (
	"fmt"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
)

// loopback is the loopback's interface number in every network namespace.
const loopback = 1

// attachLoopback puts the director's other program on what processes on this
// host send to its own addresses. Of their connections to virtual addresses the
// answers come back by the loopback, with a source that is an address of this
// host; IPv4 does not take such without accept_local. Nobody else can send
// anything there.
func (p *Plane) attachLoopback() error {
	l, err := netlink.LinkByIndex(loopback)
	if err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	on := attacher{mode: p.opts.Mode, pin: p.opts.Pin, prog: p.local, egress: true}
	a, err := on.attachTo(l)
	if err != nil {
		return fmt.Errorf("attach to %s: %w", l.Attrs().Name, err)
	}
	p.note(a)
	path := acceptLocal(l.Attrs().Name)
	was, err := os.ReadFile(path)
	if err == nil && strings.TrimSpace(string(was)) == "0" {
		err = os.WriteFile(path, []byte("1"), 0o644)
		p.loose = err == nil
	}
	if err != nil {
		p.opts.Log.Warn("processes on this host get no answers from virtual services over IPv4: set net.ipv4.conf.lo.accept_local=1", "error", err)
	}
	return nil
}

func acceptLocal(name string) string { return "/proc/sys/net/ipv4/conf/" + name + "/accept_local" }

// restore undoes what attachLoopback set, unless forwarding goes on. It is
// called in the director's network namespace.
func (p *Plane) restore() {
	if !p.loose || p.opts.Pin != "" {
		return
	}
	if l, err := netlink.LinkByIndex(loopback); err == nil {
		_ = os.WriteFile(acceptLocal(l.Attrs().Name), []byte("0"), 0o644) // it does no harm to anybody
	}
}
