package rule

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"hash"
	"strconv"
	"strings"

	"evenkeel/internal/keyhash"
)

func init() {
	// 32-bit hashes, with the avalanche if the argument is 1
	for _, h := range []struct {
		name string
		f    func([]byte) uint32
	}{{"crc32", keyhash.CRC32}, {"crc32c", keyhash.CRC32C}, {"djb2", keyhash.DJB2}, {"sdbm", keyhash.SDBM}, {"wt6", keyhash.WT6}} {
		f := h.f
		addConverters("hashes", []ConverterSpec{{Name: h.name, Args: "([avalanche])", Max: 1, In: KindBinary, Out: KindInt, Help: h.name + " hash", build: func(b *binding, a []string) (converter, error) {
			mix := len(a) == 1 && a[0] != "" && a[0] != "0"
			return func(tx *Tx, v Value) (Value, bool) {
				n := f(v.Bytes)
				if mix {
					n = keyhash.Avalanche(n)
				}
				return Int(int64(n)), true
			}, nil
		}}})
	}
	seeded := func(name, help string, f func(b []byte, seed int64) int64) ConverterSpec {
		return ConverterSpec{Name: name, Args: "([seed])", Max: 1, In: KindBinary, Out: KindInt, Help: help, build: func(b *binding, a []string) (converter, error) {
			var seed int64
			if len(a) == 1 && a[0] != "" {
				var err error
				if seed, err = strconv.ParseInt(a[0], 10, 64); err != nil {
					return nil, fmt.Errorf("the seed '%s' is not a number", a[0])
				}
			}
			return func(tx *Tx, v Value) (Value, bool) { return Int(f(v.Bytes, seed)), true }, nil
		}}
	}
	addConverters("hashes", []ConverterSpec{
		seeded("xxh32", "xxHash, 32 bits", func(b []byte, s int64) int64 { return int64(keyhash.XXH32(b, uint32(s))) }),
		seeded("xxh64", "xxHash, 64 bits", func(b []byte, s int64) int64 { return int64(keyhash.XXH64(b, uint64(s))) }),
		{Name: "xxh3", Args: "([seed])", Max: 1, Refused: "XXH3 is not built yet: xxh64 is", Help: "XXH3 hash"},
		{Name: "sha1", In: KindBinary, Out: KindBinary, Help: "SHA-1 digest", build: plain(func(tx *Tx, v Value) (Value, bool) {
			s := sha1.Sum(v.Bytes)
			return Bin(tx.tempCopy(s[:])), true
		})},
		{Name: "md5", In: KindBinary, Out: KindBinary, Help: "MD5 digest", build: plain(func(tx *Tx, v Value) (Value, bool) {
			s := md5.Sum(v.Bytes)
			return Bin(tx.tempCopy(s[:])), true
		})},
		{Name: "sha2", Args: "([bits])", Max: 1, In: KindBinary, Out: KindBinary, Help: "SHA-2 digest of 224, 256, 384 or 512 bits (256)", build: func(b *binding, a []string) (converter, error) {
			bits := "256"
			if len(a) == 1 && a[0] != "" {
				bits = a[0]
			}
			f, err := digestOf("sha" + bits)
			if err != nil {
				return nil, fmt.Errorf("unsupported number of bits: '%s'", bits)
			}
			return digester(f), nil
		}},
		{Name: "digest", Args: "(algorithm)", Min: 1, Max: 1, In: KindBinary, Out: KindBinary, Help: "message digest", build: func(b *binding, a []string) (converter, error) {
			f, err := digestOf(a[0])
			return digester(f), err
		}},
		{Name: "hmac", Args: "(algorithm,key)", Min: 2, Max: 2, In: KindBinary, Out: KindBinary, Help: "keyed digest; the key is in base64 or in a variable", build: func(b *binding, a []string) (converter, error) {
			f, err := digestOf(a[0])
			if err != nil {
				return nil, err
			}
			key, err := b.bytesArg(a[1])
			return func(tx *Tx, v Value) (Value, bool) {
				k, ok := key(tx)
				if !ok {
					return Value{}, false
				}
				m := hmac.New(f, k)
				m.Write(v.Bytes)
				return Bin(m.Sum(nil)), true
			}, err
		}},
	})
}

func digester(f func() hash.Hash) converter {
	return func(tx *Tx, v Value) (Value, bool) {
		h := f()
		h.Write(v.Bytes)
		return Bin(h.Sum(tx.temp(64)[:0])), true
	}
}

func digestOf(name string) (func() hash.Hash, error) {
	switch strings.ReplaceAll(strings.ToLower(name), "-", "") {
	case "md5":
		return md5.New, nil
	case "sha1":
		return sha1.New, nil
	case "sha224":
		return sha256.New224, nil
	case "sha256":
		return sha256.New, nil
	case "sha384":
		return sha512.New384, nil
	case "sha512":
		return sha512.New, nil
	}
	return nil, fmt.Errorf("'%s' is not a known digest: expects md5, sha1, sha224, sha256, sha384 or sha512", name)
}

// bytesArg is a key in base64, or in base64 in a variable.
func (b *binding) bytesArg(s string) (func(tx *Tx) ([]byte, bool), error) {
	if x, err := b.c.variable(s); err == nil {
		return func(tx *Tx) ([]byte, bool) {
			v, ok := x.get(tx)
			if !ok {
				return nil, false
			}
			if v.Kind == KindBinary {
				return v.Bytes, true
			}
			t, err := base64.StdEncoding.DecodeString(string(v.Bytes))
			return t, err == nil
		}, nil
	}
	raw, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("'%s' is neither base64 nor the name of a variable", s)
	}
	return func(*Tx) ([]byte, bool) { return raw, true }, nil
}
