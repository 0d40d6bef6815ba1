package rule

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"evenkeel/internal/message"
	"evenkeel/internal/wire/http1"
)

// wait marks that bytes are missing which may still come.
func (tx *Tx) wait() (Value, bool) {
	tx.missing = true
	return Value{}, false
}

// sniff parses the bytes of a TCP stream as an HTTP request.
func (tx *Tx) sniff() *message.Head {
	if tx.Phase&PhaseTCPContent == 0 {
		return nil
	}
	if tx.sniffed != nil && tx.sniffedLen == len(tx.Raw) {
		return tx.sniffed
	}
	h := &message.Head{}
	tx.sniffed = nil
	_, err := http1.ParseRequest(tx.Raw, h, nil)
	switch {
	case errors.Is(err, http1.ErrMore):
		tx.missing = true
		return nil
	case err != nil:
		return nil
	}
	tx.sniffed, tx.sniffedLen = h, len(tx.Raw)
	return h
}

func (tx *Tx) raw(res bool) []byte {
	if res {
		return tx.RawRes
	}
	return tx.Raw
}

func init() {
	for _, side := range []struct {
		prefix string
		res    bool
		phases Phase
	}{{"req.", false, phaseHead}, {"res.", true, phaseResponse}} {
		res := side.res
		addFetches("contents", []FetchSpec{
			{Name: side.prefix + "len", Out: KindInt, Phases: side.phases, Needs: "contents", Help: "bytes received and not yet forwarded", build: fixed(func(tx *Tx) (Value, bool) {
				// More may come: a test of it that fails is tried again.
				tx.missing = !tx.final()
				return Int(int64(len(tx.raw(res)))), true
			})},
			{Name: side.prefix + "payload", Args: "(offset,length)", Min: 2, Max: 2, Out: KindBinary, Phases: side.phases, Needs: "contents", Help: "a part of the contents; length 0: all there is", build: func(b *binding, a []string) (sampler, error) {
				return buildPayload(a, res)
			}},
			{Name: side.prefix + "payload_lv", Args: "(offset,size[,offset2])", Min: 2, Max: 3, Out: KindBinary, Phases: side.phases, Needs: "contents", Help: "a part of the contents that stands after its length", build: func(b *binding, a []string) (sampler, error) {
				return buildPayloadLV(a, res)
			}},
		})
	}
	hello := func(name string, out Kind, help string, f func(tx *Tx, h *clientHello) (Value, bool)) FetchSpec {
		return FetchSpec{Name: name, Out: out, Phases: phaseHead, Needs: "contents", Help: help, build: fixed(func(tx *Tx) (Value, bool) {
			h, state := parseClientHello(tx.Raw)
			if state == helloShort {
				return tx.wait()
			}
			if state == helloBad {
				return Value{}, false
			}
			return f(tx, &h)
		})}
	}
	addFetches("contents", []FetchSpec{
		{Name: "req.ssl_hello_type", Out: KindInt, Phases: phaseHead, Needs: "contents", Help: "type of the TLS handshake message, 1 for a client hello", build: fixed(func(tx *Tx) (Value, bool) { return helloType(tx, tx.Raw) })},
		{Name: "rep_ssl_hello_type", Out: KindInt, Phases: phaseResponse, Needs: "contents", Help: "type of the server's TLS handshake message, 2 for a server hello", build: fixed(func(tx *Tx) (Value, bool) { return helloType(tx, tx.RawRes) })},
		{Name: "res.ssl_hello_type", Out: KindInt, Phases: phaseResponse, Needs: "contents", Help: "type of the server's TLS handshake message, 2 for a server hello", build: fixed(func(tx *Tx) (Value, bool) { return helloType(tx, tx.RawRes) })},
		hello("req.ssl_ver", KindInt, "highest TLS version announced, major in the upper 16 bits", func(tx *Tx, h *clientHello) (Value, bool) {
			return Int(int64(h.version>>8)<<16 | int64(h.version&255)), true
		}),
		hello("req.ssl_sni", KindString, "server name in the client hello", func(tx *Tx, h *clientHello) (Value, bool) { return Str(h.sni), h.sni != nil }),
		hello("req.ssl_alpn", KindString, "protocols that the client offers", func(tx *Tx, h *clientHello) (Value, bool) {
			t := tx.tempCopy(h.alpn)[:0]
			for rest := h.alpn; len(rest) > 0 && int(rest[0]) < len(rest); rest = rest[1+rest[0]:] {
				if len(t) > 0 {
					t = append(t, ',')
				}
				t = append(t, rest[1:1+rest[0]]...)
			}
			return Str(t), h.alpn != nil
		}),
		hello("req.ssl_ec_ext", KindBool, "the client offers elliptic curves", func(tx *Tx, h *clientHello) (Value, bool) { return Bool(h.curves), true }),
		hello("req.ssl_st_ext", KindInt, "session ticket extension: 0 none, 1 empty, 2 a ticket", func(tx *Tx, h *clientHello) (Value, bool) { return Int(int64(h.ticket)), true }),
		{Name: "req.rdp_cookie", Args: "([name])", Max: 1, Out: KindString, Phases: phaseHead, Needs: "contents", Help: "RDP cookie (mstshash or the first one)", build: func(b *binding, a []string) (sampler, error) {
			return rdpCookie(strings.Join(a, "")), nil
		}},
		{Name: "req.rdp_cookie_cnt", Args: "([name])", Max: 1, Out: KindInt, Phases: phaseHead, Needs: "contents", Help: "1 if there is an RDP cookie", build: func(b *binding, a []string) (sampler, error) {
			fn := rdpCookie(strings.Join(a, ""))
			return func(tx *Tx) (Value, bool) {
				_, ok := fn(tx)
				return Int(Bool(ok).Int), ok || !tx.missing
			}, nil
		}},
	})
}

