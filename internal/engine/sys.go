package engine

import (
	"net/netip"
	"strconv"
	"syscall"
	"unsafe"
)

// The syscall package's constants are frozen; these are the ones it lacks.
const (
	epollExclusive = 1 << 28
	epollET        = 1 << 31
	epollRDHUP     = 0x2000

	efdNonblock = 0x800
	efdCloexec  = 0x80000

	spliceMove     = 1
	spliceNonblock = 2
	fSetPipeSize   = 1031

	solTCP              = 6
	tcpUserTimeout      = 18
	tcpFastOpenConnect  = 30
	ipBindAddressNoPort = 24
	ipFreebind          = 15
	ipv6Transparent     = 75
	ipprotoMPTCP        = 262
	soMark              = 36

	madvNoHugePage = 15
)

// Raw calls are for what cannot block: the scheduler is not told, so they cost
// only the kernel's share. EINTR cannot happen to most of them, but costs
// nothing to handle.

func sysRecv(fd int32, p []byte, flags int) (int, syscall.Errno) {
	for {
		n, _, e := syscall.RawSyscall6(syscall.SYS_RECVFROM, uintptr(fd),
			uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)),
			uintptr(flags|syscall.MSG_DONTWAIT), 0, 0)
		if e == 0 {
			return int(n), 0
		}
		if e != syscall.EINTR {
			return 0, e
		}
	}
}

func sysSend(fd int32, p []byte, flags int) (int, syscall.Errno) {
	for {
		n, _, e := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(fd),
			uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)),
			uintptr(flags|syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL), 0, 0)
		if e == 0 {
			return int(n), 0
		}
		if e != syscall.EINTR {
			return 0, e
		}
	}
}

func sysSendmsg(fd int32, m *syscall.Msghdr, flags int) (int, syscall.Errno) {
	for {
		n, _, e := syscall.RawSyscall(syscall.SYS_SENDMSG, uintptr(fd),
			uintptr(unsafe.Pointer(m)), uintptr(flags|syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL))
		if e == 0 {
			return int(n), 0
		}
		if e != syscall.EINTR {
			return 0, e
		}
	}
}

func sysClose(fd int32) {
	syscall.RawSyscall(syscall.SYS_CLOSE, uintptr(fd), 0, 0)
}

func sysShutdown(fd int32, how int) syscall.Errno {
	_, _, e := syscall.RawSyscall(syscall.SYS_SHUTDOWN, uintptr(fd), uintptr(how), 0)
	return e
}

func sysSetsockopt(fd int32, level, opt int, p unsafe.Pointer, n uintptr) syscall.Errno {
	_, _, e := syscall.RawSyscall6(syscall.SYS_SETSOCKOPT, uintptr(fd), uintptr(level), uintptr(opt), uintptr(p), n, 0)
	return e
}

func sysSetInt(fd int32, level, opt, value int) syscall.Errno {
	v := int32(value)
	return sysSetsockopt(fd, level, opt, unsafe.Pointer(&v), 4)
}

func sysGetInt(fd int32, level, opt int) (int, syscall.Errno) {
	var v int32
	n := uint32(4)
	_, _, e := syscall.RawSyscall6(syscall.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(opt),
		uintptr(unsafe.Pointer(&v)), uintptr(unsafe.Pointer(&n)), 0)
	return int(v), e
}

func sysEpollCtl(epfd int32, op int, fd int32, ev *syscall.EpollEvent) syscall.Errno {
	_, _, e := syscall.RawSyscall6(syscall.SYS_EPOLL_CTL, uintptr(epfd), uintptr(op), uintptr(fd),
		uintptr(unsafe.Pointer(ev)), 0, 0)
	return e
}

// sysEpollNap keeps the scheduler out of it: ms has to be short.
func sysEpollNap(epfd int32, ev []syscall.EpollEvent, ms int) (int, syscall.Errno) {
	n, _, e := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(epfd),
		uintptr(unsafe.Pointer(unsafe.SliceData(ev))), uintptr(len(ev)), uintptr(ms), 0, 8)
	if e != 0 {
		return 0, e
	}
	return int(n), 0
}

// sysEpollSleep tells the scheduler that the thread may block. ms < 0: for ever.
func sysEpollSleep(epfd int32, ev []syscall.EpollEvent, ms int) (int, syscall.Errno) {
	n, _, e := syscall.Syscall6(syscall.SYS_EPOLL_PWAIT, uintptr(epfd),
		uintptr(unsafe.Pointer(unsafe.SliceData(ev))), uintptr(len(ev)), uintptr(ms), 0, 8)
	if e != 0 {
		return 0, e
	}
	return int(n), 0
}

