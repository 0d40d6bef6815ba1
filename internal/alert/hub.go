package alert

import "context"

// Hub takes events and hands them to all sinks.
type Hub struct{}

// New makes a hub without sinks. Events are remembered from the start.
func New(o Options) *Hub { return &Hub{} }

// Post hands an event to every sink that wants it. It never blocks and may be
// called from any goroutine; events of one goroutine keep their order in every
// sink.
func (h *Hub) Post(e Event) {}

// Set switches to the sinks of c. Sinks with the same spec stay as they are,
// those whose spec changed go on with their queue, and those that are gone
// deliver what they have in the background. On an error nothing has changed.
func (h *Hub) Set(c Config) error { return nil }

// Recent gives the latest events, the oldest first.
func (h *Hub) Recent() []Event { return nil }

// Stats lists the sinks by key.
func (h *Hub) Stats() []SinkStats { return nil }

// Close delivers what is queued until ctx ends, then gives up and closes all
// sinks. Events posted afterwards are only remembered.
func (h *Hub) Close(ctx context.Context) {}
