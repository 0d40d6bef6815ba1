package probe

import (
	"encoding/hex"
	"net/netip"
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
			sight{kind: record.Advert, vrid: 51, priority: 150, interval: time.Second, address: netip.MustParseAddr("10.77.0.11"), mac: other}, true},
		{"version 3, 10 ms", "01005e000012" + from + "0800" + ip + "313396010001" + "00000a4d000a",
			sight{kind: record.Advert, vrid: 51, priority: 150, interval: 10 * time.Millisecond, address: netip.MustParseAddr("10.77.0.11"), mac: other}, true},
		{"version 4", "01005e000012" + from + "0800" + ip + "413396010001" + "00000a4d000a", sight{}, false},
		{"advertisement cut off", "01005e000012" + from + "0800" + ip + "3133", sight{}, false},
	} {
		got, ok := look(unhex(t, c.frame), own)
		if ok != c.ok || (ok && got != c.want) {
			t.Errorf("%s:\n got %+v, %v\nwant %+v", c.name, got, ok, c.want)
		}
	}
}

func TestEcho(t *testing.T) {
	var b [echoLength]byte
	echoQuestion(&b, 77, 3, 70000)
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
	f.Fuzz(func(t *testing.T, b []byte, id uint16) {
		if s, ok := look(b, own); ok && s.kind != record.Advert && !s.address.IsValid() {
			t.Fatalf("an answer without an address: %x", b)
		}
		echoAnswer(b, id)
	})
}
