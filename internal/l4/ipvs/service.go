package ipvs

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"net/netip"
	"time"

	"evenkeel/internal/l4"
)

// Attributes of a service.
const (
	serviceFamily uint16 = iota + 1
	serviceProtocol
	serviceAddr
	servicePort
	serviceFwMark
	serviceScheduler
	serviceFlags
	serviceTimeout
	serviceNetmask
	serviceStats
	serviceEngine
	serviceStats64
)

// Flags of a service, and those bits of them that are ours to set.
const (
	flagPersistent uint32 = 1 << iota
	flagHashed            // the kernel's own
	flagOnePacket
	flagSchedule1
	flagSchedule2
	flagSchedule3

	flagMask = ^uint32(0)
)

// Address families as the kernel numbers them.
const (
	afInet  = 2
	afInet6 = 10
)

func familyNumber(f l4.Family) uint16 {
	if f == l4.IPv6 {
		return afInet6
	}
	return afInet
}

// appendKey adds what identifies a service.
func appendKey(b []byte, k l4.Key) []byte {
	k = k.Canonical()
	b = appendUint16(b, serviceFamily, familyNumber(k.AddressFamily()))
	if k.FwMark != 0 {
		return appendUint32(b, serviceFwMark, k.FwMark)
	}
	b = appendUint16(b, serviceProtocol, uint16(k.Protocol))
	b = appendAttribute(b, serviceAddr, addressBytes(k.Addr)...)
	return appendPort(b, servicePort, k.Port)
}

// addressBytes is an address as the kernel's union of both families has it.
func addressBytes(a netip.Addr) []byte {
	b := make([]byte, 16)
	copy(b, a.AsSlice())
	return b
}

// appendService adds all that a service says of itself, without its servers.
func appendService(b []byte, s l4.Service) []byte {
	b = appendKey(b, s.Key)
	b = appendText(b, serviceScheduler, s.SchedulerName())
	if s.PersistenceName != "" {
		b = appendText(b, serviceEngine, s.PersistenceName)
	}
	var flags uint32
	if s.Persistence > 0 {
		flags |= flagPersistent
	}
	if s.OnePacket {
		flags |= flagOnePacket
	}
	flags |= uint32(s.Flags&7) * flagSchedule1
	var both [8]byte
	binary.NativeEndian.PutUint32(both[:], flags)
	binary.NativeEndian.PutUint32(both[4:], flagMask)
	b = appendAttribute(b, serviceFlags, both[:]...)
	b = appendUint32(b, serviceTimeout, seconds(s.Persistence))
	return appendUint32(b, serviceNetmask, netmask(s.AddressFamily(), s.PersistenceMask))
}

// seconds rounds up, so that what is short does not become none.
func seconds(d time.Duration) uint32 { return uint32((d + time.Second - 1) / time.Second) }

// netmask is the granularity of persistence: for IPv4 a mask whose bytes stand
// in the network's order, for IPv6 the length of the prefix. It is sent without
// persistence as well: the kernel has no other default.
func netmask(f l4.Family, length int) uint32 {
	if length == 0 {
		length = f.Bits()
	}
	if f == l4.IPv6 {
		return uint32(length)
	}
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], ^uint32(0)<<(32-length))
	return binary.NativeEndian.Uint32(b[:])
}

// prefixLength is the opposite of netmask, with 0 for the whole address.
func prefixLength(f l4.Family, mask uint32) (int, error) {
	if f == l4.IPv6 {
		if mask > 128 {
			return 0, fmt.Errorf("prefix length %d", mask)
		}
		return int(mask) % 128, nil
	}
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], mask)
	n := bits.LeadingZeros32(^binary.BigEndian.Uint32(b[:]))
	// A mask with holes, which only ipvsadm makes, has no word here: the length
	// of what stands at its beginning is the nearest.
	return n % 32, nil
}

