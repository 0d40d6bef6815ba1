package netconf

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// chunk is how many bytes go to the kernel in one call, well below a socket's
// send buffer.
const chunk = 64 << 10

// outcome is what the kernel said to one message of a batch.
type outcome struct {
	errno unix.Errno
	text  string // the kernel's own words, if it had any
}

// batch is messages that go to the kernel together. Only the last of each
// datagram asks for an answer: the kernel works through a datagram in order and
// answers failures unasked, so that one answer stands for all that went well.
type batch struct {
	bytes  []byte
	starts []int
	failed map[int]outcome // by the message's number
}

func (b *batch) reset() {
	b.bytes, b.starts = b.bytes[:0], b.starts[:0]
	clear(b.failed)
}

// add copies a complete message, with further flags.
func (b *batch) add(m []byte, flags uint16) {
	start := len(b.bytes)
	b.starts = append(b.starts, start)
	b.bytes = append(b.bytes, m...)
	native.PutUint16(b.bytes[start+6:], unix.NLM_F_REQUEST|flags)
	for len(b.bytes)%4 != 0 {
		b.bytes = append(b.bytes, 0)
	}
}

func (b *batch) fail(i int, o outcome) {
	if b.failed == nil {
		b.failed = map[int]outcome{}
	}
	b.failed[i] = o
}

// socket is a NETLINK_ROUTE socket for requests.
type socket struct {
	fd       int
	port     uint32
	sequence uint32
	timeout  time.Duration
	receive  []byte
}

func openSocket(timeout time.Duration) (*socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, os.NewSyscallError("netlink socket", err)
	}
	s := &socket{fd: fd, timeout: timeout, receive: make([]byte, 64<<10)}
	if err := s.prepare(); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return s, nil
}

func (s *socket) prepare() error {
	limit := unix.NsecToTimeval(int64(s.timeout))
	for _, option := range []int{unix.SO_RCVTIMEO, unix.SO_SNDTIMEO} {
		if err := unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, option, &limit); err != nil {
			return os.NewSyscallError("netlink timeout", err)
		}
	}
	// Answers name what is wrong, and do not repeat the request. Old kernels
	// know neither; that costs the words only.
	_ = unix.SetsockoptInt(s.fd, unix.SOL_NETLINK, unix.NETLINK_EXT_ACK, 1)
	_ = unix.SetsockoptInt(s.fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1)
	growReceive(s.fd, 1<<20)
	if err := unix.Bind(s.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("netlink bind", err)
	}
	name, err := unix.Getsockname(s.fd)
	if err != nil {
		return os.NewSyscallError("netlink name", err)
	}
	s.port = name.(*unix.SockaddrNetlink).Pid
	return nil
}

// growReceive asks for a receive buffer beyond the limit of ordinary users,
// or, where that is not permitted, up to it.
func growReceive(fd, size int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, size)
	}
}

// do sends the batch and waits for the kernel to have worked through it.
// Failures of single messages are in b.failed; an error means that nobody knows
// how far it came.
func (s *socket) do(b *batch) error {
	for first := 0; first < len(b.starts); {
		last := first
		for last+1 < len(b.starts) && b.end(last+1)-b.starts[first] <= chunk {
			last++
		}
		if err := s.exchange(b, first, last); err != nil {
			return err
		}
		first = last + 1
	}
	return nil
}

// end is where message i ends.
func (b *batch) end(i int) int {
	if i+1 < len(b.starts) {
		return b.starts[i+1]
	}
	return len(b.bytes)
}

func (s *socket) exchange(b *batch, first, last int) error {
	base := s.sequence + 1
	s.sequence += uint32(last - first + 1)
	for i := first; i <= last; i++ {
		native.PutUint32(b.bytes[b.starts[i]+8:], base+uint32(i-first))
	}
	flags := b.bytes[b.starts[last]+6:]
	native.PutUint16(flags, native.Uint16(flags)|unix.NLM_F_ACK)
	if err := s.send(b.bytes[b.starts[first]:b.end(last)]); err != nil {
		return err
	}
	for {
		n, err := s.recv()
		if err != nil {
			return err
		}
		for h, body := range messages(s.receive[:n]) {
			i := first + int(int32(h.sequence-base))
			if h.kind != unix.NLMSG_ERROR || i < first || i > last || len(body) < 4 {
				continue // the late answer to a request that was given up
			}
			if errno := -int32(native.Uint32(body)); errno != 0 {
				b.fail(i, outcome{unix.Errno(errno), reason(h, body)})
			}
			if i == last {
				return nil
			}
		}
	}
}

