package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"evenkeel/internal/alert"
	"evenkeel/internal/l4"
	"evenkeel/internal/l4/director"
	"evenkeel/internal/l4/xdp"
	"evenkeel/internal/metrics"
	"evenkeel/internal/model"
)

func TestHolds(t *testing.T) {
	all := map[netip.Addr]bool{netip.MustParseAddr("192.0.2.10"): true}
	for text, want := range map[string]bool{"192.0.2.10/32": true, "192.0.2.11/32": false, "192.0.2.8/29": true, "192.0.2.16/29": false} {
		if got := holds(all, netip.MustParsePrefix(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func TestStatusTogether(t *testing.T) {
	var all struct {
		Version    string
		Forwarding director.View
	}
	text := together(`{"version":"1"}`, &director.View{Backend: "ebpf"})
	if err := json.Unmarshal([]byte(text), &all); err != nil || all.Version != "1" || all.Forwarding.Backend != "ebpf" {
		t.Errorf("%s: %v", text, err)
	}
	if text := together("the process has ended\n", &director.View{}); text != "the process has ended\n" {
		t.Errorf("what is no JSON became %q", text)
	}
}

func TestHalves(t *testing.T) {
	whole := func() *model.Failover {
		return &model.Failover{VirtualServers: []*model.VirtualServer{{}}, Instances: []*model.VRRPInstance{{}}, StaticAddresses: []*model.IPAddress{{}}}
	}
	for _, c := range []struct {
		o                FailoverOptions
		services, others int
	}{{FailoverOptions{}, 1, 1}, {FailoverOptions{NoForwarding: true}, 0, 1}, {FailoverOptions{NoAddresses: true}, 1, 0}} {
		m := whole()
		c.o.halve(m)
		if len(m.VirtualServers) != c.services || len(m.Instances) != c.others || len(m.StaticAddresses) != c.others {
			t.Errorf("%+v: %+v", c.o, m)
		}
	}
}

func TestAdvice(t *testing.T) {
	if list := adviceEBPF([]l4.Method{l4.DR, l4.TUN}, nil); list != nil {
		t.Errorf("DR wants %q", list)
	}
}

// What was forwarded before is thrown away only where it cannot be gone on from:
// a process that fails for another reason leaves it forwarding.
func TestGoOn(t *testing.T) {
	other := errors.New("no memory")
	for _, c := range []struct {
		name    string
		opens   []error
		removes int
		want    error
	}{
		{"nothing is wrong", []error{nil}, 0, nil},
		{"another layout", []error{fmt.Errorf("%w: flows", xdp.ErrLeft), nil}, 1, nil},
		{"something else", []error{other, nil}, 0, other},
		{"another layout, and then something else", []error{xdp.ErrLeft, other}, 1, other},
	} {
		opened, removed := 0, 0
		p, err := goOn(func() (int, error) {
			opened++
			return opened, c.opens[opened-1]
		}, func() error { removed++; return nil }, slog.New(slog.DiscardHandler))
		if !errors.Is(err, c.want) || removed != c.removes || p != 1+removed {
			t.Errorf("%s: opened %d times, %v, removed %d times", c.name, p, err, removed)
		}
	}
}

func TestPlaneLog(t *testing.T) {
	var got []alert.Event
	log := slog.New(&planeLog{post: func(e alert.Event) { got = append(got, e) }}).With("plane", "ebpf")
	log.Debug("not told")
	log.Warn("next hop", "server", "10.0.0.1")
	if len(got) != 1 || got[0].Severity != alert.Warning || got[0].Text != "next hop, plane ebpf, server 10.0.0.1" || len(got[0].Fields) != 2 {
		t.Errorf("%+v", got)
	}
}

func TestForwardMetrics(t *testing.T) {
	v := &director.View{Virtual: []director.VirtualView{{Name: "a", Quorum: true, Servers: []director.ServerView{
		{Name: "up", Up: true, In: true, Weight: 3}, {Name: "down"}}}}, ByHand: []director.ServiceView{{Name: "b"}}, Drops: map[string]uint64{"no server": 2}, Trouble: "full",
		Pair: &director.PairView{By: "evenkeel", Peers: []director.PeerView{{Address: "192.0.2.1"}, {Address: "192.0.2.1"}, {Address: "192.0.2.2"}}}}
	known := map[string]metrics.Desc{}
	for _, d := range slices.Concat(forwardMetrics, pairMetrics) {
		known[d.Name] = d
	}
	var lines []string
	emitForwarding(v, func(name string, value float64, labels ...string) {
		d, ok := known[name]
		if !ok || len(d.Labels) != len(labels) {
			t.Errorf("%s %v is not described so", name, labels)
		}
		lines = append(lines, name+" "+strings.Join(labels, " "))
	})
	text := strings.Join(lines, "\n")
	for _, want := range []string{"evenkeel_lvs_server_weight a up", "evenkeel_lvs_server_up a down", "evenkeel_lvs_dropped_total no server", "evenkeel_lvs_in_sync ",
		"evenkeel_lvs_server_leaving a up", "evenkeel_lvs_sync_up ", "evenkeel_lvs_sync_datagrams_total foreign", "evenkeel_lvs_sync_peer_lost_total 192.0.2.2"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if n := strings.Count(text, "evenkeel_lvs_sync_peer_lost_total 192.0.2.1"); n != 1 {
		t.Errorf("a peer is counted %d times", n)
	}
	if strings.Contains(text, "evenkeel_lvs_server_weight a down") {
		t.Error("a server that the plane does not have has a weight")
	}
	emitForwarding(&director.View{}, func(name string, _ float64, _ ...string) { t.Errorf("%s of nothing", name) })
}
