package vrrp

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	wire "evenkeel/internal/wire/vrrp"
)

var update = flag.Bool("update", false, "write the golden files anew")

var (
	self   = netip.MustParseAddr("10.9.0.5")
	lower  = netip.MustParseAddr("10.9.0.4")
	higher = netip.MustParseAddr("10.9.0.6")
	group  = netip.MustParseAddr("224.0.0.18")
	vip    = netip.MustParseAddr("10.9.0.100")
	vip2   = netip.MustParseAddr("10.9.0.101")
)

const (
	second = time.Second
	ms     = time.Millisecond
)

// basic is a version 3 instance of priority 100 with an interval of 1 s.
func basic() Config {
	return Config{Name: "X", Version: 3, Family: 4, VRID: 51, Priority: 100, Interval: second, Preempt: true,
		Addresses: []netip.Addr{vip}, Source: self, Announce: Announcements{Repeat: 5, Delay: 5 * second}}
}

// advert is a good advertisement for a configuration.
func advert(c *Config, source netip.Addr, priority uint8) *Received {
	return &Received{
		Advert: wire.Advert{Version: c.Version, VRID: c.VRID, Priority: priority, Interval: c.Interval, Addresses: c.Addresses, Auth: c.Auth},
		Header: wire.Header{Source: source, Destination: group, TTL: 255, Protocol: wire.ProtocolVRRP},
	}
}

// words renders actions, one word or a few each.
func words(actions []Action) string {
	var b strings.Builder
	for i, a := range actions {
		if i > 0 {
			b.WriteString(", ")
		}
		switch a.Kind {
		case SendAdvert:
			fmt.Fprintf(&b, "advert %d", a.Priority)
			if a.Previous != nil {
				fmt.Fprintf(&b, " of VRID %d", a.Previous.Advert.VRID)
			}
		case AddAddresses:
			b.WriteString("add")
		case RemoveAddresses:
			b.WriteString("remove")
		case Announce:
			fmt.Fprintf(&b, "announce %d %v", a.Repeat, a.Reason)
		case Transition:
			fmt.Fprintf(&b, "%v>%v (%s)", a.From, a.To, a.Text())
		case Note:
			fmt.Fprintf(&b, "note: %s", a.Text())
		}
	}
	return b.String()
}

// rig drives one machine with a clock of its own.
type rig struct {
	t *testing.T
	*Machine
	now time.Duration
}

func newRig(t *testing.T, c Config) *rig { return &rig{t, New(c), 1000 * second} }

// do steps and checks what comes out.
func (r *rig) do(ev Event, want string) {
	r.t.Helper()
	if got := words(r.Step(r.now, ev)); got != want {
		r.t.Errorf("at %v, %T:\n got %s\nwant %s", r.now-1000*second, ev, got, want)
	}
}

// quiet steps and does not look.
func (r *rig) quiet(ev Event) { r.Step(r.now, ev) }

// due checks when the machine wants a timer, after the start of the rig.
func (r *rig) due(want time.Duration) {
	r.t.Helper()
	if at, ok := r.Deadline(); !ok || at != want+1000*second {
		r.t.Errorf("at %v: deadline %v %v, want %v", r.now-1000*second, at-1000*second, ok, want)
	}
}

// next goes to the deadline and steps.
func (r *rig) next(want string) {
	r.t.Helper()
	at, ok := r.Deadline()
	if !ok {
		r.t.Fatal("no deadline")
	}
	r.now = at
	r.do(Timer{}, want)
}

func (r *rig) at(d time.Duration) { r.now = 1000*second + d }

func (r *rig) hear(source netip.Addr, priority uint8, want string) {
	r.t.Helper()
	r.do(advert(&r.config, source, priority), want)
}

// asMaster is a rig that became master after an ordinary start.
func asMaster(t *testing.T, c Config) *rig {
	r := newRig(t, c)
	r.quiet(Start{})
	r.now, _ = r.Deadline()
	r.quiet(Timer{})
	if r.state != Master {
		t.Fatalf("not master but %v", r.state)
	}
	r.now += 10 * second
	r.quiet(Timer{})
	return r
}

