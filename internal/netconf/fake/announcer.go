package fake

import (
	"slices"

	"evenkeel/internal/netconf"
)

// Announcer records frames in place of netconf.Announcer.
type Announcer struct {
	// Refuse is asked for each frame; nil: all are taken.
	Refuse func(netconf.Frame) error

	frames []netconf.Frame
	stats  netconf.AnnouncerStats
}

// Send is netconf.Announcer's.
func (a *Announcer) Send(frames []netconf.Frame) (sent int, first error) {
	for _, f := range frames {
		if a.Refuse != nil {
			if err := a.Refuse(f); err != nil {
				a.stats.Refused++
				if first == nil {
					first = err
				}
				continue
			}
		}
		a.frames = append(a.frames, netconf.Frame{Index: f.Index, Bytes: slices.Clone(f.Bytes)})
		sent++
	}
	a.stats.Sent += uint64(sent)
	return sent, first
}

// Frames gives what was sent since the last call.
func (a *Announcer) Frames() []netconf.Frame {
	f := a.frames
	a.frames = nil
	return f
}

// Stats is netconf.Announcer's.
func (a *Announcer) Stats() netconf.AnnouncerStats { return a.stats }

// Close is netconf.Announcer's.
func (a *Announcer) Close() error { return nil }
