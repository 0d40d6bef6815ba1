package transport

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"

	wire "evenkeel/internal/wire/vrrp"
)

// Failed is told of a packet that the kernel did not take.
type Failed func(token int, err error)

// queue is what a socket sends at the end of a round.
type queue struct {
	items    []item
	data     []byte // all packets, one after the other
	messages []mmsghdr
	vectors  []unix.Iovec
	names    []unix.RawSockaddrInet6
	controls [][outControl]byte
}

type item struct {
	start, end int // in data
	token      int
}

// outControl is room for a packet information, and for a hop limit.
const outControl = 64

// Queue takes a packet for Flush: payload is what follows the IP header h. It
// leaves by the interface, from h.Source whoever that belongs to. token is
// given back when it fails.
func (t *Transport) Queue(token, iface int, h *wire.Header, payload []byte) {
	k := key{unix.AF_INET6, h.Protocol}
	if h.Destination.Is4() {
		k.family = unix.AF_INET
	}
	s := t.sockets[k]
	if s == nil {
		t.Stats.SendErrors++
		return
	}
	q := &s.out
	n := len(q.items)
	start := len(q.data)
	if k.family == unix.AF_INET {
		q.data = wire.AppendIPv4(q.data, h, len(payload))
	}
	q.data = append(q.data, payload...)
	q.items = append(q.items, item{start: start, end: len(q.data), token: token})
	if n == len(q.names) {
		q.names = append(q.names, unix.RawSockaddrInet6{})
		q.controls = append(q.controls, [outControl]byte{})
		q.messages = append(q.messages, mmsghdr{})
		q.vectors = append(q.vectors, unix.Iovec{})
	}
	m := &q.messages[n]
	*m = mmsghdr{}
	c := q.controls[n][:0]
	if k.family == unix.AF_INET {
		*(*unix.RawSockaddrInet4)(unsafe.Pointer(&q.names[n])) = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: h.Destination.As4()}
		m.Namelen = unix.SizeofSockaddrInet4
		c = appendControl(c, unix.IPPROTO_IP, unix.IP_PKTINFO, 12)
		binary.NativeEndian.PutUint32(c[unix.CmsgLen(0):], uint32(iface))
	} else {
		name := unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: h.Destination.As16()}
		if h.Destination.IsLinkLocalUnicast() || h.Destination.IsLinkLocalMulticast() {
			name.Scope_id = uint32(iface)
		}
		q.names[n] = name
		m.Namelen = unix.SizeofSockaddrInet6
		c = appendControl(c, unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, 20)
		source := h.Source.As16()
		copy(c[unix.CmsgLen(0):], source[:])
		binary.NativeEndian.PutUint32(c[unix.CmsgLen(16):], uint32(iface))
		at := len(c)
		c = appendControl(c, unix.IPPROTO_IPV6, unix.IPV6_HOPLIMIT, 4)
		binary.NativeEndian.PutUint32(c[at+unix.CmsgLen(0):], uint32(h.TTL))
	}
	m.SetControllen(len(c))
}

// appendControl adds an empty control message with room for n bytes.
func appendControl(c []byte, level, kind int32, n int) []byte {
	at := len(c)
	c = c[:at+unix.CmsgSpace(n)]
	clear(c[at:])
	h := (*unix.Cmsghdr)(unsafe.Pointer(&c[at]))
	h.Level, h.Type = level, kind
	h.SetLen(unix.CmsgLen(n))
	return c
}

// Flush sends what was queued.
func (t *Transport) Flush(failed Failed) {
	for _, s := range t.sockets {
		if len(s.out.items) > 0 {
			t.flush(s, failed)
		}
	}
}

func (t *Transport) flush(s *socket, failed Failed) {
	q := &s.out
	// The addresses of the memory are known now: it does not grow any more.
	for i, it := range q.items {
		q.vectors[i].Base = &q.data[it.start]
		q.vectors[i].SetLen(it.end - it.start)
		m := &q.messages[i]
		m.Iov = &q.vectors[i]
		m.SetIovlen(1)
		m.Name = (*byte)(unsafe.Pointer(&q.names[i]))
		m.Control = &q.controls[i][0]
	}
	for sent := 0; sent < len(q.items); {
		rest := min(len(q.items)-sent, 1024) // UIO_MAXIOV
		n, _, e := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&q.messages[sent])), uintptr(rest), unix.MSG_DONTWAIT, 0, 0)
		t.Stats.SendCalls++
		switch {
		case e == unix.EINTR:
		case e != 0:
			// It is the first one that failed: the others get their turn.
			t.Stats.SendErrors++
			failed(q.items[sent].token, e)
			sent++
		default:
			t.Stats.Sent += uint64(n)
			sent += int(n)
		}
	}
	q.items, q.data = q.items[:0], q.data[:0]
}
