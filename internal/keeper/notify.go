package keeper

import (
	"net"
	"os"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

func itoa(n int) string { return strconv.Itoa(n) }

// notify tells systemd, when it wants to know. A manager that does not
// listen is its own problem.
func (k *Keeper) notify(state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" || !k.o.Notify {
		return
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return
	}
	defer c.Close()
	_ = c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	_, _ = c.Write([]byte(state))
}

// monotonicMicroseconds is the clock that systemd orders reloads by.
func monotonicMicroseconds() string {
	const clockMonotonic = 1
	var ts syscall.Timespec
	if _, _, e := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&ts)), 0); e != 0 {
		return "0"
	}
	return strconv.FormatInt(ts.Nano()/1000, 10)
}
