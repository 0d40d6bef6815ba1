package ipvs

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// familyName is IPVS's name among the generic netlink families, and version
// that of its messages.
const (
	familyName    = "IPVS"
	familyVersion = 1
)

// Commands of the family (linux/ip_vs.h).
const (
	cmdNewService uint8 = iota + 1
	cmdSetService
	cmdDelService
	cmdGetService
	cmdNewServer
	cmdSetServer
	cmdDelServer
	cmdGetServer
	cmdNewDaemon
	cmdDelDaemon
	cmdGetDaemon
	cmdSetConfig
	cmdGetConfig
	cmdSetInfo
	cmdGetInfo
	cmdZero
	cmdFlush
)

// Attributes at the top of a message.
const (
	attrService uint16 = iota + 1
	attrServer
	attrDaemon
	attrTimeoutTCP
	attrTimeoutTCPFin
	attrTimeoutUDP
)

// nested marks an attribute that is made of attributes.
const nested = 0x8000

// attribute is one (type, value) of a message. The kernel aligns them to 4
// bytes, writes in its own byte order unless a value belongs to the network,
// and leaves it to the reader to skip what it does not know.
type attribute struct {
	kind  uint16
	value []byte
}

var errAttribute = errors.New("attribute with a wrong length")

// attributes reads a sequence of them. They stand in b, nothing is copied.
func attributes(b []byte, each func(attribute) error) error {
	for len(b) >= 4 {
		n := int(binary.NativeEndian.Uint16(b))
		if n < 4 || n > len(b) {
			return errAttribute
		}
		a := attribute{binary.NativeEndian.Uint16(b[2:]) &^ (nested | 0x4000), b[4:n]}
		if err := each(a); err != nil {
			return err
		}
		b = b[min((n+3)&^3, len(b)):]
	}
	if len(b) > 0 {
		return errAttribute
	}
	return nil
}

// number is a value of 1, 2, 4 or 8 bytes in the host's order. Which of them it
// is depends on the kernel's age, so any is taken.
func (a attribute) number() (uint64, error) {
	switch len(a.value) {
	case 1:
		return uint64(a.value[0]), nil
	case 2:
		return uint64(binary.NativeEndian.Uint16(a.value)), nil
	case 4:
		return uint64(binary.NativeEndian.Uint32(a.value)), nil
	case 8:
		return binary.NativeEndian.Uint64(a.value), nil
	}
	return 0, fmt.Errorf("attribute %d of %d bytes is no number", a.kind, len(a.value))
}

// port is a value of 2 bytes in the network's order.
func (a attribute) port() (uint16, error) {
	if len(a.value) != 2 {
		return 0, fmt.Errorf("attribute %d of %d bytes is no port", a.kind, len(a.value))
	}
	return binary.BigEndian.Uint16(a.value), nil
}

// text is a value that ends with its first zero byte.
func (a attribute) text() string {
	for i, c := range a.value {
		if c == 0 {
			return string(a.value[:i])
		}
	}
	return string(a.value)
}

func appendAttribute(b []byte, kind uint16, value ...byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(4+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, value...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func appendUint8(b []byte, kind uint16, v uint8) []byte { return appendAttribute(b, kind, v) }

func appendUint16(b []byte, kind uint16, v uint16) []byte {
	return appendAttribute(b, kind, binary.NativeEndian.AppendUint16(nil, v)...)
}

func appendUint32(b []byte, kind uint16, v uint32) []byte {
	return appendAttribute(b, kind, binary.NativeEndian.AppendUint32(nil, v)...)
}

func appendUint64(b []byte, kind uint16, v uint64) []byte {
	return appendAttribute(b, kind, binary.NativeEndian.AppendUint64(nil, v)...)
}

func appendPort(b []byte, kind uint16, v uint16) []byte {
	return appendAttribute(b, kind, byte(v>>8), byte(v))
}

func appendText(b []byte, kind uint16, s string) []byte {
	return appendAttribute(b, kind, append([]byte(s), 0)...)
}

// appendNested adds an attribute whose value fill makes.
func appendNested(b []byte, kind uint16, fill func([]byte) []byte) []byte {
	start := len(b)
	b = fill(append(b, 0, 0, 0, 0))
	binary.NativeEndian.PutUint16(b[start:], uint16(len(b)-start))
	binary.NativeEndian.PutUint16(b[start+2:], kind|nested)
	return b
}
