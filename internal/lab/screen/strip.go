package screen

import (
	"slices"
	"time"

	"evenkeel/internal/lab/record"
)

// cell is a short stretch of time on the screen.
type cell struct {
	known    bool  // the prober was at work
	owners   []int // directors that answered for the address
	missed   bool  // a probe got no answer
	answered int   // requests
	lost     int
}

// strip cuts the records of the last seconds, of one address, into cells, the
// newest last. Requests are those to all addresses. Records come in packets, so what is younger than lag is not shown yet.
func strip(records []record.Record, vip int, now time.Duration, cells int, each, lag time.Duration, owner func(record.MAC) int) []cell {
	list := make([]cell, cells)
	// Cells stand on whole multiples, so that they move without flickering.
	end := (now - lag) / each * each
	at := func(t time.Duration) *cell {
		if i := cells - 1 - int((end-t-1)/each); t < end && i >= 0 && i < cells {
			return &list[i]
		}
		return nil
	}
	windows := map[uint32]*cell{}
	for _, r := range records {
		c := at(r.At)
		if c == nil && r.Kind != record.Echo {
			continue
		}
		switch r.Kind {
		case record.Window:
			c.known, windows[r.Number] = true, c
		case record.Owner:
			if o := owner(r.MAC); r.VIP == vip && o >= 0 && !slices.Contains(c.owners, o) {
				c.owners = append(c.owners, o)
			}
		case record.Echo:
			if r.VIP == vip {
				delete(windows, r.Number)
			}
		case record.Answer:
			c.answered++
		case record.Lost:
			c.lost++
		}
	}
	for _, c := range windows {
		c.missed = true
	}
	return list
}
