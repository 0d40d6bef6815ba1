package measure

import (
	"slices"
	"testing"
	"time"

	"evenkeel/internal/lab/record"
)

const (
	ms     = time.Millisecond
	period = 5 * ms
)

var amber, birch = record.MAC{2, 0, 0, 0, 0, 1}, record.MAC{2, 0, 0, 0, 0, 2}

// play makes the records of a probe from -100 ms to the end: who answers ARP,
// and whether an echo comes back, at each window.
func play(end time.Duration, owners func(at time.Duration) []record.MAC, echo func(at time.Duration) bool) (all []record.Record) {
	const base = time.Second // so that times are positive
	var n uint32
	for at := -100 * ms; at < end; at += period {
		n++
		all = append(all, record.Record{At: base + at, Kind: record.Window, Number: n})
		for _, m := range owners(at) {
			all = append(all, record.Record{At: base + at + ms/10, Kind: record.Owner, MAC: m})
		}
		if echo(at) {
			all = append(all, record.Record{At: base + at + ms/5, Kind: record.Echo, Number: n})
		}
	}
	return all
}

func one(m record.MAC) func(time.Duration) []record.MAC {
	return func(time.Duration) []record.MAC { return []record.MAC{m} }
}

func always(time.Duration) bool { return true }

func not(from, to time.Duration) func(time.Duration) bool {
	return func(at time.Duration) bool { return at < from || at >= to }
}

// takeover is amber until from, nobody until to, then birch.
func takeover(from, to time.Duration) func(time.Duration) []record.MAC {
	return func(at time.Duration) []record.MAC {
		switch {
		case at < from:
			return []record.MAC{amber}
		case at < to:
			return nil
		}
		return []record.MAC{birch}
	}
}

// both is amber until from, both of them until to, then birch.
func both(from, to time.Duration) func(time.Duration) []record.MAC {
	return func(at time.Duration) []record.MAC {
		switch {
		case at < from:
			return []record.MAC{amber}
		case at < to:
			return []record.MAC{amber, birch}
		}
		return []record.MAC{birch}
	}
}

func TestPhase(t *testing.T) {
	for _, c := range []struct {
		name      string
		owners    func(time.Duration) []record.MAC
		echo      func(time.Duration) bool
		outage    time.Duration
		open      bool
		duplicate time.Duration
		still     bool
		takeover  time.Duration
		after     record.MAC
		tenures   int
	}{
		{"nothing happens", one(amber), always, 0, false, 0, false, -1, amber, 1},
		{"one probe lost", one(amber), not(50*ms, 55*ms), 5 * ms, false, 0, false, -1, amber, 1},
		{"a takeover after 40 ms", takeover(10*ms, 50*ms), not(10*ms, 50*ms), 40 * ms, false, 0, false, 50 * ms, birch, 2},
		{"a takeover without a gap", takeover(10*ms, 10*ms), always, 0, false, 0, false, 10 * ms, birch, 2},
		{"nobody takes over", takeover(10*ms, time.Hour), not(10*ms, time.Hour), 400*ms - 10*ms + period - ms/5 - period, true, 0, false, -1, amber, 1},
		{"two owners for 30 ms", both(20*ms, 50*ms), always, 0, false, 30 * ms, false, 20 * ms, birch, 2},
		{"two owners for ever", both(20*ms, time.Hour), always, 0, false, 380 * ms, true, 20 * ms, record.MAC{}, 2},
		{"the same virtual MAC from two nodes", func(at time.Duration) []record.MAC {
			if at >= 100*ms && at < 120*ms {
				return []record.MAC{amber, amber}
			}
			return []record.MAC{amber}
		}, always, 0, false, 20 * ms, false, -1, amber, 1},
	} {
		records := play(500*ms, c.owners, c.echo)
		base := time.Second
		p := Analyse(records, Span{base, base + 400*ms}, Options{Period: period, VIPs: 1})
		a := p.Addresses[0]
		if c.open { // the last answer was a window before the failure
			c.outage = 400*ms - (5*ms + ms/5) - period
		}
		if a.Outage != c.outage || a.Open != c.open {
			t.Errorf("%s: outage %v, open %v; want %v, %v", c.name, a.Outage, a.Open, c.outage, c.open)
		}
		if a.Duplicate != c.duplicate || a.Still != c.still {
			t.Errorf("%s: two owners %v, still %v; want %v, %v", c.name, a.Duplicate, a.Still, c.duplicate, c.still)
		}
		if a.Takeover != c.takeover || a.After != c.after || a.Before != amber || len(a.Tenures) != c.tenures {
			t.Errorf("%s: takeover %v, from %v to %v, %d tenures; want %v, to %v, %d", c.name, a.Takeover, a.Before, a.After, len(a.Tenures), c.takeover, c.after, c.tenures)
		}
	}
}

// Where the prober slept, nothing is known: that is no outage.
func TestSleepingProber(t *testing.T) {
	records := slices.DeleteFunc(play(500*ms, one(amber), always), func(r record.Record) bool {
		return r.At >= time.Second+100*ms && r.At < time.Second+180*ms
	})
	p := Analyse(records, Span{time.Second, time.Second + 400*ms}, Options{Period: period, VIPs: 1})
	if a := p.Addresses[0]; a.Outage != 0 || len(a.Tenures) != 2 {
		t.Errorf("outage %v, %d tenures", a.Outage, len(a.Tenures))
	}
	// Answers that waited for an address to be found were no answers in time.
	records = play(500*ms, one(amber), not(100*ms, 180*ms))
	for at := 100 * ms; at < 180*ms; at += period {
		records = append(records, record.Record{At: time.Second + 180*ms + ms/10, Kind: record.Echo})
	}
	Sort(records)
	p = Analyse(records, Span{time.Second, time.Second + 400*ms}, Options{Period: period, VIPs: 1})
	if got := p.Addresses[0].Outage; got < 79*ms || got > 81*ms {
		t.Errorf("late answers: outage %v", got)
	}
}

