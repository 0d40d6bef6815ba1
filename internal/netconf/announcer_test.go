package netconf_test

import (
	"errors"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"evenkeel/internal/netconf"
	"evenkeel/internal/wire/neighbor"
)

// listen gives a socket that hears what arrives on a link.
func listen(t *testing.T, index int) (next func() (neighbor.Message, bool)) {
	t.Helper()
	const everything = 0x0300 // ETH_P_ALL in network order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, everything)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: everything, Ifindex: index}); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 2048)
	return func() (neighbor.Message, bool) {
		for {
			poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
			if n, _ := unix.Poll(poll, 2000); n == 0 {
				return neighbor.Message{}, false
			}
			n, from, err := unix.Recvfrom(fd, buffer, 0)
			if err != nil {
				t.Fatal(err)
			}
			if from.(*unix.SockaddrLinklayer).Pkttype == unix.PACKET_OUTGOING {
				continue
			}
			if m, err := neighbor.Parse(buffer[:n]); err == nil {
				return m, true
			}
		}
	}
}

// Frames of a takeover arrive whole and in order, and one that the kernel does
// not take keeps no other back.
func TestAnnouncer(t *testing.T) {
	n := newNamespace(t)
	h := open(t)
	eth0, eth1 := h.Links().ByName("eth0"), h.Links().ByName("eth1")
	next := listen(t, eth1.Index)
	a, err := netconf.OpenAnnouncer()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()

	var want []neighbor.Message
	var frames []netconf.Frame
	for i := range 150 {
		m := neighbor.GratuitousRequest(eth0.MAC, addr("10.9.0.100"))
		if i%2 == 1 {
			m = neighbor.Unsolicited(eth0.MAC, addr("2001:db8::100"), i%3 == 0)
		}
		want = append(want, m)
		frames = append(frames, netconf.Frame{Index: eth0.Index, Bytes: neighbor.Append(nil, &m)})
	}
	frames = slices.Insert(frames, 70, netconf.Frame{Index: 4711, Bytes: frames[0].Bytes}, netconf.Frame{Index: eth0.Index, Bytes: []byte("short")})
	sent, err := a.Send(frames)
	if sent != 150 || !errors.Is(err, unix.ENXIO) && !errors.Is(err, unix.ENODEV) {
		t.Errorf("%d sent, %v", sent, err)
	}
	if s := a.Stats(); s != (netconf.AnnouncerStats{Sent: 150, Refused: 2}) {
		t.Errorf("%+v", s)
	}
	for i := range want {
		got, ok := next()
		for ok && got.Source == eth0.MAC && got.Target != want[i].Target && got.Kind != want[i].Kind {
			got, ok = next() // something that the kernel itself asked
		}
		if !ok || got != want[i] {
			t.Fatalf("frame %d: %+v, should be %+v", i, got, want[i])
		}
	}

	n.ip(t, "link set eth0 down")
	if sent, err := a.Send(frames[:3]); sent != 0 || !errors.Is(err, unix.ENETDOWN) {
		t.Errorf("on a link that is down: %d sent, %v", sent, err)
	}
	n.ip(t, "link set eth0 up")
	if allocations := testing.AllocsPerRun(5, func() { a.Send(frames[:60]) }); allocations != 0 {
		t.Errorf("%v allocations", allocations)
	}
}
