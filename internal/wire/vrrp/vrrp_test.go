package vrrp

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var secret = Key([]byte("secret12"))

// golden is a whole IP packet that keepalived sent.
type golden struct {
	name   string
	packet []byte
}

func goldens(t testing.TB) []golden {
	files, err := filepath.Glob("testdata/*.hex")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	var out []golden
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		lines, comment := bufio.NewScanner(f), ""
		for lines.Scan() {
			if c, ok := strings.CutPrefix(lines.Text(), "# "); ok {
				comment = c
				continue
			}
			packet, err := hex.DecodeString(lines.Text())
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			out = append(out, golden{strings.TrimSuffix(filepath.Base(name), ".hex") + " " + comment, packet})
		}
		f.Close()
	}
	return out
}

// split takes IPv4 and IPv6 packets apart.
func split(t testing.TB, packet []byte) (Header, []byte) {
	if packet[0]>>4 == 4 {
		h, payload, ok := SplitIPv4(packet)
		if !ok {
			t.Fatalf("not an IPv4 packet: %x", packet)
		}
		return h, payload
	}
	return Header{
		Protocol:    packet[6],
		TTL:         packet[7],
		Source:      netip.AddrFrom16([16]byte(packet[8:])),
		Destination: netip.AddrFrom16([16]byte(packet[24:])),
	}, packet[40:]
}

// expectOf is a receiver that is configured for a golden packet.
func expectOf(g golden) Expect {
	e := Expect{Version: 3, VRID: 51, Key: secret}
	switch {
	case strings.Contains(g.name, "ah "):
		e.Version, e.Auth = 2, AuthAH
	case strings.Contains(g.name, "v2pass"), strings.Contains(g.name, "v2uni"):
		e.Version, e.Auth = 2, AuthPass
	case strings.Contains(g.name, "v2"):
		e.Version = 2
	}
	return e
}

