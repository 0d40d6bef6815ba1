package xdp

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// watcher tells of interfaces that come, change and go, in the network
// namespace that it was opened in.
type watcher struct {
	namespace *os.File
	updates   chan netlink.LinkUpdate // closed by netlink, also when it lost some
	ended     chan struct{}           // closed by close, and by renew, which makes another
	wake      chan struct{}           // closed by nobody; something else is wanted
}

const (
	settleInterfaces = 50 * time.Millisecond // several changes come together
	listInterfaces   = 30 * time.Second      // in any case
)

func openWatcher() (*watcher, error) {
	namespace, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, err
	}
	w := &watcher{namespace: namespace, wake: make(chan struct{}, 1)}
	if err := w.subscribe(); err != nil {
		namespace.Close()
		return nil, err
	}
	return w, nil
}

func (w *watcher) subscribe() error {
	w.updates, w.ended = make(chan netlink.LinkUpdate, 256), make(chan struct{})
	if err := netlink.LinkSubscribe(w.updates, w.ended); err != nil {
		return fmt.Errorf("changes of interfaces: %w", err)
	}
	return nil
}

// renew subscribes again: see hops.renew.
func (w *watcher) renew() error {
	close(w.ended)
	return w.subscribe()
}

// kick has the interfaces looked at soon.
func (w *watcher) kick() { signal(w.wake) }

func (w *watcher) close() {
	close(w.ended)
	w.namespace.Close()
}

// enter moves this thread into the watcher's namespace. It must end there.
func (w *watcher) enter() error {
	var there, here unix.Stat_t
	if err := unix.Fstat(int(w.namespace.Fd()), &there); err != nil {
		return err
	}
	if err := unix.Stat("/proc/thread-self/ns/net", &here); err != nil {
		return err
	}
	if here.Ino == there.Ino && here.Dev == there.Dev {
		return nil
	}
	return unix.Setns(int(w.namespace.Fd()), unix.CLONE_NEWNET)
}

// follow attaches the director to interfaces when they come, and lets go of
// those that went.
func (p *Plane) follow() {
	defer p.ended.Done()
	runtime.LockOSThread() // it is not unlocked: the thread ends with this
	if err := p.watch.enter(); err != nil {
		p.opts.Log.Error("interfaces that come later are not seen", "error", err)
		return
	}
	again := time.NewTicker(listInterfaces)
	defer again.Stop()
	settled := time.NewTimer(0)
	for {
		select {
		case <-p.stop:
			p.restore()
			return
		case u, ok := <-p.watch.updates:
			switch {
			case !ok:
				// Some changes were lost.
				if err := p.watch.renew(); err != nil {
					p.opts.Log.Error("interfaces", "error", err)
					p.watch.updates = nil
				}
			case u.Header.Type == unix.RTM_DELLINK && u.IfInfomsg.Family == unix.AF_UNSPEC:
				p.detach(func(a *attachment) bool { return a.index == int(u.Index) })
			}
			settled.Reset(settleInterfaces)
		case <-p.hops.lost:
			if err := p.hops.renew(); err != nil {
				p.opts.Log.Error("neighbours", "error", err) // they are looked at every second all the same
			}
		case <-p.watch.wake:
			p.reconcile()
		case <-again.C:
			p.reconcile()
		case <-settled.C:
			p.reconcile()
		}
	}
}

// reconcile has the director on the interfaces that are wanted, and only there.
func (p *Plane) reconcile() {
	links, err := netlink.LinkList()
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		p.opts.Log.Error("interfaces", "error", err)
		return
	}
	list := wanted(p.opts.Interfaces, links)
	has := func(index int) bool {
		return index == loopback || slices.ContainsFunc(list, func(l netlink.Link) bool { return l.Attrs().Index == index })
	}
	if err == nil { // an interrupted list may lack some
		p.detach(func(a *attachment) bool { return !has(a.index) })
	}
	defer p.followXDP(list, links)
	for _, l := range list {
		if p.isAttached(l.Attrs().Index) {
			p.renewPort(l)
			p.attachMarked(l)
			continue
		}
		if err := p.attachTo(l); err != nil {
			if !errors.Is(err, unix.ENODEV) { // it went meanwhile
				p.opts.Log.Error("attach", "interface", l.Attrs().Name, "error", err)
			}
			continue
		}
		p.attachMarked(l)
		p.opts.Log.Info("attached", "interface", l.Attrs().Name)
	}
}

func (p *Plane) isAttached(index int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.attached, func(a *attachment) bool { return a.index == index })
}

// detach lets go of the attachments that which says.
func (p *Plane) detach(which func(*attachment) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.attached = slices.DeleteFunc(p.attached, func(a *attachment) bool {
		if !which(a) {
			return false
		}
		a.gone()
		p.forgetPort(a)
		return true
	})
}
