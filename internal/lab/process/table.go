package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Process is one row of /proc.
type Process struct {
	PID, Parent int
	Command     string   // comm: at most 15 letters
	Args        []string // as the process shows them now
	Zombie      bool
	Start       uint64 // clock ticks since boot: with PID, who this is for ever
}

// Table is all of /proc at about one moment.
type Table []Process

// Read takes the table.
func Read() (Table, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var t Table
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if p, err := Look(pid); err == nil {
			t = append(t, p)
		}
	}
	return t, nil
}

// Look reads one row.
func Look(pid int) (Process, error) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return Process{}, err
	}
	p, err := parseStat(stat)
	if err != nil {
		return p, err
	}
	if line, err := os.ReadFile(filepath.Join(dir, "cmdline")); err == nil {
		p.Args = words(line)
	}
	return p, nil
}

// words splits at zero bytes; a program that rewrites its title may leave any
// number of them at the end.
func words(line []byte) []string {
	line = bytes.TrimRight(line, "\x00")
	if len(line) == 0 {
		return nil
	}
	return strings.Split(string(line), "\x00")
}

// parseStat reads /proc/PID/stat. The command stands in parentheses and may
// contain any letter, also a parenthesis (proc_pid_stat(5)).
func parseStat(stat []byte) (Process, error) {
	open, shut := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if open < 0 || shut < open {
		return Process{}, errors.New("process: no command in stat")
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(stat[:open])))
	if err != nil {
		return Process{}, fmt.Errorf("process: stat: %w", err)
	}
	fields := strings.Fields(string(stat[shut+1:]))
	const state, parent, start = 0, 1, 19
	if len(fields) <= start {
		return Process{}, errors.New("process: stat is cut off")
	}
	p := Process{PID: pid, Command: string(stat[open+1 : shut]), Zombie: fields[state] == "Z" || fields[state] == "X"}
	if p.Parent, err = strconv.Atoi(fields[parent]); err != nil {
		return p, fmt.Errorf("process: stat: %w", err)
	}
	if p.Start, err = strconv.ParseUint(fields[start], 10, 64); err != nil {
		return p, fmt.Errorf("process: stat: %w", err)
	}
	return p, nil
}

// Below gives the living descendants of pid, parents before children.
func (t Table) Below(pid int) Table {
	var found Table
	queue := []int{pid}
	seen := map[int]bool{pid: true}
	for len(queue) > 0 {
		parent := queue[0]
		queue = queue[1:]
		for _, p := range t {
			if p.Parent == parent && !seen[p.PID] {
				seen[p.PID] = true
				queue = append(queue, p.PID)
				if !p.Zombie {
					found = append(found, p)
				}
			}
		}
	}
	return found
}

// Environment reads a process's environment as it was at its start.
func Environment(pid int) []string {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
	if err != nil {
		return nil
	}
	return words(b)
}

// Session is a process's session, as its innermost process namespace numbers it.
func Session(pid int) int {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "NSsid:"); ok {
			if numbers := strings.Fields(rest); len(numbers) > 0 {
				n, _ := strconv.Atoi(numbers[len(numbers)-1])
				return n
			}
		}
	}
	return 0
}

// Handle is a process that is held by a descriptor.
type Handle struct {
	fd  int
	PID int
}

// Open holds a process if it is still the one of that start time; 0 takes
// whichever has the number.
func Open(pid int, start uint64) (*Handle, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, fmt.Errorf("process %d: %w", pid, err)
	}
	h := &Handle{fd, pid}
	if start != 0 {
		// Read after the descriptor is held: the number cannot change hands now.
		if p, err := Look(pid); err != nil || p.Start != start {
			h.Close()
			return nil, fmt.Errorf("process %d: %w", pid, unix.ESRCH)
		}
	}
	return h, nil
}

// Signal sends a signal. A process that is gone is no error.
func (h *Handle) Signal(s unix.Signal) error {
	err := unix.PidfdSendSignal(h.fd, s, nil, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

// Ended says whether the process has ended, waiting that long for it.
func (h *Handle) Ended(within time.Duration) bool {
	end := time.Now().Add(within)
	for {
		fds := []unix.PollFd{{Fd: int32(h.fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, int(max(time.Until(end), 0)/time.Millisecond))
		if n > 0 {
			return true
		}
		if !errors.Is(err, unix.EINTR) && !time.Now().Before(end) {
			return false
		}
	}
}

// Close lets go of the process.
func (h *Handle) Close() { unix.Close(h.fd) }

// Signal sends a signal to a process of the table.
func (p Process) Signal(s unix.Signal) error {
	h, err := Open(p.PID, p.Start)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer h.Close()
	return h.Signal(s)
}

// Running says whether the process still exists and is no zombie.
func (p Process) Running() bool {
	now, err := Look(p.PID)
	return err == nil && now.Start == p.Start && !now.Zombie
}

// End kills processes until find names none any more.
func End(find func() (Table, error), within time.Duration) error {
	end := time.Now().Add(within)
	for {
		t, err := find()
		if err != nil {
			return err
		}
		t = slices.DeleteFunc(t, func(p Process) bool { return p.Zombie })
		if len(t) == 0 {
			return nil
		}
		for _, p := range t {
			h, err := Open(p.PID, p.Start)
			if err != nil {
				continue // it went by itself
			}
			h.Signal(unix.SIGKILL)
			h.Ended(max(0, min(time.Until(end), 200*time.Millisecond)))
			h.Close()
		}
		if time.Now().After(end) {
			return fmt.Errorf("process %d (%s) does not end", t[0].PID, t[0].Command)
		}
	}
}
