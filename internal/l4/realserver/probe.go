package realserver

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"evenkeel/internal/wire/neighbor"
)

// Answer is a host that says it has a virtual address.
type Answer struct {
	VIP    netip.Addr
	Device string // on which it was heard
	MAC    neighbor.HardwareAddr
	Known  []netip.Addr // addresses that this host knows it by
}

// String is the answer with what it means.
func (a Answer) String() string {
	who := net.HardwareAddr(a.MAC[:]).String()
	if len(a.Known) > 0 {
		who = join(a.Known) + " (" + who + ")"
	}
	return fmt.Sprintf("%s answers for %v on %s: clients go to it past the director (there: evenkeel realserver up %v)", who, a.VIP, a.Device, a.VIP)
}

// probeTimes is how often the question is asked: frames get lost.
const probeTimes = 3

// Ask asks the neighbours of a device who has these addresses, as a director
// that has them itself, and gives whoever answers within the time. It claims
// nothing: nobody's neighbour table changes.
func Ask(device string, vips []netip.Addr, wait time.Duration) ([]Answer, error) {
	if err := check(vips); err != nil {
		return nil, err
	}
	link, err := net.InterfaceByName(device)
	if err != nil {
		return nil, err
	}
	if len(link.HardwareAddr) != 6 {
		return nil, fmt.Errorf("%s is no Ethernet device: nobody answers there", device)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("packet socket: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: swap(unix.ETH_P_ALL), Ifindex: link.Index}); err != nil {
		return nil, fmt.Errorf("%s: %w", device, err)
	}
	if hasSix(vips) {
		// Answers to a question from :: go to all nodes.
		group := unix.PacketMreq{Ifindex: int32(link.Index), Type: unix.PACKET_MR_ALLMULTI}
		if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &group); err != nil {
			return nil, fmt.Errorf("%s: multicast: %w", device, err)
		}
	}
	q := question{fd: fd, device: device, own: neighbor.HardwareAddr(link.HardwareAddr), vips: vips, heard: map[claim]bool{}}
	for range probeTimes {
		if err := q.send(); err != nil {
			return nil, err
		}
		if err := q.listen(time.Now().Add(wait / probeTimes)); err != nil {
			return nil, err
		}
	}
	q.name(link.Index)
	return q.answers, nil
}

// question is one Ask under way.
type question struct {
	fd      int
	device  string
	own     neighbor.HardwareAddr
	vips    []netip.Addr
	heard   map[claim]bool
	answers []Answer
}

type claim struct {
	vip netip.Addr
	mac neighbor.HardwareAddr
}

func hasSix(vips []netip.Addr) bool {
	for _, a := range vips {
		if a.Is6() {
			return true
		}
	}
	return false
}

func swap(v uint16) uint16 { return v<<8 | v>>8 }

func (q *question) send() error {
	for _, vip := range q.vips {
		m := neighbor.Probe(q.own, vip)
		if _, err := unix.Write(q.fd, neighbor.Append(nil, &m)); err != nil {
			return fmt.Errorf("%s: asking for %v: %w", q.device, vip, err)
		}
	}
	return nil
}

// overdue bounds the frames that are read after the time: what has come while
// this process was held up, and not all that a busy network brings.
const overdue = 4096

// listen collects answers until the time, and then what has come by then.
func (q *question) listen(end time.Time) error {
	b := make([]byte, 2048)
	for late := 0; late < overdue; {
		left := max(0, time.Until(end))
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(q.fd), Events: unix.POLLIN}}, int((left+time.Millisecond-1)/time.Millisecond))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		if n == 0 && left == 0 {
			return nil
		}
		if n <= 0 {
			continue
		}
		if left == 0 {
			late++
		}
		size, _, err := unix.Recvfrom(q.fd, b, 0)
		if err != nil {
			if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
				continue
			}
			return fmt.Errorf("%s: %w", q.device, err)
		}
		q.hear(b[:size])
	}
	return nil
}

// hear looks at one frame.
func (q *question) hear(frame []byte) {
	m, err := neighbor.Parse(frame)
	if err != nil {
		return
	}
	addr, at, ok := m.Claims()
	if !ok || at == q.own || m.Source == q.own {
		return
	}
	for _, vip := range q.vips {
		if c := (claim{vip, at}); vip == addr && !q.heard[c] {
			q.heard[c] = true
			q.answers = append(q.answers, Answer{VIP: vip, Device: q.device, MAC: at})
		}
	}
}

// name finds the addresses that this host knows those by who answered.
func (q *question) name(index int) {
	for i := range q.answers {
		list, err := netlink.NeighList(index, unix.AF_UNSPEC)
		if err != nil {
			return
		}
		for _, n := range list {
			a, ok := netip.AddrFromSlice(n.IP)
			if a = a.Unmap(); ok && len(n.HardwareAddr) == 6 && neighbor.HardwareAddr(n.HardwareAddr) == q.answers[i].MAC && a != q.answers[i].VIP && !a.IsLinkLocalUnicast() {
				q.answers[i].Known = append(q.answers[i].Known, a)
			}
		}
	}
}
