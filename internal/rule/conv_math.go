package rule

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// intArg is a number that is known, or stands in a variable.
type intArg func(tx *Tx) (int64, bool)

func (b *binding) number(s string) (intArg, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return func(*Tx) (int64, bool) { return n, true }, nil
	}
	x, err := b.c.variable(s)
	if err != nil {
		return nil, fmt.Errorf("expects a number or the name of a variable, found '%s'", s)
	}
	return func(tx *Tx) (int64, bool) {
		v, ok := x.get(tx)
		if ok {
			v, ok = cast(tx, v, KindInt)
		}
		return v.Int, ok
	}, nil
}

// arithmetic makes a converter of two numbers.
func arithmetic(f func(a, b int64) int64) func(*binding, []string) (converter, error) {
	return func(b *binding, a []string) (converter, error) {
		arg, err := b.number(a[0])
		return func(tx *Tx, v Value) (Value, bool) {
			n, ok := arg(tx)
			return Int(f(v.Int, n)), ok
		}, err
	}
}

// addSat adds without wrapping round.
func addSat(a, b int64) int64 {
	s := a + b
	if a > 0 && b > 0 && s < 0 {
		return maxInt
	}
	if a < 0 && b < 0 && s >= 0 {
		return minInt
	}
	return s
}

func subSat(a, b int64) int64 {
	if b == minInt {
		if a >= 0 {
			return maxInt
		}
		return a - b
	}
	return addSat(a, -b)
}

func mulSat(a, b int64) int64 {
	if a == 0 || b == 0 {
		return 0
	}
	p := a * b
	if p/b != a || a == minInt && b == -1 || b == minInt && a == -1 {
		if (a < 0) == (b < 0) {
			return maxInt
		}
		return minInt
	}
	return p
}

func divSat(a, b int64) int64 {
	switch {
	case b == 0:
		return maxInt
	case a == minInt && b == -1:
		return maxInt
	}
	return a / b
}

func modSat(a, b int64) int64 {
	if b == 0 || b == -1 {
		return 0
	}
	return a % b
}

func unary(out Kind, f func(n int64) int64) func(*binding, []string) (converter, error) {
	return plain(func(tx *Tx, v Value) (Value, bool) { return Value{Kind: out, Int: f(v.Int)}, true })
}

