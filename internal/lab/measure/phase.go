package measure

import (
	"cmp"
	"slices"
	"time"

	"evenkeel/internal/lab/record"
)

// Span is a stretch of time.
type Span struct{ From, To time.Duration }

// Length is the span's duration.
func (s Span) Length() time.Duration { return s.To - s.From }

// Tenure is a node that answered for an address all of this time.
type Tenure struct {
	MAC record.MAC
	Span
}

// Address is what happened to one address in a phase.
type Address struct {
	Gaps       []Span        // between two good answers; each is longer than a probe's period
	Outage     time.Duration // the longest gap, less the period
	Open       bool          // the last gap had not ended
	Duplicate  time.Duration // all time with more than one owner
	Duplicates []Span
	Still      bool // there was more than one owner at the end
	Tenures    []Tenure
	Takeover   time.Duration // until a node answered that had not before; -1: none did
	Before     record.MAC    // the owner at the beginning
	After      record.MAC    // the owner at the end, where there was one only
}

// Phase is what happened between two moments.
type Phase struct {
	Span
	Addresses []Address
	Answered  int
	Lost      int
	LostAt    []time.Duration
	Reasons   map[string]int
	// Late is how much later than its interval an advertisement came, at
	// most, by VRID and sender.
	Late map[Speaker]time.Duration
}

// Speaker is one node in one virtual router.
type Speaker struct {
	VRID uint16 // with record.IPv6
	MAC  record.MAC
}

// Options say how to judge.
type Options struct {
	Period time.Duration // of the probe
	VIPs   int
	// Follows is set for a phase that begins where another ends: a gap that
	// was open then is counted from its own beginning only.
	Follows bool
}

// Sort brings records of several observers into one order.
func Sort(records []record.Record) {
	slices.SortStableFunc(records, func(a, b record.Record) int { return cmp.Compare(a.At, b.At) })
}

// patch is how many windows without an answer do not end a tenure or a
// duplicate: one answer may be late.
const patch = 3

// Analyse judges the records of a phase. They are in the order of time and
// begin before it, so that it is known how things were.
func Analyse(records []record.Record, s Span, o Options) Phase {
	p := Phase{Span: s, Addresses: make([]Address, o.VIPs), Reasons: map[string]int{}, Late: map[Speaker]time.Duration{}}
	for i := range p.Addresses {
		p.Addresses[i] = reach(records, i, s, o)
		owners(&p.Addresses[i], records, i, s, o)
	}
	for _, r := range records {
		if r.At < s.From || r.At >= s.To {
			continue
		}
		switch r.Kind {
		case record.Answer:
			p.Answered++
		case record.Lost:
			p.Lost++
			p.LostAt = append(p.LostAt, r.At)
			p.Reasons[r.Text]++
		}
	}
	adverts(&p, records)
	return p
}

// reach finds the gaps between good answers. A gap counts when a question
// waited in it for longer than a period: where the prober itself slept,
// nothing is known.
func reach(records []record.Record, vip int, s Span, o Options) (a Address) {
	last := time.Duration(-1) // the last good answer
	waiting := time.Duration(-1)
	closeGap := func(at time.Duration, open bool) {
		if last < 0 || waiting < 0 || waiting+o.Period >= at || at <= s.From {
			return
		}
		from := last
		if o.Follows {
			from = max(from, s.From-o.Period)
		}
		gap := Span{from, at}
		if gap.Length() <= o.Period {
			return
		}
		a.Gaps = append(a.Gaps, gap)
		if outage := gap.Length() - o.Period; outage > a.Outage {
			a.Outage = outage
		}
		a.Open = open && gap.Length() > patch*o.Period
	}
	for _, r := range records {
		if r.At >= s.To {
			break
		}
		switch {
		case r.Kind == record.Window && waiting < 0:
			waiting = r.At
		case r.Kind == record.Echo && r.VIP == vip:
			closeGap(r.At, false)
			last, waiting = r.At, -1
		}
	}
	closeGap(s.To, true)
	return a
}

// owners finds who answered questions for an address in which windows.
func owners(a *Address, records []record.Record, vip int, s Span, o Options) {
	a.Takeover = -1
	var current []record.MAC // answers in the present window
	began := time.Duration(-1)
	open := map[record.MAC]*Tenure{}
	var tenures []*Tenure
	var before record.MAC
	end := func(next time.Duration) {
		if began < 0 {
			return
		}
		next = min(next, began+2*o.Period) // where the prober slept, nobody is known
		for _, mac := range current {
			t := open[mac]
			if t == nil || began-t.To > patch*o.Period {
				t = &Tenure{MAC: mac, Span: Span{From: began}}
				open[mac] = t
				tenures = append(tenures, t)
			}
			t.To = next
		}
		if began >= s.From && len(current) > 1 {
			n := len(a.Duplicates)
			if n > 0 && began-a.Duplicates[n-1].To <= patch*o.Period {
				a.Duplicates[n-1].To = next
			} else {
				a.Duplicates = append(a.Duplicates, Span{began, next})
			}
			a.Duplicate += next - began
		}
		if began < s.From && len(current) == 1 {
			before = current[0]
		}
		if began >= s.From && a.Takeover < 0 && slices.ContainsFunc(current, func(m record.MAC) bool { return m != before }) {
			a.Takeover = began - s.From
		}
		if began >= s.From && len(current) > 0 {
			a.After = current[0]
			if len(current) > 1 {
				a.After = record.MAC{}
			}
		}
	}
	for _, r := range records {
		if r.At >= s.To {
			break
		}
		switch {
		case r.Kind == record.Window:
			end(r.At)
			current, began = current[:0], r.At
		case r.Kind == record.Owner && r.VIP == vip:
			current = append(current, r.MAC)
		}
	}
	end(s.To)
	a.Before = before
	if n := len(a.Duplicates); n > 0 {
		a.Still = s.To-a.Duplicates[n-1].To <= patch*o.Period
	}
	for _, t := range tenures {
		if t.To > s.From {
			t.From = max(t.From, s.From)
			a.Tenures = append(a.Tenures, *t)
		}
	}
}

// adverts finds the advertisement that came the latest after the one before,
// of those that a sender went on sending.
func adverts(p *Phase, records []record.Record) {
	last := map[Speaker]record.Record{}
	for _, r := range records {
		if r.Kind != record.Advert || r.At >= p.To {
			continue
		}
		k := Speaker{uint16(r.Number), r.MAC}
		before, ok := last[k]
		if r.Priority == 0 {
			delete(last, k) // it says goodbye
			continue
		}
		last[k] = r
		if ok && r.At >= p.From && before.Interval > 0 {
			p.Late[k] = max(p.Late[k], r.At-before.At-before.Interval)
		}
	}
}
