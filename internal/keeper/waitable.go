package keeper

import (
	"syscall"
	"unsafe"
)

// waitable gives a child that has ended, without burying it; 0: none.
func waitable() int {
	const (
		all    = 0 // P_ALL
		exited = 4
		nohang = 1
		nowait = 0x1000000
	)
	var info struct {
		signo, errno, code, _ int32
		pid                   int32
		_                     [108]byte
	}
	_, _, e := syscall.Syscall6(syscall.SYS_WAITID, all, 0, uintptr(unsafe.Pointer(&info)), exited|nohang|nowait, 0, 0)
	if e != 0 {
		return 0
	}
	return int(info.pid)
}
