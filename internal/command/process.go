package command

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Options say how a program starts.
type Options struct {
	Stdout, Stderr *os.File // nil: /dev/null
	Env            []string // nil: Environment()
	// Secure refuses what Verify refuses, at the moment of the start.
	Secure bool
	// DieWithParent ends the program when this process dies: a check whose
	// result nobody waits for. It keeps a thread of this process until it ends.
	DieWithParent bool
}

// Process is a program that was started. It is the leader of its own process
// group, so that what it starts is ended with it.
type Process struct {
	// Set once.
	pid     int
	pidfd   *os.File // nil: the kernel has none
	release func()   // lets go of the thread that the program dies with

	// Guarded by mu.
	mu     sync.Mutex
	killed bool // it was told to end: what it leaves behind is killed
	reaped bool // the number may be another's by now
}

// Exit is how a program ended.
type Exit struct {
	Code   int // 0 is success; -1 when a signal ended it
	Signal syscall.Signal
}

// OK says whether the program ended with status 0.
func (e Exit) OK() bool { return e.Code == 0 }

func (e Exit) String() string {
	switch {
	case e.Code < 0 && e.Signal == 0:
		return "its end was not seen"
	case e.Code < 0:
		return "killed by " + unix.SignalName(e.Signal)
	}
	return fmt.Sprintf("exit status %d", e.Code)
}

// private are variables that speak of this process, not of its children.
var private = []string{"NOTIFY_SOCKET=", "WATCHDOG_PID=", "WATCHDOG_USEC=", "LISTEN_PID=", "LISTEN_FDS=", "LISTEN_FDNAMES=",
	"LISTEN_PIDFDID=", "JOURNAL_STREAM=", "INVOCATION_ID=", "MAINPID=", "EVENKEEL_", "HAPROXY_"}

// Environment is what programs get: our own, without what is for us alone, and
// with a PATH.
func Environment() []string {
	var list []string
	path := false
next:
	for _, v := range os.Environ() {
		for _, p := range private {
			if strings.HasPrefix(v, p) {
				continue next
			}
		}
		path = path || strings.HasPrefix(v, "PATH=")
		list = append(list, v)
	}
	if !path {
		list = append(list, "PATH="+searchPath)
	}
	return list
}

// Start starts a program. Wait must be called.
func Start(c Command, o Options) (*Process, error) {
	if o.Secure {
		if err := c.Verify(true); err != nil {
			return nil, err
		}
	}
	path, argv, err := c.Resolve()
	if err != nil {
		return nil, err
	}
	null, err := syscall.Open("/dev/null", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/null: %w", err)
	}
	defer syscall.Close(null)
	fd := func(f *os.File) uintptr {
		if f == nil {
			return uintptr(null)
		}
		return f.Fd()
	}
	if o.Env == nil {
		o.Env = Environment()
	}
	pidfd := -1
	sys := &syscall.SysProcAttr{Setpgid: true, PidFD: &pidfd}
	if o.DieWithParent {
		sys.Pdeathsig = syscall.SIGTERM
	}
	if sys.Credential, err = c.User.credential(); err != nil {
		return nil, err
	}
	var pid int
	fork := func() bool {
		pid, err = syscall.ForkExec(path, argv, &syscall.ProcAttr{
			Env: o.Env, Files: []uintptr{uintptr(null), fd(o.Stdout), fd(o.Stderr)}, Sys: sys,
		})
		return err == nil
	}
	release := func() {}
	if o.DieWithParent {
		release = onThread(fork)
	} else {
		fork()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, startError(err, c.User))
	}
	p := &Process{pid: pid, release: release}
	if pidfd >= 0 {
		// Non-blocking, so that waiting is the runtime poller's affair and
		// costs no thread.
		if syscall.SetNonblock(pidfd, true) == nil {
			p.pidfd = os.NewFile(uintptr(pidfd), "pidfd")
		} else {
			syscall.Close(pidfd)
		}
	}
	return p, nil
}

// onThread runs f on a thread that is there, when f says so, until release is
// called. The parent that a program dies with is the thread that has started
// it, and threads end: one whose priority or namespace was changed does so with
// its goroutine.
func onThread(f func() bool) (release func()) {
	ran, released := make(chan bool), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		ok := f()
		ran <- ok
		if ok {
			<-released
		}
	}()
	<-ran
	return func() { close(released) }
}

// credential is nil when there is nothing to change.
func (i *Identity) credential() (*syscall.Credential, error) {
	if i == nil {
		return nil, nil
	}
	if euid := os.Geteuid(); euid != 0 {
		if uint32(euid) == i.UID {
			return nil, nil // its groups are ours: nothing else is permitted
		}
		return nil, fmt.Errorf("to run it as %s takes root, and this process is uid %d", i, euid)
	}
	return &syscall.Credential{Uid: i.UID, Gid: i.GID, Groups: i.Groups}, nil
}

// startError says in words what the common ones mean.
func startError(err error, who *Identity) error {
	switch {
	case errors.Is(err, syscall.ENOEXEC):
		return fmt.Errorf("%w: a script needs #! and an interpreter in its first line", err)
	case errors.Is(err, syscall.ENOENT):
		return fmt.Errorf("%w (the file, or the interpreter in its first line)", err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%w for %s (the file, a directory above it, or a file system mounted noexec)", err, who)
	}
	return err
}

// PID is the number of the process, and of its group.
func (p *Process) PID() int { return p.pid }

// Kill sends a signal to the whole process group. What is left of the group
// when its leader ends is then killed.
func (p *Process) Kill(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return
	}
	p.killed = true
	syscall.Kill(-p.pid, s)
}

// Wait blocks its goroutine, not its thread, until the program has ended. It is
// called once.
func (p *Process) Wait() Exit {
	defer p.release()
	p.await()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.killed {
		// As long as the leader is not reaped nobody else can have its number.
		syscall.Kill(-p.pid, syscall.SIGKILL)
	}
	var ws syscall.WaitStatus
	for {
		_, err := syscall.Wait4(p.pid, &ws, 0, nil)
		if err == syscall.EINTR {
			continue
		}
		p.reaped = true
		if p.pidfd != nil {
			p.pidfd.Close()
		}
		if err != nil {
			return Exit{Code: -1} // somebody else reaped it: nothing is known
		}
		break
	}
	if ws.Signaled() {
		return Exit{Code: -1, Signal: ws.Signal()}
	}
	return Exit{Code: ws.ExitStatus()}
}

// await returns when the leader has ended, without reaping it.
func (p *Process) await() {
	if p.pidfd != nil {
		raw, err := p.pidfd.SyscallConn()
		if err == nil {
			err = raw.Read(func(fd uintptr) bool {
				var info unix.Siginfo
				err := unix.Waitid(unix.P_PIDFD, int(fd), &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
				if err == nil {
					return info.Signo != 0
				}
				return err != unix.EAGAIN && err != unix.EINTR
			})
			if err == nil {
				return
			}
		}
	}
	var info unix.Siginfo
	for unix.Waitid(unix.P_PID, p.pid, &info, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
}
