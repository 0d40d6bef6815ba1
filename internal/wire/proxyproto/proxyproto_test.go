package proxyproto

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

func TestParseV1(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"PROXY TCP4 192.0.2.1 192.0.2.2 1234 80\r\n", "192.0.2.1:1234 192.0.2.2:80 1"},
		{"PROXY TCP6 2001:db8::1 ::1 65535 0\r\n", "[2001:db8::1]:65535 [::1]:0 2"},
		{"PROXY TCP6 " + strings.Repeat("ffff:", 7) + "ffff " + strings.Repeat("ffff:", 7) + "ffff 65535 65535\r\n",
			"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535 [ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535 2"},
		{"PROXY UNKNOWN\r\n", "invalid AddrPort invalid AddrPort 0"},
		{"PROXY UNKNOWN what ever\r\n", "invalid AddrPort invalid AddrPort 0"},
		{"PROXY UNKNOWN " + strings.Repeat("x", 91) + "\r\n", "invalid AddrPort invalid AddrPort 0"},
	} {
		h, n, err := Parse([]byte(c.line + "PAYLOAD"))
		if got := fmt.Sprintf("%v %v %d", h.Src, h.Dst, h.Family); err != nil || n != len(c.line) || got != c.want || h.Version != 1 {
			t.Errorf("%q: %s, %d, %v", c.line, got, n, err)
		}
		for k := range len(c.line) {
			if _, _, err := Parse([]byte(c.line[:k])); err != ErrMore {
				t.Fatalf("%q: %v", c.line[:k], err)
			}
		}
	}
}

func TestParseV1Refuses(t *testing.T) {
	for _, line := range []string{
		"GET / HTTP/1.1\r\n", "PROXY\r\n", "PROXY \r\n", "proxy TCP4 1.1.1.1 1.1.1.1 1 1\r\n",
		"PROXY TCP4 1.1.1.1 1.1.1.1 1 1\n",
		"PROXY TCP4 1.1.1.1 1.1.1.1 1\r\n",
		"PROXY TCP4 1.1.1.1 1.1.1.1 1 1 1\r\n",
		"PROXY TCP4 1.1.1.1 1.1.1.1 1 1 \r\n",
		"PROXY  TCP4 1.1.1.1 1.1.1.1 1 1\r\n",
		"PROXY TCP4 1.1.1.1  1.1.1.1 1 1\r\n",
		"PROXY TCP4 1.1.1.1 1.1.1.1 01 1\r\n",
		"PROXY TCP4 1.1.1.1 1.1.1.1 1 65536\r\n",
		"PROXY TCP4 1.1.1.1 1.1.1.1 1 -1\r\n",
		"PROXY TCP4 1.1.1.1 1.1.1.1 1 1x\r\n",
		"PROXY TCP4 1.1.1.01 1.1.1.1 1 1\r\n",
		"PROXY TCP4 1.1.1 1.1.1.1 1 1\r\n",
		"PROXY TCP4 ::1 ::1 1 1\r\n",
		"PROXY TCP6 1.1.1.1 1.1.1.1 1 1\r\n",
		"PROXY TCP6 fe80::1%eth0 ::1 1 1\r\n",
		"PROXY UDP4 1.1.1.1 1.1.1.1 1 1\r\n",
		"PROXY UNKNOWNX\r\n",
		"PROXY UNKNOWN " + strings.Repeat("x", 92) + "\r\n",
		"PROXY TCP4 " + strings.Repeat("1", 200),
	} {
		if _, n, err := Parse([]byte(line)); err == nil || err == ErrMore || n != 0 {
			t.Errorf("%q: %d %v", line, n, err)
		}
	}
}

func addrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func fullHeader() *Header {
	return &Header{
		Version: 2, Family: FamilyIPv4, Transport: TransportStream,
		Src: addrPort("192.0.2.1:1234"), Dst: addrPort("192.0.2.2:443"),
		ALPN: []byte("h2"), Authority: []byte("example.com"), UniqueID: []byte("abc\x00def"), NetNS: []byte("blue"),
		SSL: &SSL{Client: ClientSSL | ClientCertConn, Verified: true, Version: []byte("TLSv1.3"), CN: []byte("me"),
			Cipher: []byte("TLS_AES_128_GCM_SHA256"), SigAlg: []byte("SHA256"), KeyAlg: []byte("RSA2048")},
		CRC32C: true, Extra: []TLV{{0xe0, []byte("own")}, {0xee, []byte{}}},
	}
}

