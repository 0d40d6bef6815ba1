package measure

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"evenkeel/internal/lab/record"
)

// sleepy is when a prober does not run.
type sleepy struct {
	name   string
	asleep func(at time.Duration) bool
}

// sleepers are probers of starved machines, at different moments of their sleep.
func sleepers() (list []sleepy) {
	list = append(list, sleepy{"awake", func(time.Duration) bool { return false }})
	for shift := time.Duration(0); shift < 100*ms; shift += 15 * ms {
		list = append(list, sleepy{fmt.Sprintf("60 of 100 ms from %v", shift), func(at time.Duration) bool { return (at+shift+time.Minute)%(100*ms) < 60*ms }})
	}
	for from := -200 * ms; from < 4*time.Second; from += 170 * ms {
		list = append(list, sleepy{fmt.Sprintf("a second from %v", from), func(at time.Duration) bool { return at >= from && at < from+time.Second }})
	}
	list = append(list, sleepy{"from 3 s to the end", func(at time.Duration) bool { return at >= 3*time.Second }})
	return list
}

// doze takes away what a sleeping prober would not have asked, and lets the
// first question of each sleep be one that was held up on its way.
func doze(records []record.Record, asleep func(at time.Duration) bool) (list []record.Record) {
	const base = time.Second
	var from time.Duration // of the window that a record belongs to
	slept := false
	for _, r := range records {
		if r.Kind == record.Window {
			from = r.At - base
			if now := asleep(from); now && !slept {
				r.Kind = record.Held
				list = append(list, r)
				slept = true
			} else if !now {
				slept = false
			}
		}
		if !asleep(from) {
			list = append(list, r)
		}
	}
	return list
}

// story is what is true of an address.
type story struct {
	name   string
	owners func(at time.Duration) []record.MAC
	down   Span // it does not answer
	two    Span // it has two owners
}

func stories() []story {
	return []story{
		{"nothing happens", one(amber), Span{}, Span{}},
		{"a takeover after 170 ms", takeover(10*ms, 180*ms), Span{10 * ms, 180 * ms}, Span{}},
		{"a takeover after 3 s", takeover(10*ms, 3*time.Second), Span{10 * ms, 3 * time.Second}, Span{}},
		{"nobody takes over", takeover(10*ms, time.Hour), Span{10 * ms, 4 * time.Second}, Span{}},
		{"a takeover without a gap", takeover(300*ms, 300*ms), Span{}, Span{}},
		{"two owners for a while", both(200*ms, 1700*ms), Span{}, Span{200 * ms, 1700 * ms}},
		{"two owners until the end", both(200*ms, time.Hour), Span{}, Span{200 * ms, 4 * time.Second}},
	}
}

// Nothing that is claimed is untrue, whenever the prober slept: gaps and
// second owners last no longer than they did, a takeover comes no earlier, and
// how it ended is how it was at the last look.
func TestNothingWrongIsClaimed(t *testing.T) {
	const end = 4 * time.Second
	for _, s := range stories() {
		all := play(end+50*ms, s.owners, not(s.down.From, s.down.To))
		var truth time.Duration = -1 // when another owner came
		for at := time.Duration(0); at < end && truth < 0; at += period {
			if slices.Contains(s.owners(at), birch) {
				truth = at
			}
		}
		for _, p := range sleepers() {
			records := doze(all, p.asleep)
			a := Analyse(records, Span{time.Second, time.Second + end}, Options{Period: period, VIPs: 1}).Addresses[0]
			last := time.Duration(-1)
			for at := -100 * ms; at+period <= end; at += period {
				if !p.asleep(at) {
					last = at
				}
			}
			name := s.name + ", prober " + p.name
			if most := s.down.Length(); a.Outage > most+period || most == 0 && a.Outage > 0 {
				t.Errorf("%s: an outage of %v, it was %v", name, a.Outage, most)
			}
			if most := s.two.Length(); a.Duplicate > most+period || most == 0 && a.Duplicate > 0 {
				t.Errorf("%s: two owners for %v, it was %v", name, a.Duplicate, most)
			}
			if two := len(s.owners(last)) > 1; last > 0 && a.Still != two {
				t.Errorf("%s: still two owners %v at %v", name, a.Still, last)
			}
			if a.Open && !(last >= s.down.From && last < s.down.To) {
				t.Errorf("%s: away at the end, it was seen until %v", name, last)
			}
			if a.Takeover >= 0 && (truth < 0 || a.Takeover < truth) {
				t.Errorf("%s: a takeover after %v, it was %v", name, a.Takeover, truth)
			}
			if a.Before != amber && a.Before != (record.MAC{}) {
				t.Errorf("%s: %v had it before", name, a.Before)
			}
			if owners := s.owners(last); last > 0 && len(owners) == 1 && a.After != owners[0] {
				t.Errorf("%s: %v has it after, it is %v", name, a.After, owners[0])
			}
		}
	}
}

