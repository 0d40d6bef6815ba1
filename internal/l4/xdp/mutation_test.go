package xdp

import (
	"encoding/binary"
	"fmt"
	"math/rand"
	"testing"

	"evenkeel/internal/l4"
)

// Whatever bytes of a packet are wrong: what crosses has an outside that every
// receiver accepts.
func TestNothingMalformedCrosses(t *testing.T) {
	for _, mode := range []Mode{Auto, Native} {
		b := newBench(t, Options{MaxFlows: 1 << 16, Mode: mode})
		random := rand.New(rand.NewSource(1))
		for _, v6 := range []bool{false, true} {
			for _, method := range []l4.Method{l4.DR, l4.NAT, l4.TUN, l4.FULLNAT} {
				b.set(one(method, v6))
				seeds := [][]byte{
					packet{v6: v6}.frame(), packet{v6: v6, protocol: l4.UDP}.frame(),
					packet{v6: v6, options: []byte{7, 7, 4, 0, 0, 0, 0, 0}}.frame(),
					packet{v6: v6, extension: 60, extensions: []byte{6, 0, 1, 4, 0, 0, 0, 0}}.frame(),
					packet{v6: v6, protocol: l4.UDP, fragment: 0x2000, extension: 44, extensions: []byte{17, 0, 0, 1, 0, 0, 0, 7}}.frame(),
					icmpError{outer: packet{v6: v6}, about: packet{v6: v6}.withDefaults().answer(flagACK).atClient(), kind: map[bool]uint8{false: 3, true: 1}[v6]}.frame(),
				}
				b.run(seeds[0])
				crossed := 0
				for range 1500 {
					f := append([]byte{}, seeds[random.Intn(len(seeds))]...)
					for range 1 + random.Intn(3) {
						f[12+random.Intn(min(len(f)-12, 70))] = byte(random.Intn(256))
					}
					if !v6 && random.Intn(3) > 0 && f[14]>>4 == 4 {
						// Most wrong headers would be stopped by their checksum.
						end := min(len(f), 14+max(20, int(f[14]&0xf)*4))
						f[24], f[25] = 0, 0
						binary.BigEndian.PutUint16(f[24:], sum16(f[14:end], 0))
					}
					if verdict, out := b.run(f); verdict == tcRedirect {
						crossed++
						if err := wellFormed(out); err != nil {
							t.Fatalf("%v %s: %v\n in  %x\n out %x", method, family(v6), err, f, out)
						}
					}
				}
				if crossed < 100 {
					t.Errorf("%v %s: only %d crossed, this tests nothing", method, family(v6), crossed)
				}
			}
		}
	}
}

// wellFormed judges a frame that was sent.
func wellFormed(f []byte) error {
	if len(f) < 14+20 {
		return fmt.Errorf("%d bytes", len(f))
	}
	switch binary.BigEndian.Uint16(f[12:]) {
	case 0x0800:
		return wellFormed4(f[14:])
	case 0x86dd:
		return wellFormed6(f[14:])
	}
	return fmt.Errorf("ethertype %x", f[12:14])
}

func wellFormed4(p []byte) error {
	header, length := int(p[0]&0xf)*4, int(binary.BigEndian.Uint16(p[2:]))
	switch {
	case p[0]>>4 != 4 || header < 20 || header > length || length > len(p):
		return fmt.Errorf("header of %d, length %d in %d", header, length, len(p))
	case sum16(p[:header], 0) != 0:
		return fmt.Errorf("header checksum")
	case p[8] == 0:
		return fmt.Errorf("TTL 0")
	case p[12] == 0 || p[12] == 127 || p[12] >= 224 || p[16] == 127 || p[16] >= 224:
		return fmt.Errorf("address")
	}
	fragment := binary.BigEndian.Uint16(p[6:])
	if fragment&0x1fff != 0 {
		return nil
	}
	return wellFormedTransport(p[9], p[header:length], fragment&0x2000 != 0)
}

func wellFormed6(p []byte) error {
	if len(p) < 40 || p[0]>>4 != 6 {
		return fmt.Errorf("no IPv6")
	}
	length := 40 + int(binary.BigEndian.Uint16(p[4:]))
	if length > len(p) || p[7] == 0 || p[8] == 0xff {
		return fmt.Errorf("length %d in %d, hop limit %d, from %x", length, len(p), p[7], p[8:24])
	}
	next, at, more := p[6], 40, false
	for next == 0 || next == 60 || next == 43 || next == 44 {
		if at+8 > length {
			return fmt.Errorf("extension header beyond the end")
		}
		n := 8 + int(p[at+1])*8
		if next == 44 {
			n = 8
			offset := binary.BigEndian.Uint16(p[at+2:])
			if more = offset&1 != 0; offset&0xfff8 != 0 {
				return nil
			}
		}
		next, at = p[at], at+n
	}
	if at > length {
		return fmt.Errorf("extension headers beyond the end")
	}
	return wellFormedTransport(next, p[at:length], more)
}

func wellFormedTransport(protocol uint8, p []byte, fragment bool) error {
	switch protocol {
	case 4:
		return wellFormed4(p)
	case 41:
		return wellFormed6(p)
	case 6:
		if len(p) < 20 || int(p[12]>>4)*4 < 20 || int(p[12]>>4)*4 > len(p) {
			return fmt.Errorf("TCP header")
		}
		if flags := p[13] & 7; flags&(flags-1) != 0 || p[13]&0x17 == 0 {
			return fmt.Errorf("TCP flags %x", p[13])
		}
	case 17:
		if n := int(binary.BigEndian.Uint16(p[4:])); len(p) < 8 || n < 8 || (n > len(p) && !fragment) {
			return fmt.Errorf("UDP length")
		}
	case 1, 58:
		if len(p) < 8 {
			return fmt.Errorf("ICMP header")
		}
	default:
		return fmt.Errorf("protocol %d", protocol)
	}
	return nil
}
