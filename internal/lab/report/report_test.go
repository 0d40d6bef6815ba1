package report

import (
	"bytes"
	"encoding/xml"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"evenkeel/internal/lab"
)

var update = flag.Bool("update", false, "write the golden files anew")

const ms = time.Millisecond

// example is a comparison with everything that a report can show.
func example() *lab.Results {
	quiet := lab.Figures{Takeover: -1, Answered: 400}
	back := lab.Figures{Takeover: -1, Answered: 300, Lost: 2, Outage: 15 * ms}
	stop := lab.Run{Victim: "amber", Failure: lab.Figures{Outage: 620 * ms, Takeover: 640 * ms, Answered: 500, Lost: 9,
		Moves: []lab.Move{{Address: "10.77.0.10", From: "amber", To: "birch"}}}, Back: &back, Healed: 2 * time.Second, Length: 5 * time.Second,
		Timeline: []lab.Track{{Address: "10.77.0.10", Owners: []lab.Owner{{Node: "amber", Stretch: lab.Stretch{From: -500 * ms, To: 20 * ms}},
			{Node: "birch", Stretch: lab.Stretch{From: 640 * ms, To: 5 * time.Second}}}, Gaps: []lab.Stretch{{From: 15 * ms, To: 640 * ms}}}},
		LostAt: []time.Duration{100 * ms, 101 * ms, 400 * ms}, Events: []lab.Event{{At: 0, Text: "stop on amber"}, {At: 2 * time.Second, Text: "put right <now>"}}}
	fast := stop
	fast.Failure = lab.Figures{Takeover: 30 * ms, Answered: 600, Duplicate: 10 * ms}
	fast.Timeline = []lab.Track{{Address: "10.77.0.10", Owners: []lab.Owner{{Node: "amber", Stretch: lab.Stretch{From: -500 * ms, To: 40 * ms}},
		{Node: "birch", Stretch: lab.Stretch{From: 30 * ms, To: 5 * time.Second}}}}}
	two := lab.Run{Victim: "amber", Failure: lab.Figures{Takeover: 3400 * ms, Duplicate: 4 * time.Second, Still: true, Answered: 900}, Length: 8 * time.Second,
		Blind: lab.Blind{Longest: 61 * ms, Total: 900 * ms, Share: 0.1125, Load: 300 * ms}, Unseen: []lab.Stretch{{From: -20 * ms, To: 41 * ms}, {From: 42 * ms, To: 60 * ms}, {From: time.Second, To: 1061 * ms}},
		Timeline: []lab.Track{{Address: "10.77.0.10", Owners: []lab.Owner{{Node: "amber", Stretch: lab.Stretch{From: -500 * ms, To: 8 * time.Second}}}}}}
	return &lab.Results{Lab: "pair", Description: "Two directors & one address.", At: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), Kernel: "6.1", Repeat: 2, Period: 5 * ms,
		Layout: lab.Layout{Networks: []string{"front 10.77.0.0/24", "back 10.78.0.0/24"}, Client: "10.77.0.100", VIPs: []string{"10.77.0.10"},
			Directors: []lab.Spot{{Name: "amber", Addresses: []string{"10.77.0.11", "10.78.0.11"}}, {Name: "birch", Addresses: []string{"10.77.0.12", "10.78.0.12"}}},
			Origins:   []lab.Spot{{Name: "cedar", Addresses: []string{"10.78.0.21"}}}},
		Drills: []lab.Drill{
			{Name: "stop", Help: "services are stopped", Software: lab.Evenkeel, Runs: []lab.Run{fast, fast}},
			{Name: "kill-all", Help: "kill -9", Software: lab.Evenkeel, Runs: []lab.Run{{Victim: "amber", Failure: quiet, Note: "did not come to rest by itself"}}},
			{Name: "reload", Help: "nothing changed", Software: lab.Evenkeel, Runs: []lab.Run{{Failure: quiet}, {Error: "no keeper process runs on amber"}}},
			{Name: "partition", Help: "apart", Software: lab.Evenkeel, Skipped: "there is one director only"},
			{Name: "stop", Help: "services are stopped", Software: lab.Keepalived, Runs: []lab.Run{stop, stop}},
			{Name: "kill-all", Help: "kill -9", Software: lab.Keepalived, Runs: []lab.Run{two}},
			{Name: "reload", Help: "nothing changed", Software: lab.Keepalived, Runs: []lab.Run{{Failure: quiet}}},
			{Name: "partition", Help: "apart", Software: lab.Keepalived, Skipped: "there is one director only"},
		}}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not as it was (go test -update writes it anew); now:\n%s", name, got)
	}
}

