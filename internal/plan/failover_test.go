package plan

import (
	"strings"
	"testing"

	"evenkeel/internal/model"
)

func TestCheckFailover(t *testing.T) {
	tracked := func(names ...string) *model.Failover {
		i := &model.VRRPInstance{Name: "a"}
		for n, name := range names {
			i.TrackProxy = append(i.TrackProxy, model.Tracked{Pos: model.Pos{File: "k", Line: n + 1, Col: 1}, Name: name})
		}
		return &model.Failover{Instances: []*model.VRRPInstance{i}, SyncGroups: []*model.SyncGroup{{TrackProxy: i.TrackProxy}}}
	}
	proxies := []*model.Proxy{{Name: "web", Kind: model.KindBackend}, {Name: "front", Kind: model.KindFrontend}, {Name: "both", Kind: model.KindListen}}
	for _, c := range []struct {
		name string
		cfg  *model.Config
		want string // part of the first message; "": none
		n    int
	}{
		{"no failover", &model.Config{}, "", 0},
		{"nothing tracked", &model.Config{Failover: tracked()}, "", 0},
		{"the proxy and backends", &model.Config{Failover: tracked("", "web", "both"), Proxies: proxies}, "", 0},
		{"no proxy", &model.Config{Failover: tracked("")}, "no haproxy.cfg", 2},
		{"a frontend", &model.Config{Failover: tracked("front"), Proxies: proxies}, "k:1:1: track_proxy names a backend 'front' that does not exist; there are: both web", 2},
	} {
		diags := CheckFailover(c.cfg)
		if len(diags) != c.n || c.n > 0 && !strings.Contains(diags[0].String(), c.want) {
			t.Errorf("%s: %v", c.name, diags)
		}
	}
}
