package main

import (
	"fmt"
	"os"
	"strings"

	"evenkeel/internal/l4/ipvs"
	"evenkeel/internal/l4/ipvsadm"
)

// kernelTable is the kernel's IPVS as ipvsadm's table.
type kernelTable struct{ *ipvs.Client }

// Version is that of the kernel's IPVS.
func (t kernelTable) Version() (string, int, error) {
	i, err := t.Info()
	return i.String(), i.TableSize, err
}

// ipvsadmMain is `ipvsadm ARGS…`, on the kernel's IPVS.
func ipvsadmMain(args []string) int {
	names := ipvsadm.NewSystemNames()
	s := &ipvsadm.Shell{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Resolver: names, Names: names}
	// Help, and what is wrong with a command line, need no table.
	if c, err := ipvsadm.Parse(args, names); err != nil || c.Action == ipvsadm.Help || c.Action == ipvsadm.Version {
		return s.Main(args)
	}
	client, err := ipvs.Dial()
	if err != nil {
		why := err.Error()
		if missing := ipvs.Probe(); len(missing) > 0 {
			why = strings.Join(missing, "; ")
		}
		fmt.Fprintf(os.Stderr, "ipvsadm: %s\n", why)
		return 255
	}
	defer client.Close()
	s.Table = kernelTable{client}
	return s.Main(args)
}
