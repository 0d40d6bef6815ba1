package report

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"evenkeel/internal/lab"
)

// Palette is the few colours that are used; all empty without colour.
type Palette struct{ Bold, Dim, Green, Red, Yellow, Blue, Off string }

// Colours gives a palette.
func Colours(on bool) Palette {
	if !on {
		return Palette{}
	}
	return Palette{"\x1b[1m", "\x1b[2m", "\x1b[32m", "\x1b[31m", "\x1b[33m", "\x1b[36m", "\x1b[0m"}
}

// JSON writes results for programs. Durations are in nanoseconds.
func JSON(out io.Writer, r *lab.Results) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// Read reads what JSON wrote.
func Read(in io.Reader) (*lab.Results, error) {
	r := new(lab.Results)
	if err := json.NewDecoder(in).Decode(r); err != nil {
		return nil, fmt.Errorf("results of a drill: %w", err)
	}
	return r, nil
}

// Short is a duration in the form of the table: milliseconds up to a second.
func Short(d time.Duration) string {
	switch {
	case d == 0:
		return "0"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Round(time.Millisecond).Milliseconds())
	default:
		return fmt.Sprintf("%.2f s", d.Seconds())
	}
}

// pair is one drill with the results of all kinds of software.
type pair struct {
	name, help string
	drills     []lab.Drill
}

// pairs puts drills of the same name together, in the order of the first.
func pairs(r *lab.Results) (list []pair) {
	for _, d := range r.Drills {
		i := slices.IndexFunc(list, func(p pair) bool { return p.name == d.Name })
		if i < 0 {
			list = append(list, pair{d.Name, d.Help, nil})
			i = len(list) - 1
		}
		list[i].drills = append(list[i].drills, d)
	}
	return list
}

// software lists the kinds that were drilled.
func software(r *lab.Results) (list []lab.Software) {
	for _, d := range r.Drills {
		if !slices.Contains(list, d.Software) {
			list = append(list, d.Software)
		}
	}
	return list
}

// outage is a figure that may have no end.
func outage(d time.Duration, open bool) string {
	if open {
		return "> " + Short(d)
	}
	return Short(d)
}

// floor is what two outages must differ by to count as different: the
// probe's period, twice.
func floor(r *lab.Results) time.Duration { return 2 * r.Period }

// Better says who did better, and why: the one without a second owner, then
// the shorter outage, then fewer requests lost. "" means that nobody did, or
// that there is nobody to compare with.
func Better(r *lab.Results, drills []lab.Drill) (who lab.Software, why string) {
	if len(drills) != 2 || r.Mixed() || drills[0].Software == drills[1].Software {
		return "", ""
	}
	a, b := drills[0].Summary(), drills[1].Summary()
	if a.Performed == 0 || b.Performed == 0 {
		return "", ""
	}
	first := func(yes bool) lab.Software {
		if yes {
			return drills[0].Software
		}
		return drills[1].Software
	}
	// Where in an interval a failure falls is chance: an eighth is no difference.
	// What the prober may have missed is none, either.
	exact := max(floor(r), a.Blind.Longest, b.Blind.Longest)
	far := func(x, y time.Duration) bool { return max(x-y, y-x) > max(exact, max(x, y)/8) }
	switch {
	case a.Open != b.Open:
		return first(b.Open), "it comes back"
	case a.Still != b.Still:
		return first(b.Still), "one owner in the end"
	case far(a.Median, b.Median):
		return first(a.Median < b.Median), "shorter outage"
	case far(a.Duplicate, b.Duplicate):
		return first(a.Duplicate < b.Duplicate), "shorter time with two owners"
	case far(a.Back, b.Back):
		return first(a.Back < b.Back), "shorter outage on the way back"
	case a.Blind.Requests() || b.Blind.Requests():
		return "", ""
	case a.Lost*100/max(a.Answered+a.Lost, 1) != b.Lost*100/max(b.Answered+b.Lost, 1) || (a.Lost == 0) != (b.Lost == 0):
		return first(a.Lost < b.Lost), "fewer requests lost"
	}
	return "", ""
}

