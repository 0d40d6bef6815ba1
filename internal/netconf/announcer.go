package netconf

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Frame is an Ethernet frame and the link on which it leaves.
type Frame struct {
	Index int
	Bytes []byte
}

// Announcer sends frames by the batch, on any link of the namespace in which it
// was opened. It belongs to one goroutine, and never waits.
type Announcer struct {
	fd    int
	stats AnnouncerStats

	// Reused.
	headers   [announceBatch]multiHeader
	vectors   [announceBatch]unix.Iovec
	addresses [announceBatch]unix.RawSockaddrLinklayer
}

// announceBatch is how many frames go to the kernel in one call.
const announceBatch = 64

// multiHeader is struct mmsghdr.
type multiHeader struct {
	message unix.Msghdr
	length  uint32
	_       [unsafe.Sizeof(uintptr(0)) - 4]byte
}

// AnnouncerStats counts frames.
type AnnouncerStats struct {
	Sent    uint64
	Refused uint64 // by the kernel: link down or gone, queue full
}

// OpenAnnouncer makes the socket.
func OpenAnnouncer() (*Announcer, error) {
	// Protocol 0: it receives nothing.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("announcing addresses: %w", os.NewSyscallError("packet socket", err))
	}
	// Room for a takeover of some hundred addresses, at about 1 KiB a frame.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 1<<20) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 1<<20)
	}
	return &Announcer{fd: fd}, nil
}

// Close gives the socket back.
func (a *Announcer) Close() error { return unix.Close(a.fd) }

// Send hands the frames to the kernel in as few calls as it takes. A frame that
// the kernel refuses does not keep the others back. It gives how many were
// taken, and the first refusal.
func (a *Announcer) Send(frames []Frame) (int, error) {
	sent := 0
	var first error
	for len(frames) > 0 {
		n, err := a.sendSome(frames[:min(len(frames), announceBatch)])
		sent += n
		frames = frames[n:]
		if err != nil && !errors.Is(err, unix.EINTR) {
			// The kernel stopped at the frame that it would not have.
			if first == nil {
				first = fmt.Errorf("frame on link %d: %w", frames[0].Index, err)
			}
			a.stats.Refused++
			frames = frames[1:]
		}
	}
	a.stats.Sent += uint64(sent)
	return sent, first
}

// sendSome gives how many frames the kernel took before it stopped, with the
// error only if it was none.
func (a *Announcer) sendSome(frames []Frame) (int, error) {
	for i := range frames {
		f := &frames[i]
		if len(f.Bytes) < 14 {
			if i > 0 {
				frames = frames[:i]
				break
			}
			return 0, unix.EINVAL // no Ethernet header
		}
		a.vectors[i].Base = &f.Bytes[0]
		a.vectors[i].SetLen(len(f.Bytes))
		a.addresses[i] = unix.RawSockaddrLinklayer{Family: unix.AF_PACKET, Ifindex: int32(f.Index), Halen: 6,
			Protocol: native.Uint16(f.Bytes[12:14])}
		copy(a.addresses[i].Addr[:], f.Bytes[:6])
		m := &a.headers[i].message
		m.Name = (*byte)(unsafe.Pointer(&a.addresses[i]))
		m.Namelen = unix.SizeofSockaddrLinklayer
		m.Iov = &a.vectors[i]
		m.SetIovlen(1)
	}
	n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(a.fd), uintptr(unsafe.Pointer(&a.headers[0])), uintptr(len(frames)), unix.MSG_DONTWAIT, 0, 0)
	runtime.KeepAlive(frames)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// Stats counts since OpenAnnouncer.
func (a *Announcer) Stats() AnnouncerStats { return a.stats }
