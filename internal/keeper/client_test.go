package keeper

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestEnded: a process that nobody waits for has ended, although signals still
// reach its number.
func TestEnded(t *testing.T) {
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	defer func() { _ = cmd.Wait() }()
	if Ended(pid) {
		t.Error("a running process has ended")
	}
	in.Close()
	for end := time.Now().Add(20 * time.Second); !Ended(pid); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it is not seen that the process has ended")
		}
	}
	if err := syscall.Kill(pid, 0); err != nil {
		t.Errorf("somebody has waited for it: %v", err)
	}
}

// TestStranger: who may not ask is told so, and not that a pipe is broken.
func TestStranger(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("it takes root to be somebody else")
	}
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: DoorName(os.Getpid()), Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	errs := make(chan error)
	go func() {
		// A thread of its own has another user, and ends with that.
		runtime.LockOSThread()
		if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, 65534, 65534, 65534); e != 0 {
			errs <- e
			return
		}
		_, err := knock(os.Getpid())
		errs <- err
	}()
	if err := <-errs; !errors.Is(err, fs.ErrPermission) {
		t.Errorf("nobody asks: %v", err)
	}
}
