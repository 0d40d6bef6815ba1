package keeper

import (
	"os"
	"syscall"

	"evenkeel/internal/keeper/socket"
)

// table is every listening socket that the keeper holds, by key.
type table struct {
	held map[string]*listener
}

type listener struct {
	spec    socket.Spec
	fd      int
	publish func() error // nil when done or not needed
	wanted  map[int]socket.Spec
	kept    bool // served by the current worker, or taken over and not yet refused
}

func newTable() *table { return &table{held: map[string]*listener{}} }

// adopt takes a socket over from another process. Those that nobody asks for
// are closed by the next commit.
func (t *table) adopt(spec socket.Spec, fd int) {
	key := spec.Key()
	if _, taken := t.held[key]; taken {
		syscall.Close(fd)
		return
	}
	t.held[key] = &listener{spec: spec, fd: fd, wanted: map[int]socket.Spec{}}
}

// find gives the socket that serves spec already.
func (t *table) find(spec socket.Spec, generation int) (fd int, ok bool) {
	l := t.held[spec.Key()]
	if l == nil {
		return -1, false
	}
	l.wanted[generation] = spec
	return l.fd, true
}

func (t *table) add(spec socket.Spec, generation, fd int, publish func() error) {
	t.held[spec.Key()] = &listener{spec: spec, fd: fd, publish: publish,
		wanted: map[int]socket.Spec{generation: spec}}
}

// commit keeps what the generation wants, publishes what is new, and closes
// the rest.
func (t *table) commit(generation int) error {
	for _, l := range t.held {
		if _, ok := l.wanted[generation]; ok && l.publish != nil {
			if err := l.publish(); err != nil {
				return err
			}
			l.publish = nil
		}
	}
	for key, l := range t.held {
		spec, ok := l.wanted[generation]
		if !ok {
			l.close()
			delete(t.held, key)
			continue
		}
		if changed(l.spec, spec) {
			// The address is served either way; an option that the kernel
			// refuses now would have been refused on a new socket as well.
			_ = socket.Adjust(l.fd, spec)
		}
		l.spec = spec
		l.kept = true
		l.wanted = map[int]socket.Spec{generation: spec}
	}
	return nil
}

func changed(a, b socket.Spec) bool {
	return a.Backlog != b.Backlog || a.MSS != b.MSS || a.FastOpen != b.FastOpen ||
		a.DeferAccept != b.DeferAccept || a.UserTimeout != b.UserTimeout
}

// abort forgets what a generation that failed had asked for.
func (t *table) abort(generation int) {
	for key, l := range t.held {
		delete(l.wanted, generation)
		if l.publish != nil && len(l.wanted) == 0 {
			l.close()
			delete(t.held, key)
		}
		if !l.kept && l.publish == nil && len(l.wanted) == 0 && generation > 1 {
			l.close()
			delete(t.held, key)
		}
	}
}

// close closes this process's copy; the file of a unix socket goes away if
// it still leads here.
func (l *listener) close() {
	path := l.spec.Path
	if path != "" && path[0] != '@' && l.kept && l.publish == nil && !l.spec.Inherited {
		os.Remove(path)
	}
	if l.publish != nil {
		os.Remove(socket.TempPath(path))
	}
	syscall.Close(l.fd)
}

// closeAll lets go of every socket, but leaves files where they are: another
// process may serve them by now.
func (t *table) closeAll() {
	for key, l := range t.held {
		if l.publish != nil {
			os.Remove(socket.TempPath(l.spec.Path))
		}
		syscall.Close(l.fd)
		delete(t.held, key)
	}
}

func (t *table) list() (specs []socket.Spec, fds []int) {
	for _, l := range t.held {
		if l.kept {
			specs = append(specs, l.spec)
			fds = append(fds, l.fd)
		}
	}
	return specs, fds
}