func sysSplice(from, to int32, n int) (int, syscall.Errno) {
	for {
		r, _, e := syscall.RawSyscall6(syscall.SYS_SPLICE, uintptr(from), 0, uintptr(to), 0,
			uintptr(n), spliceMove|spliceNonblock)
		if e == 0 {
			return int(r), 0
		}
		if e != syscall.EINTR {
			return 0, e
		}
	}
}

// addrPort reads what the kernel wrote into a socket address; unix and unknown
// families give the zero value. IPv4 mapped in IPv6 becomes IPv4, as logs and
// ACLs expect of a client of a dual-stack listener.
func addrPort(sa *syscall.RawSockaddrAny) netip.AddrPort {
	switch sa.Addr.Family {
	case syscall.AF_INET:
		in := (*syscall.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), ntohs(in.Port))
	case syscall.AF_INET6:
		in := (*syscall.RawSockaddrInet6)(unsafe.Pointer(sa))
		a := netip.AddrFrom16(in.Addr)
		if a.Is4In6() {
			a = a.Unmap()
		} else if in.Scope_id != 0 && a.IsLinkLocalUnicast() {
			a = a.WithZone(strconv.FormatUint(uint64(in.Scope_id), 10))
		}
		return netip.AddrPortFrom(a, ntohs(in.Port))
	}
	return netip.AddrPort{}
}

// putAddrPort fills sa and gives its length.
func putAddrPort(sa *syscall.RawSockaddrAny, ap netip.AddrPort) uintptr {
	a := ap.Addr()
	if a.Is4() {
		in := (*syscall.RawSockaddrInet4)(unsafe.Pointer(sa))
		*in = syscall.RawSockaddrInet4{Family: syscall.AF_INET, Port: ntohs(ap.Port()), Addr: a.As4()}
		return syscall.SizeofSockaddrInet4
	}
	in := (*syscall.RawSockaddrInet6)(unsafe.Pointer(sa))
	*in = syscall.RawSockaddrInet6{Family: syscall.AF_INET6, Port: ntohs(ap.Port()), Addr: a.As16()}
	if z := a.Zone(); z != "" {
		in.Scope_id = zoneIndex(z)
	}
	return syscall.SizeofSockaddrInet6
}

// putUnix fills sa with a path; a leading '@' or NUL names the abstract space.
func putUnix(sa *syscall.RawSockaddrAny, path string) (uintptr, bool) {
	un := (*syscall.RawSockaddrUnix)(unsafe.Pointer(sa))
	// A file's name ends with a zero, an abstract name with the address.
	abstract := path != "" && (path[0] == '@' || path[0] == 0)
	if path == "" || len(path) > len(un.Path) || len(path) == len(un.Path) && !abstract {
		return 0, false
	}
	*un = syscall.RawSockaddrUnix{Family: syscall.AF_UNIX}
	for i := range len(path) {
		un.Path[i] = int8(path[i])
	}
	if abstract {
		un.Path[0] = 0
		return uintptr(2 + len(path)), true
	}
	return uintptr(2 + len(path) + 1), true
}

// ntohs swaps between a port's value and its bytes in network order.
func ntohs(p uint16) uint16 {
	b := (*[2]byte)(unsafe.Pointer(&p))
	return uint16(b[0])<<8 | uint16(b[1])
}

const schedBatch = 3 // SCHED_BATCH of sched(7)

// batchScheduling tells the kernel that this thread need not interrupt another
// one when it is woken. A peer on the same processor then finishes what it is
// at, and the loop finds several events instead of one: fewer switches, a
// quarter less time for a small request. It asks for no privilege; if it
// fails, nothing but that is lost.
func batchScheduling() {
	var param struct{ priority int32 }
	syscall.RawSyscall(syscall.SYS_SCHED_SETSCHEDULER, 0, schedBatch, uintptr(unsafe.Pointer(&param)))
	// Short sleeps are to be short: by default they may take 50 us longer.
	syscall.RawSyscall(syscall.SYS_PRCTL, prSetTimerSlack, 1000, 0)
}

const prSetTimerSlack = 29 // PR_SET_TIMERSLACK of prctl(2), nanoseconds

// sysSleep sleeps without telling the scheduler: it has to be short.
func sysSleep(nanos int64) {
	ts := syscall.NsecToTimespec(nanos)
	syscall.RawSyscall(syscall.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&ts)), 0, 0)
}
