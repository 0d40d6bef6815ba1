package probe

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
	"time"

	"evenkeel/internal/lab/record"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var own, other = record.MAC{2, 'e', 'k', 0, 0xfe, 0xff}, record.MAC{2, 'e', 'k', 0, 0, 0}

func TestARPQuestion(t *testing.T) {
	got := hex.EncodeToString(arpQuestion(own, netip.MustParseAddr("10.77.0.10")))
	want := "ffffffffffff02656b00feff0806" + "0001080006040001" + "02656b00feff" + "00000000" + "000000000000" + "0a4d000a"
	if got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestLook(t *testing.T) {
	const to, from = "02656b00feff", "02656b000000"
	ip := "45c0002800000000ff70000" + "00a4d000be0000012"
	for _, c := range []struct {
		name, frame string
		want        sight
		ok          bool
	}{
		{"answer", to + from + "08060001080006040002" + from + "0a4d000a" + to + "00000000",
			sight{kind: record.Owner, address: netip.MustParseAddr("10.77.0.10"), mac: other}, true},
		{"answer to somebody else", to + from + "08060001080006040002" + from + "0a4d000a" + to + "0a4d0064", sight{}, false},
		{"gratuitous request", "ffffffffffff" + from + "08060001080006040001" + from + "0a4d000a" + "ffffffffffff" + "0a4d000a",
			sight{kind: record.Announce, address: netip.MustParseAddr("10.77.0.10"), mac: other}, true},
		{"gratuitous reply", "ffffffffffff" + from + "08060001080006040002" + from + "0a4d000a" + "ffffffffffff" + "0a4d000a",
			sight{kind: record.Announce, address: netip.MustParseAddr("10.77.0.10"), mac: other}, true},
		{"our own question", "ffffffffffff" + to + "08060001080006040001" + to + "00000000" + "000000000000" + "0a4d000a", sight{}, false},
		{"cut off", to + from + "0806000108000604", sight{}, false},
		{"version 2", "01005e000012" + from + "0800" + ip + "213396010101" + "00000a4d000a",
			sight{kind: record.Advert, version: 2, vrid: 51, priority: 150, interval: time.Second, address: netip.MustParseAddr("10.77.0.11"), mac: other}, true},
		{"version 3, 10 ms", "01005e000012" + from + "0800" + ip + "313396010001" + "00000a4d000a",
			sight{kind: record.Advert, version: 3, vrid: 51, priority: 150, interval: 10 * time.Millisecond, address: netip.MustParseAddr("10.77.0.11"), mac: other}, true},
		{"version 4", "01005e000012" + from + "0800" + ip + "413396010001" + "00000a4d000a", sight{}, false},
		{"advertisement cut off", "01005e000012" + from + "0800" + ip + "3133", sight{}, false},
	} {
		got, ok := look(unhex(t, c.frame), own)
		if ok != c.ok || (ok && got != c.want) {
			t.Errorf("%s:\n got %+v, %v\nwant %+v", c.name, got, ok, c.want)
		}
	}
}

func TestNeighborQuestion(t *testing.T) {
	got := hex.EncodeToString(neighborQuestion(own, netip.MustParseAddr("fd77::10")))
	source, group := "fe80000000000000"+"00656bfffe00feff", "ff0200000000000000000001ff000010"
	want := "3333ff000010" + "02656b00feff" + "86dd" + "60000000" + "0020" + "3aff" + source + group +
		"8700" + "a7bb" + "00000000" + "fd770000000000000000000000000010" + "0101" + "02656b00feff"
	if got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestLook6(t *testing.T) {
	const to, from, all = "02656b00feff", "02656b000000", "333300000001"
	const owner, prober, nodes = "fe8000000000000000656bfffe000000", "fe8000000000000000656bfffe00feff", "ff020000000000000000000000000001"
	const vip, target = "fd770000000000000000000000000010", "0201" + from
	address := netip.MustParseAddr("fd77::10")
	advert := func(dst, src, to, flags, options string) string {
		return dst + from + "86dd" + "60000000" + "0020" + "3aff" + src + to + "88000000" + flags + "000000" + vip + options
	}
	vrrp := "333300000012" + from + "86dd" + "60000000" + "0018" + "70ff" + owner + "ff020000000000000000000000000012" + "3133960101" + "2c0000" + vip
	for _, c := range []struct {
		name, frame string
		want        sight
		ok          bool
	}{
		{"answer", advert(to, vip, prober, "60", target), sight{kind: record.Owner, address: address, mac: other}, true},
		{"answer without the link-layer address", strings.Replace(advert(to, vip, prober, "40", ""), "0020", "0018", 1), sight{kind: record.Owner, address: address, mac: other}, true},
		{"answer of a virtual MAC", advert(to, vip, prober, "60", "020100005e000233"), sight{kind: record.Owner, address: address, mac: record.MAC{0, 0, 0x5e, 0, 2, 0x33}}, true},
		{"answer to somebody else", advert(to, vip, owner, "60", target), sight{}, false},
		{"unsolicited", advert(all, vip, nodes, "20", target), sight{kind: record.Announce, address: address, mac: other}, true},
		{"a solicitation", strings.Replace(advert(all, vip, nodes, "20", target), "88000000", "87000000", 1), sight{}, false},
		{"from another link", strings.Replace(advert(all, vip, nodes, "20", target), "3aff", "3a40", 1), sight{}, false},
		{"cut off", advert(to, vip, prober, "60", "")[:140], sight{}, false},
		{"an option of no length", advert(to, vip, prober, "60", "020002656b000000"), sight{kind: record.Owner, address: address, mac: other}, true},
		{"an advertisement", vrrp, sight{kind: record.Advert, version: 3, vrid: 51, priority: 150, interval: 3 * time.Second, six: true, address: netip.MustParseAddr("fe80::65:6bff:fe00:0"), mac: other}, true},
		{"an advertisement of version 2", strings.Replace(vrrp, "3133960101", "2133960101", 1), sight{}, false},
	} {
		got, ok := look(unhex(t, c.frame), own)
		if ok != c.ok || (ok && got != c.want) {
			t.Errorf("%s:\n got %+v, %v\nwant %+v", c.name, got, ok, c.want)
		}
	}
}

func TestEcho6(t *testing.T) {
	var b [echoLength]byte
	echoQuestion(&b, 77, 3, true, 70000)
	if b[0] != icmp6EchoRequest || b[2] != 0 || b[3] != 0 {
		t.Errorf("%x", b)
	}
	b[0] = icmp6EchoReply
	if vip, window, ok := echoAnswer6(b[:], 77); !ok || vip != 3 || window != 70000 {
		t.Errorf("got %d, %d, %v", vip, window, ok)
	}
	for n := range b {
		if _, _, ok := echoAnswer6(b[:n], 77); ok {
			t.Errorf("%d bytes were taken", n)
		}
	}
}

func TestEcho(t *testing.T) {
	var b [echoLength]byte
	echoQuestion(&b, 77, 3, false, 70000)
	if checksum(b[:]) != 0 {
		t.Error("the checksum is wrong")
	}
	b[0] = icmpEchoReply
	packet := append(make([]byte, 20), b[:]...)
	packet[0] = 0x45
	if vip, window, ok := echoAnswer(packet, 77); !ok || vip != 3 || window != 70000 {
		t.Errorf("got %d, %d, %v", vip, window, ok)
	}
	if _, _, ok := echoAnswer(packet, 78); ok {
		t.Error("somebody else's answer was taken")
	}
	for n := range packet {
		if _, _, ok := echoAnswer(packet[:n], 77); ok {
			t.Errorf("%d bytes were taken", n)
		}
	}
}

func FuzzLook(f *testing.F) {
	f.Add([]byte("\x02ek\x00\xfe\xff\x02ek\x00\x00\x00\x08\x00\x45"), uint16(1))
	f.Add(neighborQuestion(other, netip.MustParseAddr("fd77::10")), uint16(1))
	f.Fuzz(func(t *testing.T, b []byte, id uint16) {
		echoAnswer6(b, id)
		if s, ok := look(b, own); ok && s.kind != record.Advert && !s.address.IsValid() {
			t.Fatalf("an answer without an address: %x", b)
		}
		echoAnswer(b, id)
	})
}
