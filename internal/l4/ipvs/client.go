package ipvs

import (
	"fmt"
	"slices"

	"evenkeel/internal/l4"
)

// Client says single things to the kernel's IPVS. Its errors wrap the kernel's
// error number (syscall.Errno). It can be used from several goroutines.
type Client struct {
	to          transport
	connections func() ([]byte, error) // the text of /proc/net/ip_vs_conn
}

// Dial connects to the IPVS of the network namespace of the calling thread.
func Dial() (*Client, error) {
	s, err := open()
	if err != nil {
		return nil, fmt.Errorf("IPVS: %w", err)
	}
	return &Client{to: s, connections: readConnections}, nil
}

// Close ends the connection. The kernel goes on as it is.
func (c *Client) Close() error { return c.to.Close() }

// change is a request that is answered by yes or no.
func (c *Client) change(what string, command uint8, body []byte) error {
	if err := c.to.do(command, false, body, nil); err != nil {
		return fmt.Errorf("IPVS: %s: %w", what, err)
	}
	return nil
}

func serviceBody(k l4.Key) []byte {
	return appendNested(nil, attrService, func(b []byte) []byte { return appendKey(b, k) })
}

// AddService adds a service without servers.
func (c *Client) AddService(s l4.Service) error {
	return c.change("adding "+s.Key.String(), cmdNewService,
		appendNested(nil, attrService, func(b []byte) []byte { return appendService(b, s) }))
}

// EditService changes what a service says of itself; its servers stay.
func (c *Client) EditService(s l4.Service) error {
	return c.change("changing "+s.Key.String(), cmdSetService,
		appendNested(nil, attrService, func(b []byte) []byte { return appendService(b, s) }))
}

// DeleteService removes a service and its servers.
func (c *Client) DeleteService(k l4.Key) error {
	return c.change("removing "+k.String(), cmdDelService, serviceBody(k))
}

// Flush removes all services.
func (c *Client) Flush() error { return c.change("removing all services", cmdFlush, nil) }

// Zero sets the counters of these services back; without a key, of all.
func (c *Client) Zero(keys ...l4.Key) error {
	if len(keys) == 0 {
		return c.change("zeroing", cmdZero, nil)
	}
	for _, k := range keys {
		if err := c.change("zeroing "+k.String(), cmdZero, serviceBody(k)); err != nil {
			return err
		}
	}
	return nil
}

// AddServer adds a server to a service.
func (c *Client) AddServer(k l4.Key, s l4.Server) error {
	return c.server("adding", cmdNewServer, k, s)
}

// EditServer changes a server; its connections stay.
func (c *Client) EditServer(k l4.Key, s l4.Server) error {
	return c.server("changing", cmdSetServer, k, s)
}

func (c *Client) server(what string, command uint8, k l4.Key, s l4.Server) error {
	var wrong error
	body := appendNested(serviceBody(k), attrServer, func(b []byte) []byte {
		b, wrong = appendServer(b, s)
		return b
	})
	if wrong != nil {
		return fmt.Errorf("%v: server %v: %w", k, s.Key(), wrong)
	}
	return c.change(fmt.Sprintf("%s server %v of %v", what, s.Key(), k), command, body)
}

// DeleteServer removes a server. The kernel remembers it as long as it has
// connections.
func (c *Client) DeleteServer(k l4.Key, s l4.ServerKey) error {
	return c.change(fmt.Sprintf("removing server %v of %v", s, k), cmdDelServer,
		appendNested(serviceBody(k), attrServer, func(b []byte) []byte { return appendServerKey(b, s) }))
}

// Services lists all services with their servers, in the kernel's order: of
// servers, the one added last comes first.
func (c *Client) Services() ([]l4.ServiceStats, error) {
	var list []l4.ServiceStats
	err := c.to.do(cmdGetService, true, nil, one(attrService, func(b []byte) error {
		s, err := parseService(b)
		list = append(list, s)
		return err
	}))
	if err != nil {
		return nil, fmt.Errorf("IPVS: services: %w", err)
	}
	for i := range list {
		s := &list[i]
		err := c.to.do(cmdGetServer, true, serviceBody(s.Key), one(attrServer, func(b []byte) error {
			r, err := parseServer(b, s.AddressFamily())
			s.Servers = append(s.Servers, r)
			return err
		}))
		if err != nil {
			return nil, fmt.Errorf("IPVS: servers of %v: %w", s.Key, err)
		}
		// A change during a dump may show a server twice.
		seen := map[l4.ServerKey]bool{}
		s.Servers = slices.DeleteFunc(s.Servers, func(r l4.ServerStats) bool {
			twice := seen[r.Key()]
			seen[r.Key()] = true
			return twice
		})
	}
	return list, nil
}

// one picks the attribute of a message that is asked for.
func one(kind uint16, read func([]byte) error) func([]byte) error {
	return func(b []byte) error {
		return attributes(b, func(a attribute) error {
			if a.kind != kind {
				return nil
			}
			return read(a.value)
		})
	}
}

// Info is the kernel's version of IPVS and the size of its table.
func (c *Client) Info() (Info, error) {
	var i Info
	err := c.to.do(cmdGetInfo, false, nil, func(b []byte) (err error) {
		i, err = parseInfo(b)
		return err
	})
	if err != nil {
		return i, fmt.Errorf("IPVS: version: %w", err)
	}
	return i, nil
}

// Timeouts are those of the kernel.
func (c *Client) Timeouts() (l4.Timeouts, error) {
	var t l4.Timeouts
	err := c.to.do(cmdGetConfig, false, nil, func(b []byte) (err error) {
		t, err = parseTimeouts(b)
		return err
	})
	if err != nil {
		return t, fmt.Errorf("IPVS: timeouts: %w", err)
	}
	return t, nil
}

// SetTimeouts changes those that are not 0.
func (c *Client) SetTimeouts(t l4.Timeouts) error {
	return c.change("setting timeouts", cmdSetConfig, appendTimeouts(nil, t))
}

// Daemons are the synchronisation daemons that run.
func (c *Client) Daemons() ([]l4.SyncDaemon, error) {
	var list []l4.SyncDaemon
	err := c.to.do(cmdGetDaemon, true, nil, one(attrDaemon, func(b []byte) error {
		d, ok, err := parseDaemon(b)
		if ok {
			list = append(list, d)
		}
		return err
	}))
	if err != nil {
		return nil, fmt.Errorf("IPVS: sync daemons: %w", err)
	}
	return list, nil
}

// StartDaemon starts one end of the synchronisation.
func (c *Client) StartDaemon(d l4.SyncDaemon) error {
	return c.change("starting the sync daemon on "+d.Interface, cmdNewDaemon,
		appendNested(nil, attrDaemon, func(b []byte) []byte { return appendDaemon(b, d) }))
}

// StopDaemon ends it.
func (c *Client) StopDaemon(backup bool) error {
	return c.change("stopping the sync daemon", cmdDelDaemon,
		appendNested(nil, attrDaemon, func(b []byte) []byte { return appendUint32(b, daemonState, daemonStateNumber(backup)) }))
}

// Flows lists the connections that the kernel remembers.
func (c *Client) Flows(yield func(l4.Flow) bool) error {
	text, err := c.connections()
	if err != nil {
		return fmt.Errorf("IPVS: connections: %w", err)
	}
	return parseConnections(text, yield)
}
