package realserver

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// KernelTunnel unwraps with the kernel's own tunnel devices, which take packets
// from anybody: tunl0 (module ipip) and ip6tnl0 (ip6_tunnel).
type KernelTunnel struct{ Proc string } // "": /proc/sys

// Name tells it from others.
func (KernelTunnel) Name() string { return "kernel tunnel device" }

func tunnelDevices(vips []netip.Addr) (list []string) {
	var four, six bool
	for _, a := range vips {
		four, six = four || a.Is4(), six || a.Is6()
	}
	if four {
		list = append(list, "tunl0")
	}
	if six {
		list = append(list, "ip6tnl0")
	}
	return list
}

var tunnelModules = map[string]string{"tunl0": "ipip", "ip6tnl0": "ip6_tunnel"}

// Available is for devices that are there: making them is the module's affair.
func (KernelTunnel) Available(vips []netip.Addr) error {
	for _, d := range tunnelDevices(vips) {
		if _, err := linkFlags(d); err != nil {
			return fmt.Errorf("there is no device %s (modprobe %s)", d, tunnelModules[d])
		}
	}
	return nil
}

// Works says that the devices are up, and that what comes out of them is not
// dropped for coming the wrong way.
func (k KernelTunnel) Works(vips []netip.Addr) error {
	if err := k.Available(vips); err != nil {
		return err
	}
	for _, d := range tunnelDevices(vips) {
		flags, err := linkFlags(d)
		if err != nil {
			return err
		}
		if flags&unix.IFF_UP == 0 {
			return fmt.Errorf("device %s is down", d)
		}
		if d == "tunl0" && k.strict() {
			return errors.New("rp_filter is strict on tunl0: what is unwrapped there is dropped (sysctl -w net.ipv4.conf.tunl0.rp_filter=2)")
		}
	}
	return nil
}

func (k KernelTunnel) sysctl(device string) string {
	proc := k.Proc
	if proc == "" {
		proc = "/proc/sys"
	}
	return filepath.Join(proc, "net/ipv4/conf", device, "rp_filter")
}

// strict is the larger of the device's and of all: 0 none, 1 strict, 2 loose.
func (k KernelTunnel) strict() bool {
	value := func(device string) string {
		b, _ := os.ReadFile(k.sysctl(device))
		return strings.TrimSpace(string(b))
	}
	return max(value("tunl0"), value("all")) == "1"
}

// Up sets the devices up and their rp_filter to loose. The device is nobody
// else's where it was down.
func (k KernelTunnel) Up(vips []netip.Addr) (changed bool, err error) {
	for _, d := range tunnelDevices(vips) {
		flags, err := linkFlags(d)
		if err != nil {
			return changed, err
		}
		if d == "tunl0" && k.strict() {
			if err := os.WriteFile(k.sysctl(d), []byte("2\n"), 0); err != nil {
				return changed, err
			}
		}
		if flags&unix.IFF_UP != 0 {
			continue
		}
		if err := setLinkFlags(d, flags|unix.IFF_UP); err != nil {
			return changed, err
		}
		changed = true
	}
	return changed, nil
}

// Down sets the devices down.
func (KernelTunnel) Down() error {
	var errs []error
	for _, d := range []string{"tunl0", "ip6tnl0"} {
		if flags, err := linkFlags(d); err == nil && flags&unix.IFF_UP != 0 {
			errs = append(errs, setLinkFlags(d, flags&^unix.IFF_UP))
		}
	}
	return errors.Join(errs...)
}

func linkFlags(device string) (uint16, error) {
	var flags uint16
	err := linkRequest(device, func(fd int, r *unix.Ifreq) error {
		err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, r)
		flags = r.Uint16()
		return err
	})
	return flags, err
}

func setLinkFlags(device string, flags uint16) error {
	return linkRequest(device, func(fd int, r *unix.Ifreq) error {
		r.SetUint16(flags)
		return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, r)
	})
}

func linkRequest(device string, do func(fd int, r *unix.Ifreq) error) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	r, err := unix.NewIfreq(device)
	if err == nil {
		err = do(fd, r)
	}
	if err != nil {
		return fmt.Errorf("device %s: %w", device, err)
	}
	return nil
}
