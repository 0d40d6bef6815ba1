package marks

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// Config is which marks packets to this host's own addresses are looked for, by
// family.
type Config struct {
	IPv4, IPv6 []uint32
}

func (c *Config) of(k *kind) []uint32 {
	if k.family == nftables.TableFamilyIPv6 {
		return c.IPv6
	}
	return c.IPv4
}

// Tables are the two tables of one network namespace. Its methods can be called
// from several goroutines.
type Tables struct {
	namespace *os.File
	changed   chan struct{} // closed by nobody

	mu      sync.Mutex
	config  Config
	none    bool          // there are no tables, and none are wanted
	monitor *os.File      // tells that rules have changed; nil: nobody does
	ended   chan struct{} // closed when monitor is not read any more
}

// Open is for the network namespace that the thread is in. It changes nothing.
func Open() (*Tables, error) {
	namespace, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, err
	}
	t := &Tables{namespace: namespace, changed: make(chan struct{}, 1)}
	t.monitor, err = listen() // in this namespace
	if err != nil {
		return t, nil // a kernel without nftables: Set will say so if it matters
	}
	t.ended = make(chan struct{})
	go t.follow(t.monitor)
	return t, nil
}

// listen opens a socket that gets a message whenever somebody has changed rules.
func listen() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, err
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (unix.NFNLGRP_NFTABLES - 1)}); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "nftables"), nil
}

// follow passes on that something has changed; what it was is not looked at.
func (t *Tables) follow(monitor *os.File) {
	defer close(t.ended)
	b := make([]byte, 1<<16)
	for {
		_, err := monitor.Read(b)
		if err != nil && !errors.Is(err, unix.ENOBUFS) { // some were lost: there were changes
			return
		}
		select {
		case t.changed <- struct{}{}:
		default:
		}
	}
}

// Changed gives a token when somebody has changed rules of nftables, Set among
// them: calling Keep is in order.
func (t *Tables) Changed() <-chan struct{} { return t.changed }

// Set has packets with these marks come to the director. Saying the same again
// changes nothing, and puts back what somebody has removed. Each table is
// exchanged in one step: no packet passes without.
func (t *Tables) Set(c Config) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.config = c
	return t.put()
}

// Keep puts the tables back as Set has left them, should somebody have changed
// them.
func (t *Tables) Keep() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.put()
}

func (t *Tables) put() error {
	empty := len(t.config.IPv4)+len(t.config.IPv6) == 0
	if empty && t.none {
		return nil
	}
	t.none = false
	c, err := nftables.New(nftables.WithNetNSFd(int(t.namespace.Fd())), nftables.AsLasting())
	if err == nil {
		defer c.CloseLasting()
		err = put(c, t.config)
	}
	if err == nil || empty && Probe(Config{IPv4: []uint32{1}}) != nil { // without nftables there is nothing to remove
		t.none = empty
		return nil
	}
	if missing := Probe(t.config); missing != nil {
		return missing
	}
	return fmt.Errorf("nftables: %w", err)
}

// put makes both tables as wanted.
func put(c *nftables.Conn, config Config) error {
	for _, k := range kinds() {
		want := k.wanted(config.of(&k))
		have, err := k.read(c)
		if err != nil {
			return fmt.Errorf("read the %s table: %w", k.name, err)
		}
		if have.equal(want) {
			continue
		}
		if have != nil {
			c.DelTable(k.table())
		}
		if want != nil {
			if err := k.build(c, k.rules(), want.Marks); err != nil {
				return err
			}
		}
		if err := c.Flush(); err != nil {
			return fmt.Errorf("write the %s table: %w", k.name, err)
		}
	}
	return nil
}

// Close ends the watch. The tables stay as they are.
func (t *Tables) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var err error
	if t.monitor != nil {
		err = t.monitor.Close()
		<-t.ended
		t.monitor = nil
	}
	return errors.Join(err, t.namespace.Close())
}

// Remove takes the tables away from this thread's network namespace, whoever
// has set them.
func Remove() error {
	t, err := Open()
	if err != nil {
		return err
	}
	return errors.Join(t.Set(Config{}), t.Close())
}
