package director

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"

	"evenkeel/internal/l4"
)

// Client changes and lists the services of a running director by hand: it is
// what ipvsadm is given as its table. Errors that the kernel's IPVS has a
// number for carry it.
type Client struct {
	// Ask sends one command to the process and gives its answer.
	Ask func(line string) (string, error)
	// Advise is told what the host lacks for what was added; nil: nobody is.
	Advise func(text string)
}

// numbers are the kernel's for what an Edit can fail with.
var numbers = map[Code]syscall.Errno{ServiceExists: syscall.EEXIST, NoService: syscall.ESRCH, ServerExists: syscall.EEXIST, NoServer: syscall.ENOENT}

// numbered is an error with the kernel's number.
type numbered struct {
	text   string
	number syscall.Errno
}

func (e *numbered) Error() string { return e.text }
func (e *numbered) Unwrap() error { return e.number }

// version is that of the IPVS whose words the data planes speak, and the size
// of its table where nobody has set another.
const (
	version   = "1.2.1"
	tableSize = 4096
)

// Version is what the first line of a listing says.
func (c *Client) Version() (string, int, error) { return version, tableSize, nil }

// PortRanges says that services may have them; whether the data plane takes them
// it says itself.
func (c *Client) PortRanges() bool { return true }

// listing asks for what the data plane has.
func (c *Client) listing() (l Listing, err error) {
	err = c.fetch("services snapshot", &l)
	if err == nil && l.Error != "" {
		err = errors.New(l.Error)
	}
	return l, err
}

func (c *Client) fetch(line string, into any) error {
	text, err := c.Ask(line)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		return fmt.Errorf("the director's answer is not understood: %s", strings.TrimSpace(text))
	}
	return nil
}

// Backend is who forwards; "": nobody yet.
func (c *Client) Backend() (string, error) {
	l, err := c.listing()
	return l.Backend, err
}

// Services are all that are forwarded now.
func (c *Client) Services() ([]l4.ServiceStats, error) {
	l, err := c.listing()
	return l.Services, err
}

// edit sends one change.
func (c *Client) edit(e Edit) error {
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	var r Reply
	if err := c.fetch("services edit "+string(b), &r); err != nil {
		return err
	}
	if c.Advise != nil {
		for _, text := range r.Advice {
			c.Advise(text)
		}
	}
	if r.Error == "" {
		return nil
	}
	if n, ok := numbers[r.Code]; ok {
		return &numbered{r.Error, n}
	}
	return errors.New(r.Error)
}

// AddService adds one without servers.
func (c *Client) AddService(s l4.Service) error { return c.edit(Edit{Do: AddService, Service: s}) }

// EditService changes the settings of one.
func (c *Client) EditService(s l4.Service) error { return c.edit(Edit{Do: EditService, Service: s}) }

// DeleteService removes one with its servers.
func (c *Client) DeleteService(k l4.Key) error {
	return c.edit(Edit{Do: DeleteService, Service: l4.Service{Key: k}})
}

// Flush removes all services.
func (c *Client) Flush() error { return c.edit(Edit{Do: Clear}) }

// AddServer adds a server to a service.
func (c *Client) AddServer(k l4.Key, s l4.Server) error {
	return c.edit(Edit{Do: AddServer, Service: l4.Service{Key: k}, Server: s})
}

// EditServer changes a server of a service.
func (c *Client) EditServer(k l4.Key, s l4.Server) error {
	return c.edit(Edit{Do: EditServer, Service: l4.Service{Key: k}, Server: s})
}

// DeleteServer removes a server from a service.
func (c *Client) DeleteServer(k l4.Key, s l4.ServerKey) error {
	return c.edit(Edit{Do: DeleteServer, Service: l4.Service{Key: k}, Server: l4.Server{Addr: s.Addr, Port: s.Port}})
}

// Zero sets the counters of services back, of all without keys.
func (c *Client) Zero(keys ...l4.Key) error {
	if len(keys) == 0 {
		return c.edit(Edit{Do: Zero})
	}
	for _, k := range keys {
		if err := c.edit(Edit{Do: Zero, Service: l4.Service{Key: k}}); err != nil {
			return err
		}
	}
	return nil
}

// Flows lists the connections that are remembered.
func (c *Client) Flows(yield func(l4.Flow) bool) error {
	var l FlowListing
	if err := c.fetch("services flows", &l); err != nil {
		return err
	}
	for _, f := range l.Flows {
		if !yield(f) {
			return nil
		}
	}
	if l.Error != "" {
		return errors.New(l.Error)
	}
	return nil
}

// Timeouts are how long idle connections are remembered.
func (c *Client) Timeouts() (l4.Timeouts, error) {
	l, err := c.listing()
	return l.Timeouts, err
}

// SetTimeouts changes those that are not 0.
func (c *Client) SetTimeouts(t l4.Timeouts) error { return c.edit(Edit{Do: SetTimeouts, Timeouts: t}) }

// Daemons are what lvs_sync_daemon has started, in IPVS's words: who tells has a
// master, who listens a backup.
func (c *Client) Daemons() (list []l4.SyncDaemon, err error) {
	var v View
	if err := c.fetch("services json", &v); err != nil || v.Pair == nil {
		return nil, err
	}
	group, _ := netip.ParseAddr(v.Pair.Group)
	d := l4.SyncDaemon{Interface: v.Pair.Interface, ID: uint8(v.Pair.ID), MaxLen: v.Pair.MaxLen, Group: group, Port: uint16(v.Pair.Port), TTL: uint8(v.Pair.TTL)}
	if v.Pair.Tells {
		list = append(list, d)
	}
	d.Backup = true
	return append(list, d), nil
}

// StartDaemon is not for by hand: which director tells the other is said in the
// configuration.
func (c *Client) StartDaemon(l4.SyncDaemon) error {
	return errors.New("the director has no synchronisation that can be started by hand; write lvs_sync_daemon in keepalived.conf")
}

// StopDaemon finds none.
func (c *Client) StopDaemon(bool) error { return &numbered{"no daemon is running", syscall.ESRCH} }