// busy tells of burners.
func busy(r *lab.Results) string {
	if r.Busy == 0 {
		return ""
	}
	return fmt.Sprintf("; %d processors kept busy", r.Busy)
}

// label names the node that fails: by its software, and by its name where it
// was chosen.
func label(d lab.Drill) string {
	if d.Victim == "" {
		return string(d.Software)
	}
	return d.Victim + ": " + string(d.Software)
}

// mixed tells who runs what, where directors differ.
func mixed(r *lab.Results) string {
	if !r.Mixed() {
		return ""
	}
	var words []string
	for _, s := range r.Layout.Directors {
		words = append(words, fmt.Sprintf("%s runs %s", s.Name, s.Software))
	}
	return strings.Join(words, ", ") + "; the software in a line is that of the node that fails"
}

// compared says whether there is something to compare.
func compared(drills []lab.Drill) bool {
	return len(drills) == 2 && drills[0].Software != drills[1].Software && drills[0].Skipped == "" && drills[1].Skipped == ""
}

// Table writes a line for every drill and kind of software.
func Table(out io.Writer, r *lab.Results, c Palette) {
	kinds := software(r)
	wide := 11
	for _, d := range r.Drills {
		wide = max(wide, len(label(d)))
	}
	fmt.Fprintf(out, "\n%s%-16s %-*s %9s %9s %9s %11s %9s %14s%s\n", c.Bold, "drill", wide, "software", "outage", "at most", "back", "two owners", "takeover", "requests lost", c.Off)
	won := map[lab.Software]int{}
	for _, p := range pairs(r) {
		who, why := Better(r, p.drills)
		if compared(p.drills) {
			won[who]++
		}
		for i, d := range p.drills {
			name := ""
			if i == 0 {
				name = p.name
			}
			if d.Skipped != "" {
				fmt.Fprintf(out, "%-16s %-*s %s%s%s\n", name, wide, label(d), c.Dim, d.Skipped, c.Off)
				continue
			}
			s := d.Summary()
			mark, off := "", ""
			switch {
			case s.Still || s.Open:
				mark, off = c.Red, c.Off
			case who == d.Software:
				mark, off = c.Green, c.Off
			}
			fmt.Fprintf(out, "%-16s %s%-*s %9s %9s %9s %11s %9s %14s%s", name, mark, wide, label(d), outage(s.Median, false), outage(s.Max, s.Open), Short(s.Back),
				duplicate(s), takeover(s), fmt.Sprintf("%d of %d", s.Lost, s.Lost+s.Answered), off)
			if who == d.Software {
				fmt.Fprintf(out, "  %sbetter: %s%s", c.Green, why, c.Off)
			}
			for _, note := range append(notes(d), doubts(s.Blind)...) {
				fmt.Fprintf(out, "\n%-16s %s%s%s", "", c.Yellow, note, c.Off)
			}
			fmt.Fprintln(out)
		}
	}
	fmt.Fprintf(out, "\n%soutage: longest time without an echo answer, median and maximum of %d; back: the same when things were put right; probe every %s%s\n",
		c.Dim, r.Repeat, Short(r.Period)+busy(r), c.Off)
	if text := mixed(r); text != "" {
		fmt.Fprintf(out, "%s\n", text)
	} else if len(kinds) == 2 {
		fmt.Fprintf(out, "%s is better in %d drills, %s in %d; as good as each other in %d\n", kinds[0], won[kinds[0]], kinds[1], won[kinds[1]], won[""])
	}
}

func duplicate(s lab.Summary) string {
	switch {
	case s.Duplicate == 0:
		return "never"
	case s.Still:
		return "> " + Short(s.Duplicate)
	}
	return Short(s.Duplicate)
}

func takeover(s lab.Summary) string {
	if s.TakeoverMedian < 0 {
		return "-"
	}
	return Short(s.TakeoverMedian)
}

