package probe

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"evenkeel/internal/lab/record"
)

// Period is the time between two probes of an address.
const Period = 5 * time.Millisecond

// flushEvery is how many windows may wait before their records are written.
const flushEvery = 4

// Port is the interface of the client's namespace that only the prober uses.
const Port = "probe0"

// prober is the state of one run; its goroutine alone uses it.
type prober struct {
	vips      []netip.Addr
	out       io.Writer
	id        uint16
	own       record.MAC
	packet    int // AF_PACKET socket
	echo      int // raw ICMP socket
	echo6     int // the same for IPv6; -1: nobody asks there
	timer     int // timerfd
	questions [][]byte
	targets   []unix.Sockaddr
	link      unix.SockaddrLinklayer
	window    uint32
	buffer    []byte
	request   [echoLength]byte
	input     [2048]byte
	control   [128]byte
}

// Now is CLOCK_MONOTONIC, which all processes of a machine share.
func Now() time.Duration { return clock(unix.CLOCK_MONOTONIC) }

func clock(id int32) time.Duration {
	var ts unix.Timespec
	// It cannot fail: the clocks exist since Linux 2.6.
	_ = unix.ClockGettime(id, &ts)
	return time.Duration(ts.Nano())
}

// Run probes until stop can be read from (its end counts), and writes
// records. It must run inside of the client's namespace.
func Run(vips []netip.Addr, stop *os.File, out io.Writer) error {
	runtime.LockOSThread()
	p := &prober{vips: vips, out: out, id: uint16(os.Getpid()), packet: -1, echo: -1, echo6: -1, timer: -1}
	defer p.close()
	if err := p.open(); err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	hurry()
	return p.loop(int(stop.Fd()))
}

// hurry asks for real-time scheduling, since a probe that comes late sees
// nothing. All threads get it, and later ones inherit it: coming back from a
// system call, the prober's own may wait for a lock of the runtime, which one
// that has no processor holds. Without the right to it the probe is only less
// exact.
func hurry() {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return
	}
	for _, t := range tasks {
		if id, err := strconv.Atoi(t.Name()); err == nil {
			_ = unix.SchedSetAttr(id, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 60}, 0)
		}
	}
	_ = unix.Mlockall(unix.MCL_CURRENT)
}

func (p *prober) open() (err error) {
	device, err := net.InterfaceByName(Port)
	if err != nil {
		return fmt.Errorf("%s: %w", Port, err)
	}
	copy(p.own[:], device.HardwareAddr)
	const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8 // in network order
	if p.packet, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, all); err != nil {
		return fmt.Errorf("packet socket: %w", err)
	}
	p.link = unix.SockaddrLinklayer{Protocol: all, Ifindex: device.Index}
	if err := unix.Bind(p.packet, &p.link); err != nil {
		return fmt.Errorf("packet socket: %w", err)
	}
	if p.echo, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_ICMP); err != nil {
		return fmt.Errorf("echo socket: %w", err)
	}
	if err := p.openEcho6(); err != nil {
		return fmt.Errorf("echo socket: %w", err)
	}
	for _, fd := range []int{p.packet, p.echo, p.echo6} {
		if fd < 0 {
			continue
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
			return fmt.Errorf("timestamps: %w", err)
		}
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20)
	}
	if p.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK); err != nil {
		return fmt.Errorf("timer: %w", err)
	}
	every := unix.NsecToTimespec(int64(Period))
	if err := unix.TimerfdSettime(p.timer, 0, &unix.ItimerSpec{Interval: every, Value: every}, nil); err != nil {
		return fmt.Errorf("timer: %w", err)
	}
	for _, v := range p.vips {
		if v.Is6() {
			p.questions = append(p.questions, neighborQuestion(p.own, v))
			p.targets = append(p.targets, &unix.SockaddrInet6{Addr: v.As16()})
			continue
		}
		p.questions = append(p.questions, arpQuestion(p.own, v))
		p.targets = append(p.targets, &unix.SockaddrInet4{Addr: v.As4()})
	}
	return nil
}

// openEcho6 opens the socket for IPv6 where an address is of that, with a
// filter that lets echo replies through alone.
func (p *prober) openEcho6() (err error) {
	if !slices.ContainsFunc(p.vips, netip.Addr.Is6) {
		return nil
	}
	if p.echo6, err = unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_ICMPV6); err != nil {
		return err
	}
	var blocked unix.ICMPv6Filter
	for i := range blocked.Data {
		blocked.Data[i] = ^uint32(0)
	}
	blocked.Data[icmp6EchoReply/32] &^= 1 << (icmp6EchoReply % 32)
	return unix.SetsockoptICMPv6Filter(p.echo6, unix.IPPROTO_ICMPV6, unix.ICMPV6_FILTER, &blocked)
}