func argInts(a []string) ([]int, error) {
	out := make([]int, len(a))
	for i, s := range a {
		n, err := strconv.Atoi(s)
		if err != nil {
			return nil, fmt.Errorf("'%s' is not a number", s)
		}
		out[i] = n
	}
	return out, nil
}

func buildPayload(a []string, res bool) (sampler, error) {
	n, err := argInts(a)
	if err != nil {
		return nil, err
	}
	off, length := n[0], n[1]
	if off < 0 || length < 0 {
		return nil, errors.New("offset and length cannot be negative")
	}
	return func(tx *Tx) (Value, bool) {
		b := tx.raw(res)
		if length == 0 {
			if off > len(b) {
				return tx.wait()
			}
			tx.missing = !tx.final()
			return Bin(b[off:]), true
		}
		if off+length > len(b) {
			return tx.wait()
		}
		return Bin(b[off : off+length]), true
	}, nil
}

func buildPayloadLV(a []string, res bool) (sampler, error) {
	relative := len(a) == 3 && (strings.HasPrefix(a[2], "+") || strings.HasPrefix(a[2], "-"))
	n, err := argInts(a)
	if err != nil {
		return nil, err
	}
	off, size := n[0], n[1]
	if size < 1 || size > 8 || off < 0 {
		return nil, errors.New("the length field must be of 1 to 8 bytes")
	}
	start := off + size
	if len(n) == 3 {
		start = n[2]
		if relative {
			start += off + size
		}
	}
	if start < 0 {
		return nil, errors.New("the payload would start before the contents")
	}
	return func(tx *Tx) (Value, bool) {
		b := tx.raw(res)
		if off+size > len(b) {
			return tx.wait()
		}
		var length uint64
		for _, c := range b[off : off+size] {
			length = length<<8 | uint64(c)
		}
		if length == 0 || length > 1<<30 {
			return Value{}, false
		}
		if start+int(length) > len(b) {
			return tx.wait()
		}
		return Bin(b[start : start+int(length)]), true
	}, nil
}

