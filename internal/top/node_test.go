package top

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files")

// recorded is what a real node answered, in testdata/node.
func recorded(t testing.TB) *Raw {
	t.Helper()
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join("testdata", "node", name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	return &Raw{At: time.Date(2026, 11, 21, 14, 30, 25, 0, time.UTC), PID: 30031, Processes: string(read("processes.txt")), Status: read("status.json"),
		Events: read("events.json"), Stat: read("stat.csv"), Info: read("info.txt")}
}

// later is the same node two seconds on, with more traffic.
func later(t testing.TB) *Raw {
	t.Helper()
	raw := recorded(t)
	raw.At = raw.At.Add(2 * time.Second)
	raw.Stat = []byte(strings.ReplaceAll(string(raw.Stat), "web,web1,0,0,0,2,,1076,82852,192604,", "web,web1,4,0,3,2,,1176,102852,392604,"))
	return raw
}

func seen(t testing.TB) *Model {
	t.Helper()
	var m Model
	m.Observe(Decode(recorded(t)))
	m.Observe(Decode(later(t)))
	return &m
}

// golden compares with testdata/NAME.golden.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is not as expected (go test -update writes it):\n%s", path, got)
	}
}

// drawn is a frame as text, with a frame around it that shows its size.
func drawn(lines []Line, columns int) string {
	var b strings.Builder
	edge := "+" + strings.Repeat("-", columns) + "+\n"
	b.WriteString(edge)
	for _, l := range lines {
		b.WriteString("|" + pad(l.String(), columns, false) + "|\n")
	}
	return b.String() + edge
}
