package measure

import (
	"fmt"
	"slices"
	"time"

	"evenkeel/internal/lab/record"
)

// Live follows records as they come and tells how things are now.
type Live struct {
	period   time.Duration
	now      time.Duration // of the last window
	vips     []liveVIP
	adverts  map[Speaker]record.Record
	answered int
	lost     int
	lastLost time.Duration
	lastGood time.Duration
	why      string        // of the last request lost
	woke     time.Duration // the first window after the prober was blind
}

type liveVIP struct {
	answers []record.MAC // in the present window
	before  []record.MAC // in the one before
	owners  []record.MAC // of the last whole windows
	since   time.Duration
	missed  int
	echo    time.Duration
	silent  int // whole windows since the last echo answer
}

// NewLive follows that many addresses.
func NewLive(vips int, period time.Duration) *Live {
	return &Live{period: period, vips: make([]liveVIP, vips), adverts: map[Speaker]record.Record{}}
}

// Add takes the next record. Records of two observers may come in turns.
func (l *Live) Add(r record.Record) {
	switch r.Kind {
	case record.Window, record.Held:
		for i := range l.vips {
			l.vips[i].turn(l.now, r.At)
		}
		if blind(r.At-l.now, l.period) {
			l.woke = r.At
		}
		l.now = r.At
	case record.Owner:
		if r.VIP >= len(l.vips) {
			break
		}
		if v := &l.vips[r.VIP]; !late(v.answers, v.before, r.MAC) {
			v.answers = append(v.answers, r.MAC)
		}
	case record.Echo:
		if r.VIP < len(l.vips) {
			l.vips[r.VIP].echo = r.At
		}
	case record.Advert:
		l.adverts[Speaker{uint16(r.Number), r.MAC}] = r
	case record.Answer:
		l.answered++
		l.lastGood = r.At
	case record.Lost:
		l.lost++
		l.lastLost, l.why = r.At, r.Text
	}
}

// turn ends a window that began then.
func (v *liveVIP) turn(began, at time.Duration) {
	if v.silent++; v.echo >= began {
		v.silent = 0
	}
	slices.SortFunc(v.answers, func(a, b record.MAC) int { return slices.Compare(a[:], b[:]) })
	switch {
	case slices.Equal(v.answers, v.owners):
		v.missed = 0
	case len(v.answers) < len(v.owners) && v.missed < patch:
		v.missed++ // an answer may be late
	default:
		v.owners = append(v.owners[:0], v.answers...)
		v.since, v.missed = at, 0
	}
	if at-began > lapse {
		v.since = at // whatever was in between, nobody saw it
	}
	v.before, v.answers = v.answers, v.before[:0]
}

// Now is the time of the last probe.
func (l *Live) Now() time.Duration { return l.now }

// Owners tells who answers for an address; none, one or several.
func (l *Live) Owners(vip int) []record.MAC { return slices.Clone(l.vips[vip].owners) }

// Reachable says whether an address answered one of the last echo requests.
func (l *Live) Reachable(vip int) bool { return l.vips[vip].echo > 0 && l.vips[vip].silent < 4 }

// Awake says for how long the prober has looked without a break.
func (l *Live) Awake() time.Duration { return l.now - l.woke }

// Unchanged says for how long an address is known to have its owners.
func (l *Live) Unchanged(vip int) time.Duration { return l.now - l.vips[vip].since }

// Counts gives requests answered and lost so far.
func (l *Live) Counts() (answered, lost int) { return l.answered, l.lost }

// Interval is the longest interval between advertisements that anybody
// announced in the last seconds. Unicast ones and those under AH are not
// seen: then it is the default of the protocol, 1 s.
func (l *Live) Interval() time.Duration {
	const recent = 4 * time.Second
	var longest time.Duration
	for _, r := range l.adverts {
		if l.now-r.At < max(recent, 4*r.Interval) {
			longest = max(longest, r.Interval)
		}
	}
	if longest == 0 {
		longest = time.Second
	}
	return longest
}

// AtRest says whether an address has had one owner, which is among wanted
// (any when empty), without a change for that long, and answers.
func (l *Live) AtRest(vip int, wanted []record.MAC, long time.Duration) bool {
	v := &l.vips[vip]
	if len(v.owners) != 1 || (len(wanted) > 0 && !slices.Contains(wanted, v.owners[0])) {
		return false
	}
	return l.now-v.since >= long && l.Reachable(vip)
}

// Serving says whether requests were answered for that long and none lost.
func (l *Live) Serving(long time.Duration) bool {
	return l.lastGood > 0 && l.now-l.lastGood < time.Second && l.now-l.lastLost >= long
}

// Asking says in words what became of the last requests.
func (l *Live) Asking() string {
	text := "requests are answered"
	switch {
	case l.answered == 0:
		text = "no request has been answered yet"
	case l.now-l.lastGood >= time.Second:
		text = fmt.Sprintf("no request was answered for %s", (l.now - l.lastGood).Round(time.Millisecond))
	}
	if l.lastLost > 0 {
		text += fmt.Sprintf("; the last one lost %s ago: %s", max(l.now-l.lastLost, 0).Round(time.Millisecond), l.why)
	}
	return text
}
