package rule

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"evenkeel/internal/message"
)

// fixed makes a build function of a fetch without arguments.
func fixed(fn sampler) func(*binding, []string) (sampler, error) {
	return func(*binding, []string) (sampler, error) { return fn, nil }
}

// constant makes a fetch that is the same for every transaction.
func constant(v Value) (sampler, error) {
	return func(*Tx) (Value, bool) { return v, true }, nil
}

func init() {
	addFetches("literals", []FetchSpec{
		{Name: "always_true", Out: KindBool, Phases: phaseAny, Help: "true", build: fixed(func(*Tx) (Value, bool) { return Bool(true), true })},
		{Name: "always_false", Out: KindBool, Phases: phaseAny, Help: "false", build: fixed(func(*Tx) (Value, bool) { return Bool(false), true })},
		{Name: "bool", Args: "(value)", Min: 1, Max: 1, Out: KindBool, Phases: phaseAny, Help: "a boolean", build: func(b *binding, args []string) (sampler, error) {
			switch args[0] {
			case "true", "1":
				return constant(Bool(true))
			case "false", "0":
				return constant(Bool(false))
			}
			return nil, fmt.Errorf("expects 'true', 'false', '1' or '0', found '%s'", args[0])
		}},
		{Name: "int", Args: "(number)", Min: 1, Max: 1, Out: KindInt, Phases: phaseAny, Help: "a number", build: func(b *binding, args []string) (sampler, error) {
			n, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil {
				return nil, fmt.Errorf("'%s' is not a number", args[0])
			}
			return constant(Int(n))
		}},
		{Name: "str", Args: "(text)", Min: 1, Max: 1, Out: KindString, Phases: phaseAny, Help: "a text", build: func(b *binding, args []string) (sampler, error) {
			return constant(Str([]byte(args[0])))
		}},
		{Name: "bin", Args: "(hex)", Min: 1, Max: 1, Out: KindBinary, Phases: phaseAny, Help: "bytes", build: func(b *binding, args []string) (sampler, error) {
			raw, err := hex.DecodeString(args[0])
			if err != nil {
				return nil, fmt.Errorf("'%s' is not an even number of hexadecimal digits", args[0])
			}
			return constant(Bin(raw))
		}},
		{Name: "ipv4", Args: "(address)", Min: 1, Max: 1, Out: KindAddr, Phases: phaseAny, Help: "an IPv4 address", build: literalAddr(true)},
		{Name: "ipv6", Args: "(address)", Min: 1, Max: 1, Out: KindAddr, Phases: phaseAny, Help: "an IPv6 address", build: literalAddr(false)},
		{Name: "meth", Args: "(method)", Min: 1, Max: 1, Out: KindMethod, Phases: phaseAny, Help: "an HTTP method", build: func(b *binding, args []string) (sampler, error) {
			m := []byte(args[0])
			return constant(methodValue(message.IdentifyMethod(m), m))
		}},
		{Name: "var", Args: "(name[,default])", Min: 1, Max: 2, Phases: phaseAny, Help: "a variable", build: buildVar},
	})
}

func literalAddr(v4 bool) func(*binding, []string) (sampler, error) {
	return func(b *binding, args []string) (sampler, error) {
		a, ok := parseAddr([]byte(args[0]))
		if !ok || a.Is4() != v4 {
			return nil, fmt.Errorf("'%s' is not an address of that family", args[0])
		}
		return func(*Tx) (Value, bool) { return Value{Kind: KindAddr, Addr: a}, true }, nil
	}
}

func buildVar(b *binding, args []string) (sampler, error) {
	if args[0] == "" {
		return nil, errors.New("the name of a variable is missing")
	}
	v, err := b.c.variable(args[0])
	if err != nil {
		return nil, err
	}
	if len(args) == 2 {
		def := Str([]byte(args[1]))
		return func(tx *Tx) (Value, bool) {
			if x, ok := v.get(tx); ok {
				return x, true
			}
			return def, true
		}, nil
	}
	if v.scope == scopeTxn {
		slot := v.slot
		return func(tx *Tx) (Value, bool) { return tx.Vars.get(slot) }, nil
	}
	return v.get, nil
}
