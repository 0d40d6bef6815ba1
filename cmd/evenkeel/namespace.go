package main

import (
	"fmt"
	"os"

	"evenkeel/internal/keeper"
	"evenkeel/internal/keeper/worker"
	"evenkeel/internal/node"
)

// enterNamespace moves the process into the network namespace that was ordered
// (-s), or that the files name (net_namespace), before it opens anything: the
// keeper acts there too when the failover process cannot. False: it could not,
// which has been said.
func enterNamespace(ordered string, o node.FailoverOptions) bool {
	name := ordered
	if name == "" {
		cfg, d := node.ReadFailover(o, worker.NewFiles())
		if d.HasErrors() || cfg == nil || cfg.Failover == nil {
			return true // that is told by whoever serves it
		}
		name = cfg.Failover.Namespace
	}
	if name == "" {
		return true
	}
	if err := keeper.EnterNamespace(name, executable()); err != nil {
		fmt.Fprintf(os.Stderr, "evenkeel: %v\n", err)
		return false
	}
	return true
}
