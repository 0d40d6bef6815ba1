package keeper

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"evenkeel/internal/keeper/worker"
)

// detachVariable holds, in the process that goes to the background, the
// descriptor on which it says that it is ready.
const detachVariable = "EVENKEEL_DETACHED_FD"

func detached() bool { return os.Getenv(detachVariable) != "" }

// Detach starts this program again in a session of its own and waits until
// it serves. It returns the exit status for the foreground process: 0 once
// the service is up, else that of the process which failed.
func Detach(o Options) int {
	// A pipe whose number the new process keeps: descriptors that this one
	// inherited (fd@N) stay where they are, too.
	var p [2]int
	if err := syscall.Pipe2(p[:], syscall.O_CLOEXEC); err != nil {
		o.Log(Alert, fmt.Sprintf("cannot go to the background: %v", err))
		return 1
	}
	if _, _, e := syscall.Syscall(syscall.SYS_FCNTL, uintptr(p[1]), syscall.F_SETFD, 0); e != 0 {
		o.Log(Alert, fmt.Sprintf("cannot go to the background: %v", e))
		return 1
	}
	unprotectInherited()
	env := append(o.environment(), detachVariable+"="+strconv.Itoa(p[1]))
	process, err := os.StartProcess(o.Path, o.Args, &os.ProcAttr{Env: env,
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}, Sys: &syscall.SysProcAttr{Setsid: true}})
	syscall.Close(p[1])
	if err != nil {
		o.Log(Alert, fmt.Sprintf("cannot go to the background: %v", err))
		return 1
	}
	// Who stops the foreground process before the service is up means both.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)
	go func() {
		for s := range signals {
			_ = process.Signal(s)
		}
	}()
	var b [1]byte
	for {
		n, err := syscall.Read(p[0], b[:])
		if err == syscall.EINTR {
			continue
		}
		if n == 1 {
			return 0
		}
		break
	}
	st, _ := process.Wait()
	if code, _ := describeEnd(st); code != 0 {
		return code
	}
	return 1
}

func (o Options) environment() []string {
	if o.Env != nil {
		return append([]string(nil), o.Env...)
	}
	return os.Environ()
}

// inherited are the descriptors that protectInherited found open.
var inherited []int

// unprotectInherited lets them pass to the process in the background.
func unprotectInherited() {
	for _, fd := range inherited {
		_, _, _ = syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_SETFD, 0)
	}
}

// leaveTerminal says to the foreground process that the service is up.
func (k *Keeper) leaveTerminal() {
	fd, err := strconv.Atoi(os.Getenv(detachVariable))
	if err != nil {
		return
	}
	if err := worker.LeaveTerminal(); err != nil {
		k.o.Log(Warning, err.Error())
	}
	// Last, because whoever reads it takes the terminal back.
	_, _ = syscall.Write(fd, []byte{'+'})
	syscall.Close(fd)
}

// isOurs says whether a descriptor leads to the foreground process.
func isOurs(fd int) bool {
	return strings.TrimSpace(os.Getenv(detachVariable)) == strconv.Itoa(fd)
}
