package realserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
)

// state is what Up changed, so that Down undoes that and nothing else.
type state struct {
	Boot      string       // addresses and sysctls of another boot are gone
	VIPs      []netip.Addr // what was asked for last
	Addresses []netip.Addr `json:",omitempty"` // added by us
	Sysctls   []setting    `json:",omitempty"`
	Tunnel    string       `json:",omitempty"` // name of what unwraps packets since
	Unit      bool         `json:",omitempty"`
}

// setting is a sysctl that was changed.
type setting struct{ Name, Former, Set string }

// remember notes a change. A second one of the same setting keeps the first
// former value.
func (s *state) remember(name, former, value string) {
	for i := range s.Sysctls {
		if s.Sysctls[i].Name == name {
			s.Sysctls[i].Set = value
			return
		}
	}
	s.Sysctls = append(s.Sysctls, setting{name, former, value})
}

// load reads the state; what a reboot has undone is not in it.
func (h *Host) load() (*state, error) {
	s := &state{}
	b, err := os.ReadFile(h.options.State)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(b, s)
	}
	if err != nil {
		return nil, fmt.Errorf("state of the real server: %w (%s)", err, h.options.State)
	}
	if s.Boot != h.options.BootID {
		s = &state{VIPs: s.VIPs, Unit: s.Unit}
	}
	return s, nil
}

// save replaces the file at once, or removes it when there is nothing to
// remember.
func (h *Host) save(s *state) error {
	if len(s.Addresses)+len(s.Sysctls) == 0 && s.Tunnel == "" && !s.Unit {
		if err := os.Remove(h.options.State); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	s.Boot = h.options.BootID
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return replace(h.options.State, append(b, '\n'), 0o600)
}

// replace writes a file so that it is either the old or the new one.
func replace(path string, b []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".evenkeel-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