// notes are remarks about single runs.
func notes(d lab.Drill) (list []string) {
	for i, r := range d.Runs {
		for _, text := range []string{r.Error, r.Note} {
			if text != "" {
				list = append(list, fmt.Sprintf("run %d: %s", i+1, strings.ReplaceAll(text, "\n", "; ")))
			}
		}
		for _, f := range figures(r) {
			if f.LateRouters > 0 && quiet(d.Name) {
				list = append(list, fmt.Sprintf("run %d: %d virtual routers were advertised late, by up to %s", i+1, f.LateRouters, Short(f.Late)))
			}
		}
	}
	return list
}

// doubts says where figures are not to be trusted.
func doubts(b lab.Blind) (list []string) {
	if b.Probe() {
		list = append(list, fmt.Sprintf("the prober itself did not run for %s (%s of the time): this machine is too busy for figures this fine", Short(b.Longest), share(b.Share)))
	}
	if b.Requests() {
		list = append(list, fmt.Sprintf("the load itself did not run for %s: requests were not asked then", Short(b.Load)))
	}
	return list
}

// share is a part in per cent.
func share(of float64) string {
	if of > 0 && of < 0.01 {
		return "under 1%"
	}
	return fmt.Sprintf("%.0f%%", 100*of)
}

func figures(r lab.Run) []lab.Figures {
	if r.Back == nil {
		return []lab.Figures{r.Failure}
	}
	return []lab.Figures{r.Failure, *r.Back}
}

// quiet names the drills in which nobody should notice anything.
func quiet(name string) bool {
	return name == "reload" || name == "reload-change" || name == "upgrade"
}

// Line is one run in a line.
func Line(r lab.Run, c Palette) string {
	if r.Error != "" {
		return c.Red + r.Error + c.Off
	}
	f := r.Failure
	text := fmt.Sprintf("outage %s%s%s", c.Bold, outage(f.Outage, f.Open), c.Off)
	if f.Duplicate > 0 {
		text += fmt.Sprintf(", %stwo owners for %s%s", c.Red, duplicate(lab.Summary{Duplicate: f.Duplicate, Still: f.Still}), c.Off)
	}
	for _, m := range f.Moves {
		text += fmt.Sprintf(", %s: %s -> %s", m.Address, m.From, m.To)
	}
	lost := f.Lost
	if b := r.Back; b != nil {
		lost += b.Lost
		text += "; back " + outage(b.Outage, b.Open)
		if b.Duplicate > 0 {
			text += fmt.Sprintf(", %stwo owners for %s%s", c.Red, duplicate(lab.Summary{Duplicate: b.Duplicate, Still: b.Still}), c.Off)
		}
	}
	text += fmt.Sprintf("; %d requests lost", lost)
	if r.Blind.Probe() {
		text += fmt.Sprintf("; %sthe prober did not run for %s%s", c.Yellow, Short(r.Blind.Longest), c.Off)
	}
	if r.Note != "" {
		text += "; " + c.Yellow + r.Note + c.Off
	}
	return text
}

// Brief is a drill in a few words.
func Brief(d lab.Drill, c Palette) string {
	s := d.Summary()
	if s.Performed == 0 {
		return c.Red + d.Runs[0].Error + c.Off
	}
	two := c.Green + "never two owners" + c.Off
	switch {
	case s.Still:
		two = c.Red + "two owners until it was put right" + c.Off
	case s.Duplicate > 0:
		two = "two owners for " + Short(s.Duplicate)
	}
	return fmt.Sprintf("outage %s%s%s, %s, %d of %d requests lost", c.Bold, outage(s.Max, s.Open), c.Off, two, s.Lost, s.Lost+s.Answered)
}

// Failed says whether some software did not do what it is for: a run that
// could not be finished, an address that stayed away, or one that had two
// owners until the failure was put right.
func Failed(r *lab.Results, who lab.Software) bool {
	for _, d := range r.Drills {
		if s := d.Summary(); d.Software == who && (s.Failed > 0 || s.Still || s.Open) {
			return true
		}
	}
	return false
}
