package bfd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Size is the length of a control packet without authentication.
const Size = 24

// version is the protocol's, RFC 5880.
const version = 1

// State is what a system says of its session (the Sta field).
type State uint8

// The states of a session.
const (
	AdminDown State = iota
	Down
	Init
	Up
)

// String gives the RFC's name of the state.
func (s State) String() string {
	switch s {
	case AdminDown:
		return "AdminDown"
	case Down:
		return "Down"
	case Init:
		return "Init"
	case Up:
		return "Up"
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// Diagnostic says why a session left Up last (the Diag field).
type Diagnostic uint8

// The diagnostics that RFC 5880 section 4.1 names.
const (
	NoDiagnostic Diagnostic = iota
	DetectionTimeExpired
	EchoFailed
	NeighborSignaledDown
	ForwardingPlaneReset
	PathDown
	ConcatenatedPathDown
	AdministrativelyDown
	ReverseConcatenatedPathDown
)

var diagnostics = [...]string{
	NoDiagnostic:                "no diagnostic",
	DetectionTimeExpired:        "control detection time expired",
	EchoFailed:                  "echo function failed",
	NeighborSignaledDown:        "neighbor signaled session down",
	ForwardingPlaneReset:        "forwarding plane reset",
	PathDown:                    "path down",
	ConcatenatedPathDown:        "concatenated path down",
	AdministrativelyDown:        "administratively down",
	ReverseConcatenatedPathDown: "reverse concatenated path down",
}

// String words the diagnostic as the RFC does.
func (d Diagnostic) String() string {
	if int(d) < len(diagnostics) {
		return diagnostics[d]
	}
	return fmt.Sprintf("diagnostic %d", uint8(d))
}

// Control is a control packet. Intervals are on the wire in microseconds, in
// 32 bits; Append rounds down to that and keeps to its limits.
type Control struct {
	Diagnostic Diagnostic
	State      State
	Poll       bool
	Final      bool
	// ControlPlaneIndependent: the sender's BFD outlives its control plane.
	ControlPlaneIndependent bool
	Demand                  bool
	DetectMult              uint8
	MyDiscriminator         uint32
	YourDiscriminator       uint32
	DesiredMinTx            time.Duration
	RequiredMinRx           time.Duration
	RequiredMinEchoRx       time.Duration
}

// What makes a packet one to discard: RFC 5880 section 6.8.6.
var (
	ErrShort             = errors.New("shorter than its length field or than a control packet")
	ErrVersion           = errors.New("version is not 1")
	ErrLength            = errors.New("length field is too small")
	ErrDetectMult        = errors.New("detection multiplier is 0")
	ErrMultipoint        = errors.New("multipoint bit is set")
	ErrMyDiscriminator   = errors.New("my discriminator is 0")
	ErrYourDiscriminator = errors.New("your discriminator is 0 in a state other than Down and AdminDown")
	ErrAuthentication    = errors.New("authentication bit is set, but no authentication is in use")
	ErrPollFinal         = errors.New("both poll and final bits are set")
)

// Bits of the second octet.
const (
	bitPoll = 1 << (5 - iota)
	bitFinal
	bitIndependent
	bitAuthentication
	bitDemand
	bitMultipoint
)

// Parse reads the payload of a UDP datagram.
func Parse(b []byte) (Control, error) {
	var c Control
	if len(b) < Size {
		return c, ErrShort
	}
	flags, length := b[1], int(b[3])
	least := Size
	if flags&bitAuthentication != 0 {
		least += 2 // the authentication section's type and length
	}
	switch {
	case b[0]>>5 != version:
		return c, ErrVersion
	case length < least:
		return c, ErrLength
	case length > len(b):
		return c, ErrShort
	case b[2] == 0:
		return c, ErrDetectMult
	case flags&bitMultipoint != 0:
		return c, ErrMultipoint
	case flags&bitAuthentication != 0:
		return c, ErrAuthentication
	case flags&(bitPoll|bitFinal) == bitPoll|bitFinal:
		return c, ErrPollFinal // section 6.8.7: never sent
	}
	c = Control{
		Diagnostic: Diagnostic(b[0] & 0x1f), State: State(flags >> 6),
		Poll: flags&bitPoll != 0, Final: flags&bitFinal != 0,
		ControlPlaneIndependent: flags&bitIndependent != 0, Demand: flags&bitDemand != 0,
		DetectMult:      b[2],
		MyDiscriminator: binary.BigEndian.Uint32(b[4:]), YourDiscriminator: binary.BigEndian.Uint32(b[8:]),
		DesiredMinTx: interval(b[12:]), RequiredMinRx: interval(b[16:]), RequiredMinEchoRx: interval(b[20:]),
	}
	switch {
	case c.MyDiscriminator == 0:
		return Control{}, ErrMyDiscriminator
	case c.YourDiscriminator == 0 && c.State != Down && c.State != AdminDown:
		return Control{}, ErrYourDiscriminator
	}
	return c, nil
}

func interval(b []byte) time.Duration {
	return time.Duration(binary.BigEndian.Uint32(b)) * time.Microsecond
}

// Append adds the packet to dst.
func Append(dst []byte, c *Control) []byte {
	flags := byte(c.State) << 6
	for _, x := range [...]struct {
		set bool
		bit byte
	}{{c.Poll, bitPoll}, {c.Final, bitFinal}, {c.ControlPlaneIndependent, bitIndependent}, {c.Demand, bitDemand}} {
		if x.set {
			flags |= x.bit
		}
	}
	dst = append(dst, version<<5|byte(c.Diagnostic)&0x1f, flags, c.DetectMult, Size)
	dst = binary.BigEndian.AppendUint32(dst, c.MyDiscriminator)
	dst = binary.BigEndian.AppendUint32(dst, c.YourDiscriminator)
	for _, d := range [...]time.Duration{c.DesiredMinTx, c.RequiredMinRx, c.RequiredMinEchoRx} {
		dst = binary.BigEndian.AppendUint32(dst, microseconds(d))
	}
	return dst
}

func microseconds(d time.Duration) uint32 {
	return uint32(min(max(d/time.Microsecond, 0), 1<<32-1))
}
