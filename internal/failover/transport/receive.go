package transport

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	wire "evenkeel/internal/wire/vrrp"
)

// Sizes of a receive: an advertisement has at most 255 IPv6 addresses.
const (
	batch       = 32
	packetSize  = 60 + 24 + 8 + 255*16
	controlSize = 128
	// maxBatches bounds how long one socket may keep the loop.
	maxBatches = 8
)

type mmsghdr struct {
	unix.Msghdr
	n uint32
	_ uint32
}

// receiver is the memory of one receive, used again for every one.
type receiver struct {
	messages [batch]mmsghdr
	vectors  [batch]unix.Iovec
	names    [batch]unix.RawSockaddrInet6
	controls [batch][controlSize]byte
	data     []byte
	packet   Packet
}

func (r *receiver) init() {
	r.data = make([]byte, batch*packetSize)
	for i := range r.messages {
		r.vectors[i].Base = &r.data[i*packetSize]
		r.vectors[i].SetLen(packetSize)
		m := &r.messages[i]
		m.Iov = &r.vectors[i]
		m.SetIovlen(1)
		m.Name = (*byte)(unsafe.Pointer(&r.names[i]))
		m.Control = &r.controls[i][0]
	}
}

// Receive hands over what has arrived on a socket that opened was told of.
func (t *Transport) Receive(fd int, f func(*Packet)) {
	s := t.byFD[fd]
	if s == nil {
		return
	}
	for range maxBatches {
		// Errors are of interfaces that went down, and told once.
		n, _ := t.receive.read(fd)
		for i := range n {
			if t.receive.take(s.key, i) {
				t.Stats.Received++
				f(&t.receive.packet)
			}
		}
		if n < batch {
			return
		}
	}
}

func (r *receiver) read(fd int) (int, unix.Errno) {
	for i := range r.messages {
		r.messages[i].Namelen = unix.SizeofSockaddrInet6
		r.messages[i].SetControllen(controlSize)
	}
	n, _, e := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&r.messages)), batch, unix.MSG_DONTWAIT, 0, 0)
	if e != 0 {
		return 0, e
	}
	return int(n), 0
}

// take makes a packet of the message i; false: it is none.
func (r *receiver) take(k key, i int) bool {
	m := &r.messages[i]
	if m.n > packetSize || m.Flags&unix.MSG_TRUNC != 0 {
		return false
	}
	p := &r.packet
	*p = Packet{}
	data := r.data[i*packetSize:][:m.n]
	control := r.controls[i][:m.Controllen]
	if k.family == unix.AF_INET {
		var ok bool
		if p.Header, p.Payload, ok = wire.SplitIPv4(data); !ok {
			return false
		}
	} else {
		p.Header = wire.Header{Source: address6(r.names[i].Addr), Protocol: k.protocol}
		p.Payload = data
	}
	p.control(control)
	p.Multicast = p.Header.Destination.IsMulticast()
	return p.Interface != 0
}

// control reads control messages: the interface, and what IPv6 does not show
// otherwise.
func (p *Packet) control(b []byte) {
	for len(b) >= unix.SizeofCmsghdr {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
		if h.Len < unix.SizeofCmsghdr || h.Len > uint64(len(b)) {
			return
		}
		data := b[unix.CmsgLen(0):h.Len]
		switch {
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= 12:
			p.Interface = int(binary.NativeEndian.Uint32(data))
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= 20:
			p.Header.Destination = address6([16]byte(data[:16]))
			p.Interface = int(binary.NativeEndian.Uint32(data[16:]))
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_HOPLIMIT && len(data) >= 4:
			p.Header.TTL = uint8(binary.NativeEndian.Uint32(data))
		}
		next := unix.CmsgSpace(int(h.Len) - unix.CmsgLen(0))
		if next > len(b) {
			return
		}
		b = b[next:]
	}
}

func address6(a [16]byte) netip.Addr { return netip.AddrFrom16(a) }
