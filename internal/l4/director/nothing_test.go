package director

import (
	"testing"
	"time"

	"evenkeel/internal/l4"
	"evenkeel/internal/l4/fake"
)

// forgetless is a plane without Forget, as IPVS is one.
type forgetless struct{ l4.Plane }

// TestPersistenceByHand: a server leaves a service that came to remember
// clients by hand, in a plane that cannot forget them.
func TestPersistenceByHand(t *testing.T) {
	s := New(Options{})
	s.plan = &plan{}
	s.plane = forgetless{&fake.Plane{}}
	x := service{Service: l4.Service{Key: l4.Key{Addr: ip("192.0.2.10"), Protocol: l4.TCP, Port: 80}, Scheduler: "rr", Persistence: time.Minute},
		servers: []wanted{{Server: l4.Server{Addr: ip("10.0.0.1"), Port: 80}, aside: true}}}
	if err := s.put([]service{x}); err != nil {
		t.Error(err)
	}
}

// TestZeroOfNothing: where nothing is forwarded there is nothing to set back.
func TestZeroOfNothing(t *testing.T) {
	if err := Nothing().Zero(); err != nil {
		t.Error(err)
	}
	if err := Nothing().Zero(l4.Key{Addr: ip("192.0.2.10"), Protocol: l4.TCP, Port: 80}); err == nil {
		t.Error("a service that is not there was set back")
	}
}
