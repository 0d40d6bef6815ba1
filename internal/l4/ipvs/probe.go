package ipvs

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Probe says what is missing here for IPVS, each with what would help; nothing:
// it works. It may have the kernel load its module, as any first use does.
func Probe() []string {
	c, err := Dial()
	if err == nil {
		defer c.Close()
		_, err = c.Info()
	}
	return explain(err, os.Stat, kernelRelease())
}

// explain puts an error of Dial or Info into words.
func explain(err error, stat func(string) (os.FileInfo, error), release string) []string {
	const instead = "or use the built-in data plane (lvs_backend ebpf)"
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		return []string{"not allowed to speak to IPVS: it takes root or CAP_NET_ADMIN in the network namespace"}
	case errors.Is(err, syscall.EPROTONOSUPPORT), errors.Is(err, syscall.EAFNOSUPPORT):
		return []string{"the kernel has no generic netlink, which IPVS is driven by"}
	case !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.EOPNOTSUPP):
		return []string{err.Error()}
	}
	modules := "/lib/modules/" + release
	if _, e := stat(modules + "/modules.builtin"); e != nil {
		return []string{fmt.Sprintf("the kernel (%s) has no IPVS, and there are no modules of it under %s: install a kernel with CONFIG_IP_VS, %s", release, modules, instead)}
	}
	for _, suffix := range []string{"", ".xz", ".zst", ".gz"} {
		if _, e := stat(modules + "/kernel/net/netfilter/ipvs/ip_vs.ko" + suffix); e == nil {
			return []string{"module ip_vs is not loaded: modprobe ip_vs, " + instead}
		}
	}
	return []string{fmt.Sprintf("the kernel (%s) has no module ip_vs: install a kernel with CONFIG_IP_VS, %s", release, instead)}
}

func kernelRelease() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Release[:])
}