// A gap over two phases is counted in each for the part that lies in it.
func TestFollows(t *testing.T) {
	records := play(500*ms, takeover(100*ms, 300*ms), not(100*ms, 300*ms))
	p := Analyse(records, Span{time.Second + 200*ms, time.Second + 400*ms}, Options{Period: period, VIPs: 1, Follows: true})
	if got := p.Addresses[0].Outage; got < 99*ms || got > 101*ms {
		t.Errorf("outage %v", got)
	}
}

func TestRequests(t *testing.T) {
	at := func(d time.Duration, k record.Kind, text string) record.Record {
		return record.Record{At: time.Second + d, Kind: k, Text: text}
	}
	p := Analyse([]record.Record{at(-1, record.Lost, "before"), at(0, record.Answer, ""), at(1, record.Lost, "refused"), at(2, record.Lost, "refused"),
		at(3, record.Lost, "reset"), at(10*ms, record.Lost, "after")}, Span{time.Second, time.Second + 10*ms}, Options{Period: period})
	if p.Answered != 1 || p.Lost != 3 || p.Reasons["refused"] != 2 || p.Reasons["reset"] != 1 || len(p.LostAt) != 3 {
		t.Errorf("got %+v", p)
	}
}

func TestAdverts(t *testing.T) {
	advert := func(at time.Duration, vrid uint32, priority byte, mac record.MAC) record.Record {
		return record.Record{At: at, Kind: record.Advert, Number: vrid, Priority: priority, Interval: 100 * ms, MAC: mac}
	}
	p := Analyse([]record.Record{
		advert(950*ms, 1, 100, amber), advert(1055*ms, 1, 100, amber), advert(1155*ms, 1, 100, amber),
		advert(960*ms, 2, 100, amber), advert(1200*ms, 2, 100, amber),
		advert(960*ms, 3, 0, amber), advert(1900*ms, 3, 100, amber), // it had said goodbye
		advert(1010*ms, 1, 100, birch),
	}, Span{time.Second, 2 * time.Second}, Options{Period: period})
	want := map[Speaker]time.Duration{{1, amber}: 5 * ms, {2, amber}: 140 * ms}
	if len(p.Late) != len(want) || p.Late[Speaker{1, amber}] != 5*ms || p.Late[Speaker{2, amber}] != 140*ms {
		t.Errorf("got %v, want %v", p.Late, want)
	}
}

func TestLive(t *testing.T) {
	follow := func(owners func(time.Duration) []record.MAC, echo func(time.Duration) bool) *Live {
		l := NewLive(1, period)
		for _, r := range play(500*ms, owners, echo) {
			l.Add(r)
		}
		return l
	}
	for _, c := range []struct {
		name   string
		owners func(time.Duration) []record.MAC
		echo   func(time.Duration) bool
		wanted []record.MAC
		long   time.Duration
		want   bool
	}{
		{"at rest", one(amber), always, []record.MAC{amber}, 400 * ms, true},
		{"any owner will do", one(amber), always, nil, 400 * ms, true},
		{"the wrong owner", one(amber), always, []record.MAC{birch}, 10 * ms, false},
		{"not for that long", takeover(300*ms, 300*ms), always, []record.MAC{birch}, 300 * ms, false},
		{"for that long", takeover(300*ms, 300*ms), always, []record.MAC{birch}, 150 * ms, true},
		{"no answer to echo", one(amber), not(400*ms, time.Hour), []record.MAC{amber}, 10 * ms, false},
		{"two owners", func(time.Duration) []record.MAC { return []record.MAC{amber, birch} }, always, nil, 10 * ms, false},
		{"one answer missing", func(at time.Duration) []record.MAC {
			if at == 300*ms {
				return nil
			}
			return []record.MAC{amber}
		}, always, []record.MAC{amber}, 400 * ms, true},
		{"nobody", func(time.Duration) []record.MAC { return nil }, always, nil, 10 * ms, false},
	} {
		if got := follow(c.owners, c.echo).AtRest(0, c.wanted, c.long); got != c.want {
			t.Errorf("%s: got %v", c.name, got)
		}
	}
	l := follow(one(amber), always)
	if l.Interval() != time.Second {
		t.Errorf("interval without advertisements: %v", l.Interval())
	}
	l.Add(record.Record{At: l.Now(), Kind: record.Advert, Number: 1, Interval: 50 * ms})
	l.Add(record.Record{At: l.Now(), Kind: record.Advert, Number: 2, Interval: 10 * ms})
	if l.Interval() != 50*ms {
		t.Errorf("interval: %v", l.Interval())
	}
	if l.Serving(0) {
		t.Error("serving without an answer")
	}
	l.Add(record.Record{At: l.Now() - ms, Kind: record.Answer})
	l.Add(record.Record{At: l.Now() - 50*ms, Kind: record.Lost})
	if !l.Serving(50*ms) || l.Serving(51*ms) {
		t.Error("a lost request does not count for its time")
	}
}
