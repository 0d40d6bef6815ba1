package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os/exec"
	"strings"
	"sync"
	"time"

	"evenkeel/internal/lab/measure"
	"evenkeel/internal/lab/probe"
	"evenkeel/internal/lab/record"
	"evenkeel/internal/lab/space"
)

// Watch is the pair of observers of a cluster, and what they have told.
type Watch struct {
	observers []*observer
	vips      int

	mu      sync.Mutex
	live    *measure.Live
	records []record.Record
	changed chan struct{} // closed and replaced when a window ends
	copy    io.Writer     // gets every record, too; may be nil
	failed  error
}

// observer is one process in the client's namespace.
type observer struct {
	cmd  *exec.Cmd
	stop io.Closer
	said *strings.Builder
	done chan struct{}
}

// Watch starts the observers. End them with Close.
func (c *Cluster) Watch(load probe.Load) (*Watch, error) {
	w := &Watch{vips: len(c.Topology.VIPs), live: measure.NewLive(len(c.Topology.VIPs), probe.Period), changed: make(chan struct{})}
	prober := []string{"lab", "probe"}
	asker := []string{"lab", "load", fmt.Sprintf("-kept=%d", load.Kept), fmt.Sprintf("-fresh=%d", load.Fresh),
		fmt.Sprintf("-pause=%s", load.Pause), fmt.Sprintf("-timeout=%s", load.Timeout)}
	for _, v := range c.Topology.VIPs {
		prober = append(prober, v.Address.String())
		asker = append(asker, netip.AddrPortFrom(v.Address, uint16(v.Port)).String())
	}
	observers := [][]string{prober}
	if c.Topology.Haproxy != "" && load.Kept+load.Fresh > 0 {
		observers = append(observers, asker)
	}
	for _, args := range observers {
		if err := w.observe(c, args); err != nil {
			w.Close()
			return nil, err
		}
	}
	return w, nil
}

// Burn keeps that many processors busy until Close, as a cluster under full
// load does. The burners stand in the client's namespace, so that `lab down`
// finds them.
func (w *Watch) Burn(c *Cluster, processors int) error {
	for range processors {
		if err := w.observe(c, []string{"lab", "burn"}); err != nil {
			return err
		}
	}
	return nil
}

func (w *Watch) observe(c *Cluster, args []string) error {
	o := &observer{cmd: exec.Command(c.program, args...), said: &strings.Builder{}, done: make(chan struct{})}
	// Its end closes the pipe, also when this process is killed: then the observer goes, too.
	stop, err := o.cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := o.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	o.stop, o.cmd.Stderr = stop, o.said
	o.cmd.Env = append(environment(), c.place.mark(c.Topology.Name))
	o.cmd.SysProcAttr = apart()
	if err := space.In(c.space(clientName), o.cmd.Start); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(args[:2], " "), err)
	}
	w.observers = append(w.observers, o)
	go func() {
		defer close(o.done)
		w.listen(out)
		err := o.cmd.Wait()
		w.fail(fmt.Errorf("the %s ended: %v: %s", args[1], err, strings.TrimSpace(o.said.String())))
	}()
	return nil
}

func (w *Watch) listen(out io.Reader) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if r, err := record.Parse(lines.Bytes()); err == nil {
			w.add(r)
		}
	}
}

func (w *Watch) add(r record.Record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.live.Add(r)
	if w.copy != nil {
		w.copy.Write(record.Append(nil, r))
	}
	w.records = append(w.records, r)
	if r.Kind == record.Window || r.Kind == record.Held {
		close(w.changed)
		w.changed = make(chan struct{})
	}
}

func (w *Watch) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failed == nil {
		w.failed = err
		close(w.changed)
		w.changed = make(chan struct{})
	}
}

// Close ends the observers.
func (w *Watch) Close() {
	for _, o := range w.observers {
		o.stop.Close()
		<-o.done
	}
}

var errLate = errors.New("it took too long")

// Until waits until is says yes, which is asked after every probe.
func (w *Watch) Until(ctx context.Context, within time.Duration, is func(l *measure.Live) bool) error {
	timeout := time.NewTimer(within)
	defer timeout.Stop()
	for {
		w.mu.Lock()
		yes, failed, changed := is(w.live), w.failed, w.changed
		w.mu.Unlock()
		switch {
		case failed != nil:
			return failed
		case yes:
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timeout.C:
			return errLate
		case <-changed:
		}
	}
}

// Copy lets a writer have every record from now on.
func (w *Watch) Copy(to io.Writer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.copy = to
}

// Mark adds a record of what the lab itself did.
func (w *Watch) Mark(at time.Duration, text string) {
	w.add(record.Record{At: at, Kind: record.Mark, Text: text})
}

// Now looks at how things are.
func (w *Watch) Now(look func(l *measure.Live)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	look(w.live)
}

// Recent gives the records of the last while, and the time of the last probe.
func (w *Watch) Recent(long time.Duration) ([]record.Record, time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.live.Now()
	// The observers write in turns, a packet at a time: a little disorder.
	const disorder = 100 * time.Millisecond
	first := len(w.records)
	for first > 0 && w.records[first-1].At >= now-long-disorder {
		first--
	}
	return append([]record.Record(nil), w.records[first:]...), now
}

// Counts gives the requests answered and lost so far.
func (w *Watch) Counts() (answered, lost int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.live.Counts()
}

// shown is how long records are remembered for who looks at the last seconds.
const shown = 30 * time.Second

// Since gives the records from a moment on, in order, and forgets those that
// are older and that nobody is shown any more.
func (w *Watch) Since(from time.Duration) []record.Record {
	w.mu.Lock()
	defer w.mu.Unlock()
	var since, kept []record.Record
	for _, r := range w.records {
		if r.At >= from {
			since = append(since, r)
		}
		if r.At >= min(from, w.live.Now()-shown) {
			kept = append(kept, r)
		}
	}
	w.records = kept
	measure.Sort(since)
	return since
}
