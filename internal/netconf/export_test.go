package netconf

import "golang.org/x/sys/unix"

// ShrinkNotifications makes the kernel drop notifications soon.
func ShrinkNotifications(h *Host) error {
	return unix.SetsockoptInt(h.monitor.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 2048)
}

// BreakRequests has all requests fail until repair.
func BreakRequests(h *Host) (repair func()) {
	whole := h.requests
	broken := *whole
	broken.fd = -1
	h.requests = &broken
	return func() { h.requests = whole }
}
