package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"evenkeel/internal/lab/cell"
	"evenkeel/internal/lab/measure"
	"evenkeel/internal/lab/probe"
	"evenkeel/internal/lab/process"
	"evenkeel/internal/lab/space"
)

// stopWithin is how long a service that is told to stop is waited for.
const stopWithin = 10 * time.Second

// A fault is one kind of failure, and how it is put right.
type fault struct {
	name string
	help string
	// prepare brings about what must be there before; may be nil. It is not measured.
	prepare func(r *run) error
	act     func(r *run) error
	// heal is nil where the cluster puts itself right.
	heal func(r *run) error
	// lasting says that the failure must be kept up: until the heal it is
	// applied again at every look.
	lasting func(r *run) error
	// without says why a cluster cannot have this failure; "": it can.
	without func(c *Cluster) string
}

// faults is every drill, in the order in which they are run.
func faults() []fault {
	return []fault{
		{name: "stop", help: "the node's services are stopped (SIGTERM)", act: (*run).stop, heal: (*run).again},
		{name: "kill-failover", help: "kill -9 of the process that speaks VRRP", act: kill(process.Failover), heal: (*run).again, without: withoutFailover},
		{name: "kill-worker", help: "kill -9 of the proxy's worker", act: kill(process.Worker), heal: (*run).again, without: withoutProxy},
		{name: "kill-keeper", help: "kill -9 of the parent process", act: kill(process.Keeper), heal: (*run).again},
		{name: "kill-all", help: "kill -9 of all processes at one instant", act: (*run).killAll, heal: (*run).again},
		{name: "freeze-failover", help: "SIGSTOP of the process that speaks VRRP, then SIGCONT", act: freeze(process.Failover), heal: (*run).thaw, without: withoutFailover},
		{name: "freeze-all", help: "SIGSTOP of all processes, then SIGCONT", act: freeze(), heal: (*run).thaw},
		{name: "link-down", help: "the node's interface is set down, then up", act: links(space.Down), heal: (*run).linksUp},
		{name: "carrier-loss", help: "the switch's end of the cable goes down, then up", act: ports(space.Down), heal: ports(space.Up)},
		{name: "partition", help: "directors do not hear each other, the client hears both", act: partition(true), heal: partition(false), without: alone},
		{name: "silent-isolation", help: "the node's packets vanish both ways while its link stays up", act: swallow(true), heal: swallow(false)},
		{name: "host-failure", help: "the whole node is gone, then switched on again", act: (*run).powerOff, heal: (*run).powerOn},
		{name: "node-back", help: "a node that was gone is switched on again", prepare: (*run).powerOffAndRest, act: (*run).powerOn},
		{name: "reload", help: "files are read again, nothing in them has changed", act: reloading(false)},
		{name: "reload-change", help: "files are read again, something in them has changed", act: reloading(true), heal: reloading(false)},
		{name: "upgrade", help: "the program's file is replaced, and taken into use", act: (*run).upgrade},
		{name: "proxy-stopped", help: "the proxy cannot run, the rest of the node can", act: (*run).stopProxy, lasting: (*run).stopProxyAgain, heal: (*run).again, without: withoutProxy},
	}
}

// FaultName is a drill that can be asked for.
type FaultName struct{ Name, Help string }

// FaultNames lists the drills.
func FaultNames() (list []FaultName) {
	for _, f := range faults() {
		list = append(list, FaultName{f.name, f.help})
	}
	return list
}

func withoutProxy(c *Cluster) string {
	if c.Topology.Haproxy == "" {
		return "there is no proxy in this topology"
	}
	return ""
}

func withoutFailover(c *Cluster) string {
	if c.Topology.Keepalived == "" {
		return "nothing speaks VRRP in this topology"
	}
	return ""
}

func alone(c *Cluster) string {
	if len(c.Topology.Directors) < 2 {
		return "there is one director only"
	}
	return ""
}

// signalAll sends a signal to processes of the victim, each held by a
// descriptor first so that all get it as close together as possible.
func signalAll(t process.Table, s unix.Signal) error {
	var handles []*process.Handle
	defer func() {
		for _, h := range handles {
			h.Close()
		}
	}()
	for _, p := range t {
		h, err := process.Open(p.PID, p.Start)
		if err != nil {
			continue // it ended
		}
		handles = append(handles, h)
	}
	for _, h := range handles {
		if err := h.Signal(s); err != nil {
			return err
		}
	}
	return nil
}

