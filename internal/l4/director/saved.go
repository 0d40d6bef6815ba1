package director

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"evenkeel/internal/health/real"
	"evenkeel/internal/l4"
	"evenkeel/internal/model"
)

// saved is what a process leaves for the next one: after a crash, an upgrade,
// or a stop that left services where they were.
type saved struct {
	Owned  []l4.Key     `json:",omitempty"` // services of the configuration
	Manual manual       // changes by hand
	Down   []downServer `json:",omitempty"`
}

// downServer is a server that the checks had found bad: the next process does
// not send it anything before it has looked.
type downServer struct{ Service, Server string }

// bad says whether the checks had found a server bad. By DR and TUN a plane
// knows it with the port of the service.
func (s *saved) bad(service string, server l4.ServerKey) bool {
	return slices.ContainsFunc(s.Down, func(d downServer) bool {
		a, err := netip.ParseAddrPort(d.Server)
		return d.Service == service && err == nil && a.Addr().Unmap() == server.Addr
	})
}

func readSaved(file string) (s saved, err error) {
	if file == "" {
		return s, nil
	}
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return saved{}, err
	}
	return s, nil
}

// write replaces the file: a reader finds the old state or the new one.
func (s *saved) write(file string) error {
	if file == "" {
		return nil
	}
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

func forget(file string) error {
	if err := os.Remove(file); file != "" && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// resumed is the configuration with the servers that were down checked before
// they get anything, and at once.
func (s *saved) resumed(f *model.Failover) *model.Failover {
	if len(s.Down) == 0 {
		return f
	}
	c := *f
	c.VirtualServers = slices.Clone(f.VirtualServers)
	for i, v := range f.VirtualServers {
		name := real.Name(v)
		x := *v
		x.Real = slices.Clone(v.Real)
		for n, r := range v.Real {
			if slices.Contains(s.Down, downServer{name, serverName(r)}) {
				x.Real[n] = suspect(r)
			}
		}
		c.VirtualServers[i] = &x
	}
	return &c
}

// suspect is a server that is taken for bad until it has been checked.
func suspect(r *model.RealServer) *model.RealServer {
	x := *r
	x.Checkers = slices.Clone(r.Checkers)
	for i, c := range r.Checkers {
		y := *c
		y.Alpha, y.Warmup = true, 0
		x.Checkers[i] = &y
	}
	return &x
}

// keep is what of the changes by hand goes on after a restart of the process.
// A service that only the new configuration has is as it says.
func (s *saved) keep(p *plan) manual {
	m := s.Manual.clone()
	m.Services = slices.DeleteFunc(m.Services, func(x manualService) bool {
		owned := p.owner[x.Key] != nil
		if x.Whole {
			return owned && !slices.Contains(s.Owned, x.Key)
		}
		return !owned
	})
	return m
}