// reason is the text that the kernel gives with an error (extended
// acknowledgement).
func reason(h header, body []byte) string {
	const ackTLVs, capped, attributeText = 0x200, 0x100, 1
	at := 4 + unix.NLMSG_HDRLEN
	if h.flags&ackTLVs == 0 || len(body) < at {
		return ""
	}
	if h.flags&capped == 0 {
		at = 4 + (int(native.Uint32(body[4:]))+3)&^3
	}
	if at > len(body) {
		return ""
	}
	for kind, value := range attributes(body[at:]) {
		if kind == attributeText {
			return asText(value)
		}
	}
	return ""
}

var kernel = &unix.SockaddrNetlink{Family: unix.AF_NETLINK}

func (s *socket) send(p []byte) error {
	for {
		err := unix.Sendto(s.fd, p, 0, kernel)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("netlink request: %w", err)
		}
	}
}

func (s *socket) recv() (int, error) {
	for {
		n, _, err := unix.Recvfrom(s.fd, s.receive, 0)
		switch {
		case err == nil:
			return n, nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return 0, fmt.Errorf("the kernel has not answered a netlink request within %v", s.timeout)
		default:
			return 0, fmt.Errorf("netlink answer: %w", err)
		}
	}
}

// errInterrupted says that what was listed changed meanwhile.
var errInterrupted = errors.New("the list changed while it was read")

// dump lists all objects of a kind: each gets the message without nlmsghdr.
func (s *socket) dump(kind uint16, request []byte, each func(kind uint16, body []byte)) error {
	m := newMessage(kind, request).done()
	native.PutUint16(m[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	s.sequence++
	native.PutUint32(m[8:], s.sequence)
	if err := s.send(m); err != nil {
		return err
	}
	interrupted := false
	for {
		n, err := s.recv()
		if err != nil {
			return err
		}
		for h, body := range messages(s.receive[:n]) {
			if h.sequence != s.sequence {
				continue
			}
			interrupted = interrupted || h.flags&unix.NLM_F_DUMP_INTR != 0
			switch h.kind {
			case unix.NLMSG_DONE:
				if interrupted {
					return errInterrupted
				}
				return nil
			case unix.NLMSG_ERROR:
				if len(body) >= 4 {
					return fmt.Errorf("netlink dump: %w", unix.Errno(-int32(native.Uint32(body))))
				}
			default:
				each(h.kind, body)
			}
		}
	}
}

// dumpWhole is dump into something that begin empties, repeated when the list
// changed meanwhile. After some tries what came last has to do: whoever watches
// hears of the changes.
func (s *socket) dumpWhole(kind uint16, request []byte, begin func(), each func(kind uint16, body []byte)) error {
	for try := 0; ; try++ {
		begin()
		err := s.dump(kind, request, each)
		if !errors.Is(err, errInterrupted) || try == 3 {
			if errors.Is(err, errInterrupted) {
				return nil
			}
			return err
		}
	}
}

// get asks for one object.
func (s *socket) get(m []byte, each func(kind uint16, body []byte)) error {
	s.sequence++
	native.PutUint32(m[8:], s.sequence)
	if err := s.send(m); err != nil {
		return err
	}
	for {
		n, err := s.recv()
		if err != nil {
			return err
		}
		for h, body := range messages(s.receive[:n]) {
			switch {
			case h.sequence != s.sequence:
			case h.kind == unix.NLMSG_ERROR && len(body) >= 4:
				return unix.Errno(-int32(native.Uint32(body)))
			default:
				each(h.kind, body)
				return nil
			}
		}
	}
}
