package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"evenkeel/internal/lab"
	"evenkeel/internal/lab/cell"
	"evenkeel/internal/lab/probe"
	"evenkeel/internal/lab/report"
)

// labCommands are the words after `evenkeel lab`. Those without help are for
// the lab's own processes.
func labCommands() []command {
	return []command{
		{"up", "TOPOLOGY", "make the cluster that this file describes, and leave it running", labUp},
		{"drill", "[NAME...]", "try failures on a running cluster, or on one made for it (-topology)", labDrill},
		{"demo", "[-once]", "a pair of directors under failures, on a screen", labDemo},
		{"report", "[FILE]", "draw the results of a drill (-o FILE.html)", labReport},
		{"list", "", "show clusters that are up, and the drills there are", labList},
		{"down", "[NAME...]", "take clusters down, also broken ones", labDown},
		{"init", "", "", labInit},
		{"origin", "", "", labOrigin},
		{"probe", "", "", labProbe},
		{"load", "", "", labLoad},
		{"burn", "", "", func([]string) int { probe.Burn(os.Stdin); return 0 }},
	}
}

func labCommand(args []string) int {
	all := labCommands()
	if len(args) > 0 {
		if i := slices.IndexFunc(all, func(c command) bool { return c.name == args[0] }); i >= 0 {
			return all[i].run(args[1:])
		}
	}
	if len(args) > 0 && args[0] != "-h" && args[0] != "--help" && args[0] != "help" {
		fmt.Fprintf(os.Stderr, "evenkeel lab: there is no command %q\n\n", args[0])
	}
	fmt.Fprintf(os.Stderr, "A whole cluster on this machine, in network namespaces (as root).\n\nusage:\n")
	for _, c := range all {
		if c.help != "" {
			fmt.Fprintf(os.Stderr, "  evenkeel lab %-22s %s\n", strings.TrimSpace(c.name+" "+c.args), c.help)
		}
	}
	return 1
}

// labFail prints an error and gives the exit code.
func labFail(err error) int {
	fmt.Fprintln(os.Stderr, "evenkeel lab:", err)
	return 1
}

// labPlace adds the flags that say where labs are.
func labPlace(fs *flag.FlagSet) *lab.Place {
	p := new(lab.Place)
	fs.StringVar(&p.Base, "dir", lab.DefaultBase, "`directory` of all labs")
	fs.StringVar(&p.Prefix, "prefix", lab.DefaultPrefix, "what the names of network namespaces begin with")
	return p
}

// interrupted is a context that ends with Ctrl-C and its relatives.
func interrupted() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
}

const softwareHelp = "what the directors run: evenkeel or keepalived; NAME=keepalived for one of them"

func labUp(args []string) int {
	fs := flag.NewFlagSet("evenkeel lab up", flag.ContinueOnError)
	place := labPlace(fs)
	software := fs.String("software", string(lab.Evenkeel), softwareHelp)
	stay := fs.Bool("stay", false, "stay, and take the cluster down at Ctrl-C")
	if fs.Parse(args) != nil {
		return 1
	}
	if fs.NArg() != 1 {
		return labFail(errors.New("which TOPOLOGY? (there are some under examples/lab)"))
	}
	all, nodes, err := lab.ReadSoftware(*software)
	if err != nil {
		return labFail(err)
	}
	if all == "" {
		all = lab.Evenkeel
	}
	ctx, stop := interrupted()
	defer stop()
	c, err := lab.Up(ctx, lab.Options{Place: *place, File: fs.Arg(0), Program: executable(), Software: all, Nodes: nodes,
		Say: func(s string) { fmt.Println(s) }})
	if err != nil {
		return labFail(err)
	}
	if err := c.Ready(ctx, func(s string) { fmt.Println(s) }); err != nil {
		return labFail(errors.Join(err, c.Down()))
	}
	if *stay {
		fmt.Println("Ctrl-C takes it down")
		<-ctx.Done()
		if err := c.Down(); err != nil {
			return labFail(err)
		}
		return 0
	}
	c.Leave()
	fmt.Printf("try it:   %s\ndrill it: evenkeel lab drill\nend it:   evenkeel lab down %s\n", c.Hint(), c.Topology.Name)
	return 0
}

