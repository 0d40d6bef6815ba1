package ipvsadm

import (
	"net/netip"
	"slices"
	"syscall"
	"time"

	"evenkeel/internal/l4"
)

// memory is a Table that refuses what the kernel refuses.
type memory struct {
	services []l4.ServiceStats
	timeouts l4.Timeouts
	daemons  []l4.SyncDaemon
	flows    []l4.Flow
	zeroed   []l4.Key
}

func newMemory() *memory { return &memory{timeouts: l4.Timeouts{}.WithDefaults()} }

func (m *memory) Version() (string, int, error)        { return "1.2.1", 4096, nil }
func (m *memory) Services() ([]l4.ServiceStats, error) { return m.services, nil }
func (m *memory) Flush() error                         { m.services = nil; return nil }
func (m *memory) Timeouts() (l4.Timeouts, error)       { return m.timeouts, nil }
func (m *memory) Daemons() ([]l4.SyncDaemon, error)    { return m.daemons, nil }
func (m *memory) Flows(yield func(l4.Flow) bool) error {
	for _, f := range m.flows {
		if !yield(f) {
			break
		}
	}
	return nil
}

func (m *memory) find(k l4.Key) *l4.ServiceStats {
	i := slices.IndexFunc(m.services, func(s l4.ServiceStats) bool { return s.Key.Canonical() == k.Canonical() })
	if i < 0 {
		return nil
	}
	return &m.services[i]
}

func check(s l4.Service) error {
	if _, ok := l4.SchedulerByName(s.Scheduler); !ok || (s.PersistenceName != "" && s.PersistenceName != "sip") {
		return syscall.ENOENT
	}
	return nil
}

func (m *memory) AddService(s l4.Service) error {
	if m.find(s.Key) != nil {
		return syscall.EEXIST
	}
	if err := check(s); err != nil {
		return err
	}
	m.services = append(m.services, l4.ServiceStats{Service: s})
	return nil
}

func (m *memory) EditService(s l4.Service) error {
	old := m.find(s.Key)
	if old == nil {
		return syscall.ESRCH
	}
	if err := check(s); err != nil {
		return err
	}
	old.Service = s
	return nil
}

func (m *memory) DeleteService(k l4.Key) error {
	if m.find(k) == nil {
		return syscall.ESRCH
	}
	m.services = slices.DeleteFunc(m.services, func(s l4.ServiceStats) bool { return s.Key.Canonical() == k.Canonical() })
	return nil
}

func server(s *l4.ServiceStats, k l4.ServerKey) int {
	return slices.IndexFunc(s.Servers, func(r l4.ServerStats) bool { return r.Key() == k })
}

func checkServer(r l4.Server) error {
	if r.Addr.IsMulticast() || r.Addr.IsUnspecified() || r.Addr == netip.MustParseAddr("255.255.255.255") {
		return syscall.EINVAL
	}
	if r.Lower > r.Upper {
		return syscall.ERANGE
	}
	return nil
}

func (m *memory) AddServer(k l4.Key, r l4.Server) error {
	s := m.find(k)
	if s == nil {
		return syscall.ESRCH
	}
	if err := checkServer(r); err != nil {
		return err
	}
	if server(s, r.Key()) >= 0 {
		return syscall.EEXIST
	}
	s.Servers = append([]l4.ServerStats{{Server: r}}, s.Servers...)
	return nil
}

func (m *memory) EditServer(k l4.Key, r l4.Server) error {
	s := m.find(k)
	if s == nil {
		return syscall.ESRCH
	}
	if err := checkServer(r); err != nil {
		return err
	}
	i := server(s, r.Key())
	if i < 0 {
		return syscall.ENOENT
	}
	s.Servers[i].Server = r
	return nil
}

func (m *memory) DeleteServer(k l4.Key, r l4.ServerKey) error {
	s := m.find(k)
	if s == nil {
		return syscall.ESRCH
	}
	i := server(s, r)
	if i < 0 {
		return syscall.ENOENT
	}
	s.Servers = slices.Delete(s.Servers, i, i+1)
	return nil
}

func (m *memory) Zero(keys ...l4.Key) error {
	for _, k := range keys {
		if m.find(k) == nil {
			return syscall.ESRCH
		}
	}
	m.zeroed = append(m.zeroed, keys...)
	return nil
}

func (m *memory) SetTimeouts(t l4.Timeouts) error {
	for _, x := range []struct{ to, from *time.Duration }{{&m.timeouts.TCP, &t.TCP}, {&m.timeouts.TCPFin, &t.TCPFin}, {&m.timeouts.UDP, &t.UDP}} {
		if *x.from != 0 {
			*x.to = *x.from
		}
	}
	return nil
}

func (m *memory) StartDaemon(d l4.SyncDaemon) error {
	if d.Interface != "lo" {
		return syscall.ENODEV
	}
	if d.Group.Is6() {
		return syscall.ENETUNREACH
	}
	if !d.Group.IsValid() {
		d.Group = netip.MustParseAddr("224.0.0.81")
	}
	if d.Port == 0 {
		d.Port = 8848
	}
	if d.TTL == 0 {
		d.TTL = 1
	}
	if d.MaxLen == 0 {
		d.MaxLen = 1472
		if d.Backup {
			d.MaxLen = 65507
		}
	}
	m.daemons = append(m.daemons, d)
	return nil
}

func (m *memory) StopDaemon(backup bool) error {
	i := slices.IndexFunc(m.daemons, func(d l4.SyncDaemon) bool { return d.Backup == backup })
	if i < 0 {
		return syscall.ESRCH
	}
	m.daemons = slices.Delete(m.daemons, i, i+1)
	return nil
}
