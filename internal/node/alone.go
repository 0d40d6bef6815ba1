package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"evenkeel/internal/l4/xdp"
)

// handOver is how long a process before this one may take to let go.
const handOver = 5 * time.Second

// alonePlane is a plane that no other process changes at the same time: two would
// each give places of the same maps to services and servers of their own.
type alonePlane struct {
	*xdp.Plane
	lock *os.File
}

// Close lets the next process have it.
func (p *alonePlane) Close() error { return errors.Join(p.Plane.Close(), leaveAlone(p.lock)) }

const lockFile = "lock"

// takeAlone waits until no other process has a directory. It has it until
// leaveAlone, and no longer than it lives.
func takeAlone(dir string, patience time.Duration) (*os.File, error) {
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		f, err := tryAlone(dir)
		if err == nil || !errors.Is(err, unix.EWOULDBLOCK) {
			return f, err
		}
		if time.Now().After(end) {
			owner, _ := os.ReadFile(filepath.Join(dir, lockFile))
			return nil, fmt.Errorf("another evenkeel (process %s) forwards packets in this network namespace: end it first", strings.TrimSpace(string(owner)))
		}
	}
}

// leaveAlone removes the file while nobody else can have it, and lets go.
func leaveAlone(f *os.File) error { return errors.Join(os.Remove(f.Name()), f.Close()) }

// tryAlone does not wait: it is EWOULDBLOCK that another one has it.
func tryAlone(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, lockFile)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
		err = mark(f, path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// mark writes down who has the file, unless who had it before has removed it.
func mark(f *os.File, path string) error {
	mine, err := f.Stat()
	if err != nil {
		return err
	}
	if there, err := os.Stat(path); err != nil || !os.SameFile(mine, there) {
		return unix.EWOULDBLOCK
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, os.Getpid())
	return err
}
