package report

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"evenkeel/internal/alert"
)

func example() *View {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return &View{Version: "1", RouterID: "lb1", Now: now, Started: now.Add(-26 * time.Hour), Scheduling: "SCHED_RR 1", Proxy: "serving", Keeper: "frozen",
		Instances: []Instance{
			{Name: "VI_1", Group: "G", State: "MASTER", Since: now.Add(-90 * time.Second), Why: "no advertisement", Version: 2, Family: 4, VRID: 51,
				Interface: "eth0", Device: "eth0", Source: "192.0.2.1", Destination: []string{"224.0.0.18"}, Configured: 150, Priority: 90,
				PriorityWhy: "150 - 60 script chk failed = 90", IntervalMS: 1000, DownMS: 3414.062, Preempt: true, MasterHere: true, Master: "192.0.2.1",
				MasterPrio: 90, Holds: true, Addresses: []Address{{"192.0.2.100/24", "eth0", true, false}, {"192.0.2.101/24", "eth1", false, true}},
				Tracks:   []Track{{"script", "chk", -60, "down"}},
				History:  []Transition{{now.Add(-90 * time.Second), "BACKUP", "MASTER", "no advertisement"}},
				Counters: Counters{AdvertsSent: 3, BecameMaster: 1, Discarded: map[string]uint64{"TTL": 2}, TTL: 2}},
			{Name: "VI_2", State: "BACKUP", Since: now, Version: 3, Family: 6, VRID: 52, Interface: "eth0", Device: "vrrp6.52", Unicast: true,
				Destination: []string{"fe80::2"}, Configured: 100, Priority: 100, IntervalMS: 10, Master: "fe80::2", MasterPrio: 200},
		},
		Groups:     []Group{{"G", "MASTER", []string{"VI_1"}, 0}},
		Tracked:    []Tracked{{Kind: "script", Name: "chk", State: "down", Text: "exit status 1"}},
		Interfaces: []Interface{{Name: "eth0", Index: 2, IPv4: "192.0.2.1", MAC: "02:00:00:00:00:01", State: "UP, RUNNING", MTU: 1500, Users: []string{"VI_1", "VI_2"}}},
		Sinks:      []Sink{{Name: "mail", Trouble: "refused"}}}
}

func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q is missing in:\n%s", p, text)
		}
	}
}

func TestTable(t *testing.T) {
	contains(t, Table(example()), "router lb1", "up 1d2h", "KEEPER FROZEN", "90 (of 150)", "this node", "192.0.2.101/24 dev eth1 (missing)",
		"fe80::2 (200)", "VI_1: MASTER because no advertisement", "150 - 60 script chk failed = 90", "2 discarded", "every 1s",
		"2026-01-02 03:02:35.000 BACKUP -> MASTER (no advertisement)", "group G: MASTER (VI_1)", "script chk: down (exit status 1)", "events to mail: refused")
	contains(t, Table(&View{Proxy: "none"}), "no vrrp_instance")
}

// TestDumps holds headings and lines that monitoring reads from keepalived's
// files.
func TestDumps(t *testing.T) {
	contains(t, Data(example()), "------< Global definitions >------\n Router ID = lb1\n", "------< VRRP Topology >------\n VRRP Instance = VI_1\n   VRRP Version = 2\n   Sync group = G\n",
		"   State = MASTER\n", "   Master down timer = 3414062 usecs\n", "   Interface = eth0\n   Using src_ip = 192.0.2.1\n   Multicast address 224.0.0.18\n",
		"   Virtual Router ID = 51\n   Priority = 150\n   Effective priority = 90\n", "   Advert interval = 1 sec\n", "   Advert interval = 10 milli-sec\n", "   Using Native IPv6\n",
		"   Unicast peer fe80::2\n", "   Virtual IP (1):\n     192.0.2.100/24 dev eth0 set\n", "   Virtual IP Excluded (1):\n", " VRRP Sync Group = G, MASTER\n", "------< Interfaces >------\n Name = eth0\n   index = 2\n")
	contains(t, Stats(example()), "VRRP Instance: VI_1\n  Advertisements:\n    Received: 0\n    Sent: 3\n  Became master: 1\n  Released master: 0\n  Packet Errors:\n    Length: 0\n    TTL: 2\n",
		"  Authentication Errors:\n    Invalid Type: 0\n    Type Mismatch: 0\n    Failure: 0\n  Priority Zero:\n    Received: 0\n    Sent: 0\n")
}

func TestEvents(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	got := Events([]alert.Event{{Kind: "transition", Severity: alert.Notice, Plane: "vrrp", Name: "VI_1", Text: `(VI_1) "x"`, At: at}})
	want := `[{"at":"2026-01-02T03:04:05Z","kind":"transition","severity":"notice","plane":"vrrp","name":"VI_1","text":"(VI_1) \"x\""}]` + "\n"
	if got != want {
		t.Errorf("%s, not %s", got, want)
	}
	if got := Events(nil); got != "[]\n" {
		t.Errorf("none: %q", got)
	}
}

func TestJSON(t *testing.T) {
	var back View
	if err := json.Unmarshal([]byte(JSON(example())), &back); err != nil {
		t.Fatal(err)
	}
	if i := back.Instances[0]; i.Name != "VI_1" || i.Priority != 90 || i.Counters.Discarded["TTL"] != 2 {
		t.Errorf("%+v", i)
	}
}
