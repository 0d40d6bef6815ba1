package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// director is the evenkeel under test: its keeper process, and the runtime
// API of whichever worker answers.
type director struct {
	program string
	config  string
	dir     string // holds its socket
	env     []string

	cmd  *exec.Cmd
	gone chan struct{} // closed when the process has ended; err is set before
	err  error

	mu   sync.Mutex
	said []string // the last lines it wrote
}

// linesKept is how much of the director's own words is remembered.
const linesKept = 200

func (d *director) socket() string { return filepath.Join(d.dir, "director.sock") }

// start runs the program. The calling goroutine must stay locked to its
// thread for as long as the director is to live: should the demo be killed,
// the kernel ends the director with it.
func (d *director) start() error {
	d.cmd = exec.Command(d.program, "run", d.config)
	d.cmd.Env = append(os.Environ(), d.env...)
	// A group of its own: Ctrl-C is for the demo, which then stops it.
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	pipe, err := d.cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := d.cmd.Start(); err != nil {
		return err
	}
	d.gone = make(chan struct{})
	go func() {
		d.listen(pipe)
		d.err = d.cmd.Wait()
		close(d.gone)
	}()
	return nil
}

func (d *director) listen(pipe io.Reader) {
	for lines := bufio.NewScanner(pipe); lines.Scan(); {
		d.mu.Lock()
		d.said = append(d.said, lines.Text())
		if len(d.said) > linesKept {
			d.said = d.said[1:]
		}
		d.mu.Unlock()
	}
}

// words gives the last n lines that the director wrote.
func (d *director) words(n int) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.said[max(len(d.said)-n, 0):]...)
}

// stop ends keeper and workers, politely first.
func (d *director) stop() {
	if d.cmd == nil || d.cmd.Process == nil || d.gone == nil {
		return
	}
	d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.gone:
	case <-time.After(5 * time.Second):
		syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL)
		<-d.gone
	}
}

func (d *director) signal(s os.Signal) error { return d.cmd.Process.Signal(s) }

// ask sends one command to the runtime API.
func (d *director) ask(command string) (string, error) {
	c, err := net.DialTimeout("unix", d.socket(), time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := io.WriteString(c, command+"\n"); err != nil {
		return "", err
	}
	b, err := io.ReadAll(c)
	return strings.TrimSpace(string(b)), err
}

// order sends a command that answers nothing when it went well.
func (d *director) order(command string) error {
	text, err := d.ask(command)
	if err == nil && text != "" {
		err = errors.New(text)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	return nil
}

// worker is the process id of the worker that answers.
func (d *director) worker() (int, error) {
	text, err := d.ask("show info")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, "Pid: "); ok {
			return strconv.Atoi(strings.TrimSpace(value))
		}
	}
	return 0, errors.New("show info tells no Pid")
}

// row is one server in `show stat`.
type row struct {
	status  string
	retries int64 // attempts after the first, on whichever server
}

// poolName is the row of the whole pool.
const poolName = "BACKEND"

// servers reads the state of each server, and of the pool as a whole.
func (d *director) servers() (map[string]row, error) {
	text, err := d.ask("show stat")
	if err != nil {
		return nil, err
	}
	header, rest, _ := strings.Cut(text, "\n")
	column := map[string]int{}
	for i, name := range strings.Split(strings.TrimPrefix(header, "# "), ",") {
		column[name] = i
	}
	rows := map[string]row{}
	for line := range strings.Lines(rest) {
		cells := strings.Split(line, ",")
		cell := func(name string) string {
			if i, ok := column[name]; ok && i < len(cells) {
				return cells[i]
			}
			return ""
		}
		number := func(name string) int64 { n, _ := strconv.ParseInt(cell(name), 10, 64); return n }
		if cell("pxname") == "origins" {
			rows[cell("svname")] = row{cell("status"), number("wretr")}
		}
	}
	return rows, nil
}

// poll asks until done says yes or the context ends, and tells how long it
// took since start.
func (d *director) poll(ctx context.Context, start time.Time, done func() bool) (time.Duration, error) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		if done() {
			return time.Since(start), nil
		}
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-d.gone:
			return 0, fmt.Errorf("the director ended: %v", d.err)
		case <-tick.C:
		}
	}
}

// alive says whether a process exists.
func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }
