package flowsync

import (
	"encoding/binary"
	"math"
	"net/netip"
	"time"

	"evenkeel/internal/l4"
)

// A record is one connection or template:
//
//	0  length of the record (2 bytes); what is longer than known is skipped
//	2  which fields there are, and how long
//	3  protocol, state, kind, bits (a byte each)
//	7  since its last packet, milliseconds (4 bytes)
//	   client, virtual (unless absent), server: address and port
//	   FULLNAT's source, where there is one
//	   of a template: its timeout in milliseconds (4 bytes)
//	   service: a mark (4 bytes) and its family, or first and last port, with
//	   address and protocol where they are not the connection's
//
// Times are relative: clocks of directors differ.
const (
	has6        = 0x01 // client and virtual are IPv6
	hasTemplate = 0x02
	hasLocal    = 0x04
	hasMark     = 0x08
	hasServer6  = 0x10
	hasNoVirt   = 0x20
	hasService  = 0x40 // address and protocol of the service follow
)

const recordHead = 11

// The numbers of states, which are IPVS's, as far as they are told.
const (
	stateEstablished = 1
	stateTCPLast     = 10
	stateUDP         = 11
	stateTemplate    = 12
)

// maxKind bounds what a template goes by.
const maxKind = 15

// tellable says whether another director has any use for it: connections that
// are being opened are not told, so that a flood of SYNs stays where it is.
func tellable(s *l4.Sync) bool {
	if s.Template || s.Protocol != l4.TCP {
		return true
	}
	switch s.State {
	case 0, 2, 3, 9, 10: // NONE, SYN_SENT, SYN_RECV, LISTEN, SYNACK
		return false
	}
	return true
}

// valid says whether a record makes sense. It holds for all that is sent and
// all that is taken.
func valid(s *l4.Sync) bool {
	family := l4.FamilyOf(s.Client.Addr())
	switch {
	case family == 0 || !s.Server.Addr.IsValid() || s.Kind > maxKind || int(s.Bits) > family.Bits():
		return false
	case s.Virtual.Addr().IsValid() && l4.FamilyOf(s.Virtual.Addr()) != family:
		return false
	case s.Local.Addr().IsValid() && l4.FamilyOf(s.Local.Addr()) != l4.FamilyOf(s.Server.Addr):
		return false
	case s.Service.AddressFamily() != family || s.Service.FwMark == 0 && s.Service.PortLast != 0 && s.Service.PortLast <= s.Service.Port:
		return false
	case s.Template:
		return s.Kind != 0 && s.State <= stateTemplate
	case !s.Virtual.Addr().IsValid():
		return false
	case s.Protocol == l4.TCP:
		return s.State <= stateTCPLast
	}
	return (s.Protocol == l4.UDP || s.Protocol == l4.SCTP) && s.State <= stateUDP
}

// canonical is the one form in which something is told.
func canonical(s *l4.Sync) l4.Sync {
	c := *s
	plain := func(a netip.AddrPort) netip.AddrPort {
		return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
	}
	c.Client, c.Virtual, c.Local = plain(s.Client), plain(s.Virtual), plain(s.Local)
	c.Server.Addr = s.Server.Addr.Unmap().WithZone("")
	c.Service = s.Service.Canonical()
	c.Idle, c.Timeout = time.Duration(milliseconds(s.Idle))*time.Millisecond, time.Duration(milliseconds(s.Timeout))*time.Millisecond
	if !c.Template {
		c.Timeout = 0
	}
	if !c.Virtual.Addr().IsValid() {
		c.Virtual = netip.AddrPort{}
	}
	if !c.Local.Addr().IsValid() {
		c.Local = netip.AddrPort{}
	}
	return c
}

func milliseconds(d time.Duration) uint32 {
	return uint32(min(max(0, d.Milliseconds()), math.MaxUint32))
}

func appendEnd(b []byte, a netip.AddrPort) []byte {
	return binary.BigEndian.AppendUint16(append(b, a.Addr().AsSlice()...), a.Port())
}

