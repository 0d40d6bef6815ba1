package flowsync

import (
	"encoding/binary"
	"errors"

	"evenkeel/internal/l4"
)

// A datagram is a header and records, all numbers in network order:
//
//	 0  "EKFS"
//	 4  version, 1
//	 5  kind
//	 6  sync ID, as IPVS's: directors of other IDs do not listen
//	 7  flags
//	 8  sender, a number that a daemon draws when it starts (8 bytes)
//	16  of a request: who shall tell everything; 0: everybody (8 bytes)
//	    of a hello that everything has been told: the sequence number from which
//	    on it was
//	24  sequence number, of all datagrams of the sender
//	28  connections in the sender's table, where it knows
//	32  lag: a change that is older than this many milliseconds has been told
//	36  number of records (2 bytes)
//	38  0 (2 bytes)
const headerSize = 40

const version = 1

var magic = [4]byte{'E', 'K', 'F', 'S'}

// kind is what a datagram is for.
type kind uint8

const (
	kindFlows   kind = 1 // records
	kindHello   kind = 2 // somebody is there
	kindRequest kind = 3 // tell everything again
)

const (
	flagActive = 0x01 // the sender tells of its connections
	flagWhole  = 0x02 // it has just told all of them
)

// header is a datagram without its records.
type header struct {
	kind     kind
	id       uint8
	active   bool
	whole    bool
	sender   uint64
	target   uint64
	sequence uint32
	flows    uint32
	lag      uint32 // milliseconds
	count    uint16
}

// Errors of parse. What follows the version is not looked at in another one.
var (
	errShort   = errors.New("too short")
	errMagic   = errors.New("not of this protocol")
	errVersion = errors.New("another version")
	errKind    = errors.New("unknown kind")
	errRecord  = errors.New("a record is not well-formed")
	errExtra   = errors.New("bytes behind the last record")
)

// put writes the header into the first headerSize bytes of b.
func (h *header) put(b []byte) {
	clear(b[:headerSize])
	copy(b, magic[:])
	b[4], b[5], b[6] = version, byte(h.kind), h.id
	if h.active {
		b[7] |= flagActive
	}
	if h.whole {
		b[7] |= flagWhole
	}
	binary.BigEndian.PutUint64(b[8:], h.sender)
	binary.BigEndian.PutUint64(b[16:], h.target)
	binary.BigEndian.PutUint32(b[24:], h.sequence)
	binary.BigEndian.PutUint32(b[28:], h.flows)
	binary.BigEndian.PutUint32(b[32:], h.lag)
	binary.BigEndian.PutUint16(b[36:], h.count)
}

// isPlain says whether it is of this kind, as far as the header tells.
func isPlain(b []byte) bool {
	return len(b) >= headerSize && [4]byte(b) == magic && b[4] == version
}

// parse reads a datagram and appends its records to list. It is whole or an
// error.
func parse(b []byte, list []l4.Sync) (header, []l4.Sync, error) {
	var h header
	switch {
	case len(b) < headerSize:
		return h, list, errShort
	case [4]byte(b) != magic:
		return h, list, errMagic
	case b[4] != version:
		return h, list, errVersion
	}
	h = header{kind: kind(b[5]), id: b[6], active: b[7]&flagActive != 0, whole: b[7]&flagWhole != 0,
		sender: binary.BigEndian.Uint64(b[8:]), target: binary.BigEndian.Uint64(b[16:]),
		sequence: binary.BigEndian.Uint32(b[24:]), flows: binary.BigEndian.Uint32(b[28:]), lag: binary.BigEndian.Uint32(b[32:]),
		count: binary.BigEndian.Uint16(b[36:])}
	if h.kind < kindFlows || h.kind > kindRequest {
		return h, list, errKind
	}
	rest := b[headerSize:]
	for range h.count {
		s, left, err := parseRecord(rest)
		if err != nil {
			return h, list, err
		}
		list, rest = append(list, s), left
	}
	if len(rest) > 0 {
		return h, list, errExtra
	}
	return h, list, nil
}
