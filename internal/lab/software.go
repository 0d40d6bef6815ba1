package lab

import (
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"evenkeel/internal/lab/cell"
	"evenkeel/internal/lab/process"
)

// Software is what the directors of a cluster run.
type Software string

// Kinds of software.
const (
	Evenkeel   Software = "evenkeel"
	Keepalived Software = "keepalived" // with HAProxy
)

// ReadSoftware reads what the command line says: KIND for all directors,
// NAME=KIND for one; several with commas.
func ReadSoftware(text string) (all Software, nodes map[string]Software, err error) {
	nodes = map[string]Software{}
	for word := range strings.SplitSeq(text, ",") {
		name, kind, one := strings.Cut(word, "=")
		switch {
		case one && name != "" && kind != "" && nodes[name] == "":
			nodes[name] = Software(kind)
		case !one && all == "" && word != "":
			all = Software(word)
		case text != "":
			return "", nil, fmt.Errorf("%q: write evenkeel or keepalived, for one director NAME=keepalived, and several with commas", text)
		}
	}
	return all, nodes, nil
}

// Software is what a director runs.
func (c *Cluster) Software(index int) Software {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.of(c.Topology.Directors[index])
}

// Mixed says whether directors run different software.
func (c *Cluster) Mixed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.mixed(c.Topology)
}

// install notes what directors are to run, and says whether that is a change.
func (c *Cluster) install(software Software, nodes map[string]Software) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.Software == software && maps.Equal(c.state.Nodes, nodes) {
		return false
	}
	c.state.Software, c.state.Nodes = software, nodes
	return true
}

// runs says what the directors run.
func (c *Cluster) runs() string {
	if !c.Mixed() {
		return string(c.Software(0))
	}
	var words []string
	for i, n := range c.Topology.Directors {
		words = append(words, fmt.Sprintf("%s (%s)", c.Software(i), n.Name))
	}
	return strings.Join(words, " and ")
}

// configs are the paths of a director's files as the node sees them; empty
// where the topology names none.
type configs struct{ haproxy, keepalived string }

// product is how one kind of software is run and told things.
type product struct {
	name Software
	// needs are programs that must be installed.
	needs []string
	// programs are what a node starts, in order. own is this program as the
	// node sees it.
	programs func(own string, c configs) []cell.Program
	// quits are the roles whose processes get SIGTERM when a node is stopped.
	quits []process.Role
	// reloads are the roles that are told to read their files again.
	reloads []reload
	// restarts is set where an upgrade is a stop and a start.
	restarts bool
}

// reload is a signal for a role.
type reload struct {
	role   process.Role
	signal string
}

// products has an entry for every kind.
var products = []product{
	{
		name: Evenkeel,
		programs: func(own string, c configs) []cell.Program {
			args := []string{own, "run"}
			for _, f := range []string{c.haproxy, c.keepalived} {
				if f != "" {
					args = append(args, f)
				}
			}
			return []cell.Program{{Name: "evenkeel", Args: args}}
		},
		quits:   []process.Role{process.Keeper},
		reloads: []reload{{process.Keeper, "SIGHUP"}},
	},
	{
		name:  Keepalived,
		needs: []string{"keepalived", "haproxy"},
		programs: func(_ string, c configs) (list []cell.Program) {
			if c.haproxy != "" {
				// Debian's haproxy.service has Restart=always, with systemd's
				// 100 ms; its keepalived.service has no Restart.
				list = append(list, cell.Program{Name: "haproxy", Restart: 100 * time.Millisecond, Args: []string{find("haproxy"), "-W", "-db", "-f", c.haproxy}})
			}
			if c.keepalived != "" {
				list = append(list, cell.Program{Name: "keepalived", Args: []string{find("keepalived"), "-n", "-l", "-D", "-f", c.keepalived}})
			}
			return list
		},
		quits:    []process.Role{process.Keeper, process.ProxyKeeper},
		reloads:  []reload{{process.Keeper, "SIGHUP"}, {process.ProxyKeeper, "SIGUSR2"}},
		restarts: true,
	},
}

// productOf finds what is known of a kind of software, and whether this
// machine has it.
func productOf(name Software) (product, error) {
	var names []string
	for _, p := range products {
		names = append(names, string(p.name))
		if p.name != name {
			continue
		}
		for _, need := range p.needs {
			if find(need) == "" {
				return p, fmt.Errorf("%s is not installed (as root on Debian: apt-get install %s)", need, need)
			}
		}
		return p, nil
	}
	return product{}, fmt.Errorf("directors cannot run %q; they run one of %s", name, strings.Join(names, ", "))
}

// find looks a program up, also where PATH of an ordinary user does not.
func find(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	return ""
}