func TestKeepalivedPackets(t *testing.T) {
	goldens := goldens(t)
	if len(goldens) < 30 {
		t.Errorf("%d golden packets: some are gone", len(goldens))
	}
	for _, g := range goldens {
		h, payload := split(t, g.packet)
		expect := expectOf(g)
		var a Advert
		if err := Parse(&a, payload, &h, &expect); err != nil {
			t.Errorf("%s: %v", g.name, err)
			continue
		}
		want := uint8(100)
		if strings.Contains(g.name, "SIGTERM") {
			want = 0
		}
		if a.Priority != want || a.VRID != 51 || len(a.Addresses) == 0 {
			t.Errorf("%s: %+v", g.name, a)
		}
		if old := a.Checksum == ChecksumGroup; old != strings.Contains(g.name, "v3uniold") {
			t.Errorf("%s: checksum form %v", g.name, a.Checksum)
		}
		if err := Check(&a, uint8(6-2*btoi(h.Source.Is4()))); err != nil {
			t.Errorf("%s: Check: %v", g.name, err)
		}
		if got := Append(nil, &a, &h, &secret); !bytes.Equal(got, payload) {
			t.Errorf("%s: encoded\n%x, not\n%x", g.name, got, payload)
		} else if n := Size(a.Version, uint8(6-2*btoi(h.Source.Is4())), a.Auth, len(a.Addresses)); n != len(got) {
			t.Errorf("%s: Size %d, is %d", g.name, n, len(got))
		}
		if h.Source.Is4() {
			if got := AppendIPv4(nil, &h, len(payload)); !bytes.Equal(got, g.packet[:20]) {
				t.Errorf("%s: IP header\n%x, not\n%x", g.name, got, g.packet[:20])
			}
		}
		protocol := h.Protocol
		if v, id, ok := Peek(payload, protocol); !ok || v != expect.Version || id != 51 {
			t.Errorf("%s: Peek %d %d %v", g.name, v, id, ok)
		}
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestFields(t *testing.T) {
	for _, g := range goldens(t) {
		h, payload := split(t, g.packet)
		expect := expectOf(g)
		var a Advert
		if err := Parse(&a, payload, &h, &expect); err != nil {
			t.Fatal(err)
		}
		switch g.name {
		case "keepalived-v2ah the second":
			if a.Sequence != 2 || a.Interval != time.Second || a.Auth != AuthAH {
				t.Errorf("%+v", a)
			}
		case "keepalived-v3ip4 the second":
			want := []netip.Addr{netip.MustParseAddr("10.9.0.100"), netip.MustParseAddr("10.9.0.101"), netip.MustParseAddr("10.9.0.102")}
			if a.Interval != 100*time.Millisecond || !slices.Equal(a.Addresses, want) {
				t.Errorf("%+v", a)
			}
		case "keepalived-v3ip6 the second":
			want := []netip.Addr{netip.MustParseAddr("fe80::100"), netip.MustParseAddr("fd09::100")}
			if !slices.Equal(a.Addresses, want) {
				t.Errorf("%+v", a)
			}
		}
	}
}

func v4Header() Header {
	return Header{Source: netip.MustParseAddr("10.9.0.1"), Destination: netip.MustParseAddr("224.0.0.18"), Protocol: ProtocolVRRP, TTL: 255, TOS: 0xc0, ID: 7}
}

func v6Header() Header {
	return Header{Source: netip.MustParseAddr("fe80::1"), Destination: netip.MustParseAddr("ff02::12"), Protocol: ProtocolVRRP, TTL: 255}
}

// sample is one advertisement of a kind, encoded.
func sample(version uint8, auth AuthType) (Advert, Header, []byte) {
	h := v4Header()
	a := Advert{Version: version, VRID: 7, Priority: 100, Interval: time.Second, Auth: auth,
		Addresses: []netip.Addr{netip.MustParseAddr("10.9.0.100"), netip.MustParseAddr("10.9.0.101")}}
	if auth == AuthAH {
		h.Protocol, a.Sequence = ProtocolAH, 9
	}
	return a, h, Append(nil, &a, &h, &secret)
}

func reSumV2(p []byte) {
	p[6], p[7] = 0, 0
	binary.BigEndian.PutUint16(p[6:], ^fold(sum(0, p)))
}

func reSumV3(p []byte) {
	h := v4Header()
	p[6], p[7] = 0, 0
	binary.BigEndian.PutUint16(p[6:], ^fold(sum(pseudo(&h, h.Destination, len(p)), p)))
}

func TestRefused(t *testing.T) {
	type edit func(p []byte, h *Header, e *Expect) []byte
	tests := []struct {
		name    string
		version uint8
		auth    AuthType
		edit    edit
		want    error
	}{
		{"nothing wrong, version 2", 2, AuthNone, func(p []byte, h *Header, e *Expect) []byte { return p }, nil},
		{"nothing wrong, PASS", 2, AuthPass, func(p []byte, h *Header, e *Expect) []byte { return p }, nil},
		{"nothing wrong, AH", 2, AuthAH, func(p []byte, h *Header, e *Expect) []byte { return p }, nil},
		{"nothing wrong, version 3", 3, AuthNone, func(p []byte, h *Header, e *Expect) []byte { return p }, nil},
		{"empty", 3, AuthNone, func(p []byte, h *Header, e *Expect) []byte { return nil }, ErrLength},
		{"short", 3, AuthNone, func(p []byte, h *Header, e *Expect) []byte { return p[:7] }, ErrLength},
		{"an address short", 3, AuthNone, func(p []byte, h *Header, e *Expect) []byte { return p[:12] }, ErrLength},
		{"a byte long", 3, AuthNone, func(p []byte, h *Header, e *Expect) []byte { return append(p, 0) }, ErrLength},
		{"authentication data missing", 2, AuthPass, func(p []byte, h *Header, e *Expect) []byte { return p[:16] }, ErrLength},
		{"other version", 3, AuthNone, func(p []byte, h *Header, e *Expect) []byte { e.Version = 2; return p }, ErrVersion},
		{"version 2 over IPv6", 2, AuthNone, func(p []byte, h *Header, e *Expect) []byte { *h = v6Header(); return p }, ErrVersion},
		{"type 2", 3, AuthNone, func(p []byte, h *Header, e *Expect) []byte { p[0] = 0x32; reSumV3(p); return p }, ErrType},
		{"other VRID", 3, AuthNone, func(p []byte, h *Header, e *Expect) []byte { e.VRID = 8; return p }, ErrVRID},
		{"no addresses, version 3", 3, AuthNone, func(p []byte, h *Header, e *Expect) []byte { p = p[:8]; p[3] = 0; reSumV3(p); return p }, ErrCount},
		{"no addresses, version 2", 2, AuthNone, func(p []byte, h *Header, e *Expect) []byte { p = p[:16]; p[3] = 0; reSumV2(p); return p }, ErrCount},
		{"no addresses, allowed", 3, AuthNone, func(p []byte, h *Header, e *Expect) []byte {
			p = p[:8]
			p[3] = 0
			reSumV3(p)
			e.AllowEmpty = true
			return p
		}, nil},
		{"interval 0, version 3", 3, AuthNone, func(p []byte, h *Header, e *Expect) []byte { p[4], p[5] = 0, 0; reSumV3(p); return p }, ErrInterval},
		{"reserved bits are not the interval", 3, AuthNone, func(p []byte, h *Header, e *Expect) []byte { p[4], p[5] = 0xf0, 0; reSumV3(p); return p }, ErrInterval},
		{"reserved bits are ignored", 3, AuthNone, func(p []byte, h *Header, e *Expect) []byte { p[4] |= 0xf0; reSumV3(p); return p }, nil},
		{"interval 0, version 2", 2, AuthNone, func(p []byte, h *Header, e *Expect) []byte { p[5] = 0; reSumV2(p); return p }, ErrInterval},
		{"checksum, version 2", 2, AuthNone, func(p []byte, h *Header, e *Expect) []byte { p[6] ^= 1; return p }, ErrChecksum},
		{"checksum, version 3", 3, AuthNone, func(p []byte, h *Header, e *Expect) []byte { p[6] ^= 1; return p }, ErrChecksum},
		{"plain checksum, version 3", 3, AuthNone, func(p []byte, h *Header, e *Expect) []byte { reSumV2(p); return p }, nil},
		{"plain checksum over IPv6", 3, AuthNone, func(p []byte, h *Header, e *Expect) []byte {
			*h = v6Header()
			a := Advert{Version: 3, VRID: 7, Interval: time.Second, Addresses: []netip.Addr{h.Source}}
			p = Append(nil, &a, h, &secret)
			reSumV2(p)
			return p
		}, ErrChecksum},
		{"another source breaks the pseudo-header", 3, AuthNone, func(p []byte, h *Header, e *Expect) []byte { h.Source = netip.MustParseAddr("10.9.0.2"); return p }, ErrChecksum},
		{"PASS where none is expected", 2, AuthPass, func(p []byte, h *Header, e *Expect) []byte { e.Auth = AuthNone; return p }, ErrAuthType},
		{"none where PASS is expected", 2, AuthNone, func(p []byte, h *Header, e *Expect) []byte { e.Auth = AuthPass; return p }, ErrAuthType},
		{"none where AH is expected", 2, AuthNone, func(p []byte, h *Header, e *Expect) []byte { e.Auth = AuthAH; return p }, ErrAuthType},
		{"AH where PASS is expected", 2, AuthAH, func(p []byte, h *Header, e *Expect) []byte { e.Auth = AuthPass; e.Key[0]++; return p }, ErrAuthType},
		{"type AH without its header", 2, AuthAH, func(p []byte, h *Header, e *Expect) []byte { h.Protocol = ProtocolVRRP; return p[24:] }, ErrAuthType},
		{"unknown authentication", 2, AuthNone, func(p []byte, h *Header, e *Expect) []byte { p[4] = 3; reSumV2(p); e.AnyAuth = true; return p }, ErrAuthType},
		{"wrong password", 2, AuthPass, func(p []byte, h *Header, e *Expect) []byte { e.Key[7]++; return p }, ErrAuthData},
		{"wrong password, any", 2, AuthPass, func(p []byte, h *Header, e *Expect) []byte { e.Key[7]++; e.AnyAuth = true; return p }, nil},
		{"AH, wrong key", 2, AuthAH, func(p []byte, h *Header, e *Expect) []byte { e.Key[0]++; return p }, ErrAuthData},
		{"AH, priority changed", 2, AuthAH, func(p []byte, h *Header, e *Expect) []byte { p[24+2] = 200; reSumV2(p[24:]); return p }, ErrAuthData},
		{"AH, sequence changed", 2, AuthAH, func(p []byte, h *Header, e *Expect) []byte { p[11]++; return p }, ErrAuthData},
		{"AH, another source", 2, AuthAH, func(p []byte, h *Header, e *Expect) []byte { h.Source = netip.MustParseAddr("10.9.0.9"); return p }, ErrAuthData},
		{"AH, another identification", 2, AuthAH, func(p []byte, h *Header, e *Expect) []byte { h.ID++; return p }, ErrAuthData},
		{"AH covers no type of service", 2, AuthAH, func(p []byte, h *Header, e *Expect) []byte { h.TOS = 0; return p }, nil},
		{"AH covers no flags", 2, AuthAH, func(p []byte, h *Header, e *Expect) []byte { h.Flags = 0x4000; return p }, nil},
		{"AH with the TTL zeroed, as RFC 2402 says", 2, AuthAH, func(p []byte, h *Header, e *Expect) []byte {
			check := icv(p, h, &secret, false)
			copy(p[ahICV:ahLen], check[:])
			return p
		}, nil},
		{"AH, unicast over a hop", 2, AuthAH, func(p []byte, h *Header, e *Expect) []byte {
			h.Destination = netip.MustParseAddr("10.9.0.2")
			putAH(p, &Advert{Sequence: 9}, h, &secret)
			h.TTL--
			return p
		}, nil},
		{"AH, short", 2, AuthAH, func(p []byte, h *Header, e *Expect) []byte { return p[:23] }, ErrLength},
		{"AH, too long to be one", 2, AuthAH, func(p []byte, h *Header, e *Expect) []byte { return append(p, make([]byte, 2000)...) }, ErrLength},
		{"AH of something else", 2, AuthAH, func(p []byte, h *Header, e *Expect) []byte { p[0] = 6; return p }, ErrAuthType},
		{"AH with a longer check value", 2, AuthAH, func(p []byte, h *Header, e *Expect) []byte { p[1] = 5; return p }, ErrAuthType},
		{"AH, any", 2, AuthAH, func(p []byte, h *Header, e *Expect) []byte { e.Key[0]++; e.AnyAuth = true; return p }, nil},
		{"AH of version 3", 2, AuthAH, func(p []byte, h *Header, e *Expect) []byte {
			p = Append(p[:ahLen], &Advert{Version: 3, VRID: 7, Interval: time.Second, Addresses: []netip.Addr{h.Source}}, h, &secret)
			putAH(p, &Advert{Sequence: 9}, h, &secret)
			e.Version = 3
			return p
		}, ErrVersion},
		{"AH, unicast and a wrong key", 2, AuthAH, func(p []byte, h *Header, e *Expect) []byte {
			h.Destination = netip.MustParseAddr("10.9.0.2")
			return p
		}, ErrAuthData},
		{"AH over IPv6", 2, AuthAH, func(p []byte, h *Header, e *Expect) []byte { *h = v6Header(); h.Protocol = ProtocolAH; return p }, ErrAuthType},
	}
	seen := map[error]bool{}
	for _, test := range tests {
		a, h, p := sample(test.version, test.auth)
		e := Expect{Version: test.version, VRID: 7, Auth: test.auth, Key: secret}
		p = test.edit(p, &h, &e)
		if err := Parse(&a, p, &h, &e); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
		seen[test.want] = true
	}
	for kind := Error(1); int(kind) <= ErrorKinds; kind++ {
		if !seen[kind] {
			t.Errorf("nothing leads to %v", kind)
		}
		if kind.Error() == Error(0).Error() {
			t.Errorf("error %d has no text", kind)
		}
	}
}

func TestLargest(t *testing.T) {
	for _, test := range []struct {
		version uint8
		auth    AuthType
		header  Header
		size    int
	}{
		{2, AuthPass, v4Header(), 1036}, {2, AuthAH, v4Header(), 1060}, {3, AuthNone, v4Header(), 1028}, {3, AuthNone, v6Header(), 4088},
	} {
		h := test.header
		if test.auth == AuthAH {
			h.Protocol = ProtocolAH
		}
		a := Advert{Version: test.version, VRID: 255, Priority: 255, Interval: 40 * time.Second, Auth: test.auth}
		for i := range MaxAddresses {
			if h.Source.Is4() {
				a.Addresses = append(a.Addresses, netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}))
			} else {
				a.Addresses = append(a.Addresses, netip.AddrFrom16([16]byte{0xfd, 15: byte(i)}))
			}
		}
		if err := Check(&a, uint8(6-2*btoi(h.Source.Is4()))); err != nil {
			t.Error(err)
		}
		p := Append(nil, &a, &h, &secret)
		if len(p) != test.size {
			t.Errorf("%d bytes, want %d", len(p), test.size)
		}
		var back Advert
		e := Expect{Version: test.version, VRID: 255, Auth: test.auth, Key: secret}
		if err := Parse(&back, p, &h, &e); err != nil {
			t.Error(err)
		}
		if !slices.Equal(a.Addresses, back.Addresses) || back.Interval != a.Interval || back.Priority != 255 {
			t.Errorf("came back as %+v", back)
		}
	}
}

