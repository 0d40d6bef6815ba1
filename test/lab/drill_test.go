package lab

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// results is what these tests read of drills' JSON.
type results struct{ Drills []drill }

type drill struct {
	Name, Software, Skipped string
	Runs                    []attempt
}

type attempt struct {
	Victim, Error, Note string
	Failure             figures
	Back                *figures
	Blind               struct{ Longest, Load time.Duration }
}

type figures struct {
	Outage, Duplicate, Takeover time.Duration
	Still, Open                 bool
	Moves                       []struct{ Address, From, To string }
	Answered                    int
}

// moved says whether an address went from amber to birch.
func (f figures) moved(address string) bool {
	for _, m := range f.Moves {
		if m.Address == address && m.From == "amber" && m.To == "birch" {
			return true
		}
	}
	return false
}

// answered counts requests of a whole run.
func (r attempt) answered() int {
	if r.Back == nil {
		return r.Failure.Answered
	}
	return r.Failure.Answered + r.Back.Answered
}

// starved says that the lab's own observers did not run for so long that the
// cluster's daemons may have missed advertisements, too: neither what happened
// nor what was seen is then what the drill is about.
func (r attempt) starved() bool { return max(r.Blind.Longest, r.Blind.Load) >= interval/2 }

// drill runs drills and judges every run. A drill of which something is wrong
// while the lab was starved is run again, a few times, and that is logged.
func (p *place) drill(names []string, repeat int, judge func(d drill, r attempt) []string, args ...string) {
	p.t.Helper()
	const tries = 4
	for try := 1; len(names) > 0; try++ {
		r := p.drilled(names, repeat, args...)
		kinds := 1
		if slices.Contains(args, "-with") {
			kinds = 2
		}
		if len(r.Drills) != kinds*len(names) {
			p.t.Fatalf("%d drills, not %d times %v", len(r.Drills), kinds, names)
		}
		var again []string
		for i, d := range r.Drills {
			if want := names[i%len(names)]; d.Name != want || d.Skipped != "" || len(d.Runs) != repeat {
				p.t.Fatalf("%d runs of %s (%s), not %d of %s", len(d.Runs), d.Name, d.Skipped, repeat, want)
			}
			starved, failed := false, false
			for n, one := range d.Runs {
				starved = starved || one.starved()
				wrong := p.wrong(d, one, judge)
				failed = failed || len(wrong) > 0
				if one.Note != "" {
					p.t.Logf("%s %d of %s: %s", d.Name, n, d.Software, one.Note)
				}
				for _, text := range wrong {
					p.t.Logf("%s %d of %s: %s (the prober slept for up to %s, the load for %s)", d.Name, n, d.Software, text, one.Blind.Longest, one.Blind.Load)
				}
			}
			switch {
			case failed && starved && try < tries:
				if !slices.Contains(again, d.Name) {
					again = append(again, d.Name)
				}
			case failed:
				p.t.Errorf("%s of %s does not do what it is for: see above", d.Name, d.Software)
			}
		}
		if names = again; len(names) > 0 {
			p.t.Logf("this machine is too busy, once more: %v", names)
		}
	}
}

// wrong is what is to be said of a run.
func (p *place) wrong(d drill, r attempt, judge func(d drill, r attempt) []string) []string {
	if r.Error != "" {
		return []string{r.Error}
	}
	wrong := judge(d, r)
	if r.answered() == 0 {
		wrong = append(wrong, "no request was answered")
	}
	return wrong
}

// drilled runs drills and gives what they found.
func (p *place) drilled(names []string, repeat int, args ...string) (r results) {
	p.t.Helper()
	file := filepath.Join(p.t.TempDir(), "results.json")
	args = append([]string{"-repeat", strconv.Itoa(repeat), "-save", file}, args...)
	table := p.must("drill", append(args, names...)...)
	if p.table == "" {
		p.table = table
	}
	b, err := os.ReadFile(file)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := json.Unmarshal(b, &r); err != nil {
		p.t.Fatal(err)
	}
	return r
}
