package message

import (
	"bytes"
	"strings"
	"testing"
)

func TestIdentify(t *testing.T) {
	seen := map[int]FieldID{}
	for id := FieldOther + 1; id < fieldCount; id++ {
		name := id.Name()
		if name == "" || len(name) > 24 {
			t.Fatalf("field %d is called %q", id, name)
		}
		for _, s := range []string{name, strings.ToUpper(name), strings.ToUpper(name[:1]) + name[1:]} {
			if got := Identify([]byte(s)); got != id {
				t.Errorf("%q is %d, want %d", s, got, id)
			}
		}
		if Lookup(name) != id {
			t.Errorf("Lookup(%q) is %d", name, Lookup(name))
		}
		if other, taken := seen[fieldSlot([]byte(name))]; taken {
			t.Logf("%s and %s share a slot: choose other factors in fieldSlot", name, other.Name())
		}
		seen[fieldSlot([]byte(name))] = id
		// One wrong bit, one byte more and one less are other names.
		for i := range name {
			for bit := range 8 {
				b := []byte(name)
				b[i] ^= 1 << bit
				if want := referenceIdentify(b); Identify(b) != want {
					t.Errorf("%q is %d, want %d", b, Identify(b), want)
				}
			}
		}
		for _, s := range []string{name + "x", name[:len(name)-1], "x" + name} {
			if Identify([]byte(s)) != referenceIdentify([]byte(s)) {
				t.Errorf("%q is %d", s, Identify([]byte(s)))
			}
		}
	}
	if Identify(nil) != FieldOther || Lookup("") != FieldOther || FieldOther.Name() != "" || FieldID(255).Name() != "" {
		t.Error("the name of no field")
	}
}

func referenceIdentify(name []byte) FieldID {
	for id := FieldOther + 1; id < fieldCount; id++ {
		if strings.EqualFold(string(name), id.Name()) {
			return id
		}
	}
	return FieldOther
}

func FuzzIdentify(f *testing.F) {
	for id := FieldOther + 1; id < fieldCount; id++ {
		f.Add([]byte(id.Name()))
	}
	f.Fuzz(func(t *testing.T, name []byte) {
		// strings.EqualFold knows more than ASCII: K and the Kelvin sign.
		if bytes.IndexFunc(name, func(r rune) bool { return r >= 0x80 }) >= 0 {
			return
		}
		if got, want := Identify(name), referenceIdentify(name); got != want {
			t.Fatalf("%q is %d, want %d", name, got, want)
		}
	})
}

func TestIdentifyMethod(t *testing.T) {
	for id := MethodGet; int(id) < len(methodNames); id++ {
		if IdentifyMethod([]byte(id.String())) != id {
			t.Errorf("%s", id)
		}
	}
	for _, s := range []string{"", "get", "GETT", "PURGE"} {
		if IdentifyMethod([]byte(s)) != MethodOther {
			t.Errorf("%q", s)
		}
	}
	if MethodOther.String() != "" || Method(255).String() != "" {
		t.Error("the name of no method")
	}
}

func TestFields(t *testing.T) {
	var h Head
	add := func(name, value string) { h.Add(Identify([]byte(name)), h.KeepString(name), h.KeepString(value)) }
	add("Host", "a")
	add("X-One", "1")
	add("host", "b")
	add("x-one", "2")
	if v, ok := h.Get(FieldHost); !ok || string(v) != "a" {
		t.Errorf("%q", v)
	}
	if v, ok := h.GetName("x-one"); !ok || string(v) != "1" {
		t.Errorf("%q", v)
	}
	if i := h.Index(FieldOther, "x-one", 2); i != 3 {
		t.Errorf("index %d", i)
	}
	h.Fields[0].Name = nil
	if v, ok := h.Get(FieldHost); !ok || string(v) != "b" {
		t.Errorf("%q", v)
	}
	if n := h.Del(FieldHost, "host"); n != 1 {
		t.Errorf("deleted %d", n)
	}
	if _, ok := h.Get(FieldHost); ok {
		t.Error("deleted, yet there")
	}
	if n := h.Del(FieldOther, "x-one"); n != 2 {
		t.Errorf("deleted %d", n)
	}
}

// What was kept stays when the arena grows, and appending to it harms nobody.
func TestKeep(t *testing.T) {
	var h Head
	var kept [][]byte
	for i := range 300 {
		kept = append(kept, h.Keep(bytes.Repeat([]byte{byte(i)}, i%40)), h.KeepString("text"))
	}
	for i := range 300 {
		_ = append(kept[2*i], "overwrites what follows?"...)
	}
	for i := range 300 {
		if !bytes.Equal(kept[2*i], bytes.Repeat([]byte{byte(i)}, i%40)) || string(kept[2*i+1]) != "text" {
			t.Fatalf("%d: %q %q", i, kept[2*i], kept[2*i+1])
		}
	}
}

func TestResetKeepsStorage(t *testing.T) {
	var h Head
	use := func() {
		h.Reset()
		h.Add(FieldOther, h.KeepString("X-Name"), h.KeepString("value"))
		h.Status, h.Target = 200, h.KeepString("/")
	}
	use()
	if n := testing.AllocsPerRun(100, use); n != 0 {
		t.Errorf("%v allocations", n)
	}
	h.Reset()
	if h.Status != 0 || h.Target != nil || len(h.Fields) != 0 {
		t.Errorf("%+v", h)
	}
}

func TestEqualFold(t *testing.T) {
	for _, c := range []struct {
		b, lower string
		want     bool
	}{
		{"", "", true}, {"Host", "host", true}, {"HOST", "host", true}, {"hos", "host", false},
		{"[ost", "{ost", false}, {"@", "`", false}, {"x-\r", "x-\r", true}, {"\x0d", "-", false},
	} {
		if got := EqualFold([]byte(c.b), c.lower); got != c.want {
			t.Errorf("%q %q: %v", c.b, c.lower, got)
		}
	}
}

func BenchmarkIdentify(b *testing.B) {
	names := [][]byte{[]byte("Host"), []byte("User-Agent"), []byte("Accept-Language"), []byte("Transfer-Encoding"),
		[]byte("Sec-Fetch-Mode"), []byte("Cookie"), []byte("Content-Length"), []byte("X-Request-Id")}
	b.ReportAllocs()
	for b.Loop() {
		for _, n := range names {
			Identify(n)
		}
	}
}
