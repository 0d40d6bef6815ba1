package director

import (
	"slices"

	"evenkeel/internal/command"
	"evenkeel/internal/model"
)

// runnable is the configuration without the MISC_CHECKs whose program cannot be
// run here. keepalived leaves them out too and goes on: a configuration that it
// serves must not stand still with us.
func runnable(f *model.Failover) (*model.Failover, model.Diagnostics) {
	var d model.Diagnostics
	c := *f
	c.VirtualServers = slices.Clone(f.VirtualServers)
	for i, v := range f.VirtualServers {
		for n, r := range v.Real {
			kept := slices.DeleteFunc(slices.Clone(r.Checkers), func(k *model.RealCheck) bool {
				why := unrunnable(k, f)
				if why != nil {
					d = append(d, model.Diagnostic{Pos: k.Script.Command.Pos, Severity: model.Warning, Cure: "put the program there, and reload",
						Message: "the check of " + serverName(r) + " is left out, as keepalived does: " + why.Error()})
				}
				return why != nil
			})
			if len(kept) == len(r.Checkers) {
				continue
			}
			if c.VirtualServers[i] == v {
				copied := *v
				copied.Real = slices.Clone(v.Real)
				c.VirtualServers[i] = &copied
			}
			server := *r
			server.Checkers = kept
			c.VirtualServers[i].Real[n] = &server
		}
	}
	if len(d) == 0 {
		return f, nil
	}
	return &c, d
}

// unrunnable is why the program of a check cannot be run; nil: it can, or it is
// another kind of check. A user that is not there is an error elsewhere.
func unrunnable(k *model.RealCheck, f *model.Failover) error {
	if k.Kind != model.CheckerMISC || k.Script == nil || len(k.Script.Command.Argv) == 0 {
		return nil
	}
	id, err := identity(&k.Script.Command, f)
	if err != nil {
		return nil
	}
	return command.Command{Argv: k.Script.Command.Argv, User: id}.Verify(f.ScriptCheck)
}
