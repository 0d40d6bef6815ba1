package main

import (
	"slices"
	"strings"
	"testing"
)

func TestVerdict(t *testing.T) {
	const (
		pass  = `{"Action":"pass","Package":"p","Test":"TestA"}` + "\n" + `{"Action":"pass","Package":"p","Elapsed":1}` + "\n"
		fail  = `{"Action":"output","Package":"p","Test":"TestB","Output":"it broke\n"}` + "\n" + `{"Action":"fail","Package":"p","Test":"TestB"}` + "\n"
		skip  = `{"Action":"output","Package":"p","Test":"TestC","Output":"    x_test.go:1: no peer\n"}` + "\n" + `{"Action":"skip","Package":"p","Test":"TestC"}` + "\n"
		fuzz  = `{"Action":"skip","Package":"p","Test":"FuzzD/seed#1"}` + "\n"
		build = `{"ImportPath":"q","Action":"build-output","Output":"q.go:1: no\n"}` + "\n" + `{"Action":"fail","Package":"q","FailedBuild":"q"}` + "\n"
		panic = `{"Action":"output","Package":"p","Output":"panic: gone\n"}` + "\n" + `{"Action":"fail","Package":"p"}` + "\n"
	)
	for _, c := range []struct {
		name, input  string
		code, strict int
		says         string
	}{
		{"pass", pass, 0, 0, "1 tests passed"},
		{"fail", pass + fail, 1, 1, "it broke"},
		{"skip", pass + skip, 0, 1, "skipped: p TestC: x_test.go:1: no peer"},
		{"fuzz inputs", pass + fuzz, 0, 0, "0 skipped"},
		{"build", pass + build, 1, 1, "q.go:1: no"},
		{"panic", pass + panic, 1, 1, "panic: gone"},
		{"nothing ran", "", 1, 1, "0 tests"},
		{"other output", "go: trouble\n" + pass, 0, 0, "go: trouble"},
	} {
		for _, strict := range []bool{false, true} {
			var b strings.Builder
			j := newJudge(&b, 1)
			if err := j.read(strings.NewReader(c.input)); err != nil {
				t.Fatal(err)
			}
			want := c.code
			if strict {
				want = c.strict
			}
			if got := j.end(strict); got != want || !strings.Contains(b.String(), c.says) {
				t.Errorf("%s, strict %v: code %d, not %d\n%s", c.name, strict, got, want, b.String())
			}
		}
	}
}

func TestAgain(t *testing.T) {
	const race = "real/x TestRace"
	for _, c := range []struct {
		name   string
		failed []string
		want   string
	}{
		{"a test in real time", []string{"real/x TestA/sub", "real/x TestA", "real/x"}, "real/x TestA"},
		{"two packages", []string{"real/x TestA", "real/x", "real/y TestB", "real/y"}, "real/x TestA,real/y TestB"},
		{"in both", []string{"real/x TestA", "real/x", "timed TestB", "timed"}, "real/x TestA,timed TestB"},
		{"another test too", []string{"real/x TestA", "real/x", "y TestB", "y"}, ""},
		{"a crash", []string{"real/x"}, ""},
		{"ended without a word", []string{"real/silent"}, "real/silent .*"},
		{"a crash beside it", []string{"real/x TestA", "real/x", "real/y"}, ""},
		{"nothing", nil, ""},
		{"a data race", []string{"real/x TestA", "real/x", race}, ""},
	} {
		j := &judge{failed: c.failed, silent: map[string]bool{"real/silent": true}, races: slices.Contains(c.failed, race)}
		if got := strings.Join(j.again("real/,timed"), ","); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
