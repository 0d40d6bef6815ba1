package rule

import (
	"bytes"
	"fmt"
	"strconv"

	"evenkeel/internal/message"
)

func init() {
	for _, side := range []struct {
		prefix string
		res    bool
		phases Phase
		needs  string
	}{
		{"req.", false, phaseHead, needsRequest},
		{"res.", true, phaseResHead, needsResponse},
	} {
		res := side.res
		add := func(name, args string, hi int, out Kind, help string, build func(b *binding, a []string) (sampler, error)) {
			spec := FetchSpec{Name: side.prefix + name, Args: args, Max: hi, Out: out, Phases: side.phases, Needs: side.needs, Help: help, build: build}
			addFetches("headers", []FetchSpec{spec})
		}
		add("hdr", "([name[,occurrence]])", 2, KindString, "value of a header, split at commas", func(b *binding, a []string) (sampler, error) {
			return buildHeader(b, a, res, true)
		})
		add("fhdr", "([name[,occurrence]])", 2, KindString, "whole value of a header line", func(b *binding, a []string) (sampler, error) {
			return buildHeader(b, a, res, false)
		})
		add("hdr_ip", "([name[,occurrence]])", 2, KindAddr, "address in a header", func(b *binding, a []string) (sampler, error) {
			return mapHeader(b, a, res, headerAddr)
		})
		add("hdr_val", "([name[,occurrence]])", 2, KindInt, "number in a header", func(b *binding, a []string) (sampler, error) {
			return mapHeader(b, a, res, headerInt)
		})
		add("hdr_cnt", "([name])", 1, KindInt, "how many values headers of a name have", func(b *binding, a []string) (sampler, error) {
			return countHeader(a, res, true)
		})
		add("fhdr_cnt", "([name])", 1, KindInt, "how many header lines of a name there are", func(b *binding, a []string) (sampler, error) {
			return countHeader(a, res, false)
		})
		add("hdr_names", "([delimiter])", 1, KindString, "names of all headers", func(b *binding, a []string) (sampler, error) {
			return headerNames(a, res)
		})
		add("hdrs", "", 0, KindString, "all header lines", func(*binding, []string) (sampler, error) {
			return func(tx *Tx) (Value, bool) { return headerBlock(tx, res) }, nil
		})
		add("hdrs_bin", "", 0, KindBinary, "all headers with their lengths", func(*binding, []string) (sampler, error) {
			return func(tx *Tx) (Value, bool) { return headerBlockBin(tx, res) }, nil
		})
	}
	// hdr, hdr_ip … follow the direction of the rule that they stand in.
	for _, n := range []string{"hdr", "hdr_ip", "hdr_val", "hdr_cnt"} {
		req := *fetchIndex["req."+n]
		req.Name, req.Phases, req.Help = n, phaseHead|phaseResHead, req.Help+" (of the request, or in response rules of the response)"
		reqBuild, resBuild := req.build, fetchIndex["res."+n].build
		req.build = func(b *binding, a []string) (sampler, error) {
			if b.phase&phaseResHead != 0 {
				return resBuild(b, a)
			}
			return reqBuild(b, a)
		}
		addFetches("headers", []FetchSpec{req})
	}
	for _, n := range []string{"hdr", "fhdr", "hdr_ip", "hdr_val", "hdr_cnt"} {
		if n == "fhdr" {
			continue
		}
		s := *fetchIndex["res."+n]
		s.Name = "s" + n
		addFetches("headers", []FetchSpec{s})
	}
}

// headerName is a header that a keyword names.
type headerName struct {
	lower string // "" : any
	id    message.FieldID
}

func parseHeaderName(args []string) headerName {
	if len(args) == 0 || args[0] == "" {
		return headerName{}
	}
	l := asciiLower(args[0])
	return headerName{l, message.Lookup(l)}
}

// is compares with a name of the same length. Names often share their
// beginning (X-…, Sec-Fetch-…), so the last letter is looked at first.
func (n *headerName) is(name []byte) bool {
	last := len(name) - 1
	return last >= 0 && lowerByte(name[last]) == n.lower[last] && equalFold(name[:last], n.lower[:last])
}

