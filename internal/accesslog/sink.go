package accesslog

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"unsafe"

	"evenkeel/internal/model"
)

// maxPieces: priority, header, structured data and its space, line, line end.
const maxPieces = 6

// pieces is one line, gathered by the kernel.
type pieces struct {
	iov [maxPieces]syscall.Iovec
	n   int
	len int

	scratch []byte // a header with its microseconds
}

// reset lets go of the line.
func (v *pieces) reset() {
	clear(v.iov[:v.n])
	v.n, v.len = 0, 0
}

// add appends at most left bytes of b and says how many may follow.
func (v *pieces) add(b []byte, left int) int {
	if len(b) > left {
		b = b[:left]
	}
	if len(b) == 0 {
		return left
	}
	v.iov[v.n].Base = &b[0]
	v.iov[v.n].SetLen(len(b))
	v.n++
	v.len += len(b)
	return left - len(b)
}

// Sockets holds the datagram sockets that all targets share: none is bound to
// one peer, so that an ICMP error of one does not eat a line of another.
type Sockets struct {
	mu sync.Mutex
	fd map[int]int // by address family
}

// NewSockets makes an empty set; sockets are opened as targets need them.
func NewSockets() *Sockets { return &Sockets{fd: map[int]int{}} }

// Close closes all sockets of the set. Nothing may be sent afterwards.
func (s *Sockets) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for f, fd := range s.fd {
		syscall.Close(fd)
		delete(s.fd, f)
	}
}

func (s *Sockets) open(family int) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if fd, ok := s.fd[family]; ok {
		return fd, nil
	}
	fd, err := syscall.Socket(family, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	s.fd[family] = fd
	return fd, nil
}

// sink writes the pieces of one line at once, or not at all. Exactly one field
// is set. It is no interface: behind one, every line would escape to the heap.
type sink struct {
	datagram *datagram
	fd       *fdSink
	stream   *stream
}

// write says whether the line went out.
func (s *sink) write(v *pieces) bool {
	switch {
	case s.datagram != nil:
		return s.datagram.write(v)
	case s.fd != nil:
		return s.fd.write(v)
	default:
		return s.stream.write(v)
	}
}

// close frees what belongs to the sink alone: sockets are the set's, and
// descriptors were only lent.
func (s *sink) close() {
	if s.stream != nil {
		s.stream.close()
	}
}

// sinks is how each network of a log line is opened.
var sinks = map[string]func(s *Sockets, m *model.LogTarget) (sink, error){
	"udp":      openUDP,
	"udp4":     openUDP,
	"udp6":     openUDP,
	"unixgram": openUnix,
	"unix":     openUnix,
	"fd":       openFD,
	"stdout":   func(*Sockets, *model.LogTarget) (sink, error) { return newFDSink(1) },
	"stderr":   func(*Sockets, *model.LogTarget) (sink, error) { return newFDSink(2) },
	"tcp":      openStream,
	"tcp4":     openStream,
	"tcp6":     openStream,
}

func (s *Sockets) sink(m *model.LogTarget) (sink, error) {
	open, ok := sinks[m.Network]
	if !ok {
		return sink{}, fmt.Errorf("a log target on %q is not supported", m.Network)
	}
	return open(s, m)
}

// datagram sends each line as one datagram to one address.
type datagram struct {
	fd   int
	name []byte // the raw socket address
}

func openUDP(s *Sockets, m *model.LogTarget) (sink, error) {
	addr := m.Addr
	if _, _, err := net.SplitHostPort(addr); err != nil {
		addr = net.JoinHostPort(strings.Trim(addr, "[]"), "514")
	}
	a, err := net.ResolveUDPAddr(m.Network, addr)
	if err != nil {
		return sink{}, err
	}
	if a.Port == 0 {
		a.Port = 514
	}
	if ip4 := a.IP.To4(); ip4 != nil {
		raw := syscall.RawSockaddrInet4{Family: syscall.AF_INET, Port: bigEndian(a.Port)}
		copy(raw.Addr[:], ip4)
		return newDatagram(s, syscall.AF_INET, unsafe.Slice((*byte)(unsafe.Pointer(&raw)), syscall.SizeofSockaddrInet4))
	}
	raw := syscall.RawSockaddrInet6{Family: syscall.AF_INET6, Port: bigEndian(a.Port)}
	copy(raw.Addr[:], a.IP.To16())
	if a.Zone != "" {
		ifi, err := net.InterfaceByName(a.Zone)
		if err != nil {
			return sink{}, err
		}
		raw.Scope_id = uint32(ifi.Index)
	}
	return newDatagram(s, syscall.AF_INET6, unsafe.Slice((*byte)(unsafe.Pointer(&raw)), syscall.SizeofSockaddrInet6))
}

