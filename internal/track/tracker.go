package track

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"sync"
)

// Tracker runs a Config.
type Tracker struct {
	// Set once.
	post  func(Report)
	start func(Script, bool) (program, error)

	// Guarded by mu, which Set and Close hold throughout.
	mu        sync.Mutex
	scripts   map[string]*scriptRunner
	gone      []*scriptRunner // may still have a run to end
	processes *processes      // nil: none was ever wanted
	files     *files
	closed    bool
}

// New makes a tracker that tracks nothing yet.
func New(o Options) *Tracker {
	return &Tracker{post: o.Post, start: startProgram, scripts: map[string]*scriptRunner{}}
}

// Set makes the tracker watch what c says. Things that were there before keep
// their state by kind and name: nothing is reported for them unless it changes.
// The errors name what cannot be watched; everything else is. A thing that
// cannot be watched (a script that is not safe to run) is Down.
func (t *Tracker) Set(c Config) []error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil
	}
	errs := t.setScripts(c.Scripts, c.Secure)
	if t.processes == nil && len(c.Processes) > 0 {
		t.processes = startProcesses(t.post, "/proc", openConnector)
	}
	if t.processes != nil {
		t.processes.set(slices.Clone(c.Processes))
	}
	if t.files == nil && len(c.Files) > 0 {
		t.files = startFiles(t.post)
	}
	if t.files != nil {
		errs = append(errs, t.files.set(c.Files)...)
	}
	return errs
}

// setScripts is the part of Set that is about scripts.
func (t *Tracker) setScripts(list []Script, secure bool) (errs []error) {
	old := t.scripts
	t.scripts = map[string]*scriptRunner{}
	t.gone = slices.DeleteFunc(t.gone, func(r *scriptRunner) bool {
		select {
		case <-r.done:
			return true
		default:
			return false
		}
	})
	for _, s := range list {
		if err := s.Command.Verify(secure); err != nil {
			errs = append(errs, fmt.Errorf("script %s: %w", s.Name, err))
		}
		before := old[s.Name]
		if before != nil && before.secure == secure && reflect.DeepEqual(before.wanted, s) {
			t.scripts[s.Name] = before
			delete(old, s.Name)
			continue
		}
		if before != nil {
			before.end()
		}
		r := newScriptRunner(s, secure, before, t.start, t.post)
		t.scripts[s.Name] = r
		go r.loop()
	}
	for _, r := range old {
		r.end()
		t.gone = append(t.gone, r)
	}
	return errs
}

// Status lists everything, by kind and name.
func (t *Tracker) Status() []Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []Status
	for _, r := range t.scripts {
		list = append(list, r.snapshot())
	}
	if t.processes != nil {
		list = append(list, t.processes.snapshot()...)
	}
	if t.files != nil {
		list = append(list, t.files.snapshot()...)
	}
	slices.SortFunc(list, func(a, b Status) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	return list
}

// Close ends all watches and kills scripts that are running. Nothing is
// reported once it has returned.
func (t *Tracker) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	t.closed = true
	for _, r := range t.scripts {
		r.end()
		t.gone = append(t.gone, r)
	}
	for _, r := range t.gone {
		<-r.done
	}
	if t.processes != nil {
		t.processes.close()
	}
	if t.files != nil {
		t.files.close()
	}
}