// product is what the victim runs.
func (r *run) product() (product, error) { return productOf(r.c.Software(r.victim)) }

// some gives the victim's processes with some roles; all roles when none are named.
func (r *run) some(roles ...process.Role) (process.Table, error) {
	have, err := r.c.Roles(r.victim)
	if err != nil {
		return nil, err
	}
	if len(roles) == 0 {
		roles = []process.Role{process.Keeper, process.ProxyKeeper, process.Failover, process.Checker, process.Worker, process.Other}
	}
	t := have.Of(roles...)
	if len(t) == 0 {
		return nil, fmt.Errorf("no %s process runs on %s", roles[0], r.node().Name)
	}
	return t, nil
}

func kill(roles ...process.Role) func(*run) error {
	return func(r *run) error {
		t, err := r.some(roles...)
		if err != nil {
			return err
		}
		return signalAll(t, unix.SIGKILL)
	}
}

func (r *run) killAll() error { return r.c.node(r.victim).KillAll() }

func freeze(roles ...process.Role) func(*run) error {
	return func(r *run) error {
		t, err := r.some(roles...)
		if err != nil {
			return err
		}
		r.frozen = t
		return signalAll(t, unix.SIGSTOP)
	}
}

// thaw wakes what was frozen, and starts what ended meanwhile.
func (r *run) thaw() error {
	err := signalAll(r.frozen, unix.SIGCONT)
	r.frozen = nil
	if err != nil {
		return err
	}
	return r.again()
}

func (r *run) stop() error {
	if err := r.c.node(r.victim).Hold(); err != nil {
		return err
	}
	p, err := r.product()
	if err != nil {
		return err
	}
	t, err := r.some(p.quits...)
	if err != nil {
		return err
	}
	r.leaving = t
	return signalAll(t, unix.SIGTERM)
}

// again starts those of a node's programs that have ended, and leaves those
// that run alone: whatever can put itself right does so.
func (r *run) again() error {
	for _, p := range r.leaving {
		// What was told to stop and does not is killed, as by a service manager.
		if h, err := process.Open(p.PID, p.Start); err == nil {
			if !h.Ended(stopWithin) {
				h.Signal(unix.SIGKILL)
				h.Ended(endWithin)
			}
			h.Close()
		}
	}
	r.leaving = nil
	node := r.c.node(r.victim)
	list, err := node.List()
	if err != nil {
		return err
	}
	latest := map[string]cell.Status{}
	for _, s := range list {
		latest[s.Name] = s
	}
	for _, s := range latest {
		if !s.Ended {
			continue
		}
		// Rests of a program whose first process is gone would be in the
		// way: a service manager ends them, too.
		init := r.c.initOf(r.victim)
		err := process.End(func() (process.Table, error) {
			t, err := process.Read()
			return slices.DeleteFunc(t.Below(init), func(p process.Process) bool { return process.Session(p.PID) != s.PID }), err
		}, endWithin)
		if err != nil {
			return err
		}
		if err := r.startOnly(s.Name); err != nil {
			return err
		}
	}
	return nil
}

func links(f func(space, name string) error) func(*run) error {
	return func(r *run) error {
		for _, leg := range r.node().Interfaces {
			if err := f(r.c.space(r.node().Name), leg.Name); err != nil {
				return err
			}
		}
		return nil
	}
}

// linksUp also does what a network manager does then: the node gets its own
// addresses back, as far as the kernel took them away with the link.
func (r *run) linksUp() error {
	if err := links(space.Up)(r); err != nil {
		return err
	}
	for _, leg := range r.node().Interfaces {
		if err := space.Address(r.c.space(r.node().Name), leg.Name, leg.Addresses); err != nil {
			return err
		}
	}
	return nil
}

func ports(f func(space, name string) error) func(*run) error {
	return func(r *run) error {
		for i := range r.node().Interfaces {
			if err := f(r.c.space(bridgeName), port(r.node(), i)); err != nil {
				return err
			}
		}
		return nil
	}
}

func swallow(on bool) func(*run) error {
	return ports(func(name, port string) error { return space.Swallow(name, port, on) })
}

