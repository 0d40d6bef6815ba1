package proxy

import "testing"

func TestIdleConnectionsWanted(t *testing.T) {
	for name, c := range map[string]struct {
		list idleList
		want bool
	}{
		"the first is always of use":           {idleList{max: -1}, true},
		"as many as were at work at once":      {idleList{n: 3, peak: 4, max: -1}, true},
		"no more than that":                    {idleList{n: 4, peak: 4, max: -1}, false},
		"what was needed lately counts":        {idleList{n: 4, peak: 1, need: 5, max: -1}, true},
		"pool-low-conn on top":                 {idleList{n: 4, peak: 4, low: 1, max: -1}, true},
		"pool-max-conn bounds whatever is due": {idleList{n: 2, peak: 9, max: 2}, false},
		"pool-max-conn 0 keeps none":           {idleList{max: 0}, false},
	} {
		if got := c.list.wanted(); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	l := idleList{peak: 64, used: 1}
	l.estimate()
	if l.need != 64 || l.peak != 1 {
		t.Errorf("after a busy second need is %d, peak %d", l.need, l.peak)
	}
	for range 60 {
		l.used = 0
		l.estimate()
	}
	if l.need != 0 {
		t.Errorf("a minute later %d connections are still thought to be needed", l.need)
	}
}
