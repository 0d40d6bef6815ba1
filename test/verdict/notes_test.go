package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// run is the events of one run of tests as go test -json gives them.
type run struct{ b bytes.Buffer }

func (r *run) event(e event) *run {
	line, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	r.b.Write(append(line, '\n'))
	return r
}

func (r *run) says(name, test string, lines ...string) *run {
	for _, l := range lines {
		r.event(event{Action: "output", Package: name, Test: test, Output: l + "\n"})
	}
	return r
}

func (r *run) ends(action, name, test string) *run {
	return r.event(event{Action: action, Package: name, Test: test, Elapsed: 1.5})
}

// notesOf has a run judged, and its notes written down and read again.
func notesOf(t *testing.T, path string, attempt int, r *run) (printed string) {
	t.Helper()
	var out strings.Builder
	j := newJudge(&out, attempt)
	if err := j.read(&r.b); err != nil {
		t.Fatal(err)
	}
	if err := appendNotes(path, j.notes); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func summed(t *testing.T, path string) (string, int) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := readNotes(f)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	code := sum(&out, all)
	return out.String(), code
}

// A test that fails, fails again and then passes: it is told in how many
// attempts, and all its words are there.
func TestNotReliable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notes")
	first := new(run).
		says("p", "TestA", "=== RUN   TestA").
		says("p", "TestA/part", "=== RUN   TestA/part", "    a_test.go:7: too late by 3 s", "--- FAIL: TestA/part (1.50s)").
		ends("fail", "p", "TestA/part").
		says("p", "TestA", "--- FAIL: TestA (1.50s)").ends("fail", "p", "TestA").
		ends("pass", "p", "TestB").
		says("p", "", "FAIL", "FAIL\tp\t1.5s").ends("fail", "p", "")
	second := new(run).says("p", "TestA/part", "    a_test.go:7: too late by 1 s").ends("fail", "p", "TestA/part").
		ends("fail", "p", "TestA").ends("fail", "p", "")
	third := new(run).ends("pass", "p", "TestA/part").ends("pass", "p", "TestA").ends("pass", "p", "")
	notesOf(t, path, 1, first)
	if got, code := summed(t, path); code != 1 || !strings.Contains(got, "FAILED: p TestA, at each of 1 attempts: a_test.go:7: too late by 3 s\n") {
		t.Errorf("after one attempt: %d\n%s", code, got)
	}
	notesOf(t, path, 2, second)
	notesOf(t, path, 3, third)
	got, code := summed(t, path)
	const want = `----- what failed, in its own words
p TestA, attempt 1, after 1.5s:
    part:
        a_test.go:7: too late by 3 s
p TestA, attempt 2, after 1.5s:
    part:
        a_test.go:7: too late by 1 s
----- in short
NOT RELIABLE: p TestA failed, and passed at attempt 3: a_test.go:7: too late by 3 s
`
	if code != 0 || got != want {
		t.Errorf("%d, and\n%s\nnot\n%s", code, got, want)
	}
}

func TestSummary(t *testing.T) {
	var long []string
	for i := range 100 {
		long = append(long, fmt.Sprintf("line %d", i))
	}
	for _, c := range []struct {
		name string
		run  *run
		code int
		says []string
		not  []string
	}{
		{"nothing failed", new(run).ends("pass", "p", "TestA").ends("pass", "p", ""), 0, nil, []string{"-----"}},
		{"it did not build", new(run).event(event{Action: "build-output", ImportPath: "p [p.test]", Output: "p.go:1: undefined\n"}).
			event(event{Action: "fail", Package: "p", FailedBuild: "p [p.test]"}), 1, []string{"    p.go:1: undefined\n", "FAILED: p, at"}, nil},
		{"it crashed", new(run).says("p", "", "panic: gone").ends("fail", "p", ""), 1, []string{"    panic: gone\n", "attempts: panic: gone\n"}, nil},
		{"without a word", new(run).ends("fail", "p", "TestA").ends("fail", "p", ""), 1, []string{"p TestA, at each of 1 attempts: without a word\n"}, []string{"FAILED: p, "}},
		{"the middle of many words", new(run).says("p", "TestA", long...).ends("fail", "p", "TestA"), 1,
			[]string{"    line 0\n", "    line 9\n    … 71 lines …\n    line 81\n", "    line 99\n"}, []string{"line 10\n", "line 80\n"}},
		{"a long line", new(run).says("p", "TestA", strings.Repeat("x", 1000)).ends("fail", "p", "TestA"), 1, []string{"xx…\n"}, []string{strings.Repeat("x", 300)}},
	} {
		path := filepath.Join(t.TempDir(), "notes")
		notesOf(t, path, 1, c.run)
		got, code := summed(t, path)
		if code != c.code {
			t.Errorf("%s: code %d, not %d", c.name, code, c.code)
		}
		for _, s := range c.says {
			if !strings.Contains(got, s) {
				t.Errorf("%s: no %q in\n%s", c.name, s, got)
			}
		}
		for _, s := range c.not {
			if strings.Contains(got, s) {
				t.Errorf("%s: %q in\n%s", c.name, s, got)
			}
		}
	}
}

// However much fails, what is printed fits into what is kept of a log.
func TestSummaryFits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notes")
	var r run
	for i := range 10 {
		for range 200 {
			r.says("p", fmt.Sprintf("Test%d", i), "words")
		}
		r.ends("fail", "p", fmt.Sprintf("Test%d", i))
	}
	notesOf(t, path, 1, &r)
	got, _ := summed(t, path)
	if n := strings.Count(got, "\n"); n > 200 {
		t.Errorf("%d lines", n)
	}
	if n := strings.Count(got, "FAILED: "); n != 10 {
		t.Errorf("%d of 10 tests in short", n)
	}
}

// A data race is seen, and what took long is printed.
func TestRaceAndDuration(t *testing.T) {
	j := newJudge(&strings.Builder{}, 1)
	var r run
	r.says("evenkeel/test/x", "TestA", "WARNING: DATA RACE").ends("fail", "evenkeel/test/x", "TestA").ends("fail", "evenkeel/test/x", "")
	if err := j.read(&r.b); err != nil {
		t.Fatal(err)
	}
	if list := j.again("evenkeel/test/"); list != nil {
		t.Errorf("a data race may be run again: %q", list)
	}
	// Also of a test that never ended, as its package crashed.
	j, r = newJudge(&strings.Builder{}, 1), run{}
	r.says("evenkeel/test/x", "TestA", "WARNING: DATA RACE").ends("fail", "evenkeel/test/x", "")
	if err := j.read(&r.b); err != nil {
		t.Fatal(err)
	}
	if list := j.again("evenkeel/test/"); list != nil || !j.races || len(j.silent) > 0 {
		t.Errorf("a crash may be run again: %q, race %v, silent %v", list, j.races, j.silent)
	}
	var out strings.Builder
	j = newJudge(&out, 1)
	for name, seconds := range map[string]float64{"TestShort": 9, "TestLong": 70.5, "TestLonger": 80} {
		j.event(event{Action: "pass", Package: "p", Test: name, Elapsed: seconds})
	}
	j.end(false)
	if !strings.Contains(out.String(), "long:   80.0s              p TestLonger\nlong:   70.5s              p TestLong\n3 tests") {
		t.Error(out.String())
	}
}
