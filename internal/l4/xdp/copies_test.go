package xdp

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"evenkeel/internal/l4"
)

// Copies come by the loopback. What kind of packet one is says what it was; in
// tests the kernel takes that from the hardware address, and from the interface.
var kindsOfCopies = map[string][12]byte{"local": {255, 255, 255, 255, 255, 255}, "whole": {1}, "cuttable": {2}}

// runLocal gives a marked frame to the loopback's program, on an interface.
func (b *bench) runLocal(frame []byte, on int) (verdict int32, out []byte, after skb) {
	b.t.Helper()
	o := &ebpf.RunOptions{Data: frame, DataOut: make([]byte, len(frame)+512), Repeat: 1, Context: &skb{Mark: 7, Ifindex: uint32(on)}, ContextOut: &after}
	for {
		got, err := b.local.Run(o)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			b.t.Fatal(err)
		}
		return int32(got), o.DataOut, after
	}
}

// The kernel takes one off a copy's hop limit and sets DF: a server gets the
// packet as it came, and so does who sent one that lives no longer.
func TestCopiesAreRestored(t *testing.T) {
	b := newBench(t, Options{MaxFlows: 1024})
	for _, v6 := range []bool{false, true} {
		for _, method := range []l4.Method{l4.NAT, l4.DR} {
			for _, kind := range []string{"whole", "cuttable"} {
				for _, ttl := range []uint8{1, 2, 64, 255} {
					name := fmt.Sprint(family(v6), method, kind, ttl)
					c := one(method, v6)
					c.Services = c.Services[:1]
					c.Services[0].Key = l4.Key{FwMark: 7, Family: c.Services[0].AddressFamily()}
					b.forget()
					b.set(c)
					came := packet{v6: v6, ttl: ttl, payload: make([]byte, 40)}.withDefaults()
					if kind == "whole" && !v6 {
						came.fragment = 0x4000
					}
					copied := came
					copied.mac, copied.fragment = kindsOfCopies[kind], 0x4000
					if copied.ttl--; copied.ttl == 0 {
						copied.ttl = 1 // packet's zero is a default
					}
					frame := copied.frame()
					if ttl == 1 {
						lower(frame, v6)
					}
					verdict, out, after := b.runLocal(frame, loopback)
					want := came.atServer(method).frame()
					if ttl == 1 {
						want = complaint(came, "ttl", 0)
					}
					if verdict != tcRedirect || after.Mark != 0 {
						t.Errorf("%s: verdict %d, mark %d", name, verdict, after.Mark)
					} else if ttl == 1 && !bytes.Equal(out[:12], toClient[:]) || ttl > 1 && !bytes.Equal(out[:14], want[:14]) {
						t.Errorf("%s: goes to %x", name, out[:12])
					} else if !bytes.Equal(out[14:], want[14:]) {
						t.Errorf("%s: it is\n%x, not\n%x", name, out[14:], want[14:])
					}
				}
			}
		}
	}
}

// lower takes one off the hop limit of a frame.
func lower(frame []byte, v6 bool) {
	if v6 {
		frame[14+7]--
		return
	}
	frame[14+8]--
	frame[14+10], frame[14+11] = 0, 0
	sum := sum16(frame[14:34], 0)
	frame[14+10], frame[14+11] = byte(sum>>8), byte(sum)
}

// A copy that nobody wants is the host's, and is not copied again; should
// somebody see to it that it is, that comes to an end.
func TestCopiesThatAreTheHostsOwn(t *testing.T) {
	b := newBench(t, Options{MaxFlows: 1024})
	on, err := netlink.LinkByName("out") // the loopback has no broadcast address
	if err != nil {
		t.Fatal(err)
	}
	for _, v6 := range []bool{false, true} {
		c := one(l4.NAT, v6)
		c.Services[0].Key = l4.Key{FwMark: 7, Family: c.Services[0].AddressFamily()}
		b.set(l4.Config{Services: c.Services[:1]})
		for kind, mac := range kindsOfCopies {
			stray := packet{v6: v6, flags: flagACK, mac: mac}
			verdict, _, after := b.runLocal(stray.frame(), on.Attrs().Index)
			if verdict != tcNext || after.Priority != 0x656b || after.Mark != 7 {
				t.Errorf("%s %s: verdict %d, priority %x, mark %d", family(v6), kind, verdict, after.Priority, after.Mark)
			}
		}
		looping := packet{v6: v6, flags: flagACK, mac: kindsOfCopies["local"], ttl: 1}.frame()
		lower(looping, v6)
		if verdict, _, _ := b.runLocal(looping, on.Attrs().Index); verdict != tcDrop {
			t.Errorf("%s: a loop does not end: %d", family(v6), verdict)
		}
		// What a process here has sent is none.
		verdict, _, after := b.runLocal(packet{v6: v6, flags: flagACK, mac: [12]byte{2, 0, 0, 0, 0, 1}}.frame(), on.Attrs().Index)
		if verdict != tcNext || after.Priority != 0 {
			t.Errorf("%s, not a copy: verdict %d, priority %x", family(v6), verdict, after.Priority)
		}
	}
}