// appendRecord adds a record; false: it cannot be told.
func appendRecord(b []byte, told *l4.Sync) ([]byte, bool) {
	s := canonical(told)
	if !valid(&s) {
		return b, false
	}
	start := len(b)
	var has byte
	set := func(on bool, bit byte) {
		if on {
			has |= bit
		}
	}
	own := s.Service.FwMark == 0 && (s.Service.Addr != s.Virtual.Addr() || s.Service.Protocol != s.Protocol)
	set(s.Client.Addr().Is6(), has6)
	set(s.Template, hasTemplate)
	set(s.Local.Addr().IsValid(), hasLocal)
	set(s.Service.FwMark != 0, hasMark)
	set(s.Server.Addr.Is6(), hasServer6)
	set(!s.Virtual.Addr().IsValid(), hasNoVirt)
	set(own, hasService)
	b = append(b, 0, 0, has, byte(s.Protocol), s.State, s.Kind, s.Bits)
	b = binary.BigEndian.AppendUint32(b, milliseconds(s.Idle))
	b = appendEnd(b, s.Client)
	if has&hasNoVirt == 0 {
		b = appendEnd(b, s.Virtual)
	}
	b = appendEnd(b, netip.AddrPortFrom(s.Server.Addr, s.Server.Port))
	if has&hasLocal != 0 {
		b = appendEnd(b, s.Local)
	}
	if s.Template {
		b = binary.BigEndian.AppendUint32(b, milliseconds(s.Timeout))
	}
	if has&hasMark != 0 {
		b = append(binary.BigEndian.AppendUint32(b, s.Service.FwMark), byte(s.Service.Family))
	} else {
		b = binary.BigEndian.AppendUint16(b, s.Service.Port)
		b = binary.BigEndian.AppendUint16(b, s.Service.PortLast)
	}
	if own {
		b = append(append(b, s.Service.Addr.AsSlice()...), byte(s.Service.Protocol))
	}
	binary.BigEndian.PutUint16(b[start:], uint16(len(b)-start))
	return b, true
}

// cursor reads fields off a record. After one that is not there all are zero
// and bad is set.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) take(n int) []byte {
	if len(c.b) < n {
		c.bad = true
		return make([]byte, n)
	}
	field := c.b[:n]
	c.b = c.b[n:]
	return field
}

func (c *cursor) address(six bool) netip.Addr {
	if six {
		return netip.AddrFrom16([16]byte(c.take(16)))
	}
	return netip.AddrFrom4([4]byte(c.take(4)))
}

func (c *cursor) end(six bool) netip.AddrPort {
	a := c.address(six)
	return netip.AddrPortFrom(a, c.port())
}

func (c *cursor) port() uint16 { return binary.BigEndian.Uint16(c.take(2)) }

func (c *cursor) duration() time.Duration {
	return time.Duration(binary.BigEndian.Uint32(c.take(4))) * time.Millisecond
}

// parseRecord reads one record and gives what is behind it.
func parseRecord(b []byte) (s l4.Sync, rest []byte, err error) {
	if len(b) < recordHead {
		return s, nil, errRecord
	}
	n := int(binary.BigEndian.Uint16(b))
	if n < recordHead || n > len(b) {
		return s, nil, errRecord
	}
	has := b[2]
	s = l4.Sync{Protocol: l4.Protocol(b[3]), State: b[4], Kind: b[5], Bits: b[6], Template: has&hasTemplate != 0}
	c := cursor{b: b[7:n]}
	six := has&has6 != 0
	s.Idle = c.duration()
	s.Client = c.end(six)
	if has&hasNoVirt == 0 {
		s.Virtual = c.end(six)
	}
	server := c.end(has&hasServer6 != 0)
	s.Server = l4.ServerKey{Addr: server.Addr(), Port: server.Port()}
	if has&hasLocal != 0 {
		s.Local = c.end(has&hasServer6 != 0)
	}
	if s.Template {
		s.Timeout = c.duration()
	}
	if has&hasMark != 0 {
		s.Service.FwMark = binary.BigEndian.Uint32(c.take(4))
		s.Service.Family = l4.Family(c.take(1)[0])
		if s.Service.FwMark == 0 || s.Service.Family != l4.IPv4 && s.Service.Family != l4.IPv6 {
			c.bad = true
		}
	} else {
		s.Service.Port, s.Service.PortLast = c.port(), c.port()
		s.Service.Addr, s.Service.Protocol = s.Virtual.Addr(), s.Protocol
	}
	if has&hasService != 0 {
		s.Service.Addr = c.address(six)
		s.Service.Protocol = l4.Protocol(c.take(1)[0])
	}
	if c.bad || !valid(&s) || s != canonical(&s) {
		return s, nil, errRecord
	}
	return s, b[n:], nil
}
