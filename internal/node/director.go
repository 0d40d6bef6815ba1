package node

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"evenkeel/internal/failover"
	"evenkeel/internal/l4"
	"evenkeel/internal/l4/director"
	"evenkeel/internal/l4/ipvs"
	"evenkeel/internal/l4/xdp"
	"evenkeel/internal/model"
)

// DefaultRunDirectory is where packet forwarding keeps what outlives a process.
const DefaultRunDirectory = "/run/evenkeel"

// forwarding is packet forwarding beside a failover service, which watches
// sessions, files and addresses for it.
type forwarding struct {
	svc    *director.Service
	retire atomic.Bool // the end is that of this process, not of forwarding
}

// open makes the control side of packet forwarding. What it keeps is the
// network namespace's: several directors may run on one host.
func (w *forwarding) open(o FailoverOptions, f *failover.Service) {
	dir := o.RunDirectory
	if dir == "" {
		dir = DefaultRunDirectory
	}
	dir = filepath.Join(dir, "forwarding-"+namespaceID())
	w.svc = director.New(director.Options{
		Backends: backends(filepath.Join(dir, "bpf")), StateFile: filepath.Join(dir, "state.json"), KeepServices: o.KeepServices,
		Post: f.Post, BFD: f.BFD, File: f.File})
}

// namespaceID tells network namespaces apart as long as the host runs.
func namespaceID() string {
	var st unix.Stat_t
	if unix.Stat("/proc/self/ns/net", &st) != nil {
		return "0"
	}
	return fmt.Sprint(st.Ino)
}

// beside is what the failover service tells.
func (w *forwarding) beside() failover.Beside {
	return failover.Beside{
		Session: func(name string) { w.svc.Changed(model.CheckerBFD, name) },
		File:    func(name string) { w.svc.Changed(model.CheckerFILE, name) },
		Addresses: func(all map[netip.Addr]bool) {
			w.svc.Held(func(p netip.Prefix) bool { return holds(all, p) })
		},
		Ended: func() {
			if w.retire.Load() {
				w.svc.Retire()
			} else {
				w.svc.Stop()
			}
		},
	}
}

// holds says whether an address of p is there.
func holds(all map[netip.Addr]bool, p netip.Prefix) bool {
	if p.IsSingleIP() {
		return all[p.Addr()]
	}
	for a := range all {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// backends are the ways to forward packets, the preferred one first. pin is
// where our own keeps what goes on without a process.
func backends(pin string) []director.Backend {
	return []director.Backend{
		{
			Name: "ebpf", Features: xdp.Features, Probe: func() []string { return nil },
			Open: func(bool) (l4.Plane, error) {
				return plane(xdp.Open(xdp.Options{Pin: pin, Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))}))
			},
			Remove: func() error { return xdp.Remove(pin) },
		},
		{
			Name: "ipvs", Features: ipvs.Features, Probe: ipvs.Probe,
			Open:  func(flush bool) (l4.Plane, error) { return plane(ipvs.Open(ipvs.Options{Flush: flush})) },
			Flush: flushIPVS,
		},
	}
}

// plane keeps a nil pointer from becoming a plane that is not nil.
func plane[P l4.Plane](p P, err error) (l4.Plane, error) {
	if err != nil {
		return nil, err
	}
	return p, nil
}

func flushIPVS() error {
	c, err := ipvs.Dial()
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Flush()
}

// control answers what is about forwarding; ok is false when it is not.
func (w *forwarding) control(line string, failover func(string) string) (answer string, ok bool) {
	switch words := strings.Fields(line); {
	case len(words) == 0:
		return "", false
	case words[0] == "services":
		return w.svc.Control(line), true
	case words[0] == "help":
		return failover(line) + "\n" + director.Help(), true
	case line == "status":
		v := w.svc.View()
		if len(v.Virtual) == 0 && len(v.ByHand) == 0 {
			return "", false
		}
		return failover(line) + "\n" + v.Text(), true
	case line == "status json":
		return together(failover(line), w.svc.View()), true
	}
	return "", false
}

// together is the failover service's status with that of forwarding.
func together(text string, v *director.View) string {
	var all map[string]json.RawMessage
	forwarding, err := json.Marshal(v)
	if err != nil || json.Unmarshal([]byte(text), &all) != nil {
		return text
	}
	all["forwarding"] = forwarding
	b, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return text
	}
	return string(b) + "\n"
}
