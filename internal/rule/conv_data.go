package rule

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

func init() {
	addConverters("structured data", []ConverterSpec{
		{Name: "json_query", Args: "(path[,type])", Min: 1, Max: 2, In: KindString, Out: KindString, Help: "value at a JSON path, as $.a.b[0]; type int gives a number", build: buildJSONQuery},
		{Name: "jwt_header_query", Args: "([path[,type]])", Max: 2, In: KindString, Out: KindString, Help: "JSON path in a token's header, or the header", build: jwtQuery(0)},
		{Name: "jwt_payload_query", Args: "([path[,type]])", Max: 2, In: KindString, Out: KindString, Help: "JSON path in a token's payload, or the payload", build: jwtQuery(1)},
		{Name: "jwt_verify", Args: "(algorithm,key)", Min: 2, Max: 2, In: KindString, Out: KindInt, Help: "1 if a token's signature is right; algorithm and key are text or variables, the key of RS, ES and PS a PEM file", build: buildJWTVerify},
		{Name: "aes_gcm_dec", Args: "(bits,nonce,key,tag)", Min: 4, Max: 4, In: KindBinary, Out: KindBinary, Help: "decrypts with AES-GCM; the arguments are base64 or variables", build: func(b *binding, a []string) (converter, error) {
			return buildAESGCM(b, a)
		}},
		{Name: "language", Args: "(list[,default])", Min: 1, Max: 2, In: KindString, Out: KindString, Help: "language of the list (fr;en) that an Accept-Language header likes best", build: buildLanguage},
	})
}

func buildJSONQuery(b *binding, a []string) (converter, error) {
	path, err := jsonPath(a[0])
	if err != nil {
		return nil, err
	}
	asInt := len(a) == 2 && a[1] == "int"
	if len(a) == 2 && a[1] != "int" && a[1] != "" {
		return nil, fmt.Errorf("output type '%s' is not supported: only 'int' is", a[1])
	}
	b.out = KindNone
	if asInt {
		b.out = KindInt
	}
	return func(tx *Tx, v Value) (Value, bool) { return queryJSON(v.Bytes, path, asInt) }, nil
}

// jsonPath splits $.a.b[2].
func jsonPath(s string) ([]string, error) {
	rest, ok := strings.CutPrefix(s, "$")
	if !ok {
		return nil, fmt.Errorf("the JSON path '%s' must start with $", s)
	}
	var out []string
	for rest != "" {
		switch rest[0] {
		case '.':
			end := strings.IndexAny(rest[1:], ".[") + 1
			if end == 0 {
				end = len(rest)
			}
			out, rest = append(out, rest[1:end]), rest[end:]
		case '[':
			end := strings.IndexByte(rest, ']')
			if end < 0 {
				return nil, fmt.Errorf("the JSON path '%s' misses a ]", s)
			}
			out, rest = append(out, strings.Trim(rest[1:end], `'"`)), rest[end+1:]
		default:
			return nil, fmt.Errorf("the JSON path '%s' is not valid", s)
		}
	}
	return out, nil
}

func queryJSON(b []byte, path []string, asInt bool) (Value, bool) {
	cur := json.RawMessage(b)
	for _, p := range path {
		var obj map[string]json.RawMessage
		var arr []json.RawMessage
		if json.Unmarshal(cur, &obj) == nil && obj != nil {
			next, ok := obj[p]
			if !ok {
				return Value{}, false
			}
			cur = next
		} else if json.Unmarshal(cur, &arr) == nil {
			i, err := strconv.Atoi(p)
			if err != nil || i < 0 || i >= len(arr) {
				return Value{}, false
			}
			cur = arr[i]
		} else {
			return Value{}, false
		}
	}
	cur = bytes.TrimSpace(cur)
	if len(cur) == 0 {
		return Value{}, false
	}
	switch {
	case cur[0] == '"':
		var s string
		if json.Unmarshal(cur, &s) != nil {
			return Value{}, false
		}
		return Str([]byte(s)), true
	case cur[0] == 't' || cur[0] == 'f':
		return Bool(cur[0] == 't'), true
	case cur[0] == 'n':
		return Value{}, false
	case cur[0] == '[' || cur[0] == '{':
		return Str(cur), json.Valid(cur)
	case asInt:
		f, err := strconv.ParseFloat(string(cur), 64)
		return Int(int64(f)), err == nil
	}
	return Str(cur), json.Valid(cur)
}