func bigEndian(port int) uint16 {
	b := [2]byte{byte(port >> 8), byte(port)}
	return *(*uint16)(unsafe.Pointer(&b))
}

func openUnix(s *Sockets, m *model.LogTarget) (sink, error) {
	raw := syscall.RawSockaddrUnix{Family: syscall.AF_UNIX}
	path := []byte(m.Addr)
	if len(path) == 0 || len(path) >= len(raw.Path) {
		return sink{}, fmt.Errorf("the path of a log socket has 1 to %d bytes", len(raw.Path)-1)
	}
	size := 2 + len(path) + 1
	if path[0] == '@' {
		path[0] = 0
		size-- // an abstract name has no final zero
	}
	for i, c := range path {
		raw.Path[i] = int8(c)
	}
	return newDatagram(s, syscall.AF_UNIX, unsafe.Slice((*byte)(unsafe.Pointer(&raw)), size))
}

func newDatagram(s *Sockets, family int, name []byte) (sink, error) {
	fd, err := s.open(family)
	return sink{datagram: &datagram{fd: fd, name: append([]byte(nil), name...)}}, err
}

func (d *datagram) write(v *pieces) bool {
	var msg syscall.Msghdr
	msg.Name = &d.name[0]
	msg.Namelen = uint32(len(d.name))
	msg.Iov = &v.iov[0]
	msg.Iovlen = uint64(v.n)
	for {
		// A raw call: it cannot block, so the scheduler need not know.
		_, _, e := syscall.RawSyscall(syscall.SYS_SENDMSG, uintptr(d.fd), uintptr(unsafe.Pointer(&msg)),
			syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL)
		if e != syscall.EINTR {
			return e == 0
		}
	}
}

// fdSink writes to a descriptor that others hold too, so its flags must stay
// as they are: each kind has its own way of not blocking.
type fdSink struct {
	fd     int
	socket bool
}

func openFD(_ *Sockets, m *model.LogTarget) (sink, error) {
	fd, err := strconv.Atoi(m.Addr)
	if err != nil || fd < 0 {
		return sink{}, fmt.Errorf("%q is not the number of a descriptor", m.Addr)
	}
	return newFDSink(fd)
}

func newFDSink(fd int) (sink, error) {
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		return sink{}, fmt.Errorf("descriptor %d: %w", fd, err)
	}
	return sink{fd: &fdSink{fd: fd, socket: st.Mode&syscall.S_IFMT == syscall.S_IFSOCK}}, nil
}

// pollFD is struct pollfd.
type pollFD struct {
	fd      int32
	events  int16
	revents int16
}

const pollOut = 4

func (f *fdSink) write(v *pieces) bool {
	for {
		var n uintptr
		var e syscall.Errno
		if f.socket {
			var msg syscall.Msghdr
			msg.Iov = &v.iov[0]
			msg.Iovlen = uint64(v.n)
			n, _, e = syscall.RawSyscall(syscall.SYS_SENDMSG, uintptr(f.fd), uintptr(unsafe.Pointer(&msg)),
				syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL)
		} else {
			// A pipe that polls writable takes PIPE_BUF bytes at once; a
			// terminal or a file takes any line.
			p := pollFD{fd: int32(f.fd), events: pollOut}
			var now syscall.Timespec // zero: do not wait
			n, _, e = syscall.RawSyscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1, uintptr(unsafe.Pointer(&now)), 0, 0, 0)
			if e == 0 {
				if n == 0 || p.revents&pollOut == 0 {
					return false
				}
				n, _, e = syscall.RawSyscall(syscall.SYS_WRITEV, uintptr(f.fd), uintptr(unsafe.Pointer(&v.iov[0])), uintptr(v.n))
			}
		}
		if e != syscall.EINTR {
			return e == 0 && int(n) == v.len
		}
	}
}
