package ipvs

import (
	"fmt"

	"evenkeel/internal/l4"
)

// Attributes of a server, which the kernel calls a destination.
const (
	serverAddr uint16 = iota + 1
	serverPort
	serverMethod
	serverWeight
	serverUpper
	serverLower
	serverActive
	serverInactive
	serverPersistent
	serverStats
	serverFamily
	serverStats64
	serverTunnelType
	serverTunnelPort
	serverTunnelFlags
)

// methods are IPVS's numbers of the forwarding methods (IP_VS_CONN_F_…).
var methods = [...]l4.Method{0: l4.NAT, 1: l4.Local, 2: l4.TUN, 3: l4.DR}

const methodMask = 7

func methodNumber(m l4.Method) (uint32, error) {
	for i, x := range methods {
		if x == m {
			return uint32(i), nil
		}
	}
	return 0, fmt.Errorf("IPVS has no method %v", m)
}

// appendServerKey adds what identifies a server among those of its service.
func appendServerKey(b []byte, k l4.ServerKey) []byte {
	b = appendUint16(b, serverFamily, familyNumber(l4.FamilyOf(k.Addr)))
	b = appendAttribute(b, serverAddr, addressBytes(k.Addr)...)
	return appendPort(b, serverPort, k.Port)
}

// appendServer adds all that a server says of itself.
func appendServer(b []byte, s l4.Server) ([]byte, error) {
	method, err := methodNumber(s.Method)
	if err != nil {
		return b, err
	}
	b = appendServerKey(b, s.Key())
	b = appendUint32(b, serverMethod, method)
	b = appendUint32(b, serverWeight, uint32(s.Weight))
	b = appendUint32(b, serverUpper, uint32(s.Upper))
	b = appendUint32(b, serverLower, uint32(s.Lower))
	if s.Method == l4.TUN {
		b = appendUint8(b, serverTunnelType, uint8(s.Tunnel.Type))
		b = appendPort(b, serverTunnelPort, s.Tunnel.Port)
		b = appendUint16(b, serverTunnelFlags, uint16(s.Tunnel.Checksum))
	}
	return b, nil
}

// parseServer reads the value of a server attribute. Kernels before 3.18 do not
// say the family: it is the service's then.
func parseServer(b []byte, service l4.Family) (l4.ServerStats, error) {
	var s l4.ServerStats
	family := uint64(familyNumber(service))
	var addr []byte
	var stats64 bool
	var method uint64
	numbers := map[uint16]*int{serverWeight: &s.Weight, serverUpper: &s.Upper, serverLower: &s.Lower,
		serverActive: &s.Active, serverInactive: &s.Inactive, serverPersistent: &s.Persistent}
	err := attributes(b, func(a attribute) error {
		if field := numbers[a.kind]; field != nil {
			n, err := a.number()
			*field = int(int32(n))
			return err
		}
		var n uint64
		var err error
		switch a.kind {
		case serverAddr:
			addr = a.value
		case serverPort:
			s.Port, err = a.port()
		case serverFamily:
			family, err = a.number()
		case serverMethod:
			method, err = a.number()
		case serverTunnelType:
			n, err = a.number()
			s.Tunnel.Type = l4.TunnelType(n)
		case serverTunnelPort:
			s.Tunnel.Port, err = a.port()
		case serverTunnelFlags:
			n, err = a.number()
			s.Tunnel.Checksum = l4.TunnelChecksum(n & 3)
		case serverStats, serverStats64:
			if stats64 {
				return nil
			}
			stats64 = a.kind == serverStats64
			s.Counters, s.Rates, err = parseStats(a.value)
		}
		return err
	})
	if err != nil {
		return s, fmt.Errorf("server: %w", err)
	}
	if method &= methodMask; method >= uint64(len(methods)) {
		return s, fmt.Errorf("server with forwarding method %d", method)
	}
	s.Method = methods[method]
	if s.Method != l4.TUN {
		s.Tunnel = l4.Tunnel{}
	}
	if s.Addr, err = address(uint16(family), addr); err != nil {
		return s, fmt.Errorf("server: %w", err)
	}
	s.Overloaded = s.Upper > 0 && s.Active+s.Inactive >= s.Upper
	return s, nil
}
