package lab

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"evenkeel/internal/lab/topology"
)

func TestReadSoftware(t *testing.T) {
	for _, c := range []struct {
		text, all string
		nodes     map[string]Software
		bad       bool
	}{
		{"", "", nil, false},
		{"keepalived", "keepalived", nil, false},
		{"birch=keepalived", "", map[string]Software{"birch": Keepalived}, false},
		{"keepalived,birch=evenkeel,cedar=evenkeel", "keepalived", map[string]Software{"birch": Evenkeel, "cedar": Evenkeel}, false},
		{"keepalived,evenkeel", "", nil, true},
		{"birch=", "", nil, true},
		{"=keepalived", "", nil, true},
		{"birch=keepalived,birch=evenkeel", "", nil, true},
		{",", "", nil, true},
	} {
		all, nodes, err := ReadSoftware(c.text)
		if (err != nil) != c.bad || !c.bad && (string(all) != c.all || !maps.Equal(nodes, c.nodes)) {
			t.Errorf("%q: %q, %v, %v", c.text, all, nodes, err)
		}
	}
}

// What is said of one director precedes its line in the topology, and that what
// is said of all.
func TestSoftwareOfDirectors(t *testing.T) {
	top := &topology.Topology{Name: "x", Directors: []topology.Node{{Name: "amber"}, {Name: "birch", Software: "keepalived"}}}
	for _, c := range []struct {
		s     state
		want  []Software
		mixed bool
	}{
		{state{Software: Evenkeel}, []Software{Evenkeel, Keepalived}, true},
		{state{Software: Keepalived}, []Software{Keepalived, Keepalived}, false},
		{state{Software: Evenkeel, Nodes: map[string]Software{"birch": Evenkeel}}, []Software{Evenkeel, Evenkeel}, false},
		{state{Software: Evenkeel, Nodes: map[string]Software{"amber": Keepalived, "birch": Evenkeel}}, []Software{Keepalived, Evenkeel}, true},
	} {
		got := []Software{c.s.of(top.Directors[0]), c.s.of(top.Directors[1])}
		if !slices.Equal(got, c.want) || c.s.mixed(top) != c.mixed {
			t.Errorf("%+v: %v, mixed %v", c.s, got, c.s.mixed(top))
		}
	}
	s := state{Software: Evenkeel, Nodes: map[string]Software{"cherry": Evenkeel}}
	if err := s.judge(top); err == nil || !strings.Contains(err.Error(), `no director of x is called "cherry"`) {
		t.Error(err)
	}
	s = state{Software: "apache"}
	if err := s.judge(top); err == nil || !strings.Contains(err.Error(), "they run one of evenkeel, keepalived") {
		t.Error(err)
	}
	// The topology's words are the products' names.
	for _, kind := range topology.Kinds {
		if !slices.ContainsFunc(products, func(p product) bool { return string(p.name) == kind }) {
			t.Errorf("nothing is known of %s", kind)
		}
	}
	if len(topology.Kinds) != len(products) {
		t.Error("a product that no topology can name")
	}
}
