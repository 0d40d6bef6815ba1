package alert

import (
	"context"
	"time"
)

// Spec describes one sink. The kinds of sink are the types that implement it,
// one a file: Syslog, Journal, Stream, Webhook, Mail, Scripts, FIFO.
type Spec interface {
	// Key names the sink: two specs with one key are the same sink before and
	// after a reload, which keeps its queue.
	Key() string
	// Wants says whether the sink takes an event at all.
	Wants(*Event) bool
	traits() traits
	// open makes the sink ready. tell is for troubles that no send meets; it
	// may be called from any goroutine.
	open(tell func(Severity, string)) (output, error)
}

// output is an open sink. All calls come from one goroutine; one that has a
// method begin has it called before the first send, when the sink that it
// replaces is closed.
type output interface {
	// send delivers events in order and says how many it is done with. With an
	// error that is not permanent the rest is tried again later; with a
	// permanent one the first of the rest is given up.
	send(ctx context.Context, batch []*Event) (done int, err error)
	close()
}

// traits are what the queue of a kind of sink needs to know.
type traits struct {
	limit Limit
	// local sinks are told of other sinks' troubles; remote ones are not, or
	// two broken ones would feed each other.
	local bool
	// timeout bounds one send.
	timeout time.Duration
	// giveUp: an event that could not be delivered for so long is dropped; 0: never.
	giveUp time.Duration
	batch  int
	// The first pause after a failure, and the longest; 0: the usual ones.
	firstPause, lastPause time.Duration
}

// Limit bounds how many events a sink delivers: in each window so many of one
// plane, kind and name, and so many overall. What is beyond is counted, and
// told in one line when the window ends. Zeros: no limit.
type Limit struct {
	Each    int
	Overall int
	Window  time.Duration
}

// Config is all sinks. Their keys must differ.
type Config struct {
	Sinks []Spec
	// Queue is how many events wait for a sink at most, 0: 1024. The oldest is
	// dropped for a new one.
	Queue int
}

// Options are set once.
type Options struct {
	Ring int // how many events Recent remembers; 0: 256
}

// SinkStats is a sink as it is now.
type SinkStats struct {
	Key        string
	Queued     int
	Sent       uint64
	Dropped    uint64
	Suppressed uint64
	Retries    uint64
	Trouble    string // the last error while it lasts; never a secret
}
