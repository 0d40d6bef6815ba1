package rule

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"unicode/utf8"
)

func init() {
	addConverters("encodings", []ConverterSpec{
		{Name: "hex", In: KindBinary, Out: KindString, Help: "to hexadecimal", build: plain(func(tx *Tx, v Value) (Value, bool) {
			t := tx.temp(2 * len(v.Bytes))
			for i, c := range v.Bytes {
				t[2*i], t[2*i+1] = upperHex[c>>4], upperHex[c&15]
			}
			return Str(t), true
		})},
		{Name: "unhex", In: KindString, Out: KindBinary, Help: "from hexadecimal", build: plain(func(tx *Tx, v Value) (Value, bool) {
			t := tx.temp(len(v.Bytes) / 2)
			_, err := hex.Decode(t, v.Bytes)
			return Bin(t), err == nil
		})},
		{Name: "hex2i", In: KindString, Out: KindInt, Help: "number from hexadecimal", build: plain(func(tx *Tx, v Value) (Value, bool) {
			var n int64
			for _, c := range v.Bytes {
				d := hexDigit(c)
				if d < 0 {
					return Value{}, false
				}
				n = n<<4 + int64(d)
			}
			return Int(n), true
		})},
		{Name: "be2hex", Args: "([separator[,chunk[,truncate]]])", Max: 3, In: KindBinary, Out: KindString, Help: "to hexadecimal in chunks", build: func(b *binding, a []string) (converter, error) {
			return buildChunks(a, 1, false)
		}},
		{Name: "be2dec", Args: "(separator,chunk[,truncate])", Min: 2, Max: 3, In: KindBinary, Out: KindString, Help: "chunks of bytes to decimal numbers", build: func(b *binding, a []string) (converter, error) {
			return buildChunks(a, 8, true)
		}},
		{Name: "base64", In: KindBinary, Out: KindString, Help: "to base64", build: plain(encodeWith(base64.StdEncoding))},
		{Name: "ub64enc", In: KindBinary, Out: KindString, Help: "to the URL form of base64, without padding", build: plain(encodeWith(base64.RawURLEncoding))},
		{Name: "b64dec", In: KindString, Out: KindBinary, Help: "from base64", build: plain(decodeWith(base64.StdEncoding))},
		{Name: "ub64dec", In: KindString, Out: KindBinary, Help: "from the URL form of base64", build: plain(decodeWith(base64.RawURLEncoding))},
		{Name: "url_dec", Args: "([in_form])", Max: 1, In: KindString, Out: KindString, Help: "decodes %XX; + is a blank after a question mark, or everywhere with in_form=1", build: func(b *binding, a []string) (converter, error) {
			form := len(a) == 1 && a[0] != "" && a[0] != "0"
			return func(tx *Tx, v Value) (Value, bool) { return urlDecode(tx, v.Bytes, form) }, nil
		}},
		{Name: "url_enc", Args: "([type])", Max: 1, In: KindString, Out: KindString, Help: "encodes as %XX what a query cannot hold", build: func(b *binding, a []string) (converter, error) {
			if len(a) == 1 && a[0] != "query" && a[0] != "" {
				return nil, fmt.Errorf("invalid encoding type '%s': only 'query' is known", a[0])
			}
			return func(tx *Tx, v Value) (Value, bool) {
				t := tx.temp(3 * len(v.Bytes))[:0]
				for _, c := range v.Bytes {
					if c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~' {
						t = append(t, c)
					} else {
						t = append(t, '%', upperHex[c>>4], upperHex[c&15])
					}
				}
				return Str(t), true
			}, nil
		}},
		{Name: "htonl", In: KindInt, Out: KindBinary, Help: "number to four bytes in network order", build: plain(func(tx *Tx, v Value) (Value, bool) {
			n := uint32(v.Int)
			return Bin(append(tx.temp(4)[:0], byte(n>>24), byte(n>>16), byte(n>>8), byte(n))), true
		})},
		{Name: "json", Args: "([encoding])", Max: 1, In: KindString, Out: KindString, Help: "escapes for a JSON string; encodings ascii, utf8, utf8s, utf8p, utf8ps", build: buildJSON},
		{Name: "cut_crlf", In: KindString, Out: KindString, Help: "cuts at the first CR or LF", build: plain(func(tx *Tx, v Value) (Value, bool) {
			if i := bytes.IndexAny(v.Bytes, "\r\n"); i >= 0 {
				v.Bytes = v.Bytes[:i]
			}
			return v, true
		})},
	})
	addConverters("encodings", []ConverterSpec{
		{Name: "protobuf", Args: "(field)", Max: 2, Refused: "protocol buffers are not built yet", Help: "field of a protocol buffer message"},
		{Name: "ungrpc", Args: "(field)", Max: 2, Refused: "gRPC is not built yet", Help: "field of a gRPC message"},
	})
}

