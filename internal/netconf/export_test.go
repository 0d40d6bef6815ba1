package netconf

import "golang.org/x/sys/unix"

// ShrinkNotifications makes the kernel drop notifications soon.
func ShrinkNotifications(h *Host) error {
	return unix.SetsockoptInt(h.monitor.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 2048)
}
