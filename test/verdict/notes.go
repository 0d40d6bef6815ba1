package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// note is what became of a test in one attempt.
type note struct {
	Package string
	Test    string // with its parts; "" for the package
	Attempt int
	Failed  bool
	Elapsed float64
	Said    []string // its own words, without line ends
}

// note keeps what an event that ends a test tells.
func (j *judge) note(e event, said []string) {
	n := note{Package: e.Package, Test: e.Test, Attempt: j.attempt, Failed: e.Action == "fail", Elapsed: e.Elapsed}
	for _, s := range said {
		s = strings.TrimRight(s, "\n")
		if t := strings.TrimSpace(s); t != "" && t != "FAIL" && !framing(t) && !strings.HasPrefix(t, "FAIL\t") {
			n.Said = append(n.Said, s)
		}
	}
	j.notes = append(j.notes, n)
}

func appendNotes(path string, all []note) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	e := json.NewEncoder(f)
	for _, n := range all {
		err = errors.Join(err, e.Encode(n))
	}
	return errors.Join(err, f.Close())
}

func readNotes(r io.Reader) (all []note, err error) {
	d := json.NewDecoder(r)
	for {
		var n note
		if err := d.Decode(&n); err == io.EOF {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
}

// attempt is one run of a test, with the words of its parts.
type attempt struct {
	number  int
	failed  bool
	elapsed float64
	said    []string
}

// story is all that became of one test.
type story struct {
	name     string // package and test
	attempts []attempt
}

func (s *story) passed() bool { return !s.attempts[len(s.attempts)-1].failed }

// stories brings the notes of a test and of its parts together. What a package
// says counts where none of its tests failed: it did not build, or crashed.
func stories(all []note) (list []*story) {
	known := map[string]*story{}
	blamed := map[string]bool{}
	for _, n := range all {
		blamed[n.Package] = blamed[n.Package] || n.Test != "" && n.Failed
	}
	for _, n := range all {
		if n.Test == "" && blamed[n.Package] {
			continue
		}
		test, part, _ := strings.Cut(n.Test, "/")
		name := strings.TrimSpace(n.Package + " " + test)
		s := known[name]
		if s == nil {
			s = &story{name: name}
			known[name] = s
			list = append(list, s)
		}
		if k := len(s.attempts); k == 0 || s.attempts[k-1].number != n.Attempt {
			s.attempts = append(s.attempts, attempt{number: n.Attempt})
		}
		a := &s.attempts[len(s.attempts)-1]
		a.failed = a.failed || n.Failed
		a.elapsed = max(a.elapsed, n.Elapsed)
		if part != "" && len(n.Said) > 0 {
			a.said = append(a.said, part+":")
		}
		a.said = append(a.said, n.Said...)
	}
	return list
}

const (
	// room is how many lines of a log are sure to be read.
	room = 150
	// enough is how many lines of one failure are printed if there is room.
	enough = 30
	// least is how many are printed even if there is none.
	least = 6
	// width is where a line is cut.
	width = 240
)

// sum prints what failed and why, ends with one line for each test, and gives
// the exit code: 0 if each of them passed at last.
func sum(out io.Writer, all []note) int {
	list := stories(all)
	if len(list) == 0 {
		return 0
	}
	failures := 0
	for _, s := range list {
		for _, a := range s.attempts {
			if a.failed {
				failures++
			}
		}
	}
	lines := max(least, min(enough, room/max(failures, 1)))
	fmt.Fprintln(out, "----- what failed, in its own words")
	for _, s := range list {
		for _, a := range s.attempts {
			if !a.failed {
				continue
			}
			fmt.Fprintf(out, "%s, attempt %d, after %.1fs:\n", s.name, a.number, a.elapsed)
			for _, l := range ends(a.said, lines) {
				fmt.Fprintln(out, "    "+cut(l))
			}
		}
	}
	fmt.Fprintln(out, "----- in short")
	code := 0
	for _, s := range list {
		last := s.attempts[len(s.attempts)-1]
		if s.passed() {
			fmt.Fprintf(out, "NOT RELIABLE: %s failed, and passed at attempt %d: %s\n", s.name, last.number, cut(s.first()))
			continue
		}
		code = 1
		fmt.Fprintf(out, "FAILED: %s, at each of %d attempts: %s\n", s.name, last.number, cut(s.first()))
	}
	return code
}

// first is the first complaint of the first attempt.
func (s *story) first() string {
	for _, l := range s.attempts[0].said {
		if file, _, ok := strings.Cut(strings.TrimSpace(l), ".go:"); ok && !strings.Contains(file, " ") {
			return strings.TrimSpace(l)
		}
	}
	if len(s.attempts[0].said) == 0 {
		return "without a word"
	}
	return strings.TrimSpace(s.attempts[0].said[0])
}

// ends leaves the middle of a long text out: what went wrong stands at its
// beginning, and what the programs said at its end.
func ends(text []string, n int) []string {
	if len(text) <= n {
		return text
	}
	head := n / 3
	out := append([]string(nil), text[:head]...)
	out = append(out, fmt.Sprintf("… %d lines …", len(text)-n+1))
	return append(out, text[len(text)-(n-head-1):]...)
}

func cut(s string) string {
	if len(s) <= width {
		return s
	}
	return strings.ToValidUTF8(s[:width], "") + "…"
}
