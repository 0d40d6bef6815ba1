package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"evenkeel/internal/lab/topology"
)

// Place is where a machine's labs are.
type Place struct {
	Base   string // directory of all labs; DefaultBase when empty
	Prefix string // of network namespaces; DefaultPrefix when empty
}

// Defaults of a Place.
const (
	DefaultBase   = "/run/evenkeel-lab"
	DefaultPrefix = "ekl-"
)

func (p Place) filled() Place {
	if p.Base == "" {
		p.Base = DefaultBase
	}
	if p.Prefix == "" {
		p.Prefix = DefaultPrefix
	}
	return p
}

// Files of a lab's directory.
const (
	stateFile = "state.json"
	sourceDir = "source" // the topology and its templates, as they were
	lockFile  = "lock"
)

// state is what a later command needs to know. It is written before anything
// is made, so that whatever exists can be found.
type state struct {
	Name     string
	Prefix   string
	Topology string              // name of the file in sourceDir
	Software Software            // of directors that do not say it
	Nodes    map[string]Software `json:",omitempty"` // of single ones
	Complete bool                // everything was started
}

// of is what a director runs.
func (s *state) of(n topology.Node) Software {
	switch {
	case s.Nodes[n.Name] != "":
		return s.Nodes[n.Name]
	case n.Software != "":
		return Software(n.Software)
	}
	return s.Software
}

// mixed says whether directors run different software.
func (s *state) mixed(t *topology.Topology) bool {
	return slices.ContainsFunc(t.Directors, func(n topology.Node) bool { return s.of(n) != s.of(t.Directors[0]) })
}

// judge says whether all directors can have their software.
func (s *state) judge(t *topology.Topology) error {
	for name := range s.Nodes {
		if _, ok := t.Director(name); !ok {
			return fmt.Errorf("no director of %s is called %q", t.Name, name)
		}
	}
	for _, n := range t.Directors {
		if _, err := productOf(s.of(n)); err != nil {
			return err
		}
	}
	return nil
}

func (s state) write(dir string) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, stateFile)
	if err := os.WriteFile(path+".new", append(b, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func readState(dir string) (s state, err error) {
	b, err := os.ReadFile(filepath.Join(dir, stateFile))
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("%s: %w", filepath.Join(dir, stateFile), err)
	}
	return s, nil
}

// Names lists the labs of a place, also broken ones.
func (p Place) Names() ([]string, error) {
	p = p.filled()
	entries, err := os.ReadDir(p.Base)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// Choose finds the lab that is meant: the named one, or the only one.
func (p Place) Choose(name string) (string, error) {
	names, err := p.Names()
	switch {
	case err != nil:
		return "", err
	case name != "":
		return name, nil
	case len(names) == 0:
		return "", errors.New("no lab is up; make one with `evenkeel lab up TOPOLOGY`")
	case len(names) > 1:
		return "", fmt.Errorf("there are several labs, say which: %s", strings.Join(names, ", "))
	}
	return names[0], nil
}

// lock is one command's right to change a lab. It ends with the process.
type lock struct{ f *os.File }

// take locks a lab; what is said when somebody else has it.
func (p Place) take(name, what string) (*lock, error) {
	path := filepath.Join(p.Base, name+"."+lockFile)
	for {
		if err := os.MkdirAll(p.Base, 0o755); err != nil {
			return nil, err
		}
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
		if errors.Is(err, os.ErrNotExist) {
			continue // the last lab went, with its directory, just now
		}
		if err != nil {
			return nil, err
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			var who [64]byte
			n, _ := f.Read(who[:])
			f.Close()
			return nil, fmt.Errorf("lab %s is in use by %s; end that first", name, strings.TrimSpace(string(who[:n])))
		}
		// Whoever had it before may have removed the file: then this lock is of nothing.
		var held, named unix.Stat_t
		if unix.Fstat(int(f.Fd()), &held) == nil && unix.Stat(path, &named) == nil && held.Ino == named.Ino {
			f.Truncate(0)
			fmt.Fprintf(f, "process %d (%s)", os.Getpid(), what)
			return &lock{f}, nil
		}
		f.Close()
	}
}

// release gives the lock back. The file goes, too: nothing stays behind.
func (l *lock) release() {
	os.Remove(l.f.Name())
	l.f.Close()
	// The directory of all labs goes with the last one; it is not empty before.
	os.Remove(filepath.Dir(l.f.Name()))
}

// save keeps the topology and its templates, as they are now, with the lab.
func save(dir, file string, t *topology.Topology) error {
	names := []string{filepath.Base(file)}
	for _, f := range []string{t.Haproxy, t.Keepalived} {
		if f != "" {
			names = append(names, f)
		}
	}
	for _, f := range t.Files {
		names = append(names, f.Path)
	}
	for _, name := range names {
		b, err := os.ReadFile(filepath.Join(filepath.Dir(file), name))
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		to := filepath.Join(dir, sourceDir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(to, b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// ReadTopology parses a topology file.
func ReadTopology(file string) (*topology.Topology, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return topology.Parse(file, string(b))
}
