package alert

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fake is a sink that the test decides about.
type fake struct {
	Name   string
	Traits traits
	Does   *fakeOutput
	Rev    int // to make it differ
}

func (f fake) Key() string       { return f.Name }
func (f fake) Wants(*Event) bool { return true }
func (f fake) traits() traits    { return f.Traits }
func (f fake) same(s Spec) bool  { return f == s }
func (f fake) open(tell func(Severity, string)) (output, error) {
	if f.Does == nil {
		return nil, errors.New("will not open")
	}
	f.Does.opened++
	return f.Does, nil
}

// fakeOutput takes events, or does what fail says.
type fakeOutput struct {
	mu     sync.Mutex
	got    []string
	at     []time.Duration
	base   time.Time
	opened int
	closed int
	fail   func(ctx context.Context, e *Event) error
}

func (f *fakeOutput) send(ctx context.Context, batch []*Event) (int, error) {
	for i, e := range batch {
		if f.fail != nil {
			if err := f.fail(ctx, e); err != nil {
				return i, err
			}
		}
		f.mu.Lock()
		f.got = append(f.got, e.Text)
		f.at = append(f.at, time.Since(f.base))
		f.mu.Unlock()
	}
	return len(batch), nil
}

func (f *fakeOutput) close() { f.closed++ }

func (f *fakeOutput) texts() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.got, "|")
}

func post(h *Hub, kind string, texts ...string) {
	for _, t := range texts {
		h.Post(Event{Kind: kind, Plane: "vrrp", Severity: Notice, Text: t})
	}
}

func closeNow(h *Hub, d time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	h.Close(ctx)
}

func TestOrderAndRing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(Options{Ring: 3})
		a, b := &fakeOutput{}, &fakeOutput{}
		if err := h.Set(Config{Sinks: []Spec{fake{Name: "a", Does: a}, fake{Name: "b", Does: b, Traits: traits{batch: 3}}}}); err != nil {
			t.Fatal(err)
		}
		post(h, "k", "1", "2", "3", "4", "5")
		synctest.Wait()
		if a.texts() != "1|2|3|4|5" || b.texts() != "1|2|3|4|5" {
			t.Errorf("%s, %s", a.texts(), b.texts())
		}
		var recent []string
		for _, e := range h.Recent() {
			recent = append(recent, e.Text)
			if e.At.IsZero() {
				t.Error("an event without time")
			}
		}
		if strings.Join(recent, "|") != "3|4|5" {
			t.Errorf("%q", recent)
		}
		closeNow(h, time.Second)
		post(h, "k", "6")
		if a.closed != 1 || b.closed != 1 || len(h.Recent()) != 3 || h.Recent()[2].Text != "6" {
			t.Errorf("closed %d %d, %v", a.closed, b.closed, h.Recent())
		}
		if err := h.Set(Config{}); err == nil {
			t.Error("Set after Close")
		}
	})
}

func TestHangingSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(Options{})
		hang := &fakeOutput{fail: func(ctx context.Context, _ *Event) error { <-ctx.Done(); return ctx.Err() }}
		good := &fakeOutput{}
		h.Set(Config{Queue: 10, Sinks: []Spec{fake{Name: "hang", Does: hang}, fake{Name: "good", Does: good}}})
		start := time.Now()
		for i := range 100 {
			post(h, "k", fmt.Sprint(i))
			synctest.Wait()
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("Post waited for %v", d)
		}
		if n := len(strings.Split(good.texts(), "|")); n != 100 {
			t.Errorf("the other sink got %d", n)
		}
		st := h.Stats()
		if st[1].Key != "hang" || st[1].Queued != 10 || st[1].Dropped != 89 || st[0].Sent != 100 {
			t.Errorf("%+v", st)
		}
		closeNow(h, 5*time.Second)
		if d := time.Since(start); d != 5*time.Second {
			t.Errorf("Close took %v", d)
		}
	})
}

func TestSinkThatHeedsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(Options{})
		release := make(chan struct{})
		stuck := &fakeOutput{fail: func(context.Context, *Event) error { <-release; return nil }}
		h.Set(Config{Sinks: []Spec{fake{Name: "stuck", Does: stuck}}})
		post(h, "k", "1")
		start := time.Now()
		closeNow(h, time.Second)
		if d := time.Since(start); d != time.Second+noticed {
			t.Errorf("Close took %v", d)
		}
		close(release)
	})
}

func TestBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(Options{})
		out := &fakeOutput{base: time.Now()}
		var tries []string
		out.fail = func(_ context.Context, e *Event) error {
			tries = append(tries, time.Since(out.base).String()+" "+e.Text)
			if time.Since(out.base) < 4*time.Second {
				return errors.New("not now")
			}
			return nil
		}
		log := &fakeOutput{}
		h.Set(Config{Sinks: []Spec{
			fake{Name: "mail", Does: out, Traits: traits{firstPause: time.Second, lastPause: 2 * time.Second}},
			fake{Name: "log", Does: log, Traits: traits{local: true}},
			fake{Name: "hook", Does: &fakeOutput{}},
		}})
		post(h, "k", "a")
		synctest.Wait()
		post(h, "k", "b")
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := strings.Join(tries, ", "); got != "0s a, 1s a, 3s a, 5s a, 5s b" {
			t.Error(got)
		}
		if got := log.texts(); got != "a|mail: delivery failed, it is tried again: not now|b|mail: delivers again" {
			t.Error(got)
		}
		for _, s := range h.Stats() {
			if s.Key == "mail" && (s.Retries != 3 || s.Sent != 2 || s.Trouble != "") || s.Key == "hook" && s.Sent != 2 {
				t.Errorf("%+v", s)
			}
		}
		closeNow(h, time.Second)
	})
}

func TestPermanentAndTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(Options{})
		out := &fakeOutput{base: time.Now()}
		out.fail = func(_ context.Context, e *Event) error {
			switch {
			case e.Text == "bad":
				return permanent{errors.New("never")}
			case e.Text == "later":
				return errors.New("not now")
			}
			return nil
		}
		h.Set(Config{Sinks: []Spec{fake{Name: "s", Does: out, Traits: traits{batch: 5, giveUp: time.Minute}}}})
		post(h, "k", "1", "bad", "2")
		synctest.Wait()
		if out.texts() != "1|2" {
			t.Errorf("%s", out.texts())
		}
		post(h, "k", "later", "3")
		time.Sleep(50 * time.Second)
		synctest.Wait()
		if out.texts() != "1|2" {
			t.Errorf("order was not kept: %s", out.texts())
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if out.texts() != "1|2|3" {
			t.Errorf("%s", out.texts())
		}
		if st := h.Stats()[0]; st.Dropped != 2 || st.Sent != 3 {
			t.Errorf("%+v", st)
		}
		closeNow(h, time.Second)
	})
}

func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(Options{})
		out := &fakeOutput{base: time.Now()}
		h.Set(Config{Sinks: []Spec{fake{Name: "s", Does: out, Traits: traits{limit: Limit{Each: 2, Overall: 5, Window: 10 * time.Second}}}}})
		post(h, "a", "a1", "a2", "a3", "a4")
		post(h, "b", "b1", "b2", "b3")
		post(h, "c", "c1", "c2", "c3")
		time.Sleep(9 * time.Second)
		synctest.Wait()
		if out.texts() != "a1|a2|b1|b2|c1" {
			t.Error(out.texts())
		}
		if st := h.Stats()[0]; st.Suppressed != 5 {
			t.Errorf("%+v", st)
		}
		time.Sleep(time.Second + time.Millisecond)
		synctest.Wait()
		// c3 is held by its own window, c2 by that of all.
		want := "a1|a2|b1|b2|c1|1 suppressed in 10s, the last: b3|1 suppressed in 10s, the last: c2|1 suppressed in 10s, the last: c3|2 suppressed in 10s, the last: a4"
		if out.texts() != want {
			t.Errorf("%s, want %s", out.texts(), want)
		}
		post(h, "a", "a5")
		synctest.Wait()
		if out.texts() != want+"|a5" {
			t.Error(out.texts())
		}
		post(h, "a", "a6", "a7")
		closeNow(h, time.Second)
		if !strings.HasSuffix(out.texts(), "|a6|1 suppressed in 0s, the last: a7") {
			t.Errorf("what was held is not told at the end: %s", out.texts())
		}
	})
}

