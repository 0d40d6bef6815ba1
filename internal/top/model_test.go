package top

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"evenkeel/internal/failover/report"
	"evenkeel/internal/l4/director"
)

func TestRates(t *testing.T) {
	m := seen(t)
	for i := range m.now.Proxy.Rows {
		r := &m.now.Proxy.Rows[i]
		x, known := m.rates[r.key()]
		if !known {
			t.Errorf("%s/%s has no rates", r.Proxy, r.Name)
		}
		if want := (rates{in: 10000, out: 100000}); r.Name == "web1" && (x.in != want.in || x.out != want.out) {
			t.Errorf("%+v", x)
		}
	}
	// Another worker begins at nothing: that is no negative rate, and no high one.
	next := later(t)
	next.At = next.At.Add(time.Second)
	next.Info = []byte("Pid: 9\n")
	m.Observe(Decode(next))
	if len(m.rates) != 0 {
		t.Errorf("rates over a change of the worker: %v", m.rates)
	}
	cleared := recorded(t)
	cleared.At, cleared.Info = next.At.Add(time.Second), next.Info
	m.Observe(Decode(cleared))
	if _, known := m.rates[rowKey{ProxyServer, "web", "web1"}]; known {
		t.Error("rates although the counters went back")
	}
}

func TestEvents(t *testing.T) {
	m := seen(t)
	told := len(m.events())
	if told != 5 {
		t.Fatalf("%d events, not those that the node told", told)
	}
	at := m.now.At
	step := func(change func(*Raw), want string) {
		t.Helper()
		at = at.Add(time.Second)
		raw := later(t)
		raw.At = at
		before := len(m.seen)
		if change != nil {
			change(raw)
			m.Observe(Decode(raw))
		} else {
			m.Lost(at, errors.New("nobody"))
		}
		var got []string
		for _, e := range m.seen[before:] {
			got = append(got, e.Severity+": "+e.Text)
		}
		if s := strings.Join(got, "; "); s != want {
			t.Errorf("%q, not %q", s, want)
		}
	}
	swap := func(old, new string) func(*Raw) {
		return func(r *Raw) { r.Stat = []byte(strings.Replace(string(r.Stat), old, new, 1)) }
	}
	down := func(r *Raw) { swap("0,0,UP,1,1,0,", "0,0,DOWN,1,1,0,")(r) }
	step(func(*Raw) {}, "")
	step(down, "warning: web/web1 UP -> DOWN (Layer7 check passed)")
	step(nil, "warning: no answer: nobody")
	step(nil, "")
	step(func(*Raw) {}, "warning: the node answers again, after 2s; info: web/web1 DOWN -> UP (Layer7 check passed)")
	step(func(r *Raw) { r.Info = []byte("Pid: 7\n") }, "info: another worker serves (reload, upgrade or crash): process 7, before it 30047")
	step(func(r *Raw) { r.Info, r.Processes = []byte("Pid: 7\n"), strings.ReplaceAll(r.Processes, "30041", "8") },
		"info: another failover process runs: 8, before it 30041")
	step(func(r *Raw) { r.Stat, r.Status, r.Events, r.Processes = nil, nil, nil, "" }, "warning: the proxy does not answer; warning: the failover process does not answer")
	step(func(r *Raw) { r.PID = 5; down(r) }, "warning: the node was started again: process 5, before it 30031")
	for range 3 * keptEvents {
		m.note(at, "info", "x")
	}
	if n := len(m.events()); n != keptEvents {
		t.Errorf("%d events are kept", n)
	}
}

