package lab

import (
	"slices"
	"time"

	"evenkeel/internal/lab/measure"
	"evenkeel/internal/lab/record"
)

// Results is what a whole run of drills found.
type Results struct {
	Lab         string
	Description string
	At          time.Time
	Kernel      string
	Repeat      int
	Busy        int           `json:",omitempty"` // processors kept busy
	Period      time.Duration // of the probe
	Layout      Layout
	Drills      []Drill
}

// Mixed says whether directors ran different software, so that one drill is
// about what all of them did.
func (r *Results) Mixed() bool {
	return slices.ContainsFunc(r.Layout.Directors, func(s Spot) bool { return s.Software != "" })
}

// Layout is the cluster as a drawing needs it.
type Layout struct {
	Networks  []string
	Client    string
	Directors []Spot
	Origins   []Spot
	VIPs      []string
}

// Spot is a node with its addresses.
type Spot struct {
	Name      string
	Addresses []string
	Software  Software `json:",omitempty"` // of a director, where they run different ones
}

// Drill is one kind of failure, tried on one kind of software.
type Drill struct {
	Name, Help string
	Software   Software // of the node that fails
	Victim     string   `json:",omitempty"` // the node, where it was chosen
	Skipped    string   // why it was not run
	Runs       []Run
}

// Run is one failure. Durations of a run count from the failure.
type Run struct {
	Victim   string
	Error    string // the run could not be finished
	Note     string // what else is to be known
	Failure  Figures
	Back     *Figures // the same after the failure was put right; nil where nothing was
	Healed   time.Duration
	Length   time.Duration
	Timeline []Track
	Blind    Blind     // of the whole run: how far the figures are to be trusted
	Unseen   []Stretch `json:",omitempty"` // when the prober did not look
	LostAt   []time.Duration
	Events   []Event
}

// Blind is how long observers did not run. Nothing is claimed of that time: an
// outage and two owners lasted at least as long as the figures say, a takeover
// at most.
type Blind struct {
	Longest time.Duration // of the prober
	Total   time.Duration
	Share   float64       // Total of the run, from 0 to 1
	Load    time.Duration // the longest of the load
}

// How long an observer may be away for figures to be what they seem: those of
// the prober are of milliseconds, and a client that waits a quarter of its
// patience longer loses nothing that it would not have lost.
const (
	finestProbe = 20 * time.Millisecond
	finestLoad  = 250 * time.Millisecond
)

// Probe says whether the prober was away for too long for its figures to be
// exact, and Requests the same of the load.
func (b Blind) Probe() bool    { return b.Longest > finestProbe }
func (b Blind) Requests() bool { return b.Load > finestLoad }

// blindOf sums a phase up.
func blindOf(p measure.Phase) (b Blind) {
	for _, s := range p.Blind {
		b.Longest = max(b.Longest, s.Length())
		b.Total += s.Length()
	}
	b.Load = p.Asleep
	if p.Length() > 0 {
		b.Share = float64(b.Total) / float64(p.Length())
	}
	return b
}

// Figures is what one phase of a run cost.
type Figures struct {
	Outage    time.Duration // the longest that an address did not answer
	Open      bool          // it did not answer at the end
	Duplicate time.Duration // how long an address had two owners
	Still     bool          // it had two at the end
	Takeover  time.Duration // until another node answered for an address; -1: none did
	Moves     []Move        // addresses that have another owner than before
	Answered  int
	Lost      int
	Reasons   map[string]int `json:",omitempty"`
	// Late is by how much an advertisement missed its interval at most;
	// LateRouters counts the virtual routers where that was a fifth of it or more.
	Late        time.Duration
	LateRouters int
}

// Move is an address that went from one node to another.
type Move struct{ Address, From, To string }

// Track is one address in a run's timeline.
type Track struct {
	Address string
	Owners  []Owner
	Gaps    []Stretch
}