const upperHex = "0123456789ABCDEF"

func encodeWith(e *base64.Encoding) converter {
	return func(tx *Tx, v Value) (Value, bool) {
		t := tx.temp(e.EncodedLen(len(v.Bytes)))
		e.Encode(t, v.Bytes)
		return Str(t), true
	}
}

func decodeWith(e *base64.Encoding) converter {
	return func(tx *Tx, v Value) (Value, bool) {
		t := tx.temp(e.DecodedLen(len(v.Bytes)) + 2)
		n, err := e.Decode(t, v.Bytes)
		return Bin(t[:n]), err == nil
	}
}

func urlDecode(tx *Tx, b []byte, form bool) (Value, bool) {
	t := tx.temp(len(b))[:0]
	for i := 0; i < len(b); i++ {
		c := b[i]
		switch {
		case c == '+' && form:
			c = ' '
		case c == '?':
			form = true
		case c == '%':
			if i+2 >= len(b) || hexDigit(b[i+1]) < 0 || hexDigit(b[i+2]) < 0 {
				return Value{}, false
			}
			c = byte(hexDigit(b[i+1])<<4 | hexDigit(b[i+2]))
			i += 2
		}
		t = append(t, c)
	}
	return Str(t), true
}

func buildChunks(a []string, limit int, decimal bool) (converter, error) {
	sep, size, truncate := "", 1, false
	if len(a) > 0 {
		sep = a[0]
	}
	if len(a) > 1 {
		n, err := strconv.Atoi(a[1])
		if err != nil || n < 1 || decimal && n > limit {
			return nil, fmt.Errorf("'%s' is not a chunk size", a[1])
		}
		size = n
	}
	truncate = len(a) > 2 && a[2] != "0" && a[2] != ""
	return func(tx *Tx, v Value) (Value, bool) {
		var t []byte
		for b := v.Bytes; len(b) > 0; {
			n := min(size, len(b))
			if n < size && truncate {
				break
			}
			if len(t) > 0 {
				t = append(t, sep...)
			}
			if decimal {
				var x uint64
				for _, c := range b[:n] {
					x = x<<8 | uint64(c)
				}
				t = strconv.AppendUint(t, x, 10)
			} else {
				for _, c := range b[:n] {
					t = append(t, upperHex[c>>4], upperHex[c&15])
				}
			}
			b = b[n:]
		}
		return Str(t), true
	}, nil
}

// buildJSON escapes like HAProxy: what to do with bytes that are not UTF-8
// depends on the encoding's name.
func buildJSON(b *binding, a []string) (converter, error) {
	mode := "ascii"
	if len(a) == 1 && a[0] != "" {
		mode = a[0]
	}
	skip := mode == "utf8s" || mode == "utf8ps"
	permissive := mode == "utf8p" || mode == "utf8ps"
	switch mode {
	case "ascii", "utf8", "utf8s", "utf8p", "utf8ps":
	default:
		return nil, fmt.Errorf("unexpected input code type '%s': expects ascii, utf8, utf8s, utf8p or utf8ps", mode)
	}
	return func(tx *Tx, v Value) (Value, bool) {
		t := make([]byte, 0, len(v.Bytes)+16)
		for i := 0; i < len(v.Bytes); {
			r, n := rune(v.Bytes[i]), 1
			if mode != "ascii" && r >= 0x80 {
				r, n = utf8.DecodeRune(v.Bytes[i:])
				if r == utf8.RuneError && n == 1 {
					i++
					switch {
					case skip:
					case permissive:
						t = appendJSONRune(t, rune(v.Bytes[i-1]))
					default:
						return Value{}, false
					}
					continue
				}
			}
			i += n
			t = appendJSONRune(t, r)
		}
		return Str(t), true
	}, nil
}

func appendJSONRune(t []byte, r rune) []byte {
	switch r {
	case '"', '\\', '/':
		return append(t, '\\', byte(r))
	case '\b':
		return append(t, `\b`...)
	case '\f':
		return append(t, `\f`...)
	case '\n':
		return append(t, `\n`...)
	case '\r':
		return append(t, `\r`...)
	case '\t':
		return append(t, `\t`...)
	}
	if r >= 0x20 && r < 0x80 {
		return append(t, byte(r))
	}
	if r > 0xffff {
		r -= 0x10000
		t = fmt.Appendf(t, `\u%04x`, 0xd800+r>>10)
		r = 0xdc00 + r&0x3ff
	}
	return fmt.Appendf(t, `\u%04x`, r)
}
