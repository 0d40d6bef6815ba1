package failover

import (
	"maps"
	"net/netip"
	"slices"
	"testing"

	"evenkeel/internal/failover/loop"
	"evenkeel/internal/model"
	"evenkeel/internal/netconf"
	"evenkeel/internal/track"
)

// TestTellAddresses: all addresses are told, and again only when they are
// others.
func TestTellAddresses(t *testing.T) {
	var told []map[netip.Addr]bool
	p := &plane{about: about{addresses: func(all map[netip.Addr]bool) { told = append(told, all) }}}
	host := func(list ...string) *netconf.Snapshot {
		l := &netconf.LinkState{Index: 1, Name: "eth0"}
		for _, a := range list {
			l.Addresses = append(l.Addresses, netconf.AddressState{Prefix: netip.MustParsePrefix(a)})
		}
		return netconf.NewSnapshot(l)
	}
	one, two := host("192.0.2.1/24"), host("192.0.2.1/24", "192.0.2.10/32")
	none := host()
	for _, s := range []*netconf.Snapshot{none, one, one, two, two, none} {
		p.tellAddresses(s)
	}
	var sizes []int
	for _, all := range told {
		sizes = append(sizes, len(all))
	}
	if !slices.Equal(sizes, []int{0, 1, 2, 0}) || !told[2][netip.MustParseAddr("192.0.2.10")] {
		t.Errorf("told: %v", told)
	}
	(&plane{}).tellAddresses(two) // nobody wants to know
}

// TestFileBeside: a tracked file's number is there before it is told of, and
// what is only worth logging is neither.
func TestFileBeside(t *testing.T) {
	var s *Service
	told := map[string]int64{}
	s = New(Options{Beside: Beside{File: func(name string) {
		value, known := s.File(name)
		if !known {
			t.Errorf("%s is told of, and not known", name)
		}
		told[name] = value
	}}})
	l, err := loop.New()
	if err != nil {
		t.Fatal(err)
	}
	s.loop = l
	if _, known := s.File("load"); known {
		t.Error("a file is known that nobody has read")
	}
	s.reported(track.Report{Kind: track.KindFile, Name: "load", Value: 7})
	s.reported(track.Report{Kind: track.KindFile, Name: "bad", Advisory: true})
	s.reported(track.Report{Kind: track.KindScript, Name: "script"})
	if !maps.Equal(told, map[string]int64{"load": 7}) {
		t.Errorf("told: %v", told)
	}
	if up, known := s.BFD("b"); up || known {
		t.Error("a session is known, and none runs")
	}
}

// TestTellHolders: who has its addresses here is told, and again only when it
// is somebody else.
func TestTellHolders(t *testing.T) {
	var told []map[string]bool
	one, two := &instance{}, &instance{}
	one.setup, two.setup = &setup{model: &model.VRRPInstance{Name: "one"}}, &setup{model: &model.VRRPInstance{Name: "two"}}
	p := &plane{about: about{holders: func(all map[string]bool) { told = append(told, all) }}, instances: []*instance{one}, leaving: []*instance{two}}
	for _, holds := range [][2]bool{{false, false}, {true, false}, {true, false}, {true, true}, {false, false}} {
		one.holds, two.holds = holds[0], holds[1]
		p.tellHolders()
	}
	if len(told) != 4 || len(told[0]) != 0 || !told[1]["one"] || len(told[2]) != 2 || len(told[3]) != 0 {
		t.Errorf("told: %v", told)
	}
	(&plane{}).tellHolders() // nobody wants to know
}
