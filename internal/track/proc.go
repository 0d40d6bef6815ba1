package track

import (
	"os"
	"strconv"
	"strings"
)

// procFS reads processes from a directory like /proc.
type procFS string

// info reads one process; false when it is gone, or is a zombie with no more
// than a name.
func (p procFS) info(pid int, commandLine bool) (ProcessInfo, bool) {
	dir := string(p) + "/" + strconv.Itoa(pid)
	i := ProcessInfo{PID: pid}
	b, err := os.ReadFile(dir + "/comm")
	if err != nil {
		return i, false
	}
	i.Comm = strings.TrimSuffix(string(b), "\n")
	if commandLine {
		b, err := os.ReadFile(dir + "/cmdline")
		if err != nil {
			return i, false
		}
		if s := strings.TrimSuffix(string(b), "\x00"); s != "" {
			i.Argv = strings.Split(s, "\x00")
		}
	}
	return i, true
}

// all reads every process that runs. Zombies do not: they are left out.
func (p procFS) all(commandLine bool) []ProcessInfo {
	d, err := os.Open(string(p))
	if err != nil {
		return nil
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1)
	var list []ProcessInfo
	for _, n := range names {
		pid, err := strconv.Atoi(n)
		if err != nil || p.zombie(pid) {
			continue
		}
		if i, ok := p.info(pid, commandLine); ok {
			list = append(list, i)
		}
	}
	return list
}

// zombie reads the state in /proc/PID/stat, behind the last parenthesis since a
// name may hold any.
func (p procFS) zombie(pid int) bool {
	b, err := os.ReadFile(string(p) + "/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return true
	}
	s := string(b)
	i := strings.LastIndexByte(s, ')')
	if i < 0 || i+2 >= len(s) {
		return false
	}
	return s[i+2] == 'Z' || s[i+2] == 'X'
}