func TestV2RoundTrip(t *testing.T) {
	v6 := fullHeader()
	v6.Family, v6.Src, v6.Dst = FamilyIPv6, addrPort("[2001:db8::1]:1"), addrPort("[2001:db8::2]:2")
	v6.Transport, v6.SSL.Verified, v6.CRC32C = TransportDatagram, false, false
	unix := &Header{Version: 2, Family: FamilyUnix, Transport: TransportStream, SrcPath: []byte("/run/a"), DstPath: []byte(strings.Repeat("x", 108))}
	for _, h := range []*Header{
		fullHeader(), v6, unix,
		{Version: 2, Family: FamilyIPv4, Transport: TransportStream, Src: addrPort("1.2.3.4:5"), Dst: addrPort("6.7.8.9:10")},
		{Version: 2, Local: true},
	} {
		wire := AppendV2([]byte("before"), h)[6:]
		got, n, err := Parse(append(wire[:len(wire):len(wire)], "PAYLOAD"...))
		if err != nil || n != len(wire) || !reflect.DeepEqual(&got, h) {
			t.Errorf("%q:\n got %+v %d %v\nwant %+v", wire, got, n, err, h)
		}
		for k := range len(wire) {
			if _, _, err := Parse(wire[:k]); err != ErrMore {
				t.Fatalf("%q: %v", wire[:k], err)
			}
		}
	}
}