// parseService reads the value of a service attribute.
func parseService(b []byte) (l4.ServiceStats, error) {
	var s l4.ServiceStats
	var family uint64
	var addr []byte
	var mask uint32
	var timeout uint64
	var stats64 bool
	err := attributes(b, func(a attribute) error {
		var n uint64
		var err error
		switch a.kind {
		case serviceFamily:
			family, err = a.number()
		case serviceProtocol:
			n, err = a.number()
			s.Protocol = l4.Protocol(n)
		case serviceAddr:
			addr = a.value
		case servicePort:
			s.Port, err = a.port()
		case serviceFwMark:
			n, err = a.number()
			s.FwMark = uint32(n)
		case serviceScheduler:
			s.Scheduler = a.text()
		case serviceEngine:
			s.PersistenceName = a.text()
		case serviceFlags:
			if len(a.value) < 4 {
				return errAttribute
			}
			flags := binary.NativeEndian.Uint32(a.value)
			s.OnePacket = flags&flagOnePacket != 0
			s.Flags = l4.Flags(flags / flagSchedule1 & 7)
			if flags&flagPersistent != 0 {
				s.Persistence = 1 // until the timeout is known
			}
		case serviceTimeout:
			timeout, err = a.number()
		case serviceNetmask:
			n, err = a.number()
			mask = uint32(n)
		case serviceStats, serviceStats64:
			if stats64 {
				return nil // the narrow ones come as well
			}
			stats64 = a.kind == serviceStats64
			s.Counters, s.Rates, err = parseStats(a.value)
		}
		return err
	})
	if err != nil {
		return s, fmt.Errorf("service: %w", err)
	}
	if err := finishService(&s, uint16(family), addr); err != nil {
		return s, err
	}
	if s.Persistence > 0 {
		s.Persistence = time.Duration(uint32(timeout)) * time.Second
	}
	if s.PersistenceMask, err = prefixLength(s.AddressFamily(), mask); err != nil {
		return s, fmt.Errorf("service %v: %w", s.Key, err)
	}
	return s, nil
}

func finishService(s *l4.ServiceStats, family uint16, addr []byte) error {
	if family != afInet && family != afInet6 {
		return fmt.Errorf("service of address family %d", family)
	}
	if s.FwMark != 0 {
		s.Key = l4.Key{FwMark: s.FwMark, Family: l4.IPv4}
		if family == afInet6 {
			s.Family = l4.IPv6
		}
		return nil
	}
	var err error
	s.Addr, err = address(family, addr)
	return err
}

// address reads the kernel's union of both families.
func address(family uint16, b []byte) (netip.Addr, error) {
	switch {
	case family == afInet && len(b) >= 4:
		return netip.AddrFrom4([4]byte(b)), nil
	case family == afInet6 && len(b) >= 16:
		return netip.AddrFrom16([16]byte(b)), nil
	}
	return netip.Addr{}, fmt.Errorf("address of family %d in %d bytes", family, len(b))
}

// Attributes of counters; those of stats64 are the same, with 8 bytes each.
const (
	statsConnections uint16 = iota + 1
	statsPacketsIn
	statsPacketsOut
	statsBytesIn
	statsBytesOut
	statsConnectionRate
	statsPacketRateIn
	statsPacketRateOut
	statsByteRateIn
	statsByteRateOut
)

func parseStats(b []byte) (c l4.Counters, r l4.Rates, err error) {
	fields := map[uint16]*uint64{
		statsConnections: &c.Connections, statsPacketsIn: &c.PacketsIn, statsPacketsOut: &c.PacketsOut,
		statsBytesIn: &c.BytesIn, statsBytesOut: &c.BytesOut,
		statsConnectionRate: &r.Connections, statsPacketRateIn: &r.PacketsIn, statsPacketRateOut: &r.PacketsOut,
		statsByteRateIn: &r.BytesIn, statsByteRateOut: &r.BytesOut,
	}
	err = attributes(b, func(a attribute) error {
		field := fields[a.kind]
		if field == nil {
			return nil
		}
		var err error
		*field, err = a.number()
		return err
	})
	return c, r, err
}

// appendStats adds counters as stats64, for those that stand in for the kernel.
func appendStats(b []byte, kind uint16, c l4.Counters, r l4.Rates) []byte {
	return appendNested(b, kind, func(b []byte) []byte {
		for i, v := range []uint64{c.Connections, c.PacketsIn, c.PacketsOut, c.BytesIn, c.BytesOut,
			r.Connections, r.PacketsIn, r.PacketsOut, r.BytesIn, r.BytesOut} {
			b = appendUint64(b, uint16(i)+1, v)
		}
		return b
	})
}
