package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("programs in the kernel need root")
	}
	if err := rlimit.RemoveMemlock(); err != nil {
		t.Fatal(err)
	}
}

// onesComplement is the Internet checksum's sum: 0xffff over what is right.
func onesComplement(parts ...[]byte) uint32 {
	var sum uint32
	for _, b := range parts {
		for ; len(b) > 1; b = b[2:] {
			sum += uint32(b[0])<<8 | uint32(b[1])
		}
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return sum
}

// Frames with wrong checksums would be measured as what is malformed.
func TestFramesAreWellFormed(t *testing.T) {
	needRoot(t)
	for _, kind := range []ebpf.ProgramType{ebpf.XDP, ebpf.SchedCLS} {
		for _, flags := range []byte{0, tcpSYN, tcpACK} {
			state, err := newState()
			if err != nil {
				t.Fatal(err)
			}
			defer state.Close()
			const clients = 200000 // more than an address has room for
			tmpl := newTemplate(serverMAC, addressOf(forwardVIP), flags, clients)
			if err := tmpl.set(state); err != nil {
				t.Fatal(err)
			}
			p, err := loadProgram(kind, append(frames(kind, state, tmpl.l4), thenReturn(2)...))
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			seen := make(map[string]bool)
			for _, skip := range []uint32{1, 1, 254, 1000, 64000, 2000, 1} {
				got := make([]byte, frameLength)
				verdict, err := p.Run(&ebpf.RunOptions{Data: make([]byte, frameLength), DataOut: got, Repeat: skip})
				if err != nil || verdict != 2 {
					t.Fatal(verdict, err)
				}
				ip, protocol := got[offsetIP:], got[offsetIP+9]
				if s := onesComplement(ip[:20]); s != 0xffff {
					t.Errorf("%v, flags %d: IP sum %#x in % x", kind, flags, s, got)
				}
				if s := onesComplement(ip[12:], []byte{0, protocol, 0, byte(len(ip) - 20)}); s != 0xffff {
					t.Errorf("%v, flags %d: transport's sum %#x in % x", kind, flags, s, got)
				}
				if !bytes.Equal(ip[16:20], addressOf(forwardVIP).AsSlice()) || ip[12] != 198 || ip[13] != 18 {
					t.Errorf("addresses in % x", got)
				}
				who := string(ip[12:16]) + string(ip[20:22])
				if seen[who] {
					t.Errorf("client % x again", who)
				}
				seen[who] = true
			}
			// After the last client comes the first.
			n, err := made(state)
			if err != nil || n < 65536 {
				t.Fatalf("%d made, %v", n, err)
			}
			if _, err := p.Run(&ebpf.RunOptions{Data: make([]byte, frameLength), Repeat: uint32(clients - n + 5)}); err != nil {
				t.Fatal(err)
			}
			if n, err := made(state); err != nil || n < 5 || n >= clients {
				t.Errorf("%d made, %v", n, err)
			}
		}
	}
}

// Whatever way forwards, what was sent arrives at the far end and is counted,
// and the time is that of threads which exist.
func TestEveryWayForwards(t *testing.T) {
	needRoot(t)
	w, err := newWire()
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	for _, x := range forwardWays {
		if strings.HasPrefix(x.name, "nft") {
			if _, err := findTool("nft"); err != nil {
				t.Log(err)
				continue
			}
		}
		one, err := w.turn(context.Background(), x, 0.1)
		if err != nil {
			t.Fatalf("%s: %v", x.name, err)
		}
		if one.perSecond <= 0 || one.cost <= 0 {
			t.Errorf("%s: %+v", x.name, one)
		}
	}
}

func TestCostOfEveryCase(t *testing.T) {
	needRoot(t)
	w, err := newWire()
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for _, c := range costCases {
		c.clients = min(c.clients, 2000)
		var one costTurn
		err := w.director.do(func() (err error) {
			one, err = w.cost(ctx, c, time.Millisecond)
			return err
		})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if one.memory == 0 || one.harness <= 0 {
			t.Errorf("%s: %+v", c.name, one)
		}
	}
}
