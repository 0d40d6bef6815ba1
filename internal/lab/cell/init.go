package cell

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"evenkeel/internal/lab/space"
)

// readyFD is the pipe on which an init says that it serves, or why not.
const readyFD = 3

// Options is how a node comes to life.
type Options struct {
	Program   string   // of the init; run with Args
	Args      []string // its whole command line, that ends in Main(host, dir)
	Namespace string   // network namespace
	Dir       string   // the node's directory, as the host sees it
	Env       []string
}

// Boot starts a node's init and waits until it serves. It gives the process
// id that the host sees.
func Boot(o Options) (int, error) {
	for _, d := range []string{"run/lab", "tmp", "log", "etc", "bin"} {
		if err := os.MkdirAll(filepath.Join(o.Dir, d), 0o755); err != nil {
			return 0, err
		}
	}
	if err := os.Chmod(filepath.Join(o.Dir, "tmp"), 0o777|os.ModeSticky); err != nil {
		return 0, err
	}
	log, err := os.OpenFile(filepath.Join(o.Dir, "log", "init.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer r.Close()
	cmd := exec.Command(o.Program)
	cmd.Args = o.Args
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = "/", o.Env, log, log
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWUTS}
	err = space.In(o.Namespace, cmd.Start)
	w.Close()
	if err != nil {
		return 0, fmt.Errorf("node %s: %w", filepath.Base(o.Dir), err)
	}
	// Whoever started the init collects it; a later lab command need not.
	go cmd.Wait()
	r.SetReadDeadline(time.Now().Add(patience))
	word, err := bufio.NewReader(r).ReadString('\n')
	if word != "ok\n" {
		if word == "" {
			word = fmt.Sprint("no word from its init: ", err)
		}
		unix.Kill(cmd.Process.Pid, unix.SIGKILL)
		return 0, fmt.Errorf("node %s: %s", filepath.Base(o.Dir), word)
	}
	return cmd.Process.Pid, nil
}

// Main is the life of an init: PID 1 of the node that has this host name and
// directory. It returns only when it cannot begin.
func Main(host, dir string) error {
	ready := os.NewFile(readyFD, "ready")
	in := &initd{restarts: map[int]Program{}}
	l, err := in.begin(host, dir)
	if err != nil {
		fmt.Fprintf(ready, "%v\n", err)
		return err
	}
	fmt.Fprintln(ready, "ok")
	ready.Close()
	in.serve(l)
	return errors.New("the socket is gone")
}

// initd is an init. PID 1 ignores signals that it does not ask for.
type initd struct {
	mu       sync.Mutex
	programs []Status
	restarts map[int]Program // by process id: what is started again when it ends
}

func (in *initd) begin(host, dir string) (net.Listener, error) {
	if os.Getpid() != 1 {
		return nil, errors.New("this is for the lab's own use: the first process of a node")
	}
	syscall.CloseOnExec(readyFD)
	if err := unix.Sethostname([]byte(host)); err != nil {
		return nil, fmt.Errorf("host name: %w", err)
	}
	// The socket is bound under the name that the host knows, before mounts hide it.
	path := filepath.Join(dir, SocketName)
	os.Remove(path)
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := mounts(dir); err != nil {
		return nil, err
	}
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	go in.reap(children)
	return l, nil
}

// mounts gives the node a /run, /tmp, /proc and /sys of its own.
func mounts(dir string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("mounts: %w", err)
	}
	home, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC|unix.O_DIRECTORY, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	defer unix.Close(home)
	// By descriptor: the first of these mounts may hide the directory's name.
	own := fmt.Sprintf("/proc/self/fd/%d", home)
	for _, m := range [][2]string{{"/run", "/run"}, {"/tmp", "/tmp"}, {"", Dir}} {
		if err := unix.Mount(own+m[0], m[1], "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount on %s: %w", m[1], err)
		}
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount on /proc: %w", err)
	}
	// /sys/class/net shows the namespace of its mount; some hosts forbid a new one.
	_ = unix.Mount("sysfs", "/sys", "sysfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_RDONLY, "")
	return nil
}

// reap collects every child that ends: programs, and orphans of theirs.
func (in *initd) reap(children <-chan os.Signal) {
	for range children {
		in.mu.Lock()
		in.collect()
		in.mu.Unlock()
	}
}

// collect notes what has ended. It is called with mu held, so that a start is
// noted before its end is.
func (in *initd) collect() {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if pid <= 0 {
			return
		}
		for i := range in.programs {
			if p := &in.programs[i]; p.PID == pid && !p.Ended {
				p.Ended, p.Result = true, result(status)
			}
		}
		in.revive(pid)
	}
}

// revive starts a program again some time after its end.
func (in *initd) revive(pid int) {
	p, ok := in.restarts[pid]
	if !ok {
		return
	}
	time.AfterFunc(p.Restart, func() {
		in.mu.Lock()
		defer in.mu.Unlock()
		if _, ok := in.restarts[pid]; ok {
			delete(in.restarts, pid)
			// Should it fail, the program's state says that it ended.
			_, _ = in.start(p)
		}
	})
}

func result(s unix.WaitStatus) string {
	if s.Signaled() {
		return "killed by " + unix.SignalName(s.Signal())
	}
	return fmt.Sprintf("exit code %d", s.ExitStatus())
}

func (in *initd) serve(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			c.SetDeadline(time.Now().Add(patience))
			line, err := bufio.NewReader(c).ReadBytes('\n')
			var q request
			if err == nil {
				err = json.Unmarshal(line, &q)
			}
			if err != nil {
				return
			}
			if out, err := json.Marshal(in.do(q)); err == nil {
				c.Write(append(out, '\n'))
			}
		}()
	}
}

func (in *initd) do(q request) (r response) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.collect()
	switch {
	case q.Do == "start" && q.Program != nil && len(q.Program.Args) > 0:
		pid, err := in.start(*q.Program)
		if err != nil {
			r.Error = err.Error()
		}
		r.PID = pid
	case q.Do == "kill":
		// kill(2): -1 is every process of this process namespace but its first.
		if err := unix.Kill(-1, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			r.Error = err.Error()
		}
	case q.Do == "hold":
		in.restarts = map[int]Program{}
	case q.Do == "list":
		r.Programs = append(r.Programs, in.programs...)
	default:
		r.Error = "the node's init does not know " + q.Do
	}
	return r
}

func (in *initd) start(p Program) (int, error) {
	log, err := os.OpenFile(filepath.Join(Dir, "log", filepath.Base(p.Name)+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	attr := &os.ProcAttr{Dir: Dir, Env: append(os.Environ(), p.Env...), Files: []*os.File{null, log, log}, Sys: &syscall.SysProcAttr{Setsid: true}}
	child, err := os.StartProcess(p.Args[0], p.Args, attr)
	if err != nil {
		return 0, err
	}
	if p.Restart > 0 {
		in.restarts[child.Pid] = p
	}
	in.programs = append(in.programs, Status{Name: p.Name, PID: child.Pid})
	// reap collects it, not this value.
	return child.Pid, child.Release()
}
