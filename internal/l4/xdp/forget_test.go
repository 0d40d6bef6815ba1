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

// TestInsertOld: what another director knows of a connection that has gone on
// here is the past.
func TestInsertOld(t *testing.T) {
	b := newBench(t, Options{MaxFlows: 64})
	b.set(l4.Config{Services: []l4.Service{farm("rr", 1)}})
	b.connect(1)
	b.send(1, flagACK)
	var told l4.Sync
	first := func(s l4.Sync) bool { told = s; return false }
	if _, err := b.Changed(0, true, first); err != nil || told.State != 1 {
		t.Fatalf("%+v, %v", told, err)
	}
	old := told
	old.Idle += time.Minute
	old.State = 4
	if n, err := b.Insert(old); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if _, err := b.Changed(0, true, first); err != nil || told.State != 1 {
		t.Errorf("state %d after what another director knew a minute ago, %v", told.State, err)
	}
	time.Sleep(2 << tickShift)
	old.Idle = 0
	if n, err := b.Insert(old); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if _, err := b.Changed(0, true, first); err != nil || told.State != 4 {
		t.Errorf("state %d after what another director knows now, %v", told.State, err)
	}
}
