package failover

import (
	"testing"
	"time"
)

// TestHurry: who has to react quickly gets a real-time priority, at the
// latest when it hands its addresses over, unless the configuration says how it
// is to run.
func TestHurry(t *testing.T) {
	for _, c := range []struct {
		global, interval string
		usual, leaving   scheduling
	}{
		{"", "1", scheduling{nice: -20, gather: 4 * time.Millisecond}, scheduling{realtime: 1}},
		{"", "0.1", scheduling{realtime: 1}, scheduling{realtime: 1}},
		{"vrrp_priority 5", "1", scheduling{nice: 5, gather: 4 * time.Millisecond}, scheduling{nice: 5}},
		{"vrrp_rt_priority 7", "1", scheduling{realtime: 7, gather: 4 * time.Millisecond}, scheduling{realtime: 7}},
	} {
		p := parse(t, "global_defs {\n "+c.global+"\n}\n"+manyText(1, c.interval))
		if got := p.scheduling(); got != c.usual {
			t.Errorf("%q, interval %s: %+v, should be %+v", c.global, c.interval, got, c.usual)
		}
		if got := p.hurried(); got != c.leaving {
			t.Errorf("%q, interval %s, leaving: %+v, should be %+v", c.global, c.interval, got, c.leaving)
		}
	}
}
