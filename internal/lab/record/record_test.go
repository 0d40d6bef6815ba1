package record

import (
	"testing"
	"time"
)

var examples = []Record{
	{At: 5 * time.Millisecond, Kind: Window, Number: 7},
	{At: 5 * time.Millisecond, Kind: Held, Number: 8},
	{At: 1, Kind: Owner, VIP: 1, MAC: MAC{2, 0, 0xfe, 0, 0, 1}},
	{At: 2, Kind: Echo, VIP: 0, Number: 7},
	{At: 3, Kind: Announce, VIP: 2, MAC: MAC{2, 0, 0, 0, 0, 2}},
	{At: 4, Kind: Advert, Number: 51, Priority: 150, Interval: time.Second, MAC: MAC{0, 0, 0x5e, 0, 1, 51}},
	{At: 5, Kind: Answer, VIP: 0, Kept: true, Took: 1200 * time.Microsecond},
	{At: 6, Kind: Lost, VIP: 0, Text: "connection refused"},
	{At: 6, Kind: Slept, Took: 61 * time.Millisecond},
	{At: 7, Kind: Mark, Text: "kill -9 of the worker"},
}

func TestRoundTrip(t *testing.T) {
	for _, want := range examples {
		line := Append(nil, want)
		got, err := Parse(line)
		if err != nil || got != want {
			t.Errorf("%q:\n got %+v, %v\nwant %+v", line, got, err, want)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, line := range []string{"", "w", "w 1", "w x 1", "w 1 2 3", "w -1 2", "o 1 0 0200", "o 1 5000 020000000001", "o 1 0 02000000000x",
		"v 1 512 1 1 020000000001", "z 1 2", "a 1 0 2 5", "w 1 4294967296", "\x00 1"} {
		if r, err := Parse([]byte(line)); err == nil {
			t.Errorf("%q was taken as %+v", line, r)
		}
	}
	// A text cannot make a second line.
	if line := Append(nil, Record{Kind: Mark, Text: "a\nw 1 1"}); string(line) != "m 0 a w 1 1\n" {
		t.Errorf("got %q", line)
	}
}

func FuzzParse(f *testing.F) {
	for _, r := range examples {
		f.Add(Append(nil, r))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := Parse(line)
		if err != nil {
			return
		}
		again, err := Parse(Append(nil, r))
		if err != nil || Append(nil, again) == nil || string(Append(nil, again)) != string(Append(nil, r)) {
			t.Fatalf("%q: %+v became %+v, %v", line, r, again, err)
		}
	})
}