func partition(on bool) func(*run) error {
	return func(r *run) error {
		for _, n := range r.c.Topology.Directors {
			for i := range n.Interfaces {
				if err := space.Isolate(r.c.space(bridgeName), port(n, i), on); err != nil {
					return err
				}
			}
		}
		return nil
	}
}

// powerOff takes the cable first: what the dying processes still send goes nowhere.
func (r *run) powerOff() error {
	if err := ports(space.Down)(r); err != nil {
		return err
	}
	h, err := process.Open(r.c.initOf(r.victim), 0)
	if err != nil {
		return err
	}
	defer h.Close()
	if err := h.Signal(unix.SIGKILL); err != nil {
		return err
	}
	if !h.Ended(endWithin) {
		return fmt.Errorf("node %s does not end", r.node().Name)
	}
	return nil
}

// powerOn makes the node anew: nothing is left of its former addresses.
func (r *run) powerOn() error {
	n := r.node()
	for i := range n.Interfaces {
		if err := space.Unplug(r.c.space(bridgeName), port(n, i)); err != nil {
			return err
		}
	}
	if err := space.Remove(r.c.space(n.Name)); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(r.c.nodeDir(n.Name), "run")); err != nil {
		return err
	}
	if err := r.c.makeNode(r.victim, n); err != nil {
		return err
	}
	return r.c.Start(r.victim)
}

func (r *run) powerOffAndRest() error {
	if err := r.powerOff(); err != nil {
		return err
	}
	r.touched = probe.Now()
	return r.w.Until(r.ctx, restWithin, func(l *measure.Live) bool {
		return r.rests(l, nil, r.interval+500*time.Millisecond)
	})
}

func reloading(changed bool) func(*run) error {
	return func(r *run) error {
		r.c.changed = changed
		if _, err := r.c.configure(r.victim); err != nil {
			return err
		}
		return r.reload()
	}
}

func (r *run) reload() error {
	p, err := r.product()
	if err != nil {
		return err
	}
	for _, how := range p.reloads {
		t, err := r.some(how.role)
		if err != nil {
			continue // a topology without this program
		}
		if err := signalAll(t, unix.SignalNum(how.signal)); err != nil {
			return err
		}
	}
	return nil
}

// upgrade replaces evenkeel's file and lets it take the new one into use;
// programs that cannot do that are stopped and started.
func (r *run) upgrade() error {
	p, err := r.product()
	if err != nil {
		return err
	}
	if p.restarts {
		t, err := r.some(process.Keeper)
		if err == nil {
			err = signalAll(t, unix.SIGTERM)
		}
		if err != nil {
			return err
		}
		for _, p := range t {
			if h, err := process.Open(p.PID, p.Start); err == nil {
				h.Ended(endWithin)
				h.Close()
			}
		}
		if err := r.startOnly(string(Keepalived)); err != nil {
			return err
		}
		if t, err := r.some(process.ProxyKeeper); err == nil {
			return signalAll(t, unix.SIGUSR2)
		}
		return nil
	}
	if err := copyFile(filepath.Join(r.c.dir, "evenkeel"), filepath.Join(r.c.nodeDir(r.node().Name), "bin", "evenkeel"), 0o755); err != nil {
		return err
	}
	return r.reload()
}

// startOnly starts one of the victim's programs.
func (r *run) startOnly(name string) error {
	files, err := r.c.configure(r.victim)
	if err != nil {
		return err
	}
	product, err := r.product()
	if err != nil {
		return err
	}
	for _, p := range product.programs(cell.Dir+"/bin/evenkeel", files) {
		if p.Name == name {
			_, err := r.c.node(r.victim).Start(p)
			return err
		}
	}
	return nil
}

// stopProxy ends the proxy: HAProxy by its own means; evenkeel's worker by
// killing it as often as its keeper starts it.
func (r *run) stopProxy() error {
	if err := r.c.node(r.victim).Hold(); err != nil {
		return err
	}
	if t, err := r.some(process.ProxyKeeper); err == nil {
		r.leaving = t
		return signalAll(t, unix.SIGTERM)
	}
	return kill(process.Worker)(r)
}

func (r *run) stopProxyAgain() error {
	if t, err := r.some(process.Worker); err == nil {
		return signalAll(t, unix.SIGKILL)
	}
	return nil
}