// A node that runs only some of it shows that, and does not fall over.
func TestParts(t *testing.T) {
	for name, c := range map[string]struct {
		cut        func(*Raw)
		has, hasNo string
	}{
		"proxy alone":     {func(r *Raw) { r.Status, r.Events = nil, nil }, "PROXY", "ADDRESSES"},
		"addresses alone": {func(r *Raw) { r.Stat, r.Info = nil, nil }, "ADDRESSES", "PROXY"},
		"nothing":         {func(r *Raw) { *r = Raw{PID: 3} }, "the node runs neither", "PROXY"},
		"over a socket":   {func(r *Raw) { *r = Raw{Stat: r.Stat, Info: r.Info} }, "3.0.8-evenkeel-0.1.0-dev  up 2m52s", "SERVICES"},
		"not JSON":        {func(r *Raw) { r.Status = []byte("{") }, "is not understood", "ADDRESSES"},
		"an older node":   {func(r *Raw) { r.Events = []byte("'json' is not known after 'events'") }, "ADDRESSES", "not understood"},
		"keeper frozen":   {func(r *Raw) { r.Status = []byte(`{"keeper":"frozen"}`) }, "! the keeper is frozen", "ADDRESSES"},
		"proxy down":      {func(r *Raw) { r.Status = []byte(`{"proxy":"down"}`) }, "! the proxy does not serve", "ADDRESSES"},
		"no plane":        {func(r *Raw) { r.Status = []byte(`{"forwarding":{"trouble":"no memory","note":"n"}}`) }, "no memory", "ADDRESSES"},
		"a plane in trouble": {func(r *Raw) {
			r.Status = []byte(`{"forwarding":{"trouble":"no memory","note":"ebpf was not there","virtual_servers":[{"name":"v"}]}}`)
		}, "    ! no memory", "ADDRESSES"},
		"in trouble": {func(r *Raw) { r.Troubles = []string{"the worker does not answer: x\x1b"} }, "! the worker does not answer: x?", "\x1b"},
	} {
		raw := recorded(t)
		c.cut(raw)
		var m Model
		m.Observe(Decode(raw))
		for what, got := range map[string]string{"frame": drawn(m.Frame(&UI{}, 100, 30), 100), "text": m.Text(&UI{}, 0)} {
			if !strings.Contains(got, c.has) || strings.Contains(got, c.hasNo) {
				t.Errorf("%s, %s:\n%s", name, what, got)
			}
		}
	}
}

