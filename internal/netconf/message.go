package netconf

import (
	"encoding/binary"
	"iter"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Netlink is in the host's byte order, but for what goes out on the network.
var native = binary.NativeEndian

// message is one netlink message under construction.
type message []byte

// newMessage begins a request; header is what follows nlmsghdr and is of the
// message's type.
func newMessage(kind uint16, header []byte) message {
	m := make(message, unix.NLMSG_HDRLEN, 160)
	native.PutUint16(m[4:], kind)
	native.PutUint16(m[6:], unix.NLM_F_REQUEST)
	return append(m, header...)
}

func (m *message) attr(kind uint16, value []byte) {
	m.head(kind, len(value))
	*m = append(*m, value...)
	m.pad()
}

func (m *message) head(kind uint16, length int) {
	*m = native.AppendUint16(*m, uint16(4+length))
	*m = native.AppendUint16(*m, kind)
}

func (m *message) pad() {
	for len(*m)%4 != 0 {
		*m = append(*m, 0)
	}
}

func (m *message) byte(kind uint16, v byte) { m.attr(kind, []byte{v}) }

func (m *message) uint32(kind uint16, v uint32) {
	m.head(kind, 4)
	*m = native.AppendUint32(*m, v)
}

func (m *message) text(kind uint16, s string) {
	m.head(kind, len(s)+1)
	*m = append(append(*m, s...), 0)
	m.pad()
}

func (m *message) address(kind uint16, a netip.Addr) {
	if a.Is4() {
		b := a.As4()
		m.attr(kind, b[:])
		return
	}
	b := a.As16()
	m.attr(kind, b[:])
}

// nest begins an attribute of attributes; close ends it.
func (m *message) nest(kind uint16) int {
	m.head(kind, 0)
	return len(*m) - 4
}

func (m *message) close(at int) { native.PutUint16((*m)[at:], uint16(len(*m)-at)) }

// done fills in the length.
func (m message) done() []byte {
	native.PutUint32(m, uint32(len(m)))
	return m
}

// header is what nlmsghdr says.
type header struct {
	kind, flags uint16
	sequence    uint32
	port        uint32
}

// messages goes through a datagram, each message without its nlmsghdr. It stops
// at the first that is cut short.
func messages(b []byte) iter.Seq2[header, []byte] {
	return func(yield func(header, []byte) bool) {
		for len(b) >= unix.NLMSG_HDRLEN {
			n := int(native.Uint32(b))
			if n < unix.NLMSG_HDRLEN || n > len(b) {
				return
			}
			h := header{kind: native.Uint16(b[4:]), flags: native.Uint16(b[6:]), sequence: native.Uint32(b[8:]), port: native.Uint32(b[12:])}
			if !yield(h, b[unix.NLMSG_HDRLEN:n]) {
				return
			}
			b = b[min((n+3)&^3, len(b)):]
		}
	}
}

// attributes goes through what follows a message's own header.
func attributes(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= 4 {
			n := int(native.Uint16(b))
			if n < 4 || n > len(b) {
				return
			}
			if !yield(native.Uint16(b[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), b[4:n]) {
				return
			}
			b = b[min((n+3)&^3, len(b)):]
		}
	}
}

func asAddr(b []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(b)
	return a
}

func asUint32(b []byte) uint32 {
	if len(b) < 4 {
		return 0
	}
	return native.Uint32(b)
}

func asText(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}

func familyOf(a netip.Addr) byte {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}