func labDown(args []string) int {
	fs := flag.NewFlagSet("evenkeel lab down", flag.ContinueOnError)
	place := labPlace(fs)
	if fs.Parse(args) != nil {
		return 1
	}
	names := fs.Args()
	if len(names) == 0 {
		var err error
		if names, err = place.Names(); err != nil {
			return labFail(err)
		}
	}
	code := 0
	for _, name := range names {
		found, err := lab.Down(*place, name)
		switch {
		case err != nil:
			code = labFail(err)
		case !found:
			code = labFail(fmt.Errorf("there is no lab %s", name))
		default:
			fmt.Printf("%s is down\n", name)
		}
	}
	return code
}

func labList(args []string) int {
	fs := flag.NewFlagSet("evenkeel lab list", flag.ContinueOnError)
	place := labPlace(fs)
	if fs.Parse(args) != nil {
		return 1
	}
	names, err := place.Names()
	if err != nil {
		return labFail(err)
	}
	for _, n := range names {
		fmt.Printf("lab    %s\n", n)
	}
	for _, f := range lab.FaultNames() {
		fmt.Printf("drill  %-16s %s\n", f.Name, f.Help)
	}
	return 0
}

func labInit(args []string) int {
	if len(args) != 2 {
		return labFail(errors.New("this is for the lab's own use"))
	}
	return labFail(cell.Main(args[0], args[1]))
}

func labOrigin(args []string) int {
	if len(args) != 2 {
		return labFail(errors.New("this is for the lab's own use"))
	}
	return labFail(probe.Origin(args[0], args[1]))
}

func labProbe(args []string) int {
	var vips []netip.Addr
	for _, a := range args {
		v, err := netip.ParseAddr(a)
		if err != nil {
			return labFail(err)
		}
		vips = append(vips, v)
	}
	if err := probe.Run(vips, os.Stdin, os.Stdout); err != nil {
		return labFail(err)
	}
	return 0
}

func labLoad(args []string) int {
	fs := flag.NewFlagSet("evenkeel lab load", flag.ContinueOnError)
	var l probe.Load
	fs.IntVar(&l.Kept, "kept", probe.DefaultLoad.Kept, "`clients` that keep their connection, for each address")
	fs.IntVar(&l.Fresh, "fresh", probe.DefaultLoad.Fresh, "`clients` that open one for each request")
	fs.DurationVar(&l.Pause, "pause", probe.DefaultLoad.Pause, "`rest` of a client between two requests")
	fs.DurationVar(&l.Timeout, "timeout", probe.DefaultLoad.Timeout, "`time` after which a request is lost")
	if fs.Parse(args) != nil {
		return 1
	}
	var targets []netip.AddrPort
	for _, a := range fs.Args() {
		t, err := netip.ParseAddrPort(a)
		if err != nil {
			return labFail(err)
		}
		targets = append(targets, t)
	}
	if err := l.Ask(targets, os.Stdin, os.Stdout); err != nil {
		return labFail(err)
	}
	return 0
}

// labReport draws results that `lab drill -json` wrote.
func labReport(args []string) int {
	fs := flag.NewFlagSet("evenkeel lab report", flag.ContinueOnError)
	out := fs.String("o", "", "write the page to this `file`; to standard output without it")
	if fs.Parse(args) != nil {
		return 1
	}
	in := os.Stdin
	if fs.NArg() > 0 && fs.Arg(0) != "-" {
		f, err := os.Open(fs.Arg(0))
		if err != nil {
			return labFail(err)
		}
		defer f.Close()
		in = f
	}
	results, err := report.Read(in)
	if err != nil {
		return labFail(err)
	}
	if err := writePage(*out, results); err != nil {
		return labFail(err)
	}
	return 0
}
