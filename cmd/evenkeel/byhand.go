package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"evenkeel/internal/keeper"
	"evenkeel/internal/keeper/holder"
	"evenkeel/internal/l4/director"
	"evenkeel/internal/l4/ipvsadm"
	"evenkeel/internal/node"
)

// directorWord is the command of a director without a configuration.
const directorWord = "director"

// directorCommand is `evenkeel director`: it forwards what ipvsadm adds. On a
// kernel without IPVS ipvsadm starts it by itself.
func directorCommand(args []string) int {
	fs := flag.NewFlagSet("evenkeel director", flag.ContinueOnError)
	daemon := fs.Bool("D", false, "go to the background")
	quiet := fs.Bool("q", false, "print errors only")
	pidfile := fs.String("p", "", "write the process id to this `file`")
	if fs.Parse(args) != nil {
		return 1
	}
	options := node.FailoverOptions{Version: version, Stderr: os.Stderr, Sinks: consoleSinks(!*daemon, true, -1, false)}
	if holder.IsFailover() {
		return hold(options, holder.Options{Stderr: os.Stderr, Quiet: *quiet, Report: excerpts(os.Stderr)})
	}
	if c, _ := runningDirector(); c != nil {
		fmt.Fprintln(os.Stderr, "evenkeel director: an evenkeel forwards packets here already: ipvsadm changes what it does")
		return 1
	}
	return keeper.Run(keeper.Options{Path: executable(), Args: os.Args, Version: version, Master: true,
		Daemon: *daemon, Foreground: !*daemon, Notify: true, AlwaysPid: *pidfile != "", Pidfile: *pidfile, Log: logLine(*quiet),
		Failover: true, NoWorker: true})
}

// endByHand ends directors without a configuration in this network namespace:
// one with a configuration comes, which goes on with what they forward. Until it
// does so the kernel forwards by itself.
func endByHand() {
	pids, err := keeper.Running()
	if err != nil {
		return
	}
	pids = slices.DeleteFunc(pids, func(pid int) bool {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		words := strings.Split(string(b), "\x00")
		return pid == os.Getpid() || len(words) < 2 || words[1] != directorWord || unix.Kill(pid, unix.SIGTERM) != nil
	})
	for end := time.Now().Add(byHandPatience); len(pids) > 0 && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		pids = slices.DeleteFunc(pids, keeper.Ended)
	}
}

const byHandPatience = 10 * time.Second

// byHand is what a command of ipvsadm is carried out on where no evenkeel runs
// and the kernel has no IPVS: a director is started, unless the command is about
// nothing that could be there.
func byHand(c ipvsadm.Command) (*director.Client, error) {
	adds := slices.Contains([]ipvsadm.Action{ipvsadm.AddService, ipvsadm.Restore, ipvsadm.SetTimeouts}, c.Action)
	if !adds && !node.ForwardingLeft() {
		return director.Nothing(), nil
	}
	lock, err := lockByHand()
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	if ours, _ := runningDirector(); ours != nil {
		return ours, nil // somebody was quicker
	}
	out, err := exec.Command(executable(), directorWord, "-D", "-q").CombinedOutput()
	if err != nil {
		if ours, _ := runningDirector(); ours != nil {
			return ours, nil // one with a configuration has come meanwhile
		}
		return nil, fmt.Errorf("evenkeel director: %s%w", out, err)
	}
	for end := time.Now().Add(byHandPatience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if ours, _ := runningDirector(); ours != nil {
			return ours, nil
		}
	}
	return nil, fmt.Errorf("evenkeel director does not answer; start it with 'evenkeel director' to see why")
}

// endIdle ends a director that byHand started for nothing: it forwards nothing
// because it cannot.
func endIdle(c *director.Client) {
	if list, err := c.Services(); err == nil && len(list) == 0 {
		endByHand()
	}
}

// lockByHand is held while a director is looked for and started.
func lockByHand() (*os.File, error) {
	if err := os.MkdirAll(node.DefaultRunDirectory, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(node.DefaultRunDirectory, "director.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
