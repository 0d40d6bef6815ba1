package fake

import (
	"net/netip"
	"testing"
	"time"

	"evenkeel/internal/l4"
	"evenkeel/internal/l4/contract"
)

func TestContract(t *testing.T) {
	contract.Run(t, func(t *testing.T) l4.Plane { return &Plane{} })
}

func TestDifferencesAreWrittenDown(t *testing.T) {
	var p Plane
	k := l4.Key{Addr: netip.MustParseAddr("192.0.2.1"), Protocol: l4.TCP, Port: 80}
	first := l4.Server{Addr: netip.MustParseAddr("10.0.0.1"), Port: 80, Weight: 1, Method: l4.DR}
	second := first
	second.Addr = netip.MustParseAddr("10.0.0.2")
	steps := []struct {
		config l4.Config
		want   string
	}{
		{l4.Config{Services: []l4.Service{{Key: k, Scheduler: "rr", Servers: []l4.Server{first}}}},
			"add TCP 192.0.2.1:80 rr\nadd TCP 192.0.2.1:80 -> 10.0.0.1:80 DR weight 1\n"},
		{l4.Config{Services: []l4.Service{{Key: k, Scheduler: "rr", Servers: []l4.Server{first}}}}, ""},
		{l4.Config{Services: []l4.Service{{Key: k, Scheduler: "mh", Persistence: time.Minute, Servers: []l4.Server{second}}}},
			"edit TCP 192.0.2.1:80 mh persistent 1m0s\nadd TCP 192.0.2.1:80 -> 10.0.0.2:80 DR weight 1\ndelete TCP 192.0.2.1:80 -> 10.0.0.1:80\n"},
		{l4.Config{}, "delete TCP 192.0.2.1:80\n"},
	}
	for i, s := range steps {
		if err := p.Set(s.config); err != nil {
			t.Fatal(err)
		}
		if got := p.Text(); got != s.want {
			t.Errorf("step %d:\n%swant\n%s", i, got, s.want)
		}
	}
}
