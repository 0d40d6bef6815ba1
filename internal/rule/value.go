package rule

import (
	"net/netip"

	"evenkeel/internal/message"
)

// Kind is the type of a sample.
type Kind uint8

const (
	KindNone Kind = iota // of a keyword: any
	KindBool
	KindInt
	KindAddr
	KindString
	KindBinary
	KindMethod
)

var kindNames = [...]string{"any", "boolean", "integer", "address", "string", "binary", "method"}

func (k Kind) String() string { return kindNames[k] }

// Value is one sample. Bytes point into a message, the configuration or the
// transaction's scratch memory: they are valid until the next evaluation on
// the same Tx. It is eight words long so that it travels in registers.
type Value struct {
	Kind  Kind
	Int   int64 // also a boolean, 0 or 1, and a message.Method
	Bytes []byte
	Addr  netip.Addr
}

// Bool makes a boolean sample.
func Bool(b bool) Value {
	if b {
		return Value{Kind: KindBool, Int: 1}
	}
	return Value{Kind: KindBool}
}

// Int makes an integer sample.
func Int(n int64) Value { return Value{Kind: KindInt, Int: n} }

// Str makes a string sample.
func Str(b []byte) Value { return Value{Kind: KindString, Bytes: b} }

// Bin makes a binary sample.
func Bin(b []byte) Value { return Value{Kind: KindBinary, Bytes: b} }

// Address makes an address sample; an IPv4 address in IPv6 form is IPv4.
func Address(a netip.Addr) Value { return Value{Kind: KindAddr, Addr: a.Unmap()} }

func methodValue(id message.Method, b []byte) Value {
	return Value{Kind: KindMethod, Int: int64(id), Bytes: b}
}