func helloType(tx *Tx, b []byte) (Value, bool) {
	if len(b) > 0 && b[0] != 22 {
		return Value{}, false
	}
	if len(b) < 6 {
		return tx.wait()
	}
	if b[1] != 3 {
		return Value{}, false
	}
	return Int(int64(b[5])), true
}

type clientHello struct {
	version uint16
	sni     []byte
	alpn    []byte
	curves  bool
	ticket  int
}

type helloState uint8

const (
	helloOK helloState = iota
	helloShort
	helloBad
)

// parseClientHello reads a TLS record that holds a client hello (RFC 8446,
// 4.1.2). Only what stands in the first record is looked at.
func parseClientHello(b []byte) (h clientHello, state helloState) {
	if len(b) > 0 && b[0] != 22 || len(b) > 1 && b[1] != 3 || len(b) > 5 && b[5] != 1 {
		return h, helloBad
	}
	if len(b) < 5 {
		return h, helloShort
	}
	n := int(binary.BigEndian.Uint16(b[3:]))
	if n < 42 || n > 1<<14 {
		return h, helloBad
	}
	if len(b) < 5+n {
		return h, helloShort
	}
	b = b[5 : 5+n]
	if b[4] != 3 {
		return h, helloBad
	}
	h.version = binary.BigEndian.Uint16(b[4:])
	b = b[38:]
	for _, size := range []int{1, 2, 1} { // session id, ciphers, compression
		if len(b) < size {
			return h, helloBad
		}
		skip := int(b[0])
		if size == 2 {
			skip = int(binary.BigEndian.Uint16(b))
		}
		if len(b) < size+skip {
			return h, helloBad
		}
		b = b[size+skip:]
	}
	if len(b) >= 2 {
		h.extensions(b[2:])
	}
	return h, helloOK
}

func (h *clientHello) extensions(b []byte) {
	for len(b) >= 4 {
		kind, n := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		if len(b) < 4+n {
			return
		}
		body := b[4 : 4+n]
		b = b[4+n:]
		switch kind {
		case 0: // server_name
			if len(body) >= 5 && body[2] == 0 {
				if l := int(binary.BigEndian.Uint16(body[3:])); 5+l <= len(body) {
					h.sni = body[5 : 5+l]
				}
			}
		case 10:
			h.curves = true
		case 16:
			if len(body) > 2 {
				h.alpn = body[2:]
			}
		case 35:
			h.ticket = 1
			if n > 0 {
				h.ticket = 2
			}
		case 43: // supported_versions
			for v := body[min(1, len(body)):]; len(v) >= 2; v = v[2:] {
				if x := binary.BigEndian.Uint16(v); x>>8 == 3 && x > h.version {
					h.version = x
				}
			}
		}
	}
}

// rdpCookie finds "Cookie: NAME=VALUE" in an RDP connection request.
func rdpCookie(name string) sampler {
	return func(tx *Tx) (Value, bool) {
		b := tx.Raw
		if len(b) > 0 && b[0] != 3 || len(b) > 5 && b[5] != 0xe0 {
			return Value{}, false
		}
		if len(b) < 11 {
			return tx.wait()
		}
		if n := int(b[2])<<8 | int(b[3]); len(b) < n {
			return tx.wait()
		}
		rest, ok := bytes.CutPrefix(b[11:], []byte("Cookie: "))
		if !ok {
			return Value{}, false
		}
		eq := bytes.IndexByte(rest, '=')
		end := bytes.Index(rest, []byte("\r\n"))
		if eq < 0 || end < eq {
			return Value{}, false
		}
		if name != "" && !equalFold(rest[:eq], asciiLower(name)) {
			return Value{}, false
		}
		return Str(rest[eq+1 : end]), true
	}
}