// What a newcomer has forgotten stands where he looks; a server that leaves is
// not one that somebody drains.
func TestForgotten(t *testing.T) {
	view := director.View{Backend: "ebpf", Advice: []string{"net.ipv4.ip_forward is 0"},
		Virtual: []director.VirtualView{{Name: "v", Scheduler: "rr", Quorum: true, Away: true, Servers: []director.ServerView{{Name: "s", Up: true, In: true, Leaving: true}}}},
		ByHand:  []director.ServiceView{{Name: "h", Scheduler: "rr", Away: true}}}
	b, err := json.Marshal(map[string]any{"forwarding": view})
	if err != nil {
		t.Fatal(err)
	}
	var m Model
	m.Observe(Decode(&Raw{Status: b}))
	text := m.Text(&UI{}, 0)
	for _, want := range []string{"ip_forward is 0", "leaving"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if n := strings.Count(text, away); n != 2 {
		t.Errorf("%d times: %s\n%s", n, away, text)
	}
}

// The fields that are read are those that the processes write.
func TestReadsWhatIsWritten(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	view := report.View{Version: "1", RouterID: "r", Now: now, Started: now, Proxy: "serving", Keeper: "alive", Instances: []report.Instance{{
		Name: "VI", State: "MASTER", Since: now, Why: "w", Leaving: true, Drill: true, VRID: 7, Interface: "eth0", Configured: 150, Priority: 90,
		PriorityWhy: "pw", Master: "m", MasterHere: true, Holds: true, Addresses: []report.Address{{Prefix: "p", Set: true}}, Faults: []string{"f"},
		History: []report.Transition{{At: now, From: "A", To: "B", Why: "h"}}, LastError: "e"}}}
	traffic := director.Traffic{Connections: 1, PacketsIn: 2, PacketsOut: 3, BytesIn: 4, BytesOut: 5}
	server := director.ServerView{Name: "s", Method: "NAT", Up: true, Sorry: true, Leaving: true, Weight: 3, In: true, Rate: traffic, Active: 1, Inactive: 2, Full: true,
		Checks: []director.CheckView{{Kind: "TCP_CHECK", Up: true, Ran: true, Text: "t"}}}
	forwarding := director.View{Backend: "b", Note: "n", Trouble: "t", Advice: []string{"a"}, Rate: traffic, Flows: 9,
		Pair: &director.PairView{By: "evenkeel", Interface: "eth1", Tells: true, Trouble: "x", ToldRate: 1500, LagMS: 3, TookRate: 2, Peers: []director.PeerView{{Address: "a"}}},
		Virtual: []director.VirtualView{{Name: "v", Scheduler: "rr", Quorum: true, Needed: 1, Weight: 2, Suspended: true, Away: true, Sorry: true, Changed: "c",
			Services: []director.ServiceView{{Rate: traffic}}, Servers: []director.ServerView{server}}},
		ByHand: []director.ServiceView{{Name: "h", Scheduler: "wlc", Rate: traffic, Servers: []director.ServerView{server}}}}
	var all map[string]any
	if err := json.Unmarshal([]byte(report.JSON(&view)), &all); err != nil {
		t.Fatal(err)
	}
	all["forwarding"] = forwarding
	b, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	s := Decode(&Raw{Status: b})
	if len(s.Troubles) > 0 {
		t.Fatal(s.Troubles)
	}
	// Nothing that was read may be empty: every field has another name then.
	for what, v := range map[string]any{"addresses": s.Addresses, "forwarding": s.Forward} {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if what == "addresses" {
			text = []byte(strings.Replace(string(text), `,"forwarding":null`, "", 1))
		}
		if what == "forwarding" { // services by hand have no quorum
			virtual, _, _ := strings.Cut(string(text), `"by_hand"`)
			_, pair, _ := strings.Cut(string(text), `"pair"`)
			text = []byte(virtual + pair)
		}
		for _, empty := range []string{`:""`, `:0,`, `:0}`, `:false`, `:null`, `:[]`, `0001-01-01`} {
			if strings.Contains(string(text), empty) {
				t.Errorf("%s: something was not read (%s): %s", what, empty, text)
			}
		}
	}
	if got, want := s.Forward.Pair.line(), "pair on eth1: this director tells 1.5k/s with a lag of 3 ms, takes 2/s, hears a"; got != want {
		t.Errorf("%s, not %s", got, want)
	}
	if r := s.Forward.ByHand[0]; r.Rate.BytesIn != 4 || s.Forward.Virtual[0].Rate.BytesIn != 4 || len(r.Servers) != 1 {
		t.Errorf("%+v", s.Forward)
	}
}

func TestNumbers(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 9999: "9999", 10000: "10.0k", 99949: "99.9k", 99960: "100k", 123456: "123k", 1 << 40: "1.1T", -1: "-"} {
		if got := count(n); got != want {
			t.Errorf("%d: %s, not %s", n, got, want)
		}
	}
	for s, want := range map[int64]string{0: "0s", 59: "59s", 60: "1m00s", 3600: "1h00m", 90000: "1d01h", 1e7: "115d", -5: "0s", 1 << 62: "24855d"} {
		if got := age(seconds(s)); got != want {
			t.Errorf("%d: %s, not %s", s, got, want)
		}
	}
	for s, want := range map[string]string{"a\x1b[31mb": "a?[31mb", "\xff\x00": "??", "a\nb\r\n": "a b", "网 é": "网 é", "\u202e": "?"} {
		if got := clean(s); got != want {
			t.Errorf("%q: %q, not %q", s, got, want)
		}
	}
	if fit("网关abc", 4) != "网." || pad("网", 1, false) != "." || pad("é", 3, true) != "  é" {
		t.Errorf("%q %q %q", fit("网关abc", 4), pad("网", 1, false), pad("é", 3, true))
	}
}
