package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"evenkeel/internal/lab/cell"
	"evenkeel/internal/lab/measure"
	"evenkeel/internal/lab/probe"
	"evenkeel/internal/lab/process"
	"evenkeel/internal/lab/record"
	"evenkeel/internal/lab/topology"
)

// Times of a drill.
const (
	restWithin  = 60 * time.Second        // for a cluster to come to rest
	holdExtra   = 3500 * time.Millisecond // a failure lasts at most four intervals and this: longer than any lease
	before      = 500 * time.Millisecond  // shown before a failure
	lookback    = 5 * time.Second         // of records looked at before a failure: how things were
	freshWithin = 5 * time.Second         // for the prober to look without a break once a failure has lasted
	fresh       = 4 * probe.Period        // without a break
)

// Audience is told how drills go, from the goroutine that runs them.
type Audience interface {
	Began(software Software, drill string, repetition, of int)
	Happened(text string)
	Ended(software Software, drill string, r Run)
}

// Plan is what to drill.
type Plan struct {
	Names []string // of drills; all when empty
	// Victims are the directors that fail, one after the other; the one that has
	// the first address when there are none.
	Victims  []string
	Repeat   int
	Software []Software          // one after the other; what the directors run when empty
	Nodes    map[string]Software // what single directors run all the while; nil: what they do now
	Load     probe.Load
	Busy     int // processors that are kept busy all the while
	Audience Audience
	// Enter is told of the observers when they run; may be nil.
	Enter func(w *Watch)
}

// run is one failure on a cluster. One goroutine uses it.
type run struct {
	c        *Cluster
	w        *Watch
	ctx      context.Context
	chosen   int // director that is to be the victim; -1: who has the first address
	audience Audience
	interval time.Duration // between advertisements
	touched  time.Duration // when the lab last did something to the cluster

	victim  int // director
	frozen  process.Table
	leaving process.Table // told to stop
	events  []Event       // with absolute times
}

func (r *run) node() (n topology.Node) { return r.c.Topology.Directors[r.victim] }

// Drill runs a plan. What is known so far is given also with an error.
func (c *Cluster) Drill(ctx context.Context, p Plan) (*Results, error) {
	chosen, err := choose(p.Names)
	if err != nil {
		return nil, err
	}
	if len(p.Software) == 0 {
		p.Software = []Software{c.state.Software}
	}
	nodes := p.Nodes
	if nodes == nil {
		nodes = c.state.Nodes
	}
	for _, s := range p.Software {
		if err := (&state{Software: s, Nodes: nodes}).judge(c.Topology); err != nil {
			return nil, err
		}
	}
	victims, err := c.victims(p.Victims)
	if err != nil {
		return nil, err
	}
	w, err := c.Watch(p.Load)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	if err := w.Burn(c, p.Busy); err != nil {
		return nil, err
	}
	if p.Enter != nil {
		p.Enter(w)
	}
	results := c.results(p, nodes)
	for _, software := range p.Software {
		r := &run{c: c, w: w, ctx: ctx, audience: p.Audience, touched: probe.Now()}
		if c.install(software, nodes) {
			p.Audience.Happened("the directors now run " + c.runs())
			if err := errors.Join(c.state.write(c.dir), r.restore()); err != nil {
				return results, err
			}
		}
		for _, r.chosen = range victims {
			for _, f := range chosen {
				d, err := r.all(f, p.Repeat)
				if ctx.Err() != nil {
					return results, context.Cause(ctx)
				}
				results.Drills = append(results.Drills, d)
				if err != nil {
					return results, err
				}
			}
		}
	}
	return results, nil
}

// all runs one drill as often as it is to be. The error is one after which
// nothing more can be tried.
func (r *run) all(f fault, repeat int) (Drill, error) {
	d := Drill{Name: f.name, Help: f.help, Software: r.c.Software(r.likely())}
	if r.chosen >= 0 {
		d.Victim = r.c.Topology.Directors[r.chosen].Name
	}
	if f.without != nil {
		d.Skipped = f.without(r.c)
	}
	for n := 0; n < repeat && d.Skipped == ""; n++ {
		r.audience.Began(d.Software, f.name, n+1, repeat)
		one, err := r.once(f)
		if r.ctx.Err() != nil {
			return d, nil
		}
		if err != nil {
			one.Error = err.Error()
		}
		d.Runs = append(d.Runs, one)
		r.audience.Ended(d.Software, f.name, one)
		if err != nil {
			if err := r.restore(); err != nil {
				return d, err
			}
		}
	}
	return d, nil
}

