package neighbor

import (
	"encoding/binary"
	"net/netip"
)

// arpLength is the length of ARP for IPv4 over Ethernet.
const arpLength = 28

// arpHeader is what never differs: hardware type Ethernet, protocol IPv4, and
// their addresses' lengths.
const arpHeader = 0x0001_0800_06_04

func appendARP(dst []byte, m *Message) []byte {
	operation := uint64(1)
	if m.Kind == Reply {
		operation = 2
	}
	sender, target := m.Sender.As4(), m.Target.As4()
	dst = binary.BigEndian.AppendUint16(dst, etherARP)
	dst = binary.BigEndian.AppendUint64(dst, arpHeader<<16|operation)
	dst = append(dst, m.SenderMAC[:]...)
	dst = append(dst, sender[:]...)
	dst = append(dst, m.TargetMAC[:]...)
	return append(dst, target[:]...)
}

func (m *Message) parseARP(p []byte) error {
	if len(p) < arpLength {
		return ErrShort
	}
	if binary.BigEndian.Uint64(p)>>16 != arpHeader {
		return ErrFormat
	}
	switch binary.BigEndian.Uint16(p[6:]) {
	case 1:
		m.Kind = Request
	case 2:
		m.Kind = Reply
	default:
		return ErrOther // reverse ARP and its like
	}
	m.SenderMAC, m.Sender = HardwareAddr(p[8:14]), netip.AddrFrom4([4]byte(p[14:18]))
	m.TargetMAC, m.Target = HardwareAddr(p[18:24]), netip.AddrFrom4([4]byte(p[24:28]))
	return nil
}