// TestMatrix holds every cell of state and event against a golden table that
// was written by the program and read by people.
func TestMatrix(t *testing.T) {
	backup := func(t *testing.T) *rig {
		r := newRig(t, basic())
		r.quiet(Start{})
		r.now += second
		return r
	}
	states := []struct {
		name string
		make func(t *testing.T) *rig
	}{
		{"INIT", func(t *testing.T) *rig { return newRig(t, basic()) }},
		{"BACKUP", backup},
		{"BACKUP of a lower master", func(t *testing.T) *rig {
			r := backup(t)
			r.quiet(advert(&r.config, lower, 90))
			return r
		}},
		{"BACKUP of a higher master", func(t *testing.T) *rig {
			r := backup(t)
			r.quiet(advert(&r.config, lower, 150))
			return r
		}},
		{"BACKUP released", func(t *testing.T) *rig {
			r := backup(t)
			r.quiet(advert(&r.config, lower, 0))
			return r
		}},
		{"MASTER", func(t *testing.T) *rig { return asMaster(t, basic()) }},
		{"MASTER by drill", func(t *testing.T) *rig {
			r := backup(t)
			r.quiet(TakeOver{})
			return r
		}},
		{"BACKUP leaving", func(t *testing.T) *rig {
			r := asMaster(t, basic())
			r.quiet(GiveUp{})
			return r
		}},
		{"FAULT", func(t *testing.T) *rig {
			r := backup(t)
			r.quiet(FaultSet{Why: "eth0 is down", LinkDown: true})
			return r
		}},
		{"FAULT leaving", func(t *testing.T) *rig {
			r := asMaster(t, basic())
			r.quiet(FaultSet{Why: "script chk failed"})
			return r
		}},
		{"STOPPED", func(t *testing.T) *rig {
			r := backup(t)
			r.quiet(Stop{})
			return r
		}},
		{"STOPPED leaving", func(t *testing.T) *rig {
			r := asMaster(t, basic())
			r.quiet(Stop{})
			return r
		}},
	}
	c := basic()
	bad := advert(&c, lower, 100)
	bad.Err = wire.ErrChecksum
	more := c
	more.Addresses = []netip.Addr{vip, vip2}
	moved := c
	moved.VRID = 52
	faster := c
	faster.Interval = 100 * ms
	raised := c
	raised.Priority = 120
	events := []struct {
		name  string
		event Event
		after time.Duration // -1: at the deadline
	}{
		{"start", Start{}, 0},
		{"start, resumed", Start{Resume: &Resume{LastAdvert: 999 * second}}, 0},
		{"timer, early", Timer{}, 0},
		{"timer, due", Timer{}, -1},
		{"timer, late", Timer{}, 20 * second},
		{"hears 200", advert(&c, lower, 200), 0},
		{"hears 255", advert(&c, lower, 255), 0},
		{"hears 100 of a higher address", advert(&c, higher, 100), 0},
		{"hears 100 of a lower address", advert(&c, lower, 100), 0},
		{"hears 50", advert(&c, lower, 50), 0},
		{"hears 0", advert(&c, lower, 0), 0},
		{"hears nonsense", bad, 0},
		{"hears itself", advert(&c, self, 100), 0},
		{"priority same", SetPriority{100, ""}, 0},
		{"priority 200", SetPriority{200, "w"}, 0},
		{"priority 40", SetPriority{40, "w"}, 0},
		{"fault", FaultSet{Why: "script chk failed"}, 0},
		{"link down", FaultSet{Why: "eth0 is down", LinkDown: true}, 0},
		{"recovered", Recovered{}, 0},
		{"stop", Stop{}, 0},
		{"abandon", Abandon{}, 0},
		{"source", SetSource{higher}, 0},
		{"reconfigure, nothing", Reconfigure{c}, 0},
		{"reconfigure, addresses", Reconfigure{more}, 0},
		{"reconfigure, interval", Reconfigure{faster}, 0},
		{"reconfigure, priority", Reconfigure{raised}, 0},
		{"reconfigure, VRID", Reconfigure{moved}, 0},
		{"take over", TakeOver{}, 0},
		{"give up", GiveUp{}, 0},
		{"clear", Clear{}, 0},
		{"frozen", Frozen{}, 0},
		{"follow to master", follow{Master, "Y"}, 0},
		{"follow to backup", follow{Backup, "Y"}, 0},
	}
	var b strings.Builder
	for _, s := range states {
		fmt.Fprintf(&b, "%s\n", s.name)
		for _, e := range events {
			r := s.make(t)
			switch {
			case e.after < 0:
				if at, ok := r.Deadline(); ok {
					r.now = at
				}
			default:
				r.now += e.after
			}
			out := words(r.Step(r.now, e.event))
			if out == "" {
				out = "-"
			}
			at, ok := r.Deadline()
			deadline := "none"
			if ok {
				deadline = (at - r.now).String()
			}
			if !ok && (r.state == Master || r.state == Backup || r.holds) {
				t.Errorf("%s, %s: %v without a deadline", s.name, e.name, r.state)
			}
			if r.state == Master && !r.holds {
				t.Errorf("%s, %s: a master without addresses", s.name, e.name)
			}
			if r.holds && r.state != Master && r.leaveUntil == never {
				t.Errorf("%s, %s: %v has addresses and never gives them up", s.name, e.name, r.state)
			}
			hold := ""
			if r.holds {
				hold = ", holds"
			}
			fmt.Fprintf(&b, "    %-30s %s -> %v%s, timer in %s\n", e.name+":", out, r.state, hold, deadline)
		}
	}
	const golden = "testdata/matrix.txt"
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	state, g := "", strings.Split(b.String(), "\n")
	for i, line := range strings.Split(string(want), "\n") {
		if !strings.HasPrefix(line, " ") {
			state = line
		}
		if i >= len(g) || g[i] != line {
			t.Fatalf("%s, in %s:\nwant %s\n got %s", golden, state, line, g[min(i, len(g)-1)])
		}
	}
}