func (p *prober) close() {
	for _, fd := range []int{p.packet, p.echo, p.echo6, p.timer} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

func (p *prober) loop(stop int) error {
	fds := []unix.PollFd{{Fd: int32(p.timer), Events: unix.POLLIN}, {Fd: int32(p.packet), Events: unix.POLLIN},
		{Fd: int32(p.echo), Events: unix.POLLIN}, {Fd: int32(stop), Events: unix.POLLIN}, {Fd: int32(p.echo6), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		// What came before the next question belongs to the last one.
		if fds[1].Revents != 0 {
			p.drain(p.packet, p.seen)
		}
		if fds[2].Revents != 0 {
			p.drain(p.echo, p.answered)
		}
		if fds[4].Revents != 0 { // never where its descriptor is -1
			p.drain(p.echo6, p.answered6)
		}
		if fds[0].Revents != 0 {
			var ticks [8]byte
			unix.Read(p.timer, ticks[:])
			if err := p.ask(); err != nil {
				return err
			}
		}
		if fds[3].Revents != 0 {
			_, err := p.out.Write(p.buffer)
			return err
		}
	}
}

// ask begins a window.
func (p *prober) ask() error {
	if p.window%flushEvery == 0 && len(p.buffer) > 0 {
		if _, err := p.out.Write(p.buffer); err != nil {
			return err
		}
		p.buffer = p.buffer[:0]
	}
	p.window++
	at := Now()
	held, last := false, at
	for i := range p.vips {
		// What cannot be sent (no route, an entry that failed) stays without an answer.
		_ = unix.Sendto(p.packet, p.questions[i], unix.MSG_DONTWAIT, &p.link)
		six, socket := p.vips[i].Is6(), p.echo
		if six {
			socket = p.echo6
		}
		echoQuestion(&p.request, p.id, i, six, p.window)
		_ = unix.Sendto(socket, p.request[:], unix.MSG_DONTWAIT, p.targets[i])
		now := Now()
		held, last = held || now-last > Period, now
	}
	// Held up between two of these calls, the prober does not know when it
	// asked: that nobody answered says nothing then.
	r := record.Record{At: at, Kind: record.Window, Number: p.window}
	if held {
		r.Kind = record.Held
	}
	p.buffer = record.Append(p.buffer, r)
	return nil
}

// drain reads packets until there are none.
func (p *prober) drain(fd int, f func(packet []byte, at time.Duration)) {
	// Packets carry the time of day; the difference is of this moment.
	offset := difference(clock)
	for range 256 {
		n, oob, _, _, err := unix.Recvmsg(fd, p.input[:], p.control[:], unix.MSG_DONTWAIT)
		if err != nil {
			return // nothing more, or an interface that went down: later polls tell
		}
		f(p.input[:n], arrival(p.control[:oob], offset))
	}
}

// difference is how far the time of day is ahead of CLOCK_MONOTONIC. Both
// are read one after the other: where this process was held up in between,
// they are read again, since packets would seem to come that much later.
func difference(clock func(id int32) time.Duration) (best time.Duration) {
	const near, tries = 50 * time.Microsecond, 8
	shortest := time.Duration(-1)
	for range tries {
		before := clock(unix.CLOCK_MONOTONIC)
		day := clock(unix.CLOCK_REALTIME)
		if took := clock(unix.CLOCK_MONOTONIC) - before; shortest < 0 || took < shortest {
			shortest, best = took, day-before-took/2
		}
		if shortest <= near {
			break
		}
	}
	return best
}

// arrival reads SCM_TIMESTAMPNS, the only control message asked for.
func arrival(control []byte, offset time.Duration) time.Duration {
	if len(control) >= unix.CmsgSpace(int(unsafe.Sizeof(unix.Timespec{}))) {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
		if h.Level == unix.SOL_SOCKET && h.Type == unix.SCM_TIMESTAMPNS {
			ts := (*unix.Timespec)(unsafe.Pointer(&control[unix.CmsgLen(0)]))
			return time.Duration(ts.Nano()) - offset
		}
	}
	return Now()
}

func (p *prober) seen(frame []byte, at time.Duration) {
	s, ok := look(frame, p.own)
	if !ok {
		return
	}
	r := record.Record{At: at, Kind: s.kind, MAC: s.mac}
	if s.kind == record.Advert {
		r.Number, r.Priority, r.Interval = uint32(s.vrid), s.priority, s.interval
		if s.six {
			r.Number |= record.IPv6
		}
	} else if r.VIP = slices.Index(p.vips, s.address); r.VIP < 0 {
		return
	}
	p.buffer = record.Append(p.buffer, r)
}

func (p *prober) answered(packet []byte, at time.Duration) {
	vip, window, ok := echoAnswer(packet, p.id)
	p.echoed(vip, window, ok, at)
}

func (p *prober) answered6(packet []byte, at time.Duration) {
	vip, window, ok := echoAnswer6(packet, p.id)
	p.echoed(vip, window, ok, at)
}

func (p *prober) echoed(vip int, window uint32, ok bool, at time.Duration) {
	if ok && vip >= 0 && vip < len(p.vips) {
		p.buffer = record.Append(p.buffer, record.Record{At: at, Kind: record.Echo, VIP: vip, Number: window})
	}
}