func TestTable(t *testing.T) {
	var out bytes.Buffer
	Table(&out, example(), Colours(false))
	golden(t, "table.golden", out.Bytes())
	if strings.Contains(out.String(), "\x1b") {
		t.Error("colours without a terminal")
	}
}

func TestPage(t *testing.T) {
	var out bytes.Buffer
	if err := Page(&out, example()); err != nil {
		t.Fatal(err)
	}
	golden(t, "page.golden", out.Bytes())
	text := out.String()
	for _, outside := range []string{"http:", "https:", "<script", "@import", "url("} {
		if strings.Contains(text, outside) {
			t.Errorf("the page needs %q", outside)
		}
	}
	if strings.Contains(text, "<now>") || !strings.Contains(text, "put right &lt;now&gt;") {
		t.Error("a text became markup")
	}
	// Each drawing is well-formed.
	for rest := text; ; {
		from := strings.Index(rest, "<svg")
		if from < 0 {
			break
		}
		to := strings.Index(rest, "</svg>") + len("</svg>")
		for d := xml.NewDecoder(strings.NewReader(rest[from:to])); ; {
			if _, err := d.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%v in %s", err, rest[from:to])
			}
		}
		rest = rest[to:]
	}
}

func TestJSON(t *testing.T) {
	var out bytes.Buffer
	if err := JSON(&out, example()); err != nil {
		t.Fatal(err)
	}
	r, err := Read(bytes.NewReader(out.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	var again bytes.Buffer
	if err := JSON(&again, r); err != nil || again.String() != out.String() {
		t.Errorf("read and written again it is another: %v", err)
	}
	if _, err := Read(strings.NewReader("{")); err == nil {
		t.Error("half a file was taken")
	}
}

func TestBetter(t *testing.T) {
	drill := func(s lab.Software, f lab.Figures) lab.Drill {
		return lab.Drill{Software: s, Runs: []lab.Run{{Failure: f}}}
	}
	for _, c := range []struct {
		a, b lab.Figures
		want lab.Software
	}{
		{lab.Figures{}, lab.Figures{}, ""},
		{lab.Figures{Outage: 600 * ms}, lab.Figures{Outage: 40 * ms}, lab.Keepalived},
		{lab.Figures{Outage: 40 * ms}, lab.Figures{Outage: 600 * ms, Lost: 5}, lab.Evenkeel},
		{lab.Figures{Outage: 40 * ms}, lab.Figures{Outage: 48 * ms}, ""},   // within the probe's exactness
		{lab.Figures{Outage: 155 * ms}, lab.Figures{Outage: 140 * ms}, ""}, // chance
		{lab.Figures{Outage: time.Second}, lab.Figures{Still: true}, lab.Evenkeel},
		{lab.Figures{Open: true}, lab.Figures{Outage: time.Hour}, lab.Keepalived},
		{lab.Figures{Duplicate: 100 * ms}, lab.Figures{Duplicate: 10 * ms}, lab.Keepalived},
		{lab.Figures{Answered: 100, Lost: 9}, lab.Figures{Answered: 100}, lab.Keepalived},
	} {
		if got, why := Better(example(), []lab.Drill{drill(lab.Evenkeel, c.a), drill(lab.Keepalived, c.b)}); got != c.want || (got == "") != (why == "") {
			t.Errorf("%+v against %+v: %q, %q; want %q", c.a, c.b, got, why, c.want)
		}
	}
	if who, _ := Better(example(), []lab.Drill{drill(lab.Evenkeel, lab.Figures{})}); who != "" {
		t.Error("one alone is better than nobody")
	}
}

// What an observer may have missed decides nothing, and a reader is told.
func TestBlind(t *testing.T) {
	drill := func(s lab.Software, outage time.Duration, lost int, b lab.Blind) lab.Drill {
		return lab.Drill{Software: s, Runs: []lab.Run{{Failure: lab.Figures{Outage: outage, Lost: lost, Answered: 100}, Blind: b}}}
	}
	for _, c := range []struct {
		b    lab.Blind
		lost int
		a    time.Duration // outage of the other
		want lab.Software
	}{
		{lab.Blind{}, 0, 100 * ms, lab.Keepalived},
		{lab.Blind{Longest: 61 * ms}, 0, 100 * ms, ""},
		{lab.Blind{Longest: 61 * ms}, 0, 200 * ms, lab.Keepalived},
		{lab.Blind{}, 9, 40 * ms, lab.Evenkeel},
		{lab.Blind{Load: time.Second}, 9, 40 * ms, ""},
	} {
		if got, _ := Better(example(), []lab.Drill{drill(lab.Evenkeel, c.a, 0, lab.Blind{}), drill(lab.Keepalived, 40*ms, c.lost, c.b)}); got != c.want {
			t.Errorf("%+v: %q is better, want %q", c, got, c.want)
		}
	}
	if list := doubts(lab.Blind{Longest: 20 * ms, Share: 0.5, Load: 250 * ms}); len(list) != 0 {
		t.Errorf("doubts where there are none: %q", list)
	}
	if list := doubts(lab.Blind{Longest: 61 * ms, Share: 0.09}); len(list) != 1 || !strings.Contains(list[0], "61 ms (9% of the time)") {
		t.Errorf("got %q", list)
	}
}

func TestFailed(t *testing.T) {
	for _, c := range []struct {
		run  lab.Run
		want bool
	}{
		{lab.Run{}, false}, {lab.Run{Failure: lab.Figures{Outage: time.Second}}, false}, {lab.Run{Failure: lab.Figures{Still: true}}, true},
		{lab.Run{Failure: lab.Figures{Open: true}}, true}, {lab.Run{Error: "x"}, true},
	} {
		r := &lab.Results{Drills: []lab.Drill{{Software: lab.Evenkeel, Runs: []lab.Run{c.run}}}}
		if got := Failed(r, lab.Evenkeel); got != c.want {
			t.Errorf("%+v: %v", c.run, got)
		}
		if Failed(r, lab.Keepalived) {
			t.Error("the other's failure counts")
		}
	}
}

// Where directors run different software there is nobody to be better: the lines
// say who failed, and the drawing who runs what.
func TestMixed(t *testing.T) {
	r := example()
	r.Layout.Directors = []lab.Spot{{Name: "amber", Software: lab.Evenkeel}, {Name: "birch", Software: lab.Keepalived}}
	for i := range r.Drills {
		r.Drills[i].Victim = map[lab.Software]string{lab.Evenkeel: "amber", lab.Keepalived: "birch"}[r.Drills[i].Software]
	}
	var table, page strings.Builder
	Table(&table, r, Palette{})
	if err := Page(&page, r); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"amber: evenkeel", "birch: keepalived", "amber runs evenkeel, birch runs keepalived"} {
		if !strings.Contains(table.String(), want) || !strings.Contains(page.String(), want) {
			t.Errorf("%q is missing in\n%s", want, table.String())
		}
	}
	if strings.Contains(table.String(), "better") || !strings.Contains(page.String(), "birch · keepalived") {
		t.Errorf("a comparison in\n%s", table.String())
	}
}
