package flowsync

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// Keys are what directors share that no one else knows. The first is used to
// send, what was made with any of them is taken. They are never printed: not by
// fmt, log/slog or encoding/json.
type Keys struct {
	*hidden
}

// hidden is a pointer behind a pointer: even a wrong verb of fmt for something
// that has Keys inside prints an address.
type hidden struct{ list *[][]byte }

const (
	maxKeys  = 2  // of which one is being replaced
	keySize  = 32 // bytes, at least
	keyLimit = 64
	keyFile  = 4096 // bytes of a file, at most
)

// makeKey is the command for a key, as messages name it.
const makeKey = "head -c 32 /dev/urandom | base64"

// None says whether there are no keys: nothing is encrypted.
func (k Keys) None() bool { return k.hidden == nil }

// Equal compares in constant time.
func (k Keys) Equal(o Keys) bool {
	if k.None() || o.None() {
		return k.None() && o.None()
	}
	if len(*k.list) != len(*o.list) {
		return false
	}
	same := 1
	for i := range *k.list {
		same &= subtle.ConstantTimeCompare((*k.list)[i], (*o.list)[i])
	}
	return same == 1
}

// Format prints how many there are, whatever the verb.
func (k Keys) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.text()) }

// MarshalText is Format's.
func (k Keys) MarshalText() ([]byte, error) { return []byte(k.text()), nil }

func (k Keys) text() string {
	if k.None() {
		return "no keys"
	}
	return fmt.Sprintf("%d keys", len(*k.list))
}

// ParseKeys reads one or two keys, in base64, each in a line. Empty lines and
// lines that begin with # are left out.
func ParseKeys(text []byte) (Keys, error) {
	var list [][]byte
	for n, line := range bytes.Split(text, []byte("\n")) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		if len(list) == maxKeys {
			return Keys{}, fmt.Errorf("line %d: at most %d keys are used: the first to send, the other is taken, too", n+1, maxKeys)
		}
		key := make([]byte, base64.StdEncoding.DecodedLen(len(line)))
		size, err := base64.StdEncoding.Strict().Decode(key, line)
		switch {
		case err != nil: // which says nothing of what stands there
			return Keys{}, fmt.Errorf("line %d is not a key in base64: make one with: %s", n+1, makeKey)
		case size < keySize || size > keyLimit:
			return Keys{}, fmt.Errorf("line %d: a key has %d to %d bytes, this one %d: make one with: %s", n+1, keySize, keyLimit, size, makeKey)
		}
		for _, other := range list {
			if subtle.ConstantTimeCompare(other, key[:size]) == 1 {
				return Keys{}, fmt.Errorf("line %d is the same key again", n+1)
			}
		}
		list = append(list, key[:size])
	}
	if len(list) == 0 {
		return Keys{}, fmt.Errorf("there is no key in it: make one with: %s", makeKey)
	}
	return Keys{&hidden{&list}}, nil
}

// ReadKeys reads a file of keys. Nobody but its owner, who is root or this
// user, may be able to read or change it.
func ReadKeys(path string) (Keys, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return Keys{}, fmt.Errorf("%s does not exist: make it on one director and copy it to the others: (umask 077; %s >%s)", path, makeKey, path)
	}
	if err != nil {
		return Keys{}, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return Keys{}, err
	}
	owner := st.Sys().(*syscall.Stat_t).Uid
	switch {
	case !st.Mode().IsRegular():
		return Keys{}, fmt.Errorf("%s is not a file", path)
	case st.Mode().Perm()&0o077 != 0:
		return Keys{}, fmt.Errorf("%s can be read or written by others than its owner (mode %04o): chmod 600 %s, and make another key if somebody may have seen it", path, st.Mode().Perm(), path)
	case owner != 0 && int(owner) != os.Geteuid():
		return Keys{}, fmt.Errorf("%s belongs to user %d: chown root %s", path, owner, path)
	}
	text, err := io.ReadAll(io.LimitReader(f, keyFile+1))
	if err != nil {
		return Keys{}, fmt.Errorf("%s: %w", path, err)
	}
	if len(text) > keyFile {
		return Keys{}, fmt.Errorf("%s is longer than %d bytes", path, keyFile)
	}
	k, err := ParseKeys(text)
	if err != nil {
		return Keys{}, fmt.Errorf("%s: %w", path, err)
	}
	return k, nil
}

// ciphers are what a sender's session is read with, by each key. The first is
// what is sent with.
func (k Keys) ciphers(session *sessionID) (list []cipher.AEAD) {
	for _, key := range *k.list {
		derived, err := hkdf.Key(sha256.New, key, session[:], "evenkeel flowsync 2", 32)
		if err != nil {
			continue // not with these sizes
		}
		block, err := aes.NewCipher(derived)
		if err != nil {
			continue
		}
		if c, err := cipher.NewGCM(block); err == nil {
			list = append(list, c)
		}
	}
	return list
}
