package xdp

import (
	"fmt"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// hidesVLANs is why XDP cannot be on an interface: it has VLANs, whose tags the
// driver takes off before XDP sees a packet, so that all would be taken for
// untagged, and sent on without. nil: it can.
func hidesVLANs(l netlink.Link, all []netlink.Link) error {
	for _, v := range all {
		if v.Type() == "vlan" && v.Attrs().ParentIndex == l.Attrs().Index && stripsTags(l.Attrs().Name) {
			return fmt.Errorf("its driver hides the tags of VLANs (%s is one) from XDP: ethtool -K %s rxvlan off", v.Attrs().Name, l.Attrs().Name)
		}
	}
	return nil
}

const (
	ethtoolGetFlags    = 0x25
	ethtoolFlagRXVLANs = 1 << 8
)

// stripsTags asks for an interface's rx-vlan-offload. A driver that does not
// know has none.
func stripsTags(name string) bool {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	value := struct{ command, flags uint32 }{command: ethtoolGetFlags}
	var request struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		rest [16]byte
	}
	copy(request.name[:unix.IFNAMSIZ-1], name)
	request.data = unsafe.Pointer(&value)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
	return errno == 0 && value.flags&ethtoolFlagRXVLANs != 0
}
