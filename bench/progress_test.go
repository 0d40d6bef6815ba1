package main

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestScheduleCorrectsItself(t *testing.T) {
	var now time.Time
	s := newSchedule(settings{rounds: 9, seconds: 2}, regexp.MustCompile("^(keepalive|tcp)"), now)
	if len(s.todo) != 3 {
		t.Fatalf("%d scenarios", len(s.todo))
	}
	each := s.todo[0].lasts(s.settings)
	first := s.line(0, now)
	if want := "1/3 keepalive-1k: "; !strings.HasPrefix(first, want) || !strings.HasSuffix(first, "(about 2 min left)") {
		t.Errorf("%q", first)
	}
	// The first one took five times as long.
	later := now.Add(time.Duration(5 * each * float64(time.Second)))
	if second := s.line(1, later); !strings.HasSuffix(second, "(4 min gone, about 7 min left)") {
		t.Errorf("%q", second)
	}
}

func TestEveryScenarioSaysHowLongItLasts(t *testing.T) {
	for _, sc := range scenarios {
		if few, many := sc.lasts(settings{rounds: 1, seconds: 1}), sc.lasts(settings{rounds: 9, seconds: 2}); few <= 0 || many < few {
			t.Errorf("%s: %v, %v", sc.name, few, many)
		}
	}
}
