package rule

import (
	"bytes"
	"net/netip"
	"strconv"

	"evenkeel/internal/message"
)

// castable says whether samples of a kind can become another. What is typed at
// run time only may fail then.
func castable(from, to Kind) bool {
	if from == KindNone || to == KindNone || from == to {
		return true
	}
	switch from {
	case KindBool:
		return to == KindInt || to == KindString
	case KindInt:
		return to == KindBool || to == KindAddr || to == KindString || to == KindBinary
	case KindAddr:
		return to == KindInt || to == KindString || to == KindBinary
	case KindString:
		return true
	case KindBinary:
		return to == KindString || to == KindMethod
	case KindMethod:
		return to == KindString || to == KindBinary
	}
	return false
}

// cast converts a sample as HAProxy's types do implicitly.
func cast(tx *Tx, v Value, to Kind) (Value, bool) {
	if v.Kind == to || to == KindNone {
		return v, true
	}
	switch to {
	case KindBool:
		return castBool(v)
	case KindInt:
		return castInt(v)
	case KindAddr:
		return castAddr(v)
	case KindString:
		return castString(tx, v)
	case KindBinary:
		return castBinary(tx, v)
	case KindMethod:
		if v.Kind == KindString || v.Kind == KindBinary {
			return methodValue(message.IdentifyMethod(v.Bytes), v.Bytes), true
		}
	}
	return Value{}, false
}

func castBool(v Value) (Value, bool) {
	switch v.Kind {
	case KindInt:
		return Bool(v.Int != 0), true
	case KindString:
		v, ok := castInt(v)
		return Bool(v.Int != 0), ok
	}
	return Value{}, false
}

func castInt(v Value) (Value, bool) {
	switch v.Kind {
	case KindBool:
		return Int(v.Int), true
	case KindAddr:
		if v.Addr.Is4() {
			a := v.Addr.As4()
			return Int(int64(a[0])<<24 | int64(a[1])<<16 | int64(a[2])<<8 | int64(a[3])), true
		}
	case KindString:
		// What follows the digits does not matter.
		n, _ := readInt(v.Bytes)
		return Int(n), len(v.Bytes) > 0
	}
	return Value{}, false
}

func castAddr(v Value) (Value, bool) {
	switch v.Kind {
	case KindInt:
		n := uint32(v.Int)
		return Address(netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})), true
	case KindString:
		a, ok := parseAddr(v.Bytes)
		return Address(a), ok
	}
	return Value{}, false
}

func castString(tx *Tx, v Value) (Value, bool) {
	switch v.Kind {
	case KindBool, KindInt:
		return Str(tx.number(v.Int)), true
	case KindAddr:
		return Str(v.Addr.AppendTo(tx.temp(48)[:0])), true
	case KindBinary:
		// A string ends at its first NUL.
		if i := bytes.IndexByte(v.Bytes, 0); i >= 0 {
			v.Bytes = v.Bytes[:i]
		}
		return Str(v.Bytes), true
	case KindMethod:
		return Str(v.Bytes), true
	}
	return Value{}, false
}

func castBinary(tx *Tx, v Value) (Value, bool) {
	switch v.Kind {
	case KindString, KindMethod:
		return Bin(v.Bytes), true
	case KindAddr:
		if v.Addr.Is4() {
			a := v.Addr.As4()
			return Bin(tx.tempCopy(a[:])), true
		}
		a := v.Addr.As16()
		return Bin(tx.tempCopy(a[:])), true
	case KindInt:
		t := tx.temp(8)
		for i := range t {
			t[i] = byte(v.Int >> (56 - 8*i))
		}
		return Bin(t), true
	}
	return Value{}, false
}

func (tx *Tx) number(n int64) []byte {
	return strconv.AppendInt(tx.temp(20)[:0], n, 10)
}

// readInt reads a signed decimal number and gives what follows it. It stops
// where the number would overflow.
func readInt(b []byte) (int64, []byte) {
	i, neg := 0, false
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		neg = b[0] == '-'
		i++
	}
	var n uint64
	for ; i < len(b) && b[i]-'0' < 10; i++ {
		d := uint64(b[i] - '0')
		if n > (1<<63-1-d)/10 {
			n = 1<<63 - 1
			continue
		}
		n = n*10 + d
	}
	if neg {
		return -int64(n), b[i:]
	}
	return int64(n), b[i:]
}

// parseAddr reads an IPv4 or IPv6 address without allocating.
func parseAddr(b []byte) (netip.Addr, bool) {
	if len(b) > 0 && len(b) <= 15 && b[0] != ':' {
		if a, ok := parseIPv4(b); ok {
			return a, true
		}
	}
	if len(b) > 64 || len(b) < 2 {
		return netip.Addr{}, false
	}
	var colon bool
	for _, c := range b {
		colon = colon || c == ':'
		if c == '%' {
			return netip.Addr{}, false
		}
	}
	if !colon {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(string(b))
	return a, err == nil
}

func parseIPv4(b []byte) (netip.Addr, bool) {
	var a [4]byte
	part, n, digits := 0, 0, 0
	for i := 0; i <= len(b); i++ {
		if i == len(b) || b[i] == '.' {
			if digits == 0 || part > 3 {
				return netip.Addr{}, false
			}
			a[part] = byte(n)
			part, n, digits = part+1, 0, 0
			continue
		}
		d := b[i] - '0'
		if d > 9 {
			return netip.Addr{}, false
		}
		if n = n*10 + int(d); n > 255 || digits == 3 {
			return netip.Addr{}, false
		}
		digits++
	}
	return netip.AddrFrom4(a), part == 4
}
