package ipvs

import (
	"fmt"
	"net/netip"
	"time"

	"evenkeel/internal/l4"
)

// Attributes of a synchronisation daemon.
const (
	daemonState uint16 = iota + 1
	daemonInterface
	daemonID
	daemonMaxLen
	daemonGroup4
	daemonGroup6
	daemonPort
	daemonTTL
)

const (
	stateMaster = 1
	stateBackup = 2
)

func daemonStateNumber(backup bool) uint32 {
	if backup {
		return stateBackup
	}
	return stateMaster
}

// appendDaemon adds a daemon; what is zero is left to the kernel.
func appendDaemon(b []byte, d l4.SyncDaemon) []byte {
	b = appendUint32(b, daemonState, daemonStateNumber(d.Backup))
	b = appendText(b, daemonInterface, d.Interface)
	b = appendUint32(b, daemonID, uint32(d.ID))
	if d.MaxLen != 0 {
		b = appendUint16(b, daemonMaxLen, uint16(d.MaxLen))
	}
	switch {
	case d.Group.Is4():
		b = appendAttribute(b, daemonGroup4, d.Group.AsSlice()...)
	case d.Group.Is6():
		b = appendAttribute(b, daemonGroup6, d.Group.AsSlice()...)
	}
	if d.Port != 0 {
		b = appendUint16(b, daemonPort, d.Port)
	}
	if d.TTL != 0 {
		b = appendUint8(b, daemonTTL, d.TTL)
	}
	return b
}

// parseDaemon reads the value of a daemon attribute; ok is false for one that
// does not run.
func parseDaemon(b []byte) (d l4.SyncDaemon, ok bool, err error) {
	err = attributes(b, func(a attribute) error {
		if a.kind == daemonInterface {
			d.Interface = a.text()
			return nil
		}
		if a.kind == daemonGroup4 || a.kind == daemonGroup6 {
			group, valid := netip.AddrFromSlice(a.value)
			if !valid {
				return fmt.Errorf("multicast group of %d bytes", len(a.value))
			}
			d.Group = group
			return nil
		}
		n, err := a.number()
		switch a.kind {
		case daemonState:
			ok = n == stateMaster || n == stateBackup
			d.Backup = n == stateBackup
		case daemonID:
			d.ID = uint8(n)
		case daemonMaxLen:
			d.MaxLen = int(uint16(n))
		case daemonPort:
			d.Port = uint16(n)
		case daemonTTL:
			d.TTL = uint8(n)
		}
		return err
	})
	if err != nil {
		return d, false, fmt.Errorf("sync daemon: %w", err)
	}
	return d, ok, nil
}

// Attributes of the answer to cmdGetInfo.
const (
	infoVersion uint16 = iota + 1
	infoTableSize
)

// Info is what the kernel says of its IPVS.
type Info struct {
	Major, Minor, Patch int
	TableSize           int // buckets of the connection table
}

func (i Info) String() string { return fmt.Sprintf("%d.%d.%d", i.Major, i.Minor, i.Patch) }

func parseInfo(b []byte) (Info, error) {
	var i Info
	err := attributes(b, func(a attribute) error {
		n, err := a.number()
		switch a.kind {
		case infoVersion:
			i.Major, i.Minor, i.Patch = int(n>>16&0xff), int(n>>8&0xff), int(n&0xff)
		case infoTableSize:
			i.TableSize = int(int32(n))
		}
		return err
	})
	return i, err
}

// appendTimeouts adds those that are not zero as such; zero keeps what is.
func appendTimeouts(b []byte, t l4.Timeouts) []byte {
	b = appendUint32(b, attrTimeoutTCP, seconds(t.TCP))
	b = appendUint32(b, attrTimeoutTCPFin, seconds(t.TCPFin))
	return appendUint32(b, attrTimeoutUDP, seconds(t.UDP))
}

func parseTimeouts(b []byte) (l4.Timeouts, error) {
	var t l4.Timeouts
	err := attributes(b, func(a attribute) error {
		n, err := a.number()
		d := time.Duration(uint32(n)) * time.Second
		switch a.kind {
		case attrTimeoutTCP:
			t.TCP = d
		case attrTimeoutTCPFin:
			t.TCPFin = d
		case attrTimeoutUDP:
			t.UDP = d
		}
		return err
	})
	return t, err
}
