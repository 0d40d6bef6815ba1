package xdp

import (
	"testing"
	"time"

	"evenkeel/internal/l4"
)

// TestForget: clients of a server that leaves are scheduled anew, and their
// connections go on.
func TestForget(t *testing.T) {
	b := newBench(t, Options{MaxFlows: 64})
	s := farm("rr", 1, 1)
	s.Persistence = time.Minute
	b.set(l4.Config{Services: []l4.Service{s}})
	first := b.connect(1)
	if first < 0 {
		t.Fatal("the connection was not forwarded")
	}
	leaving := s
	leaving.Servers = append([]l4.Server(nil), s.Servers...)
	leaving.Servers[first].Weight = 0
	b.set(l4.Config{Services: []l4.Service{leaving}})
	if err := b.Forget(s.Key, s.Servers[first].Key()); err != nil {
		t.Fatal(err)
	}
	st, err := b.Stats()
	if err != nil || st.Services[0].Servers[first].Persistent != 0 || st.Services[0].Servers[first].Active != 1 {
		t.Errorf("%+v, %v", st.Services[0].Servers[first], err)
	}
	if v := b.send(1, flagACK); v != tcRedirect {
		t.Errorf("the connection that was there: verdict %d", v)
	}
	if err := b.Forget(s.Key, l4.ServerKey{Port: 1}); err == nil {
		t.Error("a server that is not there was forgotten")
	}
	other := packet{client: clientNumber(1, false), sport: 4321}
	if v, _ := b.run(other.frame()); v != tcRedirect {
		t.Fatalf("a new connection: verdict %d", v)
	}
	if n := b.connections(); n[first] != 1 {
		t.Errorf("the client's next connection went to the server that leaves: %v", n)
	}
}
