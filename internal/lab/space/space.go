package space

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Directory is where `ip netns` keeps its names.
const Directory = "/run/netns"

// Path is the file that holds a namespace.
func Path(name string) string { return filepath.Join(Directory, name) }

// Make creates a named namespace with its loopback interface up.
func Make(name string) error {
	if err := share(); err != nil {
		return err
	}
	f, err := os.OpenFile(Path(name), os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o444)
	if err != nil {
		return fmt.Errorf("network namespace %s: %w", name, err)
	}
	f.Close()
	err = onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		return unix.Mount("/proc/thread-self/ns/net", Path(name), "", unix.MS_BIND, "")
	})
	if err != nil {
		os.Remove(Path(name))
		return fmt.Errorf("network namespace %s: %w", name, err)
	}
	return nil
}

// share makes the directory of names a mount of its own that other mount
// namespaces see, as ip-netns does: only so does a removal reach all of them.
func share() error {
	if err := os.MkdirAll(Directory, 0o755); err != nil {
		return err
	}
	for range 2 {
		err := unix.Mount("", Directory, "none", unix.MS_SHARED|unix.MS_REC, "")
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("%s: %w", Directory, err)
		}
		if err := unix.Mount(Directory, Directory, "none", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("%s: %w", Directory, err)
		}
	}
	return fmt.Errorf("%s cannot be shared between mount namespaces", Directory)
}

// Remove takes a namespace's name away. The namespace and its interfaces go
// with the last process in it. A name that is not there is no error.
func Remove(name string) error {
	path := Path(name)
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("network namespace %s: %w", name, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// List gives the names that begin with prefix.
func List(prefix string) ([]string, error) {
	entries, err := os.ReadDir(Directory)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// ID tells namespaces apart: two files or processes with the same ID are in
// the same one.
type ID struct{ Device, Inode uint64 }

// IDOf reads the ID behind a path such as Path(name) or /proc/PID/ns/net.
func IDOf(path string) (ID, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return ID{}, err
	}
	return ID{uint64(st.Dev), st.Ino}, nil
}

// onThread runs f on a thread of its own, which ends with it: whatever
// namespaces f has entered are forgotten.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		done <- f()
	}()
	return <-done
}

// In runs f inside of a namespace. Sockets that f opens and processes that it
// starts belong there; f must not start goroutines for either.
func In(name string, f func() error) error {
	return onThread(func() error {
		fd, err := unix.Open(Path(name), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("network namespace %s: %w", name, err)
		}
		defer unix.Close(fd)
		if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("network namespace %s: %w", name, err)
		}
		return f()
	})
}
