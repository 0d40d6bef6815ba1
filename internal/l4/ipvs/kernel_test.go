package ipvs

import (
	"fmt"
	"os"
	"slices"
	"syscall"

	"evenkeel/internal/l4"
)

// kernel is an IPVS of memory: it reads requests and writes answers with the
// package's codec, and counts what was asked of it.
type kernel struct {
	services []l4.ServiceStats
	timeouts l4.Timeouts
	daemons  []l4.SyncDaemon
	changes  []string // commands other than questions
	fail     map[uint8]syscall.Errno
	closed   bool
}

func newKernel() *kernel {
	return &kernel{timeouts: l4.Timeouts{}.WithDefaults(), fail: map[uint8]syscall.Errno{}}
}

func (k *kernel) Close() error { k.closed = true; return nil }

func (k *kernel) find(key l4.Key) *l4.ServiceStats {
	for i := range k.services {
		if k.services[i].Key.Canonical() == key.Canonical() {
			return &k.services[i]
		}
	}
	return nil
}

// parts are the attributes of a request.
type parts struct {
	service  *l4.ServiceStats
	server   *l4.ServerStats
	daemon   *l4.SyncDaemon
	timeouts l4.Timeouts
}

func readRequest(body []byte) (p parts, err error) {
	if p.timeouts, err = parseTimeouts(skipNested(body)); err != nil {
		return p, err
	}
	err = attributes(body, func(a attribute) error {
		switch a.kind {
		case attrService:
			s, err := parseService(a.value)
			p.service = &s
			return err
		case attrServer:
			s, err := parseServer(a.value, p.service.AddressFamily())
			p.server = &s
			return err
		case attrDaemon:
			d, _, err := parseDaemon(a.value)
			p.daemon = &d
			return err
		}
		return nil
	})
	return p, err
}

func skipNested(body []byte) (out []byte) {
	_ = attributes(body, func(a attribute) error {
		if a.kind >= attrTimeoutTCP {
			out = appendAttribute(out, a.kind, a.value...)
		}
		return nil
	})
	return out
}

func (k *kernel) do(command uint8, dump bool, body []byte, each func([]byte) error) error {
	if k.closed {
		return os.ErrClosed
	}
	if errno := k.fail[command]; errno != 0 {
		return errno
	}
	p, err := readRequest(body)
	if err != nil {
		return err
	}
	switch command {
	case cmdGetService:
		for _, s := range k.services {
			answer := appendNested(nil, attrService, func(b []byte) []byte {
				return appendStats(appendService(b, s.Service), serviceStats64, s.Counters, s.Rates)
			})
			if err := each(answer); err != nil {
				return err
			}
		}
		return nil
	case cmdGetServer:
		s := k.find(p.service.Key)
		if s == nil {
			return syscall.ESRCH
		}
		for _, r := range s.Servers {
			answer := appendNested(nil, attrServer, func(b []byte) []byte {
				b, err = appendServer(b, r.Server)
				b = appendUint32(b, serverActive, uint32(r.Active))
				b = appendUint32(b, serverInactive, uint32(r.Inactive))
				b = appendUint32(b, serverPersistent, uint32(r.Persistent))
				return appendStats(b, serverStats64, r.Counters, r.Rates)
			})
			if err := each(answer); err != nil {
				return err
			}
		}
		return err
	case cmdGetConfig:
		return each(appendTimeouts(nil, k.timeouts))
	case cmdGetInfo:
		return each(appendUint32(appendUint32(nil, infoVersion, 1<<16|2<<8|1), infoTableSize, 4096))
	case cmdGetDaemon:
		for _, d := range k.daemons {
			if err := each(appendNested(nil, attrDaemon, func(b []byte) []byte { return appendDaemon(b, d) })); err != nil {
				return err
			}
		}
		return nil
	}
	return k.change(command, p)
}

func (k *kernel) change(command uint8, p parts) error {
	note := func(what string, args ...any) { k.changes = append(k.changes, fmt.Sprintf(what, args...)) }
	if p.service != nil && command != cmdNewService && k.find(p.service.Key) == nil {
		return syscall.ESRCH
	}
	switch command {
	case cmdNewService, cmdSetService:
		old := k.find(p.service.Key)
		if p.service.Scheduler == "nosuch" {
			return syscall.ENOENT
		}
		if command == cmdNewService {
			if old != nil {
				return syscall.EEXIST
			}
			note("add %v %s", p.service.Key, p.service.Scheduler)
			k.services = append(k.services, *p.service)
			return nil
		}
		note("edit %v %s", p.service.Key, p.service.Scheduler)
		old.Service = p.service.Service
	case cmdDelService:
		note("delete %v", p.service.Key)
		k.services = slices.DeleteFunc(k.services, func(s l4.ServiceStats) bool { return s.Key == p.service.Key })
	case cmdFlush:
		note("flush")
		k.services = nil
	case cmdZero:
		note("zero")
	case cmdNewServer, cmdSetServer, cmdDelServer:
		return k.changeServer(command, p, note)
	case cmdSetConfig:
		note("timeouts %v %v %v", p.timeouts.TCP, p.timeouts.TCPFin, p.timeouts.UDP)
		k.timeouts = p.timeouts
	case cmdNewDaemon:
		note("daemon %s", p.daemon.Interface)
		k.daemons = append(k.daemons, *p.daemon)
	case cmdDelDaemon:
		note("no daemon")
		k.daemons = slices.DeleteFunc(k.daemons, func(d l4.SyncDaemon) bool { return d.Backup == p.daemon.Backup })
	}
	return nil
}

func (k *kernel) changeServer(command uint8, p parts, note func(string, ...any)) error {
	s := k.find(p.service.Key)
	i := slices.IndexFunc(s.Servers, func(r l4.ServerStats) bool { return r.Key() == p.server.Key() })
	switch {
	case command == cmdNewServer && i >= 0:
		return syscall.EEXIST
	case command != cmdNewServer && i < 0:
		return syscall.ENOENT
	case command == cmdNewServer:
		note("add %v: %v %v weight %d", s.Key, p.server.Key(), p.server.Method, p.server.Weight)
		s.Servers = append([]l4.ServerStats{*p.server}, s.Servers...)
	case command == cmdSetServer:
		note("edit %v: %v %v weight %d", s.Key, p.server.Key(), p.server.Method, p.server.Weight)
		s.Servers[i].Server = p.server.Server
	default:
		note("delete %v: %v", s.Key, p.server.Key())
		s.Servers = slices.Delete(s.Servers, i, i+1)
	}
	return nil
}
