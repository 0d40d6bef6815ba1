package vrrp

import (
	"bytes"
	"testing"
)

// FuzzParse: nothing panics, and what is taken is encoded to the same bytes
// again unless it used a freedom that Append does not have: reserved bits of
// version 3, ignored authentication data, a foreign SPI or reserved field of AH,
// the other zero of a checksum.
func FuzzParse(f *testing.F) {
	for _, g := range goldens(f) {
		f.Add(g.packet)
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		if len(packet) == 0 {
			return
		}
		var h Header
		var payload []byte
		if packet[0]>>4 == 6 && len(packet) >= 40 {
			h, payload = split(t, packet)
			if h.Source.Is4In6() || h.Destination.Is4In6() {
				return
			}
		} else {
			var ok bool
			if h, payload, ok = SplitIPv4(packet); !ok {
				return
			}
		}
		version, vrid, ok := Peek(payload, h.Protocol)
		if !ok {
			return
		}
		for _, any := range []bool{true, false} {
			for _, auth := range []AuthType{AuthNone, AuthPass, AuthAH} {
				e := Expect{Version: version, VRID: vrid, Auth: auth, Key: secret, AnyAuth: any}
				var a Advert
				err := Parse(&a, payload, &h, &e)
				if err != nil {
					if kind, ok := err.(Error); !ok || kind == 0 || int(kind) > ErrorKinds {
						t.Fatalf("error %v", err)
					}
					continue
				}
				if any {
					continue
				}
				family := uint8(6)
				if h.Source.Is4() {
					family = 4
				}
				if err := Check(&a, family); err != nil && a.VRID != 0 {
					t.Fatalf("%+v was taken: %v", a, err)
				}
				got := Append(nil, &a, &h, &secret)
				if canonical(&a, payload, &h) && !bytes.Equal(got, payload) {
					t.Fatalf("%x came back as %x", payload, got)
				}
				var again Advert
				if err := Parse(&again, got, &h, &e); err != nil {
					t.Fatalf("what was encoded is refused: %v", err)
				}
			}
		}
	})
}

// canonical reports whether payload uses none of those freedoms.
func canonical(a *Advert, payload []byte, h *Header) bool {
	if a.Auth == AuthAH {
		return false // bound to its check value: the second Parse looks at it
	}
	if payload[6] == 0xff && payload[7] == 0xff || payload[6] == 0 && payload[7] == 0 {
		return false
	}
	if a.Version == 3 {
		return payload[4]>>4 == 0
	}
	return a.Auth == AuthPass || bytes.Equal(payload[len(payload)-8:], make([]byte, 8))
}