// The bytes of the specification's own structure, so that both sides cannot be
// wrong together.
func TestV2Golden(t *testing.T) {
	h := &Header{Family: FamilyIPv4, Src: addrPort("1.2.3.4:258"), Dst: addrPort("5.6.7.8:80"), Authority: []byte("ab"),
		SSL: &SSL{Client: ClientSSL, Version: []byte("x")}}
	want := "\r\n\r\n\x00\r\nQUIT\n" + "\x21\x11\x00\x1d" + "\x01\x02\x03\x04\x05\x06\x07\x08\x01\x02\x00\x50" +
		"\x02\x00\x02ab" + "\x20\x00\x09\x01\x00\x00\x00\x01\x21\x00\x01x"
	if got := string(AppendV2(nil, h)); got != want {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
	for _, h := range []*Header{{Local: true, UniqueID: []byte("x")}, {UniqueID: []byte("x")}} {
		if got := string(AppendV2(nil, h)); got != "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00" {
			t.Errorf("%q", got)
		}
	}
}

func v2(verCmd, famProto byte, body string) []byte {
	b := append([]byte(signature), verCmd, famProto, 0, 0)
	binary.BigEndian.PutUint16(b[14:], uint16(len(body)))
	return append(b, body...)
}

func TestParseV2Refuses(t *testing.T) {
	addr := "\x01\x02\x03\x04\x05\x06\x07\x08\x00\x01\x00\x02"
	for name, b := range map[string][]byte{
		"version":             v2(0x11, 0x11, addr),
		"command":             v2(0x22, 0x11, addr),
		"family":              v2(0x21, 0x41, addr),
		"transport":           v2(0x21, 0x13, addr),
		"short IPv4":          v2(0x21, 0x11, addr[:11]),
		"short IPv6":          v2(0x21, 0x21, addr),
		"short UNIX":          v2(0x21, 0x31, addr),
		"torn TLV":            v2(0x21, 0x11, addr+"\x02\x00"),
		"torn TLV value":      v2(0x21, 0x11, addr+"\x02\x00\x02a"),
		"torn SSL":            v2(0x21, 0x11, addr+"\x20\x00\x04\x01\x00\x00\x00"),
		"torn SSL sub TLV":    v2(0x21, 0x11, addr+"\x20\x00\x08\x01\x00\x00\x00\x00\x21\x00\x01"),
		"long unique ID":      v2(0x21, 0x11, addr+"\x05\x00\x81"+strings.Repeat("x", 129)),
		"CRC of other length": v2(0x21, 0x11, addr+"\x03\x00\x03abc"),
		"wrong CRC":           v2(0x21, 0x11, addr+"\x03\x00\x04abcd"),
		"too long":            v2(0x21, 0x11, addr+strings.Repeat("\x04\x00\x00", 3000)),
		"signature":           []byte("\r\n\r\nGET / HTTP/1.1\r\n"),
	} {
		if _, n, err := Parse(b); err == nil || err == ErrMore || n != 0 {
			t.Errorf("%s: %d %v", name, n, err)
		}
	}
}

func TestV2CorruptionIsFound(t *testing.T) {
	wire := AppendV2(nil, fullHeader())
	for i := headLen; i < len(wire); i++ {
		wire[i] ^= 0x10
		if h, _, err := Parse(wire); err == nil && h.CRC32C {
			t.Errorf("byte %d", i)
		}
		wire[i] ^= 0x10
	}
}

// A LOCAL header's content and addresses of an unknown family are skipped.
func TestV2Skips(t *testing.T) {
	for _, b := range [][]byte{
		v2(0x20, 0x00, ""), v2(0x20, 0x11, "junk"), v2(0x20, 0xff, strings.Repeat("x", 50)),
		v2(0x21, 0x00, ""), v2(0x21, 0x10, "\x01\x02\x03\x04\x05\x06\x07\x08\x00\x01\x00\x02"),
		v2(0x21, 0x00, "\x04\x00\x03xyz"),
	} {
		h, n, err := Parse(b)
		if err != nil || n != len(b) || h.HasAddress() {
			t.Errorf("%q: %+v %d %v", b, h, n, err)
		}
	}
}

func TestAppendV1(t *testing.T) {
	for _, c := range []struct {
		h    Header
		want string
	}{
		{Header{Src: addrPort("1.2.3.4:5"), Dst: addrPort("6.7.8.9:10")}, "PROXY TCP4 1.2.3.4 6.7.8.9 5 10\r\n"},
		{Header{Src: addrPort("[::1]:5"), Dst: addrPort("[fe80::1%eth0]:10")}, "PROXY TCP6 ::1 fe80::1 5 10\r\n"},
		{Header{Src: addrPort("[::ffff:1.2.3.4]:5"), Dst: addrPort("6.7.8.9:10")}, "PROXY TCP4 1.2.3.4 6.7.8.9 5 10\r\n"},
		{Header{Src: addrPort("1.2.3.4:5"), Dst: addrPort("[::1]:10")}, "PROXY TCP6 ::ffff:1.2.3.4 ::1 5 10\r\n"},
		{Header{Local: true, Src: addrPort("1.2.3.4:5"), Dst: addrPort("6.7.8.9:10")}, "PROXY UNKNOWN\r\n"},
		{Header{Family: FamilyUnix}, "PROXY UNKNOWN\r\n"},
		{Header{}, "PROXY UNKNOWN\r\n"},
	} {
		if got := string(AppendV1(nil, &c.h)); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestParseCIP(t *testing.T) {
	ip4 := "\x46\x00\x00\x2c\x00\x00\x00\x00\x40\x06\x00\x00\x01\x02\x03\x04\x05\x06\x07\x08OPTN"
	ip6 := "\x60\x00\x00\x00\x00\x14\x06\x40" + "2001:db8:client.2001:db8:server."
	tcp := "\x00\x50\x01\xbb" + strings.Repeat("\x00", 16)
	be := func(n int) string { return string(binary.BigEndian.AppendUint32(nil, uint32(n))) }
	be2 := func(n int) string { return string(binary.BigEndian.AppendUint16(nil, uint16(n))) }
	for _, ip := range []string{ip4, ip6} {
		legacy := "CIPX" + be(len(ip+tcp)) + ip + tcp
		standard := "CIPX" + be(len(ip+tcp)+12) + "\x00\x01" + be2(len(ip+tcp)) + ip + tcp
		for _, wire := range []string{legacy, standard} {
			h, n, err := ParseCIP([]byte(wire+"PAYLOAD"), 'C'<<24|'I'<<16|'P'<<8|'X')
			if err != nil || n != len(wire) || h.Src.Port() != 80 || h.Dst.Port() != 443 || !h.HasAddress() {
				t.Errorf("%q: %+v %d %v", wire, h, n, err)
			}
			if ip == ip4 && (h.Src != addrPort("1.2.3.4:80") || h.Dst != addrPort("5.6.7.8:443")) {
				t.Errorf("%v %v", h.Src, h.Dst)
			}
			for k := range len(wire) {
				if _, _, err := ParseCIP([]byte(wire[:k]), 'C'<<24|'I'<<16|'P'<<8|'X'); err != ErrMore {
					t.Fatalf("%q: %v", wire[:k], err)
				}
			}
		}
	}
	for _, wire := range []string{
		"GET / HTTP/1.1\r\n", "CIPX" + be(1<<20) + ip4 + tcp, "CIPX" + be(44) + "\x00\x02\x00\x2c" + ip4 + tcp,
		"CIPX" + be(24) + ip4, "CIPX" + be(4) + "\x45\x00\x00\x00", "CIPX" + be(40) + ip6[:40],
		"CIPX" + be(len(ip4+tcp)) + strings.Replace(ip4, "\x40\x06", "\x40\x11", 1) + tcp,
	} {
		if _, n, err := ParseCIP([]byte(wire), 'C'<<24|'I'<<16|'P'<<8|'X'); err == nil || err == ErrMore || n != 0 {
			t.Errorf("%q: %d %v", wire, n, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.1 192.0.2.2 1234 80\r\nGET"))
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	f.Add(AppendV2(nil, fullHeader()))
	f.Add(AppendV2(nil, &Header{Local: true}))
	f.Add(v2(0x21, 0x10, "\x01\x02\x03\x04\x05\x06\x07\x08\x00\x01\x00\x02\x02\x00\x01a"))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, n, err := Parse(data)
		ParseCIP(data, 0x50524f58)
		for k := range min(len(data), 300) {
			_, pn, perr := Parse(data[:k])
			if perr == nil && (err != nil || pn != n) || perr != nil && perr != ErrMore && err == nil || err == nil && k < n && perr != ErrMore {
				t.Fatalf("%q: %d %v, but the whole %d %v", data[:k], pn, perr, n, err)
			}
		}
		if err != nil {
			return
		}
		out := AppendV1(nil, &h)
		if h.Version == 2 {
			out = AppendV2(nil, &h)
		}
		again, an, err := Parse(out)
		if err != nil || an != len(out) {
			t.Fatalf("%q: ours is refused: %q %v", data[:n], out, err)
		}
		if h.HasAddress() != again.HasAddress() && h.Transport != TransportDatagram || h.HasAddress() && again.HasAddress() && (h.Src != again.Src || h.Dst != again.Dst) && !h.Src.Addr().Is4In6() && !h.Dst.Addr().Is4In6() {
			t.Fatalf("%q: %+v became %+v", data[:n], h, again)
		}
		if !again.Local && string(h.Authority) != string(again.Authority) || !again.Local && string(h.UniqueID) != string(again.UniqueID) {
			t.Fatalf("%q: TLVs changed", data[:n])
		}
	})
}

func BenchmarkAppendV2(b *testing.B) {
	h := &Header{Src: addrPort("192.0.2.1:1234"), Dst: addrPort("192.0.2.2:443"), CRC32C: true}
	dst := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendV2(dst[:0], h)
	}
}

func BenchmarkParseV2(b *testing.B) {
	wire := AppendV2(nil, &Header{Src: addrPort("192.0.2.1:1234"), Dst: addrPort("192.0.2.2:443"), CRC32C: true})
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Parse(wire); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseV1(b *testing.B) {
	wire := []byte("PROXY TCP4 192.0.2.1 192.0.2.2 1234 80\r\n")
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Parse(wire); err != nil {
			b.Fatal(err)
		}
	}
}
