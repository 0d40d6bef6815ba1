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
	Outage     time.Duration // the longest gap, less the period; at least, where the prober was blind
	Open       bool          // the last gap had not ended at the last look
	Duplicate  time.Duration // all time with more than one owner
	Duplicates []Span
	Still      bool // there was more than one owner at the last look
	Tenures    []Tenure
	Takeover   time.Duration // until a node was seen to answer that had not before; -1: none was
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
	Blind     []Span        // when the prober did not look
	Asleep    time.Duration // the longest that the load did not run
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

// lapse is how long the prober may have been blind for things to be taken to
// have stayed as they were, where they are the same before and after. What was
// between two looks further apart is unknown.
const lapse = 250 * time.Millisecond

// blind says whether a look that far after another missed one between.
func blind(apart, period time.Duration) bool { return apart > 2*period }

// Analyse judges the records of a phase. They are in the order of time and
// begin before it, so that it is known how things were. All figures are of what
// was seen: the end of a phase is the last look in it.
func Analyse(records []record.Record, s Span, o Options) Phase {
	p := Phase{Span: s, Addresses: make([]Address, o.VIPs), Reasons: map[string]int{}, Late: map[Speaker]time.Duration{}, Blind: blindness(records, s, o)}
	for i := range p.Addresses {
		p.Addresses[i] = reach(records, i, s, o)
		owners(&p.Addresses[i], looks(records, i, s, o), s, o)
	}
	for _, r := range records {
		if r.Kind == record.Slept {
			p.Asleep = max(p.Asleep, Span{max(r.At-r.Took, s.From), min(r.At, s.To)}.Length())
		}
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

// blindness finds when the prober did not look.
func blindness(records []record.Record, s Span, o Options) (list []Span) {
	seen := s.From - o.Period // until a period after the last look
	note := func(at time.Duration) {
		if from := max(seen, s.From); at > s.From && blind(at-seen+o.Period, o.Period) {
			list = append(list, Span{from, at})
		}
	}
	for _, r := range records {
		if r.At >= s.To {
			break
		}
		if r.Kind == record.Window {
			note(r.At)
			seen = r.At + o.Period
		}
	}
	note(s.To)
	return list
}

// reach finds the gaps between good answers. A gap counts as far as questions
// waited in it for longer than a period: where the prober itself slept, nothing
// is known.
func reach(records []record.Record, vip int, s Span, o Options) (a Address) {
	last := time.Duration(-1)   // the last good answer
	var waiting []time.Duration // questions since then
	note := func(from, to time.Duration, open bool) {
		if o.Follows {
			from = max(from, s.From-o.Period)
		}
		gap := Span{from, to}
		if to <= s.From || gap.Length() <= o.Period {
			return
		}
		a.Gaps = append(a.Gaps, gap)
		a.Outage = max(a.Outage, gap.Length()-o.Period)
		a.Open = open && gap.Length() > patch*o.Period
	}
	closeGap := func(at time.Duration, open bool) {
		for len(waiting) > 0 && waiting[len(waiting)-1]+o.Period >= at {
			waiting = waiting[:len(waiting)-1] // it was answered in time, or may yet be
		}
		if last < 0 || len(waiting) == 0 {
			return
		}
		from, before := last, last
		for _, asked := range waiting {
			if before == last && blind(asked-before, o.Period) {
				from = asked - o.Period
			} else if before != last && asked-before > lapse {
				note(from, before+o.Period, false)
				from = asked - o.Period
			}
			before = asked
		}
		if blind(at-before, o.Period) {
			at = before + o.Period
		}
		note(from, at, open)
	}
	for _, r := range records {
		if r.At >= s.To {
			break
		}
		switch {
		case r.Kind == record.Window:
			waiting = append(waiting, r.At)
		case r.Kind == record.Echo && r.VIP == vip:
			closeGap(r.At, false)
			last, waiting = r.At, waiting[:0]
		}
	}
	closeGap(s.To, true)
	return a
}

// look is one question for an address with its answers. An answer that came
// later than a period is a look of its own: it is true of its own time.
type look struct {
	Span
	answers []record.MAC
	held    bool // nobody knows when it was asked, so that silence says nothing
}

// late says whether an answer is to the question before, which has none: nodes with
// the same virtual MAC both answer each time.
func late(now, before []record.MAC, m record.MAC) bool {
	return slices.Contains(now, m) && !slices.Contains(before, m)
}

// looks gives those before the end of a phase. Each lasts until the next, or
// for two periods: where the prober slept, nobody is known.
func looks(records []record.Record, vip int, s Span, o Options) (list []look) {
	for _, r := range records {
		if r.At >= s.To {
			break
		}
		switch n := len(list) - 1; {
		case r.Kind == record.Window, r.Kind == record.Held:
			list = append(list, look{Span: Span{From: r.At}, held: r.Kind == record.Held})
		case r.Kind != record.Owner || r.VIP != vip || n < 0:
		case r.At-list[n].From > o.Period || list[n].From < s.From && r.At >= s.From:
			list = append(list, look{Span: Span{From: r.At}, answers: []record.MAC{r.MAC}})
		case n == 0 || !late(list[n].answers, list[n-1].answers, r.MAC):
			list[n].answers = append(list[n].answers, r.MAC)
		}
	}
	list = slices.DeleteFunc(list, func(l look) bool { return l.held && len(l.answers) == 0 })
	for i := range list {
		next := s.To
		if i+1 < len(list) {
			next = list[i+1].From
		}
		list[i].To = min(next, list[i].From+2*o.Period)
	}
	return list
}

// owners finds who answered questions for an address when.
func owners(a *Address, list []look, s Span, o Options) {
	a.Takeover = -1
	open := map[record.MAC]*Tenure{}
	var tenures []*Tenure
	var seen time.Duration // the end of the last look that could be answered
	for i, l := range list {
		for _, mac := range l.answers {
			t := open[mac]
			if t == nil || l.From-t.To > patch*o.Period {
				t = &Tenure{MAC: mac, Span: Span{From: l.From}}
				open[mac] = t
				tenures = append(tenures, t)
			}
			t.To = l.To
		}
		if l.From+o.Period <= s.To {
			seen = l.To
		}
		if l.From < s.From {
			if len(l.answers) == 1 {
				a.Before = l.answers[0]
			}
			continue
		}
		if len(l.answers) > 1 {
			duplicate(a, l, i > 0 && len(list[i-1].answers) > 1 && list[i-1].From >= s.From, o)
		}
		if a.Takeover < 0 && a.Before != (record.MAC{}) && slices.ContainsFunc(l.answers, func(m record.MAC) bool { return m != a.Before }) {
			a.Takeover = l.From - s.From
		}
		if len(l.answers) > 0 {
			a.After = l.answers[0]
			if len(l.answers) > 1 {
				a.After = record.MAC{}
			}
		}
	}
	if n := len(a.Duplicates); n > 0 {
		a.Still = seen-a.Duplicates[n-1].To <= patch*o.Period
	}
	for _, t := range tenures {
		if t.To > s.From {
			t.From = max(t.From, s.From)
			a.Tenures = append(a.Tenures, *t)
		}
	}
}

// duplicate counts a look with more than one owner. follows says that the one
// before had them, too.
func duplicate(a *Address, l look, follows bool, o Options) {
	a.Duplicate += l.Length()
	n := len(a.Duplicates) - 1
	switch {
	case n >= 0 && follows && l.From-a.Duplicates[n].To <= lapse:
		a.Duplicate += l.From - a.Duplicates[n].To
		a.Duplicates[n].To = l.To
	case n >= 0 && l.From-a.Duplicates[n].To <= patch*o.Period:
		a.Duplicates[n].To = l.To
	default:
		a.Duplicates = append(a.Duplicates, l.Span)
	}
}

// adverts finds the advertisement that came the latest after the one before,
// of those that a sender went on sending. One that others spoke after had
// yielded, and begins anew.
func adverts(p *Phase, records []record.Record) {
	last := map[Speaker]record.Record{}
	latest := map[uint16]record.MAC{} // who spoke last
	for _, r := range records {
		if r.Kind != record.Advert || r.At >= p.To {
			continue
		}
		k := Speaker{uint16(r.Number), r.MAC}
		before, ok := last[k]
		ok = ok && latest[k.VRID] == k.MAC
		latest[k.VRID] = k.MAC
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