// victims finds directors by name; -1 stands for whoever has the first address.
func (c *Cluster) victims(names []string) (list []int, err error) {
	for _, name := range names {
		i := slices.IndexFunc(c.Topology.Directors, func(n topology.Node) bool { return n.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("no director of %s is called %q", c.Topology.Name, name)
		}
		list = append(list, i)
	}
	if len(list) == 0 {
		list = []int{-1}
	}
	return list, nil
}

// likely is the director that the next failure will be of.
func (r *run) likely() int {
	if r.chosen >= 0 {
		return r.chosen
	}
	master := r.c.Topology.VIPs[0].Master
	return max(0, slices.IndexFunc(r.c.Topology.Directors, func(n topology.Node) bool { return n.Name == master }))
}

// choose finds faults by name.
func choose(names []string) ([]fault, error) {
	all := faults()
	if len(names) == 0 {
		return all, nil
	}
	var chosen []fault
	for _, name := range names {
		i := slices.IndexFunc(all, func(f fault) bool { return f.name == name })
		if i < 0 {
			var known []string
			for _, f := range all {
				known = append(known, f.name)
			}
			return nil, fmt.Errorf("there is no drill %q; there are %s", name, strings.Join(known, ", "))
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

func (c *Cluster) results(p Plan, nodes map[string]Software) *Results {
	t := c.Topology
	r := &Results{Lab: t.Name, Description: t.Description, At: time.Now(), Repeat: p.Repeat, Period: probe.Period, Busy: p.Busy}
	var uts unix.Utsname
	if unix.Uname(&uts) == nil {
		r.Kernel = unix.ByteSliceToString(uts.Release[:])
	}
	for _, n := range t.Networks {
		r.Layout.Networks = append(r.Layout.Networks, n.String())
	}
	r.Layout.Client = strings.Join(topology.Node{Interfaces: t.Client[:1]}.Addresses(), " · ")
	spot := func(n topology.Node) Spot {
		return Spot{Name: n.Name, Addresses: n.Addresses()}
	}
	will := &state{Software: p.Software[0], Nodes: nodes}
	for _, n := range t.Directors {
		s := spot(n)
		if will.mixed(t) {
			s.Software = will.of(n)
		}
		r.Layout.Directors = append(r.Layout.Directors, s)
	}
	for _, n := range t.Origins {
		r.Layout.Origins = append(r.Layout.Origins, spot(n))
	}
	for _, v := range t.VIPs {
		r.Layout.VIPs = append(r.Layout.VIPs, v.Address.String())
	}
	return r
}

// wanted gives the link-layer addresses that should own each address when
// all is well; an empty list where any may.
func (c *Cluster) wanted() [][]record.MAC {
	list := make([][]record.MAC, len(c.Topology.VIPs))
	for i, v := range c.Topology.VIPs {
		for n, d := range c.Topology.Directors {
			if d.Name != v.Master {
				continue
			}
			for leg := range d.Interfaces {
				list[i] = append(list[i], macOf(n, leg))
			}
		}
	}
	return list
}

// rests says whether all addresses have had one owner for that long (the
// wanted ones, where given), nobody touched the cluster in that time, and
// requests are answered.
func (r *run) rests(l *measure.Live, wanted [][]record.MAC, long time.Duration) bool {
	if l.Now()-r.touched < long {
		return false
	}
	for i := range r.c.Topology.VIPs {
		var w []record.MAC
		if wanted != nil {
			w = wanted[i]
		}
		if !l.AtRest(i, w, long) {
			return false
		}
	}
	return r.c.Topology.Haproxy == "" || l.Serving(min(long, time.Second))
}

// settle waits for the normal state, and learns how often is advertised.
func (r *run) settle() error {
	wanted := r.c.wanted()
	err := r.w.Until(r.ctx, restWithin, func(l *measure.Live) bool {
		r.interval = l.Interval()
		return r.rests(l, wanted, r.rest())
	})
	if errors.Is(err, errLate) {
		return fmt.Errorf("after %s the cluster is not at rest: %s", restWithin, r.disorder(wanted, r.rest()))
	}
	return err
}

// rest is how long nothing must happen for a cluster to be at rest.
func (r *run) rest() time.Duration { return 4*r.interval + 200*time.Millisecond }

// disorder says in words why a cluster has not been at rest for that long.
func (r *run) disorder(wanted [][]record.MAC, long time.Duration) string {
	var words []string
	r.w.Now(func(l *measure.Live) {
		for i, v := range r.c.Topology.VIPs {
			owners := l.Owners(i)
			var names []string
			for _, o := range owners {
				names = append(names, r.c.nameOf(o))
			}
			switch {
			case len(owners) == 0:
				words = append(words, fmt.Sprintf("nobody has %s", v.Address))
			case len(owners) > 1:
				words = append(words, fmt.Sprintf("%s have %s", strings.Join(names, " and "), v.Address))
			case len(wanted[i]) > 0 && !slices.Contains(wanted[i], owners[0]):
				words = append(words, fmt.Sprintf("%s has %s, not %s", names[0], v.Address, v.Master))
			case !l.Reachable(i):
				words = append(words, fmt.Sprintf("%s does not answer", v.Address))
			case l.Unchanged(i) < long:
				words = append(words, fmt.Sprintf("%s has %s for only %s", names[0], v.Address, l.Unchanged(i).Round(time.Millisecond)))
			}
		}
		if len(words) == 0 {
			words = append(words, l.Asking())
		}
	})
	for i, d := range r.c.Topology.Directors {
		if list, err := r.c.node(i).List(); err == nil {
			latest := map[string]cell.Status{}
			for _, s := range list {
				latest[s.Name] = s
			}
			for _, s := range latest {
				if s.Ended {
					words = append(words, fmt.Sprintf("%s's %s ended (%s%s)", d.Name, s.Name, s.Result, r.c.lastWords(d.Name, s.Name)))
				}
			}
		}
	}
	return strings.Join(words, "; ")
}

// lastWords is the end of a program's log.
func (c *Cluster) lastWords(node, program string) string {
	b, err := os.ReadFile(c.Log(node, program))
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return ": " + strings.Join(lines[max(len(lines)-3, 0):], " / ")
}

// Log is where a node's program writes.
func (c *Cluster) Log(node, program string) string {
	return c.nodeDir(node) + "/log/" + program + ".log"
}

// mark notes that the lab does something.
func (r *run) mark(text string) time.Duration {
	r.touched = probe.Now()
	r.events = append(r.events, Event{r.touched, text})
	r.w.Mark(r.touched, text)
	r.audience.Happened(text)
	return r.touched
}

// once runs one failure, from rest to rest.
func (r *run) once(f fault) (result Run, err error) {
	r.events = nil
	if err := r.settle(); err != nil {
		// Something went wrong before; all nodes are made anew, once.
		r.audience.Happened(err.Error())
		if err := r.restore(); err != nil {
			return result, err
		}
		if err := r.settle(); err != nil {
			return result, err
		}
	}
	if err := r.choose(); err != nil {
		return result, err
	}
	result.Victim = r.node().Name
	if f.prepare != nil {
		if err := f.prepare(r); err != nil {
			return result, fmt.Errorf("preparing: %w", err)
		}
		r.events = nil
	}
	start := r.mark(f.name + " on " + result.Victim)
	if err := f.act(r); err != nil {
		return result, err
	}
	r.touched = probe.Now()
	if err := r.hold(f, start); err != nil {
		return result, err
	}
	healed := time.Duration(0)
	if f.heal != nil {
		healed = r.mark("put right")
		if err := f.heal(r); err != nil {
			return result, fmt.Errorf("putting it right: %w", err)
		}
		r.touched = probe.Now()
	}
	if err := r.settle(); err != nil {
		if r.ctx.Err() != nil {
			return result, err
		}
		result.Note = "did not come to rest by itself: " + err.Error()
		defer func() { err = errors.Join(err, r.restore()) }()
	}
	r.judge(&result, start, healed)
	return result, nil
}

// choose finds the victim: the node that has the first address, or the one that
// is to be it.
func (r *run) choose() error {
	if r.chosen >= 0 {
		r.victim = r.chosen
		return nil
	}
	var owners []record.MAC
	r.w.Now(func(l *measure.Live) { owners = l.Owners(0) })
	if len(owners) == 1 {
		if i := r.c.DirectorOf(owners[0]); i >= 0 {
			r.victim = i
			return nil
		}
	}
	return fmt.Errorf("no director has %s", r.c.Topology.VIPs[0].Address)
}

// hold lets a failure last: until another node has been the one owner for a
// while; or, where nothing moves, for as long as something still could.
func (r *run) hold(f fault, start time.Duration) error {
	end := start + 4*r.interval + holdExtra
	var old [][]record.MAC
	r.w.Now(func(l *measure.Live) {
		for i := range r.c.Topology.VIPs {
			old = append(old, l.Owners(i))
		}
	})
	short := min(end, start+4*r.interval+500*time.Millisecond)
	over := func(l *measure.Live) bool {
		if l.Now() >= end {
			// How it ended must have been seen.
			return l.Awake() >= fresh || l.Now() >= end+freshWithin
		}
		moved := false
		for i := range r.c.Topology.VIPs {
			moved = moved || !slices.Equal(l.Owners(i), old[i])
		}
		return (moved || l.Now() >= short) && r.rests(l, nil, 3*r.interval/2+500*time.Millisecond)
	}
	for {
		slice := time.Minute
		if f.lasting != nil {
			slice = 20 * time.Millisecond
		}
		err := r.w.Until(r.ctx, slice, over)
		if err == nil || !errors.Is(err, errLate) {
			return err
		}
		if f.lasting != nil {
			if err := f.lasting(r); err != nil {
				return err
			}
		}
	}
}

// judge turns records into figures and a timeline.
func (r *run) judge(result *Run, start, healed time.Duration) {
	// The newest records come in packets: the last windows may not be whole.
	var end time.Duration
	r.w.Now(func(l *measure.Live) { end = l.Now() - 2*probe.Period })
	records := r.w.Since(start - lookback)
	every := intervals(records)
	o := measure.Options{Period: probe.Period, VIPs: len(r.c.Topology.VIPs)}
	first := measure.Span{From: start, To: end}
	if healed > 0 {
		first.To = healed
	}
	result.Failure = r.c.figures(measure.Analyse(records, first, o), every)
	if healed > 0 {
		o.Follows = true
		back := r.c.figures(measure.Analyse(records, measure.Span{From: healed, To: end}, o), every)
		result.Back, result.Healed = &back, healed-start
	}
	o.Follows = false
	whole := measure.Analyse(records, measure.Span{From: start - before, To: end}, o)
	for i, a := range whole.Addresses {
		t := Track{Address: r.c.Topology.VIPs[i].Address.String()}
		for _, tenure := range a.Tenures {
			t.Owners = append(t.Owners, Owner{r.c.nameOf(tenure.MAC), Stretch{tenure.From - start, tenure.To - start}})
		}
		for _, gap := range a.Gaps {
			t.Gaps = append(t.Gaps, Stretch{gap.From - start, gap.To - start})
		}
		result.Timeline = append(result.Timeline, t)
	}
	for _, at := range whole.LostAt {
		result.LostAt = append(result.LostAt, at-start)
	}
	for _, e := range r.events {
		result.Events = append(result.Events, Event{e.At - start, e.Text})
	}
	result.Length = end - start
	result.Blind = blindOf(whole)
	for _, s := range whole.Blind {
		result.Unseen = append(result.Unseen, Stretch{s.From - start, s.To - start})
	}
}

// restore makes all directors anew, with new cables and the unchanged
// configuration, whatever has become of the old ones.
func (r *run) restore() error {
	r.audience.Happened("all directors are switched off and on")
	r.c.changed, r.frozen, r.leaving = false, nil, nil
	victim := r.victim
	defer func() { r.victim = victim }()
	for i := range r.c.Topology.Directors {
		init := r.c.initOf(i)
		err := process.End(func() (process.Table, error) {
			p, err := process.Look(init)
			if err != nil || p.Zombie || findInit(process.Table{p}, r.c.nodeDir(r.c.Topology.Directors[i].Name)) == 0 {
				return nil, nil // it is gone, and the number may be another's
			}
			return process.Table{p}, nil
		}, endWithin)
		if err != nil {
			return err
		}
	}
	for i := range r.c.Topology.Directors {
		r.victim = i
		if err := r.powerOn(); err != nil {
			return err
		}
	}
	r.touched = probe.Now()
	return nil
}

// Open takes hold of a cluster that an earlier command has made.
func Open(p Place, name, program string) (*Cluster, error) {
	p = p.filled()
	dir := p.Base + "/" + name
	s, err := readState(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("there is no lab %s", name)
	}
	if err != nil {
		return nil, err
	}
	if !s.Complete {
		return nil, fmt.Errorf("lab %s is not whole: take it down (evenkeel lab down %s) and make it again", name, name)
	}
	p.Prefix = s.Prefix
	t, err := ReadTopology(dir + "/" + sourceDir + "/" + s.Topology)
	if err != nil {
		return nil, err
	}
	held, err := p.take(name, "evenkeel lab drill")
	if err != nil {
		return nil, err
	}
	c := &Cluster{Topology: t, place: p, program: program, dir: dir, lock: held, state: s, say: func(string) {}, inits: map[int]int{}}
	all, err := process.Read()
	if err != nil {
		held.release()
		return nil, err
	}
	for i, n := range c.nodes() {
		if c.inits[i] = findInit(all, c.nodeDir(n.Name)); c.inits[i] == 0 {
			held.release()
			return nil, fmt.Errorf("node %s of lab %s does not run: take it down (evenkeel lab down %s) and make it again", n.Name, name, name)
		}
	}
	return c, nil
}

// findInit finds a node's init by its words: it was started with the node's directory.
func findInit(all process.Table, dir string) int {
	for _, p := range all {
		if n := len(p.Args); n >= 5 && !p.Zombie && p.Args[n-4] == "lab" && p.Args[n-3] == "init" && p.Args[n-1] == dir {
			return p.PID
		}
	}
	return 0
}