// next finds the field at or after from.
func (n *headerName) next(h *message.Head, from int) int {
	if n.id != message.FieldOther {
		for i := from; i < len(h.Fields); i++ {
			if f := &h.Fields[i]; f.ID == n.id && f.Name != nil {
				return i
			}
		}
		return -1
	}
	for i := from; i < len(h.Fields); i++ {
		f := &h.Fields[i]
		if f.Name != nil && (n.lower == "" || f.ID == message.FieldOther && len(f.Name) == len(n.lower) && n.is(f.Name)) {
			return i
		}
	}
	return -1
}

// nextItem takes one value from a comma-separated list, starting at off, and
// gives where the next one starts; len(b)+1 if there is none.
func nextItem(b []byte, off int) (item []byte, next int) {
	end := off + itemEnd(b[off:])
	return trimSpace(b[off:end]), end + 1
}

// itemEnd finds the comma that ends a value; commas in quotes do not.
func itemEnd(b []byte) int {
	quoted := false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == ',' && !quoted:
			return i
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		}
	}
	return len(b)
}

func trimSpace(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

func parseOccurrence(args []string) (int, error) {
	if len(args) < 2 || args[1] == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(args[1])
	if err != nil || n < -10 || n > 1000 {
		return 0, fmt.Errorf("'%s' is not an occurrence: it counts from 1, or from -1 at the end (at most -10)", args[1])
	}
	return n, nil
}

func buildHeader(b *binding, args []string, res, split bool) (sampler, error) {
	occ, err := parseOccurrence(args)
	if err != nil {
		return nil, err
	}
	name := parseHeaderName(args)
	if occ == 0 && b.all {
		return func(tx *Tx) (Value, bool) { return eachHeader(tx, &name, res, split) }, nil
	}
	if occ == 0 {
		occ = -1
	}
	return func(tx *Tx) (Value, bool) {
		h := tx.head(res)
		if h == nil {
			return Value{}, false
		}
		return nthHeader(h, &name, occ, split)
	}, nil
}

// eachHeader gives one value after the other.
func eachHeader(tx *Tx, name *headerName, res, split bool) (Value, bool) {
	h := tx.head(res)
	if h == nil {
		tx.cur.more = false
		return Value{}, false
	}
	i := name.next(h, tx.cur.field)
	if i < 0 {
		tx.cur.more = false
		return Value{}, false
	}
	v := h.Fields[i].Value
	tx.cur.more = true
	if !split {
		tx.cur.field = i + 1
		return Str(v), true
	}
	off := 0
	if i == tx.cur.field {
		off = tx.cur.off
	}
	item, next := nextItem(v, off)
	tx.cur.field, tx.cur.off = i, next
	if next > len(v) {
		tx.cur.field, tx.cur.off = i+1, 0
	}
	return Str(item), true
}

// nthHeader gives the value at a position; negative ones count from the end.
func nthHeader(h *message.Head, name *headerName, occ int, split bool) (Value, bool) {
	if occ == -1 {
		return lastHeader(h, name, split)
	}
	if occ < 0 {
		n := headerCount(h, name, split)
		if occ = n + 1 + occ; occ < 1 {
			return Value{}, false
		}
	}
	for i := name.next(h, 0); i >= 0; i = name.next(h, i+1) {
		v := h.Fields[i].Value
		if !split {
			if occ--; occ == 0 {
				return Str(v), true
			}
			continue
		}
		for off := 0; off <= len(v); {
			var item []byte
			item, off = nextItem(v, off)
			if occ--; occ == 0 {
				return Str(item), true
			}
		}
	}
	return Value{}, false
}

func lastHeader(h *message.Head, name *headerName, split bool) (Value, bool) {
	last := -1
	for i := name.next(h, 0); i >= 0; i = name.next(h, i+1) {
		last = i
	}
	if last < 0 {
		return Value{}, false
	}
	v := h.Fields[last].Value
	if !split || bytes.IndexByte(v, ',') < 0 {
		return Str(v), true
	}
	var item []byte
	for off := 0; off <= len(v); {
		item, off = nextItem(v, off)
	}
	return Str(item), true
}

func headerCount(h *message.Head, name *headerName, split bool) int {
	n := 0
	for i := name.next(h, 0); i >= 0; i = name.next(h, i+1) {
		if !split {
			n++
			continue
		}
		v := h.Fields[i].Value
		for off := 0; off <= len(v); n++ {
			_, off = nextItem(v, off)
		}
	}
	return n
}

func countHeader(args []string, res, split bool) (sampler, error) {
	name := parseHeaderName(args)
	return func(tx *Tx) (Value, bool) {
		h := tx.head(res)
		if h == nil {
			return Value{}, false
		}
		return Int(int64(headerCount(h, &name, split))), true
	}, nil
}

// mapHeader fetches header values and transforms them; with all, those that
// cannot be are passed over.
func mapHeader(b *binding, args []string, res bool, f func(v Value) (Value, bool)) (sampler, error) {
	fn, err := buildHeader(b, args, res, true)
	if err != nil {
		return nil, err
	}
	return func(tx *Tx) (Value, bool) {
		for {
			v, ok := fn(tx)
			if !ok {
				return v, false
			}
			if v, ok = f(v); ok || !tx.cur.more {
				return v, ok
			}
		}
	}, nil
}

func headerInt(v Value) (Value, bool) {
	n, _ := readInt(v.Bytes)
	return Int(n), true
}

// headerAddr reads ADDRESS, IPv4:PORT and [IPv6]:PORT.
func headerAddr(v Value) (Value, bool) {
	b := v.Bytes
	if len(b) > 0 && b[0] == '[' {
		end := bytes.IndexByte(b, ']')
		if end < 0 || end+1 < len(b) && b[end+1] != ':' {
			return Value{}, false
		}
		b = b[1:end]
	} else if i := bytes.IndexByte(b, ':'); i >= 0 && i <= 15 && bytes.IndexByte(b[:i], '.') >= 0 {
		b = b[:i]
	}
	a, ok := parseAddr(b)
	return Address(a), ok
}

func headerNames(args []string, res bool) (sampler, error) {
	sep := ","
	if len(args) == 1 && args[0] != "" {
		sep = args[0]
	}
	return func(tx *Tx) (Value, bool) {
		h := tx.head(res)
		if h == nil {
			return Value{}, false
		}
		n := 0
		for i := range h.Fields {
			n += len(h.Fields[i].Name) + len(sep)
		}
		t := tx.temp(n)[:0]
		for i := range h.Fields {
			if h.Fields[i].Name == nil {
				continue
			}
			if len(t) > 0 {
				t = append(t, sep...)
			}
			for _, c := range h.Fields[i].Name {
				t = append(t, lowerByte(c))
			}
		}
		return Str(t), true
	}, nil
}

func headerBlock(tx *Tx, res bool) (Value, bool) {
	h := tx.head(res)
	if h == nil {
		return Value{}, false
	}
	n := 2
	for i := range h.Fields {
		n += len(h.Fields[i].Name) + len(h.Fields[i].Value) + 4
	}
	t := tx.temp(n)[:0]
	for i := range h.Fields {
		f := &h.Fields[i]
		if f.Name == nil {
			continue
		}
		for _, c := range f.Name {
			t = append(t, lowerByte(c))
		}
		t = append(append(append(t, ": "...), f.Value...), "\r\n"...)
	}
	return Str(append(t, "\r\n"...)), true
}

// headerBlockBin writes each name and value after its length; an empty pair
// ends the list.
func headerBlockBin(tx *Tx, res bool) (Value, bool) {
	h := tx.head(res)
	if h == nil {
		return Value{}, false
	}
	n := 2
	for i := range h.Fields {
		n += len(h.Fields[i].Name) + len(h.Fields[i].Value) + 20
	}
	t := tx.temp(n)[:0]
	for i := range h.Fields {
		f := &h.Fields[i]
		if f.Name == nil {
			continue
		}
		t = appendVarint(t, uint64(len(f.Name)))
		for _, c := range f.Name {
			t = append(t, lowerByte(c))
		}
		t = append(appendVarint(t, uint64(len(f.Value))), f.Value...)
	}
	return Bin(append(t, 0, 0)), true
}

// appendVarint is the peers protocol's variable-length integer.
func appendVarint(dst []byte, n uint64) []byte {
	if n < 240 {
		return append(dst, byte(n))
	}
	dst = append(dst, byte(n)|240)
	for n = (n - 240) >> 4; n >= 128; n = (n - 128) >> 7 {
		dst = append(dst, byte(n)|128)
	}
	return append(dst, byte(n))
}
