package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"evenkeel/internal/alert"
	"evenkeel/internal/failover"
	"evenkeel/internal/l4"
	"evenkeel/internal/l4/director"
	"evenkeel/internal/l4/flowsync"
	"evenkeel/internal/l4/ipvs"
	"evenkeel/internal/l4/marks"
	"evenkeel/internal/l4/xdp"
	"evenkeel/internal/model"
)

// DefaultRunDirectory is where packet forwarding keeps what outlives a process.
const DefaultRunDirectory = "/run/evenkeel"

// forwarding is packet forwarding beside a failover service, which watches
// sessions, files and addresses for it.
type forwarding struct {
	svc    *director.Service
	dir    string      // what outlives a process
	retire atomic.Bool // the end is that of this process, not of forwarding

	mu    sync.Mutex // one of the service's Configure, Start, Apply and end at a time
	ended bool
}

// open makes the control side of packet forwarding. What it keeps is the
// network namespace's: several directors may run on one host.
func (w *forwarding) open(o FailoverOptions, f *failover.Service) {
	if w.dir = o.RunDirectory; w.dir == "" {
		w.dir = DefaultRunDirectory
	}
	w.dir = filepath.Join(w.dir, "forwarding-"+namespaceID())
	pin := filepath.Join(w.dir, "bpf")
	w.svc = director.New(director.Options{
		Backends: backends(pin, slog.New(&planeLog{post: f.Post})), StateFile: filepath.Join(w.dir, "state.json"), KeepServices: o.KeepServices,
		Post: f.Post, BFD: f.BFD, File: f.File,
		Sync: func(s flowsync.Settings, t flowsync.Table, notice func(bool, string)) director.Teller {
			return flowsync.Open(s, t, notice)
		}})
}

// namespaceID tells network namespaces apart as long as the host runs: by the
// kernel's cookie, which no other one gets again, or before Linux 5.14 by the
// inode.
func namespaceID() string {
	if fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err == nil {
		defer unix.Close(fd)
		if n, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE); err == nil {
			return fmt.Sprint(n)
		}
	}
	var st unix.Stat_t
	if unix.Stat("/proc/self/ns/net", &st) != nil {
		return "0"
	}
	return fmt.Sprint("inode-", st.Ino)
}

// firstPatience bounds how long a node that begins waits for the connections of
// the others before it takes addresses.
const firstPatience = 2 * time.Second

// first begins to forward before an address comes that packets are sent to.
func (w *forwarding) first() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if list, err := net.InterfaceAddrs(); err == nil {
		// Until the failover service tells: it has not looked yet.
		all := addresses(list)
		w.svc.Held(func(p netip.Prefix) bool { return holds(all, p) })
	}
	if err := w.svc.Start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), firstPatience)
	defer cancel()
	w.svc.Settle(ctx)
	return nil
}

// startAgain is how long to wait before another try to begin.
const startAgain = time.Second

// follow begins beside a failover service that goes on for another process.
// Packets are forwarded meanwhile by what that one has left, and VRRP has to be
// there before the data plane has been taken over: on a busy machine that can
// take longer than the keeper stands in.
func (w *forwarding) follow(post func(alert.Event)) {
	for !w.attempt(post) {
		time.Sleep(startAgain)
	}
}

// attempt says whether follow is over.
func (w *forwarding) attempt(post func(alert.Event)) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return true
	}
	err := w.svc.Start()
	if err != nil {
		post(alert.Event{Kind: "forwarding", Severity: alert.Critical, Plane: "l4", Text: "packets are forwarded as before, and nobody watches the servers; it is tried again: " + err.Error()})
	}
	return err == nil
}

func (w *forwarding) configure(c *model.Config) model.Diagnostics {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.svc.Configure(c)
}

func (w *forwarding) apply() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.svc.Apply()
}

func addresses(list []net.Addr) map[netip.Addr]bool {
	all := map[netip.Addr]bool{}
	for _, a := range list {
		if n, ok := a.(*net.IPNet); ok {
			if x, ok := netip.AddrFromSlice(n.IP); ok {
				all[x.Unmap()] = true
			}
		}
	}
	return all
}

