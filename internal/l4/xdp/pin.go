package xdp

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const bpfMagic = 0xcafe4a11

// errNoFileSystem says that nothing can be kept for the next process here.
var errNoFileSystem = errors.New("no bpf file system can be mounted")

// keep makes the places for pins. Where there can be none, packets are forwarded
// without.
func (o *Options) keep() error {
	if o.Pin == "" {
		return nil
	}
	err := keepDirectory(o.Pin)
	if errors.Is(err, errNoFileSystem) {
		o.Log.Warn("packets are forwarded only as long as this process runs", "error", err)
		o.Pin, err = "", nil
	}
	return err
}

// keepDirectory makes the places for pins. When the directory is on no bpf
// file system, one is mounted there.
func keepDirectory(pin string) error {
	if err := os.MkdirAll(pin, 0o700); err != nil {
		return err
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(pin, &fs); err != nil {
		return fmt.Errorf("%s: %w", pin, err)
	}
	if fs.Type != bpfMagic {
		if err := unix.Mount("bpf", pin, "bpf", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0700"); err != nil {
			return fmt.Errorf("%w on %s: %w", errNoFileSystem, pin, err)
		}
	}
	for _, d := range []string{"maps", "links"} {
		if err := os.Mkdir(filepath.Join(pin, d), 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}

// releaseDirectory undoes the mount, where there is one of our own.
func releaseDirectory(pin string) error {
	err := unix.Unmount(pin, unix.MNT_DETACH)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("unmount %s: %w", pin, err)
	}
	return nil
}