func jwtQuery(part int) func(b *binding, a []string) (converter, error) {
	return func(b *binding, a []string) (converter, error) {
		var path []string
		asInt := false
		if len(a) > 0 && a[0] != "" {
			var err error
			if path, err = jsonPath(a[0]); err != nil {
				return nil, err
			}
			asInt = len(a) == 2 && a[1] == "int"
			b.out = KindNone
		}
		return func(tx *Tx, v Value) (Value, bool) {
			parts := bytes.Split(v.Bytes, []byte("."))
			if len(parts) != 3 {
				return Value{}, false
			}
			raw, err := base64.RawURLEncoding.DecodeString(string(parts[part]))
			if err != nil {
				return Value{}, false
			}
			if path == nil {
				return Str(raw), true
			}
			return queryJSON(raw, path, asInt)
		}, nil
	}
}

// textArg is a variable or a literal text.
func (b *binding) textArg(s string) func(tx *Tx) ([]byte, bool) {
	if x, err := b.c.variable(s); err == nil {
		return func(tx *Tx) ([]byte, bool) {
			v, ok := x.get(tx)
			return v.Bytes, ok
		}
	}
	raw := []byte(s)
	return func(*Tx) ([]byte, bool) { return raw, true }
}

// Results of jwt_verify that are not 0 and 1.
const (
	jwtUnknownAlgorithm = -1
	jwtUnmanaged        = -2
	jwtInvalid          = -3
	jwtOutOfMemory      = -4
	jwtUnknownKey       = -5
)

func buildJWTVerify(b *binding, a []string) (converter, error) {
	alg := b.textArg(a[0])
	fixedAlg := a[0]
	key := b.textArg(a[1])
	var public crypto.PublicKey
	if _, err := b.c.variable(a[0]); err != nil {
		if !jwtAlgorithm(fixedAlg) {
			return nil, fmt.Errorf("unknown JWT algorithm '%s'", fixedAlg)
		}
		if fixedAlg[0] != 'H' && fixedAlg != "none" {
			data, err := b.c.Files(a[1])
			if err != nil {
				return nil, err
			}
			if public, err = publicKey(data); err != nil {
				return nil, fmt.Errorf("%s: %w", a[1], err)
			}
		}
	}
	return func(tx *Tx, v Value) (Value, bool) {
		name, ok := alg(tx)
		k, ok2 := key(tx)
		if !ok || !ok2 {
			return Value{}, false
		}
		return Int(verifyJWT(v.Bytes, string(name), k, public)), true
	}, nil
}

func jwtAlgorithm(s string) bool {
	if s == "none" {
		return true
	}
	return len(s) == 5 && strings.Contains("HS RS ES PS", s[:2]) && (s[2:] == "256" || s[2:] == "384" || s[2:] == "512")
}

func publicKey(data []byte) (crypto.PublicKey, error) {
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			return nil, errors.New("holds no public key and no certificate")
		}
		switch block.Type {
		case "PUBLIC KEY":
			return x509.ParsePKIXPublicKey(block.Bytes)
		case "RSA PUBLIC KEY":
			return x509.ParsePKCS1PublicKey(block.Bytes)
		case "CERTIFICATE":
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, err
			}
			return c.PublicKey, nil
		}
		data = rest
	}
}

