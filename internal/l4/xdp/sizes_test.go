package xdp

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"evenkeel/internal/l4"
)

// Datagrams that a sender gives to its interface in one piece (UDP_SEGMENT, as
// QUIC does) arrive as they were meant, in a tunnel too.
func TestDatagramsInOnePiece(t *testing.T) {
	l, p := tunnels(t, "seg")
	for _, method := range []l4.Method{l4.DR, l4.TUN} {
		l.set(p, everything(method))
		for _, v6 := range []bool{false, true} {
			size := map[bool]int{false: 1472, true: 1452}[v6] // fills a packet
			if method == l4.TUN {
				size -= map[bool]int{false: 20, true: 40}[v6]
			}
			c, err := l.dial("udp", net.JoinHostPort(vip(v6), "80"))
			if err != nil {
				t.Fatal(err)
			}
			raw, err := c.(*net.UDPConn).SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			if e := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT, size) }); e != nil || err != nil {
				t.Fatal(e, err)
			}
			data := []byte(strings.Repeat("keel", 3*size/4))
			buffer, got := make([]byte, 65536), 0
			for end := time.Now().Add(20 * time.Second); got < 3 && time.Now().Before(end); {
				// Also the packet that has asked for the neighbour may be lost.
				if _, err := c.Write(data); err != nil {
					t.Logf("%v %s: %v", method, family(v6), err)
				}
				c.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
				for got = 0; got < 3; got++ {
					n, err := c.Read(buffer)
					if err != nil {
						break
					}
					if n != size+len("s1\n") {
						t.Fatalf("%v %s: a datagram of %d bytes, want %d", method, family(v6), n, size+3)
					}
				}
			}
			c.Close()
			if got < 3 {
				t.Errorf("%v %s: %d of 3 datagrams came back", method, family(v6), got)
			}
		}
	}
	if st, err := p.Stats(); err != nil || len(st.Drops) != 0 {
		t.Errorf("%v, %v", st.Drops, err)
	}
}

// An answer that does not fit the link to the client is not sent there: its
// server is told what does.
func TestAnswersThatDoNotFit(t *testing.T) {
	b := newBench(t, Options{MaxFlows: 1024})
	ipHere(t, "link", "add", "thin", "type", "veth", "peer", "name", "end")
	ipHere(t, "link", "set", "end", "up")
	ipHere(t, "link", "set", "thin", "mtu", "1300", "up")
	ipHere(t, "addr", "add", "198.51.100.1/24", "dev", "thin")
	ipHere(t, "addr", "add", "2001:db8:9::1/64", "dev", "thin", "nodad")
	ipHere(t, "neigh", "add", "198.51.100.7", "lladdr", "02:00:00:00:00:17", "dev", "thin")
	ipHere(t, "neigh", "add", "2001:db8:9::7", "lladdr", "02:00:00:00:00:17", "dev", "thin")
	for _, v6 := range []bool{false, true} {
		b.set(one(l4.NAT, v6))
		first := packet{v6: v6, client: netip.MustParseAddr(map[bool]string{false: "198.51.100.7", true: "2001:db8:9::7"}[v6])}.withDefaults()
		b.run(first.frame())
		if verdict, out := b.run(first.answer(flagSYN | flagACK).frame()); verdict != tcRedirect || out[5] != 0x17 {
			t.Fatalf("%s: a small answer: verdict %d\n%x", family(v6), verdict, out)
		}
		large := first.answer(flagACK).with(func(p *packet) { p.payload = make([]byte, 1301-map[bool]int{false: 40, true: 60}[v6]) })
		large.fragment = 0x4000
		verdict, out := b.run(large.frame())
		at, kind, code, mtu := 34, byte(3), byte(4), 0
		if v6 {
			at, kind, code = 54, 2, 0
		}
		if len(out) > at+8 {
			mtu = int(binary.BigEndian.Uint16(out[at+6:]))
		}
		if verdict != tcRedirect || out[at] != kind || out[at+1] != code || mtu != 1300 {
			t.Errorf("%s: an answer of 1301 bytes: verdict %d, MTU %d\n%x", family(v6), verdict, mtu, out)
		}
		large.payload = large.payload[1:]
		if verdict, out := b.run(large.frame()); verdict != tcRedirect || out[5] != 0x17 {
			t.Errorf("%s: an answer of 1300 bytes: verdict %d\n%x", family(v6), verdict, out[:60])
		}
		// Of segments each has to fit, with its headers.
		for segment, fits := range map[uint32]bool{1200: true, 1300: false} {
			large.payload = make([]byte, 2*segment)
			verdict, out := b.runContext(large.frame(), &skb{GSOSize: segment, GSOSegs: 2})
			if verdict != tcRedirect || (out[5] == 0x17) != fits {
				t.Errorf("%s: an answer of segments of %d bytes: verdict %d\n%x", family(v6), segment, verdict, out[:60])
			}
		}
	}
	drops, _ := b.drops()
	if drops["too big"] != 4 {
		t.Errorf("%v", drops)
	}
}

// A full TCP header counts as it is.
func TestSegmentsWithOptions(t *testing.T) {
	b := newBench(t, Options{MaxFlows: 1024})
	b.set(one(l4.DR, false))
	p := packet{}.withDefaults()
	b.run(p.frame())
	for options, most := range map[int]uint32{0: 1460, 12: 1448, 40: 1420} {
		for segment, fits := range map[uint32]bool{most: true, most + 1: false} {
			p.flags, p.payload = flagACK, make([]byte, options+int(2*segment))
			frame := p.frame()
			frame[46] = byte(20+options) / 4 << 4
			_, out := b.runContext(frame, &skb{GSOSize: segment, GSOSegs: 2})
			if forwarded := out[5] == 0x11; forwarded != fits {
				t.Errorf("segments of %d with %d bytes of options: forwarded %v", segment, options, forwarded)
			}
		}
	}
}
