package flowsync

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func encoded(n byte, size int) string {
	return base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string(rune(n)), size)))
}

func TestParseKeys(t *testing.T) {
	one, two := encoded('a', 32), encoded('b', 64)
	for text, want := range map[string]string{
		one:                                  "1 keys",
		one + "\n":                           "1 keys",
		"# old\r\n\n " + one + " \r\n" + two: "2 keys",
		"":                                   "there is no key in it",
		"# nothing\n":                        "there is no key in it",
		"secret":                             "line 1 is not a key in base64",
		one + "\n" + one[:40]:                "line 2: a key has 32 to 64 bytes, this one 30",
		encoded('a', 65):                     "this one 65",
		one + "\n" + one:                     "line 2 is the same key again",
		one + "\n\n" + two + "\n" + encoded('c', 32): "line 4: at most 2 keys",
	} {
		k, err := ParseKeys([]byte(text))
		got := fmt.Sprint(k)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) || strings.Contains(got, "secret") {
			t.Errorf("%q: %s", text, got)
		}
	}
	if a, b := keysOf(1), keysOf(1); !a.Equal(b) || a.Equal(keysOf(2)) || a.Equal(keysOf(1, 2)) || a.Equal(Keys{}) || !(Keys{}).Equal(Keys{}) {
		t.Error("keys are compared wrongly")
	}
}

// TestNotPrinted: whoever prints keys, or what has some, prints none.
func TestNotPrinted(t *testing.T) {
	k, err := ParseKeys([]byte(encoded('K', 32)))
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "keys", k, "settings", Settings{Keys: k})
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "keys", k, "settings", &Settings{Keys: k})
	text, err := json.Marshal(map[string]any{"a": k, "b": Settings{Keys: k}, "c": &k})
	if err != nil {
		t.Fatal(err)
	}
	all := []string{log.String(), string(text)}
	inside := struct {
		keys Keys
		s    Settings
	}{k, Settings{Keys: k}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%c", "%T"} {
		all = append(all, fmt.Sprintf(verb, k), fmt.Sprintf(verb, &k), fmt.Sprintf(verb, Settings{Keys: k}), fmt.Sprintf(verb, inside), fmt.Sprintf(verb, []Keys{k}))
	}
	for _, s := range all {
		for _, secret := range []string{"KKKK", "4b4b", "4B4B", "75 75 75", "S0tL", "75,75", "'K' 'K'", "0x4b, 0x4b"} {
			if strings.Contains(s, secret) {
				t.Errorf("it is printed: %s", s)
			}
		}
	}
}

func TestReadKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	says := func(want string) {
		t.Helper()
		if _, err := ReadKeys(path); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	says("does not exist: make it on one director and copy it to the others: (umask 077; head -c 32")
	write := func(text string, mode os.FileMode) {
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	write(encoded('a', 32), 0o600)
	says("")
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o601} {
		write(encoded('a', 32), mode)
		says(fmt.Sprintf("(mode %04o): chmod 600 %s", mode, path))
	}
	write("x", 0o600)
	says(path + ": line 1 is not a key")
	write(strings.Repeat("#", keyFile+1), 0o600)
	says("is longer than")
	if os.Geteuid() == 0 {
		write(encoded('a', 32), 0o600)
		if err := os.Chown(path, 12345, 0); err != nil {
			t.Fatal(err)
		}
		says("belongs to user 12345: chown root " + path)
	}
	path = t.TempDir()
	says("is not a file")
}

func FuzzParseKeys(f *testing.F) {
	f.Add([]byte(encoded('a', 32) + "\n" + encoded('b', 48)))
	f.Add([]byte("# x\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := ParseKeys(text)
		if (err == nil) == k.None() {
			t.Fatalf("%v, %v", k, err)
		}
		if err == nil && newVault(k).ciphers == nil {
			t.Fatal("they cannot be used")
		}
	})
}