// A prober that sleeps for 60 of 100 ms still sees what takes longer than
// that, and what it did not see is told.
func TestStarvedProberSees(t *testing.T) {
	const end = 4 * time.Second
	for _, p := range sleepers()[1:8] {
		find := func(s story) Phase {
			return Analyse(doze(play(end+50*ms, s.owners, not(s.down.From, s.down.To)), p.asleep), Span{time.Second, time.Second + end}, Options{Period: period, VIPs: 1})
		}
		for _, s := range stories() {
			phase := find(s)
			a := phase.Addresses[0]
			if want := s.down.Length(); want > 0 && a.Outage < want-2*65*ms {
				t.Errorf("%s, %s: an outage of %v, it was %v", p.name, s.name, a.Outage, want)
			}
			if want := s.two.Length(); want > 0 && a.Duplicate < want-2*65*ms {
				t.Errorf("%s, %s: two owners for %v, it was %v", p.name, s.name, a.Duplicate, want)
			}
			var total, longest time.Duration
			for _, b := range phase.Blind {
				total, longest = total+b.Length(), max(longest, b.Length())
			}
			if longest < 55*ms || longest > 65*ms || total < end*55/100 || total > end*62/100 {
				t.Errorf("%s: blind for %v at most, %v in all", p.name, longest, total)
			}
		}
	}
}

// What is known of two looks with a second between them is known of each alone.
func TestLongSleep(t *testing.T) {
	sleep := func(at time.Duration) bool { return at >= time.Second && at < 2*time.Second }
	gone := doze(play(4*time.Second, takeover(800*ms, 2200*ms), not(800*ms, 2200*ms)), sleep)
	a := Analyse(gone, Span{time.Second, 5 * time.Second}, Options{Period: period, VIPs: 1}).Addresses[0]
	if len(a.Gaps) != 2 || a.Outage > 210*ms || a.Outage < 190*ms || a.Open {
		t.Errorf("an outage of %v in %v", a.Outage, a.Gaps)
	}
	two := doze(play(4*time.Second, func(time.Duration) []record.MAC { return []record.MAC{amber, birch} }, always), sleep)
	a = Analyse(two, Span{time.Second, 5 * time.Second}, Options{Period: period, VIPs: 1}).Addresses[0]
	if len(a.Duplicates) != 2 || a.Duplicate > 3*time.Second+10*ms || !a.Still {
		t.Errorf("two owners for %v in %v, still %v", a.Duplicate, a.Duplicates, a.Still)
	}
}

// An answer is true of the moment when it came, not of a question's that was
// held up on its way.
func TestLateAnswers(t *testing.T) {
	const base = time.Second
	at := func(d time.Duration, k record.Kind, m record.MAC) record.Record {
		return record.Record{At: base + d, Kind: k, MAC: m}
	}
	records := []record.Record{
		at(-10*ms, record.Window, record.MAC{}), at(-9*ms, record.Owner, amber), at(-9*ms, record.Echo, record.MAC{}),
		// Asked before the failure, sent after it.
		at(-1*ms, record.Held, record.MAC{}), at(60*ms, record.Owner, birch), at(60*ms, record.Echo, record.MAC{}),
		at(61*ms, record.Window, record.MAC{}), at(62*ms, record.Owner, birch), at(62*ms, record.Echo, record.MAC{}),
		// One answer in time and one that waited somewhere: no second owner.
		at(66*ms, record.Window, record.MAC{}), at(67*ms, record.Owner, birch), at(67*ms, record.Echo, record.MAC{}), at(73*ms, record.Owner, amber),
		at(74*ms, record.Window, record.MAC{}), at(75*ms, record.Owner, birch), at(75*ms, record.Echo, record.MAC{}),
	}
	a := Analyse(records, Span{base, base + 80*ms}, Options{Period: period, VIPs: 1}).Addresses[0]
	if a.Before != amber || a.After != birch || a.Takeover != 60*ms || a.Outage != 0 || a.Duplicate != 0 {
		t.Errorf("got %+v", a)
	}
}

// One node whose answers are late by a question, or by two, is one owner.
func TestAnswersLateByAQuestion(t *testing.T) {
	const base = time.Second
	late := func(at time.Duration) []record.MAC {
		switch at {
		case 990 * ms, 500 * ms, 505 * ms:
			return nil
		case 995 * ms:
			return []record.MAC{amber, amber}
		case 510 * ms:
			return []record.MAC{amber, amber, amber}
		}
		return []record.MAC{amber}
	}
	a := Analyse(play(time.Second, late, always), Span{base, base + time.Second}, Options{Period: period, VIPs: 1}).Addresses[0]
	if a.Still || a.Duplicate > 0 || a.Takeover >= 0 || a.After != amber {
		t.Errorf("%+v", a)
	}
	l := NewLive(1, period)
	for _, r := range play(time.Second+period, late, always) {
		l.Add(r)
		if got := l.Owners(0); len(got) > 1 {
			t.Fatalf("owners at %v: %v", r.At-base, got)
		}
	}
}