func TestLimiterIsBounded(t *testing.T) {
	l := newLimiter(Limit{Each: 1, Window: time.Minute})
	now := time.Unix(1000, 0)
	for i := range 10 * maxLikenesses {
		l.admit(now, &Event{Name: fmt.Sprint(i)})
	}
	if len(l.each) > maxLikenesses+1 {
		t.Errorf("%d windows", len(l.each))
	}
	list := l.due(now.Add(time.Minute), false)
	if len(l.each) != 0 || len(list) != 1 || l.held != 0 {
		t.Errorf("%d windows, %d summaries, %d held", len(l.each), len(list), l.held)
	}
	if _, ok := l.deadline(); ok {
		t.Error("a deadline without anything held")
	}
}

func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(Options{})
		old := &fakeOutput{fail: func(context.Context, *Event) error { return errors.New("down") }}
		same, gone := &fakeOutput{}, &fakeOutput{}
		gone.fail = func(context.Context, *Event) error { time.Sleep(time.Second); return nil }
		h.Set(Config{Sinks: []Spec{fake{Name: "s", Does: old}, fake{Name: "same", Does: same}, fake{Name: "gone", Does: gone}}})
		post(h, "k", "1", "2")
		synctest.Wait()
		fresh := &fakeOutput{}
		next := Config{Sinks: []Spec{fake{Name: "s", Does: fresh, Rev: 1}, fake{Name: "same", Does: same}}}
		if err := h.Set(Config{Sinks: append(next.Sinks, fake{Name: "new"})}); err == nil || err.Error() != "new: will not open" {
			t.Errorf("a sink that does not open: %v", err)
		}
		if err := h.Set(Config{Sinks: append(next.Sinks, next.Sinks[0])}); err == nil || !strings.Contains(err.Error(), "given twice") {
			t.Errorf("twice: %v", err)
		}
		post(h, "k", "3") // still the old ones
		if err := h.Set(next); err != nil {
			t.Fatal(err)
		}
		post(h, "k", "4")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if fresh.texts() != "1|2|3|4" {
			t.Errorf("the queue was not handed over: %s", fresh.texts())
		}
		if same.texts() != "1|2|3|4" || same.opened != 1 || same.closed != 0 {
			t.Errorf("the unchanged one: %s, opened %d times", same.texts(), same.opened)
		}
		if gone.texts() != "1|2|3" || gone.closed != 1 {
			t.Errorf("the one that is gone: %s, closed %d times", gone.texts(), gone.closed)
		}
		if old.closed != 1 || old.texts() != "" {
			t.Errorf("the old one: %s", old.texts())
		}
		if st := h.Stats(); len(st) != 2 || st[0].Sent != 4 || st[0].Retries == 0 {
			t.Errorf("%+v", st)
		}
		closeNow(h, time.Second)
	})
}

func TestReloadWhileSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(Options{})
		old := &fakeOutput{fail: func(context.Context, *Event) error { time.Sleep(3 * time.Second); return nil }}
		fresh := &fakeOutput{}
		h.Set(Config{Sinks: []Spec{fake{Name: "s", Does: old}}})
		post(h, "k", "1", "2")
		synctest.Wait()
		h.Set(Config{Sinks: []Spec{fake{Name: "s", Does: fresh}}})
		post(h, "k", "3")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if old.texts() != "1" || fresh.texts() != "2|3" {
			t.Errorf("%s, %s", old.texts(), fresh.texts())
		}
		closeNow(h, time.Second)
	})
}

func TestBrokenSinksDoNotFeedEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(Options{})
		broken := func() *fakeOutput {
			return &fakeOutput{fail: func(context.Context, *Event) error { return permanent{errors.New("broken")} }}
		}
		h.Set(Config{Sinks: []Spec{
			fake{Name: "a", Does: broken()}, fake{Name: "b", Does: broken()},
			fake{Name: "c", Does: broken(), Traits: traits{local: true}}, fake{Name: "d", Does: broken(), Traits: traits{local: true}},
		}})
		post(h, "k", "1")
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := len(h.Recent()); n > 10 {
			t.Errorf("%d events", n)
		}
		closeNow(h, time.Second)
	})
}
