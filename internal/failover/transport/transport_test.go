package transport

import (
	"testing"

	"golang.org/x/net/bpf"

	wire "evenkeel/internal/wire/vrrp"

	"golang.org/x/sys/unix"
)

// machine is the filter as an interpreter runs it.
func machine(t *testing.T, k key, v *VRIDs) *bpf.VM {
	t.Helper()
	var all []bpf.Instruction
	for _, i := range program(k, v) {
		all = append(all, bpf.RawInstruction{Op: i.Code, Jt: i.Jt, Jf: i.Jf, K: i.K}.Disassemble())
	}
	vm, err := bpf.NewVM(all)
	if err != nil {
		t.Fatal(err)
	}
	return vm
}

func TestFilter(t *testing.T) {
	var some, all VRIDs
	some.Add(7)
	some.Add(200)
	for id := range 256 {
		all.Add(uint8(id))
	}
	advert := func(id byte) []byte { return []byte{0x31, id, 100, 1, 0, 100, 0, 0} }
	ah := append([]byte{112, 4, 0, 0}, make([]byte, 20)...)
	ip := func(options int, rest ...[]byte) []byte {
		b := make([]byte, 20+options)
		b[0] = byte(0x40 | len(b)/4)
		for _, r := range rest {
			b = append(b, r...)
		}
		return b
	}
	four, six, auth := key{unix.AF_INET, wire.ProtocolVRRP}, key{unix.AF_INET6, wire.ProtocolVRRP}, key{unix.AF_INET, wire.ProtocolAH}
	for _, c := range []struct {
		name   string
		key    key
		set    *VRIDs
		packet []byte
		want   bool
	}{
		{"ours", four, &some, ip(0, advert(7)), true},
		{"ours behind IP options", four, &some, ip(8, advert(200)), true},
		{"another's", four, &some, ip(0, advert(8)), false},
		{"every one, first", four, &all, ip(0, advert(0)), true},
		{"every one, last", four, &all, ip(0, advert(255)), true},
		{"IPv6", six, &some, advert(7), true},
		{"IPv6, another's", six, &some, advert(6), false},
		{"AH", auth, &some, ip(0, ah, advert(200)), true},
		{"AH, another's", auth, &some, ip(0, ah, advert(4)), false},
		{"cut short", four, &some, ip(0, advert(7)[:1]), false},
		{"empty set", four, new(VRIDs), ip(0, advert(7)), false},
	} {
		n, err := machine(t, c.key, c.set).Run(c.packet)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if (n > 0) != c.want {
			t.Errorf("%s: accepted %v bytes", c.name, n)
		}
	}
}
