package screen

import (
	"slices"
	"testing"
	"time"

	"evenkeel/internal/lab/record"
)

func TestStrip(t *testing.T) {
	const ms = time.Millisecond
	a, b := record.MAC{1}, record.MAC{2}
	index := func(m record.MAC) int { return int(m[0]) - 1 }
	records := []record.Record{
		{At: 50 * ms, Kind: record.Window, Number: 1}, // too old
		{At: 110 * ms, Kind: record.Window, Number: 2}, {At: 111 * ms, Kind: record.Owner, MAC: a}, {At: 112 * ms, Kind: record.Echo, Number: 2},
		{At: 150 * ms, Kind: record.Answer},
		{At: 210 * ms, Kind: record.Window, Number: 3}, {At: 211 * ms, Kind: record.Owner, MAC: a}, {At: 212 * ms, Kind: record.Owner, MAC: b},
		{At: 250 * ms, Kind: record.Window, Number: 4}, {At: 310 * ms, Kind: record.Echo, Number: 4}, {At: 270 * ms, Kind: record.Lost},
		{At: 390 * ms, Kind: record.Window, Number: 5}, // too young
	}
	got := strip(records, 0, 360*ms, 2, 100*ms, 60*ms, index)
	if len(got) != 2 {
		t.Fatalf("%d cells", len(got))
	}
	if c := got[0]; !c.known || c.missed || !slices.Equal(c.owners, []int{0}) || c.answered != 1 || c.lost != 0 {
		t.Errorf("first: %+v", c)
	}
	if c := got[1]; !c.known || !c.missed || !slices.Equal(c.owners, []int{0, 1}) || c.answered != 0 || c.lost != 1 {
		t.Errorf("second: %+v", c)
	}
}

func TestStripOfAnAddress(t *testing.T) {
	const ms = time.Millisecond
	records := []record.Record{{At: 10 * ms, Kind: record.Window, Number: 1}, {At: 11 * ms, Kind: record.Owner, VIP: 1, MAC: record.MAC{1}},
		{At: 12 * ms, Kind: record.Echo, VIP: 1, Number: 1}, {At: 13 * ms, Kind: record.Answer, VIP: 1}}
	of := func(vip int) cell {
		return strip(records, vip, 100*ms, 1, 100*ms, 0, func(record.MAC) int { return 0 })[0]
	}
	if c := of(0); len(c.owners) > 0 || !c.missed || c.answered != 1 {
		t.Errorf("the first: %+v", c)
	}
	if c := of(1); len(c.owners) != 1 || c.missed || c.answered != 1 {
		t.Errorf("the second: %+v", c)
	}
}

func TestClip(t *testing.T) {
	for _, c := range []struct {
		line string
		n    int
		want string
	}{
		{"abc", 2, "ab"}, {"abc", 3, "abc"}, {"\x1b[1mabc\x1b[0m", 2, "\x1b[1mab"}, {"●●●", 2, "●●"}, {"", 5, ""},
	} {
		if got := Clip(c.line, c.n); got != c.want {
			t.Errorf("%q to %d: got %q, want %q", c.line, c.n, got, c.want)
		}
	}
}
