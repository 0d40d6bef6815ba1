package bfd

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
	"time"
)

// From a capture of keepalived 2.2.7, min_rx and min_tx 20 ms, multiplier 3,
// before it heard anything.
const captured = "20 40 03 18 22 42 49 15 00 00 00 00 00 0f 42 40 00 00 4e 20 00 00 00 00"

func packet(t testing.TB, s string) []byte {
	b, err := hex.DecodeString(string(bytes.ReplaceAll([]byte(s), []byte(" "), nil)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParse(t *testing.T) {
	got, err := Parse(packet(t, captured))
	want := Control{State: Down, DetectMult: 3, MyDiscriminator: 0x22424915, DesiredMinTx: time.Second, RequiredMinRx: 20 * time.Millisecond}
	if err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
}

// Each of the demands of RFC 5880 section 6.8.6 on the bytes alone.
func TestRefused(t *testing.T) {
	good := packet(t, captured)
	with := func(at int, b ...byte) []byte {
		p := bytes.Clone(good)
		copy(p[at:], b)
		return p
	}
	for name, x := range map[string]struct {
		p    []byte
		want error
	}{
		"empty":                      {nil, ErrShort},
		"cut off":                    {good[:23], ErrShort},
		"version 0":                  {with(0, 0x00), ErrVersion},
		"version 2":                  {with(0, 0x40), ErrVersion},
		"length 23":                  {with(3, 23), ErrLength},
		"length 0":                   {with(3, 0), ErrLength},
		"length beyond":              {with(3, 25), ErrShort},
		"multiplier 0":               {with(2, 0), ErrDetectMult},
		"multipoint":                 {with(1, 0x41), ErrMultipoint},
		"authentication, short":      {with(1, 0x44), ErrLength},
		"authentication":             {append(with(1, 0x44, 5, 26), 1, 2), ErrAuthentication},
		"poll and final":             {with(1, 0x70), ErrPollFinal},
		"my discriminator 0":         {with(4, 0, 0, 0, 0), ErrMyDiscriminator},
		"your discriminator 0, Init": {with(1, 0x80), ErrYourDiscriminator},
		"your discriminator 0, Up":   {with(1, 0xc0), ErrYourDiscriminator},
		"good":                       {good, nil},
		"AdminDown without yours":    {with(1, 0x00), nil},
		"bytes after it":             {append(bytes.Clone(good), 1, 2, 3), nil},
		"Up with yours":              {with(1, 0xc0, 5, 24, 1, 1, 1, 1, 2, 2, 2, 2), nil},
	} {
		if _, err := Parse(x.p); !errors.Is(err, x.want) || err != nil && x.want == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAppend(t *testing.T) {
	c := Control{Diagnostic: AdministrativelyDown, State: Up, Poll: true, ControlPlaneIndependent: true, Demand: true, DetectMult: 255,
		MyDiscriminator: 1, YourDiscriminator: 1 << 31, DesiredMinTx: time.Second, RequiredMinRx: time.Microsecond, RequiredMinEchoRx: 1<<32*time.Microsecond - 1}
	b := Append([]byte("x"), &c)
	if want := packet(t, "78 27 ea ff 18 00 00 00 01 80 00 00 00 00 0f 42 40 00 00 00 01 ff ff ff ff"); !bytes.Equal(b, want) {
		t.Errorf("%x", b)
	}
	// What does not fit the field is cut to its limits.
	c.DesiredMinTx, c.RequiredMinRx = 2*time.Hour, -1
	if got, err := Parse(Append(nil, &c)); err != nil || got.DesiredMinTx != (1<<32-1)*time.Microsecond || got.RequiredMinRx != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	buf := make([]byte, 0, Size)
	if n := testing.AllocsPerRun(100, func() {
		buf = Append(buf[:0], &c)
		if _, err := Parse(buf); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestNames(t *testing.T) {
	if s := Init.String() + State(9).String() + DetectionTimeExpired.String() + Diagnostic(31).String(); s != "InitState(9)control detection time expireddiagnostic 31" {
		t.Error(s)
	}
}

// Whatever is accepted is sent again as the same first 24 bytes, but for the
// length, which may have counted more.
func FuzzParse(f *testing.F) {
	f.Add(packet(f, captured))
	f.Add(packet(f, "78 2a ff 18 00 00 00 01 80 00 00 00 00 0f 42 40 00 00 00 01 ff ff ff ff"))
	f.Add(packet(f, "20 c4 05 1a 11 22 33 44 00 00 00 01 00 00 27 10 00 00 27 10 00 00 00 00 01 02"))
	f.Fuzz(func(t *testing.T, p []byte) {
		c, err := Parse(p)
		if err != nil {
			if c != (Control{}) {
				t.Fatalf("%+v with %v", c, err)
			}
			return
		}
		out := Append(nil, &c)
		in := bytes.Clone(p[:Size])
		in[3] = Size
		if !bytes.Equal(in, out) {
			t.Fatalf("%x became %x", in, out)
		}
	})
}
