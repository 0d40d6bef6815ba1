package director

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"evenkeel/internal/alert"
	"evenkeel/internal/health/real"
	"evenkeel/internal/l4"
	"evenkeel/internal/model"
)

// How long to wait before a plane that refused is asked again: twice as long
// each time.
const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 10 * time.Second
)

// loop brings the plane to what is wanted whenever something has happened, and
// then tells of it: a script that hears of a server finds it in or out.
func (s *Service) loop(ctx context.Context) {
	defer close(s.ended)
	pause := firstRetry
	retry := time.NewTimer(0)
	retry.Stop()
	defer retry.Stop()
	drained := time.NewTicker(drainCheck) // somebody may have
	defer drained.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.queue.kick:
		case <-retry.C:
		case <-drained.C:
			if !s.someoneLeft() {
				continue
			}
		}
		s.watch()
		events := s.drain()
		s.mu.Lock()
		err := s.set()
		s.report(err)
		s.pairUp()
		s.save()
		s.mu.Unlock()
		s.post(events)
		if err == nil {
			pause = firstRetry
			retry.Stop()
			continue
		}
		retry.Reset(pause)
		pause = min(2*pause, lastRetry)
	}
}

// wake has the loop look.
func (s *Service) wake() {
	select {
	case s.queue.kick <- struct{}{}:
	default:
	}
}

// happened takes an event of the checks.
func (s *Service) happened(e real.Event) {
	s.queue.mu.Lock()
	s.queue.events = append(s.queue.events, e)
	s.queue.mu.Unlock()
	s.wake()
}

func (s *Service) drain() []real.Event {
	s.queue.mu.Lock()
	defer s.queue.mu.Unlock()
	events := s.queue.events
	s.queue.events = nil
	return events
}

// watch passes on what others have seen change.
func (s *Service) watch() {
	s.takeHeld()
	s.queue.mu.Lock()
	changed := s.queue.changed
	s.queue.changed = nil
	s.queue.mu.Unlock()
	for _, w := range changed {
		s.runner.Changed(w.Kind, w.Name)
	}
}

// takeHeld gives the checks the addresses of the host.
func (s *Service) takeHeld() {
	var held func(netip.Prefix) bool
	s.queue.mu.Lock()
	moved := s.queue.moved
	held, s.queue.moved = s.queue.held, false
	s.queue.mu.Unlock()
	if moved {
		s.runner.Held(held)
	}
}

// wants is what should be forwarded now.
func (s *Service) wants() []service {
	to := map[string][]real.Destination{}
	if s.runner != nil {
		for _, v := range s.runner.Status() {
			to[v.Name] = v.Destinations
		}
	}
	return s.manual.apply(s.leaving.stay(s.plan.services(to)))
}

// someoneLeft says whether a server that leaves has no connections any more.
func (s *Service) someoneLeft() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pair.trouble != "" || len(s.pair.lost) > 0 {
		s.pairUp() // the kernel may do it now, or the time of those that were lost is over
	}
	if s.plane == nil || !s.leaving.waiting() {
		return false
	}
	snapshot, err := s.plane.Stats()
	return err == nil && s.leaving.count(&snapshot)
}

// configFor is the plane's configuration for services.
func (s *Service) configFor(list []service) l4.Config {
	c := s.plan.config(list)
	c.Timeouts = s.manual.timeouts(c.Timeouts)
	s.pair.shortest.Store(int64(shortest(&c)))
	return c
}

// set brings the plane to what is wanted. The plane is opened with the first
// service: a node without any needs none.
func (s *Service) set() error {
	list := s.wants()
	if s.plane == nil {
		if len(list) == 0 {
			return nil
		}
		if err := s.open(); err != nil {
			return err
		}
	}
	return s.put(list)
}

// put makes the plane forward what is in the list.
func (s *Service) put(list []service) error {
	if err := s.plane.Set(s.configFor(list)); err != nil {
		return err
	}
	begun := s.leaving.told(list)
	forgetter, ok := s.plane.(l4.Forgetter)
	if !ok {
		return nil // persistence that was added by hand runs out by itself there
	}
	for _, x := range begun {
		if err := forgetter.Forget(x.service, x.server); err != nil {
			s.warn("forwarding", fmt.Sprintf("clients of %v that were sent to %v before come back to it: %v", x.service, x.server, err))
		}
	}
	return nil
}

// report tells when the plane is not as wanted, and when it is again.
func (s *Service) report(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text == s.trouble {
		return
	}
	s.trouble = text
	if err != nil {
		s.opt.Post(alert.Event{Kind: "forwarding", Severity: alert.Error, Plane: "l4", Text: "packets are not forwarded as wanted, it is tried again: " + text})
		return
	}
	s.opt.Post(alert.Event{Kind: "forwarding", Severity: alert.Notice, Plane: "l4", Text: "packets are forwarded as wanted again"})
}

func (s *Service) notice(kind, text string) {
	s.opt.Post(alert.Event{Kind: kind, Severity: alert.Notice, Plane: "l4", Text: text})
}

func (s *Service) warn(kind, text string) {
	s.opt.Post(alert.Event{Kind: kind, Severity: alert.Warning, Plane: "l4", Text: text})
}

// post tells people and scripts.
func (s *Service) post(events []real.Event) {
	if len(events) == 0 {
		return
	}
	s.mu.Lock()
	f := s.plan.model
	s.mu.Unlock()
	for i := range events {
		s.opt.Post(alertOf(&events[i], f))
	}
}

// save writes the state down where it has changed.
func (s *Service) save() {
	var down []downServer
	for _, v := range s.runner.Status() {
		for _, r := range v.Servers {
			if !r.Up {
				down = append(down, downServer{v.Name, serverName(r.Real)})
			}
		}
	}
	if !s.unsaved && slices.Equal(down, s.down) {
		return
	}
	x := &saved{Manual: s.manual, Down: down}
	gone := map[l4.Key]bool{}
	for i := range s.manual.Services {
		if m := &s.manual.Services[i]; m.Deleted && !m.Whole {
			gone[m.Key] = true
		}
	}
	for _, v := range s.plan.virtuals {
		for _, k := range v.keys {
			if !gone[k] {
				x.Owned = append(x.Owned, k)
			}
		}
	}
	s.write(x)
}

// write replaces the file, which is not there as long as there is nothing to
// say.
func (s *Service) write(x *saved) {
	var err error
	if len(x.Owned) > 0 || len(x.Manual.Services) > 0 {
		err = x.write(s.opt.StateFile)
	} else {
		err = forget(s.opt.StateFile)
	}
	if err != nil {
		s.warn("state", "what the next process needs is not written down: "+err.Error())
		return
	}
	s.unsaved, s.down = false, x.Down
}

// serverName is a real server's address and port.
func serverName(r *model.RealServer) string { return netip.AddrPortFrom(r.Addr, r.Port).String() }