func TestCheck(t *testing.T) {
	v4, v6 := []netip.Addr{netip.MustParseAddr("10.0.0.1")}, []netip.Addr{netip.MustParseAddr("fd00::1")}
	tests := []struct {
		a      Advert
		family uint8
		want   string
	}{
		{Advert{Version: 2, VRID: 1, Interval: time.Second, Addresses: v4}, 4, ""},
		{Advert{Version: 3, VRID: 1, Interval: 10 * time.Millisecond, Addresses: v6}, 6, ""},
		{Advert{Version: 2, VRID: 1, Interval: time.Second, Addresses: v6}, 6, "version 3 has"},
		{Advert{Version: 4, VRID: 1, Interval: time.Second}, 4, "2 and 3 exist"},
		{Advert{Version: 3, VRID: 1, Interval: time.Second, Auth: AuthPass}, 4, "no authentication"},
		{Advert{Version: 3, Interval: time.Second}, 4, "1 to 255"},
		{Advert{Version: 2, VRID: 1, Interval: time.Second, Auth: 3}, 4, "authentication type 3"},
		{Advert{Version: 2, VRID: 1, Interval: 100 * time.Millisecond}, 4, "multiples of 1s"},
		{Advert{Version: 2, VRID: 1, Interval: 256 * time.Second}, 4, "up to 4m15s"},
		{Advert{Version: 3, VRID: 1, Interval: 41 * time.Second}, 4, "up to 40.95s"},
		{Advert{Version: 3, VRID: 1, Interval: 15 * time.Millisecond}, 4, "multiples of 10ms"},
		{Advert{Version: 3, VRID: 1, Interval: 0}, 4, "multiples of 10ms"},
		{Advert{Version: 3, VRID: 1, Interval: time.Second, Addresses: v6}, 4, "over IPv4"},
		{Advert{Version: 3, VRID: 1, Interval: time.Second, Addresses: make([]netip.Addr, 256)}, 4, "holds 255"},
	}
	for _, test := range tests {
		err := Check(&test.a, test.family)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%+v: %v, want %q", test.a, err, test.want)
		}
	}
}