func verifyJWT(token []byte, alg string, key []byte, public crypto.PublicKey) int64 {
	if !jwtAlgorithm(alg) {
		return jwtUnknownAlgorithm
	}
	i := bytes.LastIndexByte(token, '.')
	if i < 0 || bytes.Count(token, []byte(".")) != 2 {
		return jwtInvalid
	}
	signed := token[:i]
	sig, err := base64.RawURLEncoding.DecodeString(string(token[i+1:]))
	if err != nil {
		return jwtInvalid
	}
	head, err := base64.RawURLEncoding.DecodeString(string(token[:bytes.IndexByte(token, '.')]))
	if v, ok := queryJSON(head, []string{"alg"}, false); err != nil || !ok || string(v.Bytes) != alg {
		return jwtInvalid
	}
	if alg == "none" {
		return truthOf(len(sig) == 0)
	}
	f, _ := digestOf("sha" + alg[2:])
	if alg[0] == 'H' {
		m := hmac.New(f, key)
		m.Write(signed)
		return truthOf(hmac.Equal(m.Sum(nil), sig))
	}
	h := f()
	h.Write(signed)
	sum := h.Sum(nil)
	kind := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[alg[2:]]
	switch pub := public.(type) {
	case *rsa.PublicKey:
		if alg[0] == 'P' {
			return truthOf(rsa.VerifyPSS(pub, kind, sum, sig, nil) == nil)
		}
		return truthOf(alg[0] == 'R' && rsa.VerifyPKCS1v15(pub, kind, sum, sig) == nil)
	case *ecdsa.PublicKey:
		n := len(sig) / 2
		return truthOf(alg[0] == 'E' && n > 0 && ecdsa.Verify(pub, sum, new(big.Int).SetBytes(sig[:n]), new(big.Int).SetBytes(sig[n:])))
	}
	return jwtUnknownKey
}

func buildAESGCM(b *binding, a []string) (converter, error) {
	bits, err := strconv.Atoi(a[0])
	if err != nil || bits != 128 && bits != 192 && bits != 256 {
		return nil, fmt.Errorf("the key size must be 128, 192 or 256 bits, found '%s'", a[0])
	}
	var args [3]func(tx *Tx) ([]byte, bool)
	for i := range args {
		if args[i], err = b.bytesArg(a[i+1]); err != nil {
			return nil, err
		}
	}
	return func(tx *Tx, v Value) (Value, bool) {
		nonce, ok1 := args[0](tx)
		key, ok2 := args[1](tx)
		tag, ok3 := args[2](tx)
		if !ok1 || !ok2 || !ok3 || len(key) != bits/8 || len(tag) != 16 || len(nonce) != 12 {
			return Value{}, false
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return Value{}, false
		}
		g, err := cipher.NewGCM(block)
		if err != nil {
			return Value{}, false
		}
		sealed := append(append([]byte(nil), v.Bytes...), tag...)
		out, err := g.Open(nil, nonce, sealed, nil)
		return Bin(out), err == nil
	}, nil
}

func buildLanguage(b *binding, a []string) (converter, error) {
	var list [][]byte
	for _, l := range strings.Split(a[0], ";") {
		list = append(list, []byte(l))
	}
	return func(tx *Tx, v Value) (Value, bool) {
		best, bestQ := -1, 0
		for off := 0; off <= len(v.Bytes); {
			var item []byte
			item, off = nextItem(v.Bytes, off)
			name, params, _ := bytes.Cut(item, []byte(";"))
			name, q := trimSpace(name), 1000
			if p, ok := bytes.CutPrefix(trimSpace(params), []byte("q=")); ok {
				f, err := strconv.ParseFloat(string(p), 64)
				if err != nil {
					continue
				}
				q = int(f * 1000)
			}
			if q <= bestQ {
				continue
			}
			for i, l := range list {
				if bytes.EqualFold(l, name) {
					best, bestQ = i, q
				}
			}
		}
		if best >= 0 {
			return Str(list[best]), true
		}
		if len(a) == 2 {
			return Str([]byte(a[1])), true
		}
		return Value{}, false
	}, nil
}
