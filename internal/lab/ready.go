package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"evenkeel/internal/lab/measure"
	"evenkeel/internal/lab/probe"
)

// Ready waits until a new cluster is at rest, and says who has what.
func (c *Cluster) Ready(ctx context.Context, say func(string)) error {
	w, err := c.Watch(probe.Load{Kept: 1, Fresh: 1, Pause: probe.DefaultLoad.Pause, Timeout: probe.DefaultLoad.Timeout})
	if err != nil {
		return err
	}
	defer w.Close()
	start := probe.Now()
	r := &run{c: c, w: w, ctx: ctx, touched: start, audience: silent{}, chosen: -1}
	wanted := c.wanted()
	err = w.Until(ctx, restWithin, func(l *measure.Live) bool {
		r.interval = l.Interval()
		return r.rests(l, wanted, r.interval)
	})
	if errors.Is(err, errLate) {
		return fmt.Errorf("after %s the cluster is not at rest: %s", restWithin, r.disorder(wanted, r.interval))
	}
	if err != nil {
		return err
	}
	var words []string
	w.Now(func(l *measure.Live) {
		for i, v := range c.Topology.VIPs {
			words = append(words, fmt.Sprintf("%s has %s", c.nameOf(l.Owners(i)[0]), v.Address))
		}
	})
	say(fmt.Sprintf("at rest after %.1f s: %s", (probe.Now() - start).Seconds(), strings.Join(words, ", ")))
	return nil
}

// silent is an audience that does not listen.
type silent struct{}

func (silent) Began(Software, string, int, int) {}
func (silent) Happened(string)                  {}
func (silent) Ended(Software, string, Run)      {}

// Hint is a command that shows the cluster at work.
func (c *Cluster) Hint() string {
	v := c.Topology.VIPs[0]
	return fmt.Sprintf("ip netns exec %s curl -i 'http://%s/'", c.space(clientName), netip.AddrPortFrom(v.Address, uint16(v.Port)))
}
