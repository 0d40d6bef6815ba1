package engine

import (
	"bytes"
	"crypto/tls"
	"net"
	"reflect"
	"syscall"
	"time"
	"unsafe"
)

// The rest of net.Conn, for crypto/tls and for the callbacks of a tls.Config,
// which see the connection in ClientHelloInfo.Conn.

func (w wire) Close() error                     { return nil }
func (w wire) SetDeadline(time.Time) error      { return nil }
func (w wire) SetReadDeadline(time.Time) error  { return nil }
func (w wire) SetWriteDeadline(time.Time) error { return nil }

func (w wire) LocalAddr() net.Addr  { return w.name(syscall.SYS_GETSOCKNAME) }
func (w wire) RemoteAddr() net.Addr { return w.name(syscall.SYS_GETPEERNAME) }

// name asks the kernel; under mu, because it may be asked by the handshake.
func (w wire) name(call uintptr) net.Addr {
	h := &w.hs
	h.mu.Lock()
	defer h.mu.Unlock()
	var sa syscall.RawSockaddrAny
	size := uint32(unsafe.Sizeof(sa))
	if h.fd >= 0 {
		syscall.RawSyscall(call, uintptr(h.fd), uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size)))
	}
	if ap := addrPort(&sa); ap.IsValid() {
		return net.TCPAddrFromAddrPort(ap)
	}
	return &net.UnixAddr{Net: "unix"}
}

// crypto/tls keeps the biggest input buffer that a connection ever needed, and
// does not tell whether it holds input. Both matter to a proxy with many
// connections, so the engine looks at that one field, if this version of
// crypto/tls has it; without it everything works, with more memory.
var rawInputOffset = func() uintptr {
	f, ok := reflect.TypeFor[tls.Conn]().FieldByName("rawInput")
	if !ok || f.Type != reflect.TypeFor[bytes.Buffer]() {
		return 0
	}
	return f.Offset
}()

func (s *tlsState) rawInput() *bytes.Buffer {
	if rawInputOffset == 0 {
		return nil
	}
	return (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(s.conn), rawInputOffset))
}

// holds: crypto/tls has input (maybe only a part of a record).
func (s *tlsState) holds() bool {
	b := s.rawInput()
	return b == nil || b.Len() > 0
}

const (
	fatInput = 4096
	fatAfter = 1e9
)

// slim notes a session with a big input buffer, to take it away when the
// session is idle.
func (s *tlsState) slim() {
	s.readAt = s.l.now
	if s.fat {
		return
	}
	if b := s.rawInput(); b != nil && b.Cap() > fatInput {
		l := s.l
		s.fat = true
		l.fat = append(l.fat, s)
		if !l.fatTimer.Armed() {
			l.Arm(&l.fatTimer, (*slimmer)(l), l.now+fatAfter)
		}
	}
}

// slimmer is the loop as the owner of the timer that looks at Loop.fat.
type slimmer Loop

func (r *slimmer) OnTimer(t *Timer) {
	l := (*Loop)(r)
	kept := l.fat[:0]
	for _, s := range l.fat {
		if s.c == nil {
			continue
		}
		if s.more || l.now-s.readAt < fatAfter {
			kept = append(kept, s)
			continue
		}
		s.fat = false
		if b := s.rawInput(); b != nil && b.Len() == 0 {
			*b = bytes.Buffer{}
		}
	}
	clear(l.fat[len(kept):])
	l.fat = kept
	if len(kept) > 0 {
		l.Arm(t, r, l.now+fatAfter)
	}
}