// beside is what the failover service tells.
func (w *forwarding) beside() failover.Beside {
	return failover.Beside{
		First:   w.first,
		Session: func(name string) { w.svc.Changed(model.CheckerBFD, name) },
		File:    func(name string) { w.svc.Changed(model.CheckerFILE, name) },
		Addresses: func(all map[netip.Addr]bool) {
			w.svc.Held(func(p netip.Prefix) bool { return holds(all, p) })
		},
		Holders: func(instances map[string]bool) { w.svc.Masters(instances) },
		Ended: func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.ended = true
			if w.retire.Load() {
				w.svc.Retire()
			} else {
				w.svc.Stop()
				// Nothing is left in them, unless services are.
				_ = os.Remove(filepath.Join(w.dir, "bpf"))
				_ = os.Remove(w.dir)
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
func backends(pin string, log *slog.Logger) []director.Backend {
	probe := sync.OnceValue(xdp.Probe) // the kernel stays the same
	return []director.Backend{
		{
			Name: "ebpf", Features: xdp.Features,
			Probe: func() []string {
				if _, err := os.Stat(filepath.Join(pin, "maps")); err == nil {
					return nil // it forwards: finding out takes as long as taking it over
				}
				return probe().Reasons()
			},
			Advice: adviceEBPF, Marks: marksEBPF,
			Open:   func(bool) (l4.Plane, error) { return openEBPF(pin, log) },
			Remove: func() error { return xdp.Remove(pin) },
		},
		{
			Name: "ipvs", Features: ipvs.Features, Probe: ipvs.Probe,
			Open: func(flush bool) (l4.Plane, error) {
				p, err := ipvs.Open(ipvs.Options{Flush: flush})
				if err != nil {
					return nil, err
				}
				return p, nil
			},
			Flush: flushIPVS,
		},
	}
}

// marksEBPF is what our own plane misses for marks of netfilter.
func marksEBPF(f l4.Family) []string {
	c := marks.Config{IPv4: []uint32{1}}
	if f == l4.IPv6 {
		c = marks.Config{IPv6: []uint32{1}}
	}
	var missing marks.Missing
	errors.As(marks.Probe(c), &missing)
	return missing
}

// adviceEBPF is what our own plane needs of the host where it rewrites
// addresses: the kernel tells the way to the client only if it forwards.
func adviceEBPF(four, six []l4.Method) (list []string) {
	for _, c := range []struct {
		methods []l4.Method
		setting string
	}{{four, "net.ipv4.ip_forward"}, {six, "net.ipv6.conf.all.forwarding"}} {
		if !slices.Contains(c.methods, l4.NAT) && !slices.Contains(c.methods, l4.FULLNAT) {
			continue
		}
		b, err := os.ReadFile("/proc/sys/" + strings.ReplaceAll(c.setting, ".", "/"))
		if err == nil && strings.TrimSpace(string(b)) == "0" {
			list = append(list, fmt.Sprintf("%s is 0, so that the answers of NAT find no way back: sysctl -w %s=1", c.setting, c.setting))
		}
	}
	return list
}

// openEBPF goes on from what an earlier process left. What cannot be gone on from,
// as after an upgrade with other maps, is begun anew: without its connections, but
// at once. Whatever else fails leaves it as it is, forwarding.
func openEBPF(pin string, log *slog.Logger) (_ l4.Plane, err error) {
	lock, err := takeAlone(filepath.Dir(pin), handOver)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = leaveAlone(lock)
		}
	}()
	p, err := goOn(func() (*xdp.Plane, error) { return xdp.Open(xdp.Options{Pin: pin, Log: log}) }, func() error { return xdp.Remove(pin) }, log)
	if err != nil {
		return nil, err
	}
	return &alonePlane{p, lock}, nil
}

// goOn opens a plane; where what is there cannot be gone on from, without that.
func goOn[Plane any](open func() (Plane, error), remove func() error, log *slog.Logger) (Plane, error) {
	p, err := open()
	if !errors.Is(err, xdp.ErrLeft) {
		return p, err
	}
	if e := remove(); e != nil {
		return p, errors.Join(err, e)
	}
	p, again := open()
	if again == nil {
		log.Warn("connections that were forwarded before are forgotten", "error", err)
	}
	return p, again
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
