package rule

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"errors"
	"hash"
	"strconv"
	"strings"
	"sync"
)

func sameBytes(a []byte, b string) bool { return subtle.ConstantTimeCompare(a, []byte(b)) == 1 }

// authCache remembers passwords that were found right, under a keyed digest,
// so that crypt(3) does not run on every request.
type authCache struct {
	key [32]byte
	mu  sync.Mutex
	ok  map[[32]byte]bool
}

const authCacheSize = 1024

func newAuthCache() *authCache {
	c := &authCache{ok: map[[32]byte]bool{}}
	rand.Read(c.key[:])
	return c
}

func (c *authCache) verify(hash string, pass []byte) bool {
	m := hmac.New(sha256.New, c.key[:])
	m.Write([]byte(hash))
	m.Write([]byte{0})
	m.Write(pass)
	var sum [32]byte
	m.Sum(sum[:0])
	c.mu.Lock()
	known, seen := c.ok[sum]
	c.mu.Unlock()
	if seen {
		return known
	}
	good := verifyCrypt(hash, pass)
	c.mu.Lock()
	if len(c.ok) >= authCacheSize {
		clear(c.ok)
	}
	c.ok[sum] = good
	c.mu.Unlock()
	return good
}

var errCrypt = errors.New("the password is not in a supported crypt(3) form: use $5$ (mkpasswd -m sha-256), $6$ (mkpasswd -m sha-512) or $1$")

// checkCrypt says whether a stored password can be verified.
func checkCrypt(stored string) error {
	for _, p := range []string{"$1$", "$5$", "$6$"} {
		if rest, ok := strings.CutPrefix(stored, p); ok && strings.Contains(rest, "$") {
			return nil
		}
	}
	return errCrypt
}

// verifyCrypt compares a password with its crypt(3) form.
func verifyCrypt(stored string, pass []byte) bool {
	got := Crypt(pass, stored)
	return got != "" && sameBytes([]byte(got), stored)
}

// Crypt hashes a password as crypt(3) does with $1$, $5$ and $6$; setting is a
// stored password or its beginning. "" if the form is not known.
func Crypt(pass []byte, setting string) string {
	switch {
	case strings.HasPrefix(setting, "$1$"):
		return cryptMD5(pass, setting)
	case strings.HasPrefix(setting, "$5$"):
		return cryptSHA(pass, setting, "$5$", sha256.New, order256)
	case strings.HasPrefix(setting, "$6$"):
		return cryptSHA(pass, setting, "$6$", sha512.New, order512)
	}
	return ""
}

const cryptAlphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

func append64(dst []byte, v uint32, n int) []byte {
	for ; n > 0; n-- {
		dst = append(dst, cryptAlphabet[v&63])
		v >>= 6
	}
	return dst
}

func cryptSalt(setting, magic string, limit int) string {
	salt := setting[len(magic):]
	if i := strings.IndexByte(salt, '$'); i >= 0 {
		salt = salt[:i]
	}
	return salt[:min(len(salt), limit)]
}

func cryptMD5(pass []byte, setting string) string {
	salt := cryptSalt(setting, "$1$", 8)
	alt := md5.Sum([]byte(string(pass) + salt + string(pass)))
	h := md5.New()
	h.Write([]byte(string(pass) + "$1$" + salt))
	for n := len(pass); n > 0; n -= 16 {
		h.Write(alt[:min(16, n)])
	}
	for n := len(pass); n > 0; n >>= 1 {
		if n&1 == 1 {
			h.Write([]byte{0})
		} else {
			h.Write(pass[:1])
		}
	}
	sum := h.Sum(nil)
	for i := range 1000 {
		h.Reset()
		if i&1 == 1 {
			h.Write(pass)
		} else {
			h.Write(sum)
		}
		if i%3 != 0 {
			h.Write([]byte(salt))
		}
		if i%7 != 0 {
			h.Write(pass)
		}
		if i&1 == 1 {
			h.Write(sum)
		} else {
			h.Write(pass)
		}
		sum = h.Sum(sum[:0])
	}
	out := []byte("$1$" + salt + "$")
	for _, t := range [][3]int{{0, 6, 12}, {1, 7, 13}, {2, 8, 14}, {3, 9, 15}, {4, 10, 5}} {
		out = append64(out, uint32(sum[t[0]])<<16|uint32(sum[t[1]])<<8|uint32(sum[t[2]]), 4)
	}
	return string(append64(out, uint32(sum[11]), 2))
}

// order256 and order512 write the digest in crypt's alphabet and byte order.
func order256(out, s []byte) []byte {
	a, b, c := 0, 10, 20
	for range 10 {
		out = append64(out, uint32(s[a])<<16|uint32(s[b])<<8|uint32(s[c]), 4)
		a, b, c = c+1, a+1, b+1
	}
	return append64(out, uint32(s[31])<<8|uint32(s[30]), 3)
}

func order512(out, s []byte) []byte {
	a, b, c := 0, 21, 42
	for range 21 {
		out = append64(out, uint32(s[a])<<16|uint32(s[b])<<8|uint32(s[c]), 4)
		a, b, c = b+1, c+1, a+1
	}
	return append64(out, uint32(s[63]), 2)
}

// cryptSHA is Ulrich Drepper's "Unix crypt using SHA-256 and SHA-512".
func cryptSHA(pass []byte, setting, magic string, newHash func() hash.Hash, order func(out, s []byte) []byte) string {
	rounds, custom := 5000, false
	rest := setting[len(magic):]
	if r, ok := strings.CutPrefix(rest, "rounds="); ok {
		num, after, found := strings.Cut(r, "$")
		n, err := strconv.ParseUint(num, 10, 31)
		if !found || err != nil {
			return ""
		}
		rounds, custom, rest = min(max(int(n), 1000), 999999999), true, after
	}
	salt := []byte(cryptSalt(rest, "", 16))
	h := newHash()
	size := h.Size()
	h.Write(pass)
	h.Write(salt)
	h.Write(pass)
	b := h.Sum(nil)
	h.Reset()
	h.Write(pass)
	h.Write(salt)
	for n := len(pass); n > 0; n -= size {
		h.Write(b[:min(size, n)])
	}
	for n := len(pass); n > 0; n >>= 1 {
		if n&1 == 1 {
			h.Write(b)
		} else {
			h.Write(pass)
		}
	}
	a := h.Sum(nil)
	h.Reset()
	for range pass {
		h.Write(pass)
	}
	p := stretch(h.Sum(nil), len(pass))
	h.Reset()
	for range 16 + int(a[0]) {
		h.Write(salt)
	}
	s := stretch(h.Sum(nil), len(salt))
	for i := range rounds {
		h.Reset()
		if i&1 == 1 {
			h.Write(p)
		} else {
			h.Write(a)
		}
		if i%3 != 0 {
			h.Write(s)
		}
		if i%7 != 0 {
			h.Write(p)
		}
		if i&1 == 1 {
			h.Write(a)
		} else {
			h.Write(p)
		}
		a = h.Sum(a[:0])
	}
	out := magic
	if custom {
		out += "rounds=" + strconv.Itoa(rounds) + "$"
	}
	return string(order([]byte(out+string(salt)+"$"), a))
}

// stretch repeats a digest to n bytes.
func stretch(d []byte, n int) []byte {
	out := make([]byte, 0, n)
	for len(out)+len(d) <= n {
		out = append(out, d...)
	}
	return append(out, d[:n-len(out)]...)
}
