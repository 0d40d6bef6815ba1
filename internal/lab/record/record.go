package record

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Kind says what a record is about; it is also the first letter of its line.
type Kind byte

// Kinds, with the fields that they use beside At.
const (
	Window   Kind = 'w' // probes to all addresses went out: Number
	Held     Kind = 'h' // the same, but some went out much later than At: Number
	Owner    Kind = 'o' // an answer to an ARP request or a neighbour solicitation: VIP, MAC
	Echo     Kind = 'e' // an answer to an echo request: VIP, Number (its window)
	Announce Kind = 'g' // a gratuitous ARP or an unsolicited neighbour advertisement: VIP, MAC
	Advert   Kind = 'v' // a VRRP advertisement: Number (VRID, and IPv6), Priority, Interval, MAC
	Answer   Kind = 'a' // an HTTP request was answered: VIP, Kept, Took
	Lost     Kind = 'x' // an HTTP request was not: VIP, Kept, Text
	Slept    Kind = 's' // the load did not run for a while: Took, until At
	Mark     Kind = 'm' // something that the lab did: Text
)

// IPv6 is set in the number of a virtual router of IPv6: the two families
// number theirs apart.
const IPv6 = 0x100

// Record is one thing that was seen. Times are of CLOCK_MONOTONIC.
type Record struct {
	At       time.Duration
	Kind     Kind
	VIP      int // index in the topology
	Number   uint32
	MAC      MAC
	Priority uint8
	Interval time.Duration // between advertisements
	Kept     bool          // on a connection that had an answer before
	Took     time.Duration
	Text     string
}

// MAC is a link-layer address; comparable.
type MAC [6]byte

func (m MAC) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// Append writes a record as a line.
func Append(b []byte, r Record) []byte {
	number := func(n int64) { b = strconv.AppendInt(append(b, ' '), n, 10) }
	mac := func() {
		b = append(b, ' ')
		const digits = "0123456789abcdef"
		for _, c := range r.MAC {
			b = append(b, digits[c>>4], digits[c&15])
		}
	}
	flag := func() {
		if r.Kept {
			number(1)
		} else {
			number(0)
		}
	}
	b = append(b, byte(r.Kind))
	number(int64(r.At))
	switch r.Kind {
	case Window, Held:
		number(int64(r.Number))
	case Owner, Announce:
		number(int64(r.VIP))
		mac()
	case Echo:
		number(int64(r.VIP))
		number(int64(r.Number))
	case Advert:
		number(int64(r.Number))
		number(int64(r.Priority))
		number(int64(r.Interval))
		mac()
	case Answer:
		number(int64(r.VIP))
		flag()
		number(int64(r.Took))
	case Slept:
		number(int64(r.Took))
	case Lost:
		number(int64(r.VIP))
		flag()
		b = append(append(b, ' '), oneLine(r.Text)...)
	case Mark:
		b = append(append(b, ' '), oneLine(r.Text)...)
	}
	return append(b, '\n')
}

func oneLine(s string) string {
	return string(bytes.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, []byte(s)))
}

var errForm = errors.New("record: not a record")

// Parse reads a line, with or without its end.
func Parse(line []byte) (r Record, err error) {
	line = bytes.TrimRight(line, "\r\n")
	if len(line) < 3 || line[1] != ' ' {
		return r, errForm
	}
	r.Kind = Kind(line[0])
	f := fields{rest: line[2:]}
	r.At = time.Duration(f.number(1 << 62))
	switch r.Kind {
	case Window, Held:
		r.Number = uint32(f.number(1<<32 - 1))
	case Owner, Announce:
		r.VIP = int(f.number(maxVIP))
		r.MAC = f.mac()
	case Echo:
		r.VIP = int(f.number(maxVIP))
		r.Number = uint32(f.number(1<<32 - 1))
	case Advert:
		r.Number = uint32(f.number(IPv6 | 255))
		r.Priority = uint8(f.number(255))
		r.Interval = time.Duration(f.number(1 << 62))
		r.MAC = f.mac()
	case Answer:
		r.VIP = int(f.number(maxVIP))
		r.Kept = f.number(1) == 1
		r.Took = time.Duration(f.number(1 << 62))
	case Slept:
		r.Took = time.Duration(f.number(1 << 62))
	case Lost:
		r.VIP = int(f.number(maxVIP))
		r.Kept = f.number(1) == 1
		r.Text = string(f.rest)
		f.rest = nil
	case Mark:
		r.Text = string(f.rest)
		f.rest = nil
	default:
		return r, errForm
	}
	if f.bad || len(f.rest) > 0 {
		return r, errForm
	}
	return r, nil
}

// maxVIP bounds what an index may be.
const maxVIP = 1023

// fields takes a line apart.
type fields struct {
	rest []byte
	bad  bool
}

func (f *fields) next() []byte {
	word, rest, _ := bytes.Cut(f.rest, []byte{' '})
	f.rest = rest
	return word
}

func (f *fields) number(most int64) int64 {
	n, err := strconv.ParseInt(string(f.next()), 10, 64)
	if err != nil || n < 0 || n > most {
		f.bad = true
		return 0
	}
	return n
}

func (f *fields) mac() (m MAC) {
	word := f.next()
	if len(word) != 2*len(m) {
		f.bad = true
		return m
	}
	for i := range m {
		n, err := strconv.ParseUint(string(word[2*i:2*i+2]), 16, 8)
		if err != nil {
			f.bad = true
		}
		m[i] = byte(n)
	}
	return m
}
