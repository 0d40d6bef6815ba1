package top

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func init() { time.Local = time.UTC } // the clock on the screen is the person's

func TestFrames(t *testing.T) {
	for _, c := range []struct {
		name          string
		columns, rows int
		keys          []Key
	}{
		{"overview-80x24", 80, 24, nil},
		{"overview-120x40", 120, 40, nil},
		{"overview-40x12", 40, 12, nil},
		{"addresses", 80, 24, []Key{"1"}},
		{"services", 100, 24, []Key{Tab, Tab}},
		{"proxy-sorted", 100, 24, []Key{"3", "s", "s", "s", "s", "r"}},
		{"events", 80, 12, []Key{"4"}},
		{"filter", 80, 24, []Key{"/", "w", "e", "b", "3", "x", Backspace, Enter}},
		{"filter-nothing", 80, 24, []Key{"3", "/", "z", "z", Enter}},
		{"scrolled", 80, 16, []Key{Down, Down}},
		{"scrolled-end", 80, 16, []Key{End}},
		{"help", 80, 24, []Key{"?"}},
		{"asking", 80, 10, []Key{"d", "1", "x"}},
		{"refused", 80, 10, []Key{"d", "x", Enter}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, u := seen(t), &UI{Delay: DefaultDelay}
			m.Frame(u, c.columns, c.rows)
			for _, k := range c.keys {
				u.Key(k)
				m.Frame(u, c.columns, c.rows)
			}
			golden(t, c.name, drawn(m.Frame(u, c.columns, c.rows), c.columns))
		})
	}
}

func TestText(t *testing.T) {
	golden(t, "text", seen(t).Text(&UI{Delay: DefaultDelay}, 0))
}

// Whatever there is to show: never more lines or columns than the terminal
// has, on any terminal, with anything on the screen.
func TestNeverLargerThanTheTerminal(t *testing.T) {
	wide := recorded(t)
	wide.Status = []byte(strings.ReplaceAll(string(wide.Status), `"web"`, `"网关\u0301🇩🇪👩‍👩‍👧 e\u001b[31m"`))
	wide.Troubles = []string{"der Dienst antwortet nicht: 没有回答"}
	models := map[string]*Model{"nothing": {}, "seen": seen(t), "wide": {}, "lost": seen(t)}
	models["wide"].Observe(Decode(wide))
	models["lost"].Lost(time.Now(), errors.New("没有 evenkeel"))
	keys := []Key{"", "1", "2", "3", "4", "?", "/", "d", "s"}
	for name, m := range models {
		for _, k := range keys {
			for _, columns := range []int{0, 1, 2, 3, 5, 8, 13, 20, 27, 41, 60, 79, 80} {
				for _, rows := range []int{0, 1, 2, 3, 4, 5, 7, 10, 24} {
					u := &UI{Delay: DefaultDelay}
					if k != "" {
						u.Key(k)
						u.Key("网")
					}
					check(t, fmt.Sprintf("%s %q %dx%d", name, k, columns, rows), m.Frame(u, columns, rows), columns, rows)
				}
			}
		}
	}
}

func check(t *testing.T, what string, lines []Line, columns, rows int) {
	t.Helper()
	if len(lines) > rows {
		t.Fatalf("%s: %d lines", what, len(lines))
	}
	for _, l := range lines {
		sum := 0
		for _, s := range l {
			sum += width(s.Text)
			if strings.ContainsFunc(s.Text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				t.Fatalf("%s: a control character in %q", what, s.Text)
			}
		}
		if sum > columns {
			t.Fatalf("%s: %d columns: %q", what, sum, l.String())
		}
	}
}

// What is wrong stays in sight where there is little room, with the row that
// it belongs to.
func TestShortenKeepsWhatIsWrong(t *testing.T) {
	lines := []Line{text("TITLE", Title), text("NAME", Faint), text("a", Plain), text("  a1", Plain), text("b", Plain), text("  b1", Plain),
		{{"  b2 ", Plain}, {"DOWN", Bad}}, text(noteMark+"refused", Bad), text("c", Plain), text("  c1", Plain)}
	for n, want := range map[int]string{
		1: "TITLE", 2: "TITLE,NAME", 4: "TITLE,NAME,b,  b2 DOWN", 6: "TITLE,NAME,a,b,  b2 DOWN,c",
		7: "TITLE,NAME,a,b,  b2 DOWN,    ! refused,c", 8: "TITLE,NAME,a,  a1,b,  b2 DOWN,    ! refused,c",
	} {
		var got []string
		for _, l := range shorten(slices.Clone(lines), n) {
			got = append(got, l.String())
		}
		if s := strings.Join(got, ","); s != want {
			t.Errorf("%d: %s, not %s", n, s, want)
		}
	}
}

func TestKeys(t *testing.T) {
	u := &UI{Delay: DefaultDelay}
	m := seen(t)
	m.Frame(u, 80, 10)
	for _, c := range []struct {
		key  Key
		want Action
	}{
		{"q", Quit}, {Interrupt, Quit}, {"p", Draw}, {"p", Look}, {Enter, Look}, {"d", Draw}, {"5", Draw}, {Enter, Retime},
		{"d", Draw}, {Interrupt, Quit}, {Escape, Draw}, {"x", Draw}, {PageDown, Draw}, {PageUp, Draw}, {"/", Draw}, {"q", Draw}, {Enter, Draw},
		{BackTab, Draw}, {"?", Draw}, {Down, Draw}, {"?", Draw}, {"q", Quit},
	} {
		if got := u.Key(c.key); got != c.want {
			t.Errorf("%q: %v, not %v", c.key, got, c.want)
		}
	}
	if u.Delay != 5*time.Second || u.filter != "q" || u.section != eventSection {
		t.Errorf("%+v", u)
	}
}

// Every key of the table is on the keyboard once.
func TestPresses(t *testing.T) {
	used := map[Key]bool{}
	for _, p := range presses() {
		for _, k := range p.keys {
			if used[k] {
				t.Errorf("%q has two meanings", k)
			}
			used[k] = true
		}
	}
}

func TestParseDelay(t *testing.T) {
	for text, want := range map[string]time.Duration{"2": 2 * time.Second, " 0.5 ": 500 * time.Millisecond, "0.1": LeastDelay, "3600": MostDelay,
		"0": 0, "-1": 0, "NaN": 0, "Inf": 0, "": 0, "1s": 0, "3601": 0, "0.01": 0} {
		got, err := ParseDelay(text)
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}
