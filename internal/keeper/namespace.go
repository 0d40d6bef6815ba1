package keeper

import (
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// namespaces is where ip-netns keeps them.
const namespaces = "/run/netns/"

// EnterNamespace makes this process begin again in a network namespace, with
// the same arguments, descriptors and number: then no thread of it, and nothing
// that it starts, was ever in another one. It returns only when it is there
// already, or cannot get there.
func EnterNamespace(name, path string) error {
	file := namespaces + name
	if there, err := inNamespace(file); err != nil || there {
		return err
	}
	fd, err := unix.Open(file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("network namespace %s: %w", name, err)
	}
	defer unix.Close(fd)
	// A namespace is a thread's, and execve leaves the calling thread alone.
	runtime.LockOSThread()
	if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
		// The thread is as it was.
		runtime.UnlockOSThread()
		return fmt.Errorf("cannot enter network namespace %s: %w; start it with 'ip netns exec %s …'", name, err, name)
	}
	// From here on there is no way back: the thread stays locked.
	return fmt.Errorf("in network namespace %s: %s: %w", name, path, syscall.Exec(path, os.Args, os.Environ()))
}

func inNamespace(file string) (bool, error) {
	want, err := os.Stat(file)
	if err != nil {
		return false, fmt.Errorf("%w; make it with 'ip netns add', or see 'ip netns list'", err)
	}
	have, err := os.Stat("/proc/thread-self/ns/net")
	if err != nil {
		return false, err
	}
	return os.SameFile(want, have), nil
}