func TestBlindness(t *testing.T) {
	windows := func(at ...time.Duration) (list []record.Record) {
		for _, d := range at {
			list = append(list, record.Record{At: time.Second + d, Kind: record.Window})
		}
		return list
	}
	for _, c := range []struct {
		name    string
		records []record.Record
		want    []Span
	}{
		{"awake", windows(-5*ms, 0, 6*ms, 10*ms, 20*ms, 25*ms), nil},
		{"in the middle", windows(-5*ms, 0, 5*ms, 17*ms, 20*ms, 25*ms), []Span{{10 * ms, 17 * ms}}},
		{"from before it", windows(-50*ms, 20*ms, 25*ms), []Span{{0, 20 * ms}}},
		{"over its end", windows(-5*ms, 0, 5*ms, 60*ms), []Span{{10 * ms, 30 * ms}}},
		{"all the while", windows(-50*ms, 60*ms), []Span{{0, 30 * ms}}},
		{"it never looked", nil, []Span{{0, 30 * ms}}},
	} {
		p := Analyse(c.records, Span{time.Second, time.Second + 30*ms}, Options{Period: period})
		for i := range p.Blind {
			p.Blind[i] = Span{p.Blind[i].From - time.Second, p.Blind[i].To - time.Second}
		}
		if !slices.Equal(p.Blind, c.want) {
			t.Errorf("%s: %v, want %v", c.name, p.Blind, c.want)
		}
	}
	p := Analyse([]record.Record{{At: time.Second, Kind: record.Slept, Took: time.Second}, {At: 2 * time.Second, Kind: record.Slept, Took: 300 * ms}},
		Span{time.Second, 1900 * ms}, Options{Period: period})
	if p.Asleep != 200*ms {
		t.Errorf("the load slept for %v", p.Asleep)
	}
}

// One that yielded and speaks again is not late.
func TestYielded(t *testing.T) {
	advert := func(at time.Duration, mac record.MAC) record.Record {
		return record.Record{At: time.Second + at, Kind: record.Advert, Number: 1, Priority: 100, Interval: 50 * ms, MAC: mac}
	}
	p := Analyse([]record.Record{advert(0, amber), advert(50*ms, amber), advert(100*ms, birch), advert(160*ms, birch), advert(2*time.Second, amber)},
		Span{time.Second, 4 * time.Second}, Options{Period: period})
	if len(p.Late) != 2 || p.Late[Speaker{1, amber}] != 0 || p.Late[Speaker{1, birch}] != 10*ms {
		t.Errorf("got %v", p.Late)
	}
}

// A cluster is at rest for as long as that was seen.
func TestSleepingLive(t *testing.T) {
	follow := func(owners func(time.Duration) []record.MAC, asleep func(time.Duration) bool) *Live {
		l := NewLive(1, period)
		for _, r := range doze(play(3*time.Second, owners, always), asleep) {
			l.Add(r)
			if r.Kind == record.Window && r.At > 1100*ms && !l.Reachable(0) {
				t.Errorf("at %v it does not answer", r.At)
			}
		}
		return l
	}
	starved := follow(one(amber), func(at time.Duration) bool { return (at+time.Minute)%(100*ms) < 60*ms })
	if !starved.AtRest(0, []record.MAC{amber}, 2*time.Second) {
		t.Error("it is not at rest for a prober that sleeps 60 of 100 ms")
	}
	if got := starved.Awake(); got < 30*ms || got > 40*ms {
		t.Errorf("awake for %v", got)
	}
	once := follow(one(amber), func(at time.Duration) bool { return at >= time.Second && at < 2*time.Second })
	if once.AtRest(0, nil, 1100*ms) || !once.AtRest(0, nil, 900*ms) {
		t.Errorf("it has been at rest for %v, a second of which nobody looked", once.Unchanged(0))
	}
	if got := once.Awake(); got < 990*ms || got > time.Second {
		t.Errorf("awake for %v", got)
	}
	for _, c := range []struct {
		r    record.Record
		want string
	}{
		{record.Record{Kind: record.Echo}, "no request has been answered yet"},
		{record.Record{At: once.Now() - 2*time.Second, Kind: record.Answer}, "no request was answered for 2s"},
		{record.Record{At: once.Now(), Kind: record.Answer}, "requests are answered"},
		{record.Record{At: once.Now() - 300*ms, Kind: record.Lost, Text: "status 503"}, "requests are answered; the last one lost 300ms ago: status 503"},
	} {
		once.Add(c.r)
		if got := once.Asking(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}