// Owner is a node that answered for an address all of this time.
type Owner struct {
	Node string
	Stretch
}

// Stretch is a part of a run.
type Stretch struct{ From, To time.Duration }

// Event is something that the lab did.
type Event struct {
	At   time.Duration
	Text string
}

// figures sums a phase up over all addresses.
func (c *Cluster) figures(p measure.Phase, intervals map[uint16]time.Duration) Figures {
	f := Figures{Takeover: -1, Answered: p.Answered, Lost: p.Lost, Reasons: p.Reasons}
	for i, a := range p.Addresses {
		f.Outage = max(f.Outage, a.Outage)
		f.Duplicate = max(f.Duplicate, a.Duplicate)
		f.Open, f.Still = f.Open || a.Open, f.Still || a.Still
		if a.Takeover >= 0 && (f.Takeover < 0 || a.Takeover < f.Takeover) {
			f.Takeover = a.Takeover
		}
		if a.Before != a.After && a.After != (record.MAC{}) {
			f.Moves = append(f.Moves, Move{c.Topology.VIPs[i].Address.String(), c.nameOf(a.Before), c.nameOf(a.After)})
		}
	}
	late := map[uint16]bool{}
	for who, by := range p.Late {
		f.Late = max(f.Late, by)
		if interval := intervals[who.VRID]; interval > 0 && by >= interval/5 {
			late[who.VRID] = true
		}
	}
	f.LateRouters = len(late)
	return f
}

// intervals finds how often each virtual router is advertised.
func intervals(records []record.Record) map[uint16]time.Duration {
	m := map[uint16]time.Duration{}
	for _, r := range records {
		if r.Kind == record.Advert {
			m[uint16(r.Number)] = r.Interval
		}
	}
	return m
}

// nameOf is the node with a link-layer address.
func (c *Cluster) nameOf(mac record.MAC) string {
	if mac == (record.MAC{}) {
		return ""
	}
	for i, n := range c.nodes() {
		for leg := range n.Interfaces {
			if macOf(i, leg) == mac {
				return n.Name
			}
		}
	}
	return mac.String()
}

// Summary is a drill in one line of a table.
type Summary struct {
	Median, Max       time.Duration // outage
	Open              bool
	Back              time.Duration // outage when things were put right, at most
	Duplicate         time.Duration // at most, both phases together
	Still             bool
	Lost, Answered    int
	TakeoverMedian    time.Duration // -1: no address moved
	Failed, Performed int
	Blind             Blind // the worst of each
}

// Summary condenses the runs of a drill.
func (d Drill) Summary() (s Summary) {
	var outages, takeovers []time.Duration
	for _, r := range d.Runs {
		if r.Error != "" {
			s.Failed++
			continue
		}
		s.Performed++
		outages = append(outages, r.Failure.Outage)
		if r.Failure.Takeover >= 0 {
			takeovers = append(takeovers, r.Failure.Takeover)
		}
		s.Open = s.Open || r.Failure.Open
		s.Still = s.Still || r.Failure.Still
		s.Blind = Blind{max(s.Blind.Longest, r.Blind.Longest), max(s.Blind.Total, r.Blind.Total), max(s.Blind.Share, r.Blind.Share), max(s.Blind.Load, r.Blind.Load)}
		s.Lost += r.Failure.Lost
		s.Answered += r.Failure.Answered
		duplicate := r.Failure.Duplicate
		if b := r.Back; b != nil {
			s.Back = max(s.Back, b.Outage)
			s.Lost += b.Lost
			s.Answered += b.Answered
			duplicate += b.Duplicate
		}
		s.Duplicate = max(s.Duplicate, duplicate)
	}
	s.Median, s.TakeoverMedian = median(outages), median(takeovers)
	if len(takeovers) == 0 {
		s.TakeoverMedian = -1
	}
	if len(outages) > 0 {
		s.Max = slices.Max(outages)
	}
	return s
}

func median(list []time.Duration) time.Duration {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}
