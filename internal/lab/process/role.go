package process

import (
	"path/filepath"
	"slices"
	"strings"
)

// Role is the part that a process plays on a node.
type Role string

// Roles. The programs of a comparison have the same ones: keepalived's parent
// is its keeper, HAProxy's master the keeper of the proxy.
const (
	Keeper      Role = "keeper"       // evenkeel's, or keepalived's parent
	Failover    Role = "failover"     // what speaks VRRP
	Checker     Role = "checker"      // keepalived's health checks
	Worker      Role = "worker"       // what carries the traffic
	ProxyKeeper Role = "proxy keeper" // HAProxy's master
	Other       Role = "other"        // scripts and what they start
)

// Roles names the parts of the processes below a node's init.
type Roles map[Role]Table

// program is how the processes of one program tell their parts.
type program struct {
	is   func(p Process) bool
	root Role // the process that init started
	// child tells the part of a process below the root.
	child func(p Process) Role
}

// programs has an entry for every program with parts.
var programs = []program{
	{
		is:   func(p Process) bool { return executable(p) == "keepalived" },
		root: Keeper,
		child: func(p Process) Role {
			if strings.Contains(p.Command, "check") {
				return Checker
			}
			return Failover
		},
	},
	{
		is:    func(p Process) bool { return executable(p) == "haproxy" },
		root:  ProxyKeeper,
		child: func(Process) Role { return Worker },
	},
	{
		is:   func(p Process) bool { return executable(p) == "evenkeel" && slices.Contains(p.Args, "run") },
		root: Keeper,
		child: func(p Process) Role {
			if strings.Contains(p.Command, "failover") || slices.Contains(p.Args, "failover") {
				return Failover
			}
			return Worker
		},
	},
}

// executable is the name that a process was started under.
func executable(p Process) string {
	if len(p.Args) == 0 {
		return p.Command
	}
	return filepath.Base(strings.Fields(p.Args[0] + " ")[0])
}

// Assign finds the parts of the processes below init, by parentage and by
// name. tell may know better than the name (an environment, an argument); it
// answers "" where it does not.
func Assign(all Table, init int, tell func(Process) Role) Roles {
	roles := Roles{}
	below := all.Below(init)
	known := map[int]int{} // process -> index of its program
	for _, p := range below {
		i := slices.IndexFunc(programs, func(k program) bool { return p.Args != nil && k.is(p) })
		role := Other
		if i >= 0 {
			role = programs[i].child(p)
			if parent, ok := known[p.Parent]; !ok || parent != i {
				role = programs[i].root
			}
			if told := tell(p); told != "" {
				role = told
			}
			known[p.PID] = i
		}
		roles[role] = append(roles[role], p)
	}
	return roles
}

// Of gives the processes of some roles, in that order.
func (r Roles) Of(roles ...Role) (t Table) {
	for _, role := range roles {
		t = append(t, r[role]...)
	}
	return t
}
