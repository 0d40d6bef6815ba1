package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"evenkeel/internal/lab/process"
	"evenkeel/internal/lab/space"
)

// endWithin is how long killed processes may take to vanish.
const endWithin = 30 * time.Second

// Down ends this cluster.
func (c *Cluster) Down() error {
	defer c.lock.release()
	return sweep(c.place, c.Topology.Name)
}

// Leave lets the cluster run on without this process.
func (c *Cluster) Leave() { c.lock.release() }

// Down ends a lab, whatever state it is in, also when the process that made
// it was killed on the way. found says whether there was anything.
func Down(p Place, name string) (found bool, err error) {
	p = p.filled()
	if os.Geteuid() != 0 {
		return false, errors.New("a lab needs root, for its network namespaces")
	}
	if s, err := readState(filepath.Join(p.Base, name)); err == nil {
		p.Prefix = s.Prefix
	}
	held, err := p.take(name, "evenkeel lab down")
	if err != nil {
		return false, err
	}
	defer held.release()
	spaces, err := space.List(p.Prefix + name + "-")
	if err != nil {
		return false, err
	}
	_, missing := os.Stat(filepath.Join(p.Base, name))
	return len(spaces) > 0 || missing == nil, sweep(p, name)
}

// sweep removes whatever there is of a lab: processes, namespaces with their
// interfaces, files. It needs no state, only the name, and can be repeated.
func sweep(p Place, name string) error {
	if err := process.End(func() (process.Table, error) { return members(p, name) }, endWithin); err != nil {
		return err
	}
	spaces, err := space.List(p.Prefix + name + "-")
	if err != nil {
		return err
	}
	for _, s := range spaces {
		if err := space.Remove(s); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(filepath.Join(p.Base, name)); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// members finds every process of a lab: those with its mark in their
// environment, and those in its network namespaces, whoever started them.
func members(p Place, name string) (process.Table, error) {
	spaces, err := space.List(p.Prefix + name + "-")
	if err != nil {
		return nil, err
	}
	own, err := space.IDOf("/proc/self/ns/net")
	if err != nil {
		return nil, err
	}
	ids := map[space.ID]bool{}
	for _, s := range spaces {
		// A name without a namespace, of a process killed in the middle, is
		// an ordinary file that no process lives in.
		if id, err := space.IDOf(space.Path(s)); err == nil && id != own {
			ids[id] = true
		}
	}
	all, err := process.Read()
	if err != nil {
		return nil, err
	}
	mark := p.mark(name)
	return slices.DeleteFunc(all, func(q process.Process) bool {
		if q.PID == os.Getpid() || q.Zombie {
			return true
		}
		if id, err := space.IDOf(filepath.Join("/proc", strconv.Itoa(q.PID), "ns", "net")); err == nil && ids[id] {
			return false
		}
		return !slices.Contains(process.Environment(q.PID), mark)
	}), nil
}