func truthOf(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func init() {
	two := func(name, help string, f func(a, b int64) int64) ConverterSpec {
		return ConverterSpec{Name: name, Args: "(value)", Min: 1, Max: 1, In: KindInt, Out: KindInt, Help: help, build: arithmetic(f)}
	}
	one := func(name, help string, out Kind, f func(n int64) int64) ConverterSpec {
		return ConverterSpec{Name: name, In: KindInt, Out: out, Help: help, build: unary(out, f)}
	}
	addConverters("numbers", []ConverterSpec{
		two("add", "adds", addSat), two("sub", "subtracts", subSat), two("mul", "multiplies", mulSat),
		two("div", "divides; by zero gives the largest number", divSat), two("mod", "remainder; by zero gives 0", modSat),
		two("and", "bitwise and", func(a, b int64) int64 { return a & b }),
		two("or", "bitwise or", func(a, b int64) int64 { return a | b }),
		two("xor", "bitwise exclusive or", func(a, b int64) int64 { return a ^ b }),
		one("neg", "negates", KindInt, func(n int64) int64 {
			if n == minInt {
				return maxInt
			}
			return -n
		}),
		one("cpl", "bitwise complement", KindInt, func(n int64) int64 { return ^n }),
		one("not", "true if zero", KindBool, func(n int64) int64 { return truthOf(n == 0) }),
		one("bool", "true if not zero", KindBool, func(n int64) int64 { return truthOf(n != 0) }),
		one("odd", "true if odd", KindBool, func(n int64) int64 { return n & 1 }),
		one("even", "true if even", KindBool, func(n int64) int64 { return ^n & 1 }),
		{Name: "iif", Args: "(true,false)", Min: 2, Max: 2, In: KindBool, Out: KindString, Help: "one of two texts", build: func(b *binding, a []string) (converter, error) {
			yes, no := Str([]byte(a[0])), Str([]byte(a[1]))
			return func(tx *Tx, v Value) (Value, bool) {
				if v.Int != 0 {
					return yes, true
				}
				return no, true
			}, nil
		}},
		{Name: "ipmask", Args: "(mask4[,mask6])", Min: 1, Max: 2, In: KindAddr, Out: KindAddr, Help: "keeps the network part of an address", build: buildIPMask},
		{Name: "set-var", Args: "(name[,condition...])", Min: 1, Max: 9, Help: "stores the value in a variable and passes it on", build: func(b *binding, a []string) (converter, error) {
			x, err := b.c.variable(a[0])
			if err != nil {
				return nil, err
			}
			only, err := onlyIf(a[1:])
			return func(tx *Tx, v Value) (Value, bool) {
				if only.allows(tx, &x, v) {
					x.set(tx, v)
				}
				return v, true
			}, err
		}},
		{Name: "unset-var", Args: "(name)", Min: 1, Max: 1, Help: "unsets a variable and passes the value on", build: func(b *binding, a []string) (converter, error) {
			x, err := b.c.variable(a[0])
			return func(tx *Tx, v Value) (Value, bool) {
				x.unset(tx)
				return v, true
			}, err
		}},
		{Name: "capture-req", Args: "(slot)", Min: 1, Max: 1, In: KindString, Out: KindString, Help: "stores the value in a request capture slot", build: captureConverter(false)},
		{Name: "capture-res", Args: "(slot)", Min: 1, Max: 1, In: KindString, Out: KindString, Help: "stores the value in a response capture slot", build: captureConverter(true)},
	})
	for _, n := range []string{"table_bytes_in_rate", "table_bytes_out_rate", "table_conn_cnt", "table_conn_cur", "table_conn_rate", "table_expire",
		"table_gpc", "table_gpc0", "table_gpc0_rate", "table_gpc1", "table_gpc1_rate", "table_gpt", "table_gpt0", "table_http_err_cnt", "table_http_err_rate",
		"table_http_fail_cnt", "table_http_fail_rate", "table_http_req_cnt", "table_http_req_rate", "table_idle", "table_kbytes_in", "table_kbytes_out",
		"table_server_id", "table_sess_cnt", "table_sess_rate", "table_trackers", "in_table"} {
		addConverters("stick tables", []ConverterSpec{{Name: n, Args: "([table])", Max: 2, Refused: "stick tables are not built yet", Help: "entry of a stick table"}})
	}
}

func captureConverter(res bool) func(*binding, []string) (converter, error) {
	return func(b *binding, a []string) (converter, error) {
		n, err := strconv.Atoi(a[0])
		if err != nil || n < 0 {
			return nil, fmt.Errorf("'%s' is not the number of a capture slot", a[0])
		}
		return func(tx *Tx, v Value) (Value, bool) {
			tx.capture(n, res, v.Bytes, 0)
			return v, true
		}, nil
	}
}

func buildIPMask(b *binding, a []string) (converter, error) {
	v4, err := maskBits(a[0], netip.IPv4Unspecified())
	if err != nil {
		return nil, err
	}
	v6 := 128
	if len(a) == 2 {
		if v6, err = maskBits(a[1], netip.IPv6Unspecified()); err != nil {
			if m, ok := parseAddr([]byte(a[1])); ok && m.Is6() {
				v6, err = onesOf(m)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	return func(tx *Tx, v Value) (Value, bool) {
		n := v6
		if v.Addr.Is4() {
			n = v4
		}
		p, err := v.Addr.Prefix(n)
		return Value{Kind: KindAddr, Addr: p.Addr()}, err == nil
	}, nil
}

func onesOf(m netip.Addr) (int, error) {
	n := 0
	for _, c := range m.As16() {
		for bit := 7; bit >= 0; bit-- {
			if c>>bit&1 == 0 {
				return n, nil
			}
			n++
		}
	}
	return n, nil
}

// storeOnly is the list of conditions of a set-var.
type storeOnly struct{ exists, notExists, empty, notEmpty, set, notSet, gt, lt bool }

func onlyIf(conds []string) (storeOnly, error) {
	var o storeOnly
	for _, c := range conds {
		switch strings.TrimSpace(c) {
		case "ifexists":
			o.exists = true
		case "ifnotexists":
			o.notExists = true
		case "ifempty":
			o.empty = true
		case "ifnotempty":
			o.notEmpty = true
		case "ifset":
			o.set = true
		case "ifnotset":
			o.notSet = true
		case "ifgt":
			o.gt = true
		case "iflt":
			o.lt = true
		default:
			return o, fmt.Errorf("unknown condition '%s': expects ifexists, ifnotexists, ifempty, ifnotempty, ifset, ifnotset, ifgt or iflt", c)
		}
	}
	return o, nil
}

func (o *storeOnly) allows(tx *Tx, x *variable, v Value) bool {
	if *o == (storeOnly{}) {
		return true
	}
	old, exists := x.get(tx)
	switch {
	case o.exists && !exists, o.set && !exists, o.notExists && exists, o.notSet && exists,
		o.empty && exists && len(old.Bytes) > 0 && old.Kind >= KindString,
		o.notEmpty && v.Kind >= KindString && len(v.Bytes) == 0:
		return false
	}
	if (o.gt || o.lt) && exists && old.Kind <= KindInt && v.Kind <= KindInt {
		return o.gt && v.Int > old.Int || o.lt && v.Int < old.Int
	}
	return true
}
