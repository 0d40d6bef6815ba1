package keeper

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"evenkeel/internal/keeper/ipc"
)

// Running gives the process ids of the keepers in this network namespace.
func Running() ([]int, error) {
	f, err := os.Open("/proc/net/unix")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	prefix := strings.TrimSuffix(DoorName(0), "0")
	var pids []int
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 {
			continue
		}
		number, ok := strings.CutPrefix(fields[len(fields)-1], prefix)
		if !ok {
			continue
		}
		if pid, err := strconv.Atoi(number); err == nil && !slices.Contains(pids, pid) {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids, nil
}

// Ended says whether a process has: also one that nobody has waited for, as in a
// container whose first process waits for nobody.
func Ended(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err != nil || len(b) == 0
}

func ask(pid int, op, text string, wait time.Duration) (doorMessage, []int, error) {
	c, err := knock(pid)
	if err != nil {
		return doorMessage{}, nil, err
	}
	defer c.Close()
	if err := doorSend(c, doorMessage{Op: op, Text: text}); err != nil {
		return doorMessage{}, nil, err
	}
	return doorReceive(c, wait)
}

// Status is the table of a keeper's processes.
func Status(pid int) (string, error) {
	m, fds, err := ask(pid, doorStatus, "", doorStep)
	ipc.CloseAll(fds)
	return m.Text, err
}

// Reload makes a keeper reload, waits for the end of it, and gives the
// messages.
func Reload(pid int) (string, error) {
	m, fds, err := ask(pid, doorReload, "", time.Minute)
	ipc.CloseAll(fds)
	return m.Text, err
}

// DialRuntime connects to the runtime API of a keeper's worker.
func DialRuntime(pid int) (net.Conn, error) {
	_, fds, err := ask(pid, doorRuntime, "", doorStep)
	if err != nil {
		return nil, err
	}
	if len(fds) != 1 {
		ipc.CloseAll(fds)
		return nil, errNoWorker
	}
	_ = syscall.SetNonblock(fds[0], true)
	f := os.NewFile(uintptr(fds[0]), "runtime")
	defer f.Close()
	return net.FileConn(f)
}

// Control sends one command to a keeper's failover process.
func Control(pid int, line string) (string, error) {
	_, fds, err := ask(pid, doorControl, line, controlPatience+doorStep)
	if err != nil {
		return "", err
	}
	if len(fds) != 1 {
		ipc.CloseAll(fds)
		return "", errNoFailover
	}
	b, err := ipc.ReadBlob(fds[0])
	return string(b), err
}