func TestSplitIPv4(t *testing.T) {
	good := AppendIPv4(nil, &Header{Source: netip.MustParseAddr("1.2.3.4"), Destination: netip.MustParseAddr("5.6.7.8"), Protocol: 112, TTL: 9}, 3)
	good = append(good, 1, 2, 3)
	if fold(sum(0, good[:20])) != 0xffff {
		t.Error("the header's checksum is wrong")
	}
	options := append(slices.Clone(good[:20]), 1, 1, 1, 1, 1, 2, 3)
	options[0], options[3] = 0x46, 27
	trailing := append(slices.Clone(good), 0, 0, 0)
	for name, packet := range map[string][]byte{"good": good, "options": options, "Ethernet padding": trailing} {
		if h, payload, ok := SplitIPv4(packet); !ok || !bytes.Equal(payload, []byte{1, 2, 3}) || h.TTL != 9 || h.Source.String() != "1.2.3.4" {
			t.Errorf("%s: %v %+v %x", name, ok, h, payload)
		}
	}
	v6, shortHeader, cut, inside := slices.Clone(good), slices.Clone(good), good[:22], slices.Clone(good)
	v6[0], shortHeader[0], inside[3] = 0x65, 0x44, 19
	for name, packet := range map[string][]byte{"nothing": nil, "version 6": v6, "header length": shortHeader, "cut": cut, "total length": inside} {
		if _, _, ok := SplitIPv4(packet); ok {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestAuthTypeText(t *testing.T) {
	for auth, want := range map[AuthType]string{AuthNone: "none", AuthPass: "PASS", AuthAH: "AH", 7: "unknown"} {
		if auth.String() != want {
			t.Errorf("%d is called %s", auth, auth)
		}
	}
}

func TestPeekShort(t *testing.T) {
	if _, _, ok := Peek([]byte{0x31}, ProtocolVRRP); ok {
		t.Error("one byte is enough")
	}
	if _, _, ok := Peek(make([]byte, 40), ProtocolAH); ok {
		t.Error("AH of something else")
	}
}

func TestNoAllocation(t *testing.T) {
	for _, auth := range []AuthType{AuthNone, AuthPass, AuthAH} {
		a, h, p := sample(2, auth)
		e := Expect{Version: 2, VRID: 7, Auth: auth, Key: secret}
		buffer := make([]byte, 0, 2000)
		if n := testing.AllocsPerRun(100, func() {
			buffer = Append(buffer[:0], &a, &h, &secret)
			if err := Parse(&a, p, &h, &e); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%v: %v allocations", auth, n)
		}
		bad := slices.Clone(p)
		bad[len(bad)-1]++
		if n := testing.AllocsPerRun(100, func() {
			if Parse(&a, bad, &h, &e) == nil {
				t.Fatal("taken")
			}
		}); n != 0 {
			t.Errorf("%v refused: %v allocations", auth, n)
		}
	}
}
