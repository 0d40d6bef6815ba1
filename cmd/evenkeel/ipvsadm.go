package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"evenkeel/internal/keeper"
	"evenkeel/internal/l4"
	"evenkeel/internal/l4/director"
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

// mixedTable lists what the kernel has, and leaves changes to the evenkeel that
// drives it: it would undo those that it does not know of.
type mixedTable struct {
	kernelTable
	ours *director.Client
}

func (t mixedTable) AddService(s l4.Service) error               { return t.ours.AddService(s) }
func (t mixedTable) EditService(s l4.Service) error              { return t.ours.EditService(s) }
func (t mixedTable) DeleteService(k l4.Key) error                { return t.ours.DeleteService(k) }
func (t mixedTable) Flush() error                                { return t.ours.Flush() }
func (t mixedTable) AddServer(k l4.Key, s l4.Server) error       { return t.ours.AddServer(k, s) }
func (t mixedTable) EditServer(k l4.Key, s l4.Server) error      { return t.ours.EditServer(k, s) }
func (t mixedTable) DeleteServer(k l4.Key, s l4.ServerKey) error { return t.ours.DeleteServer(k, s) }
func (t mixedTable) SetTimeouts(x l4.Timeouts) error             { return t.ours.SetTimeouts(x) }

// runningDirector is the evenkeel that forwards packets in this network
// namespace, and what it does so with; nil: none runs here. One that is only
// beginning is waited for: it is the one that will.
func runningDirector() (c *director.Client, backend string) {
	for end := time.Now().Add(byHandPatience); ; time.Sleep(20 * time.Millisecond) {
		c, backend, begins := lookForDirector()
		if c != nil || !begins || time.Now().After(end) {
			return c, backend
		}
	}
}

func lookForDirector() (c *director.Client, backend string, begins bool) {
	pids, err := keeper.Running()
	if err != nil {
		return nil, "", false
	}
	for _, pid := range pids {
		c := &director.Client{Ask: func(line string) (string, error) { return keeper.Control(pid, line) }, Advise: onceEach(os.Stderr)}
		backend, err := c.Backend()
		if err == nil {
			return c, backend, false
		}
		begins = begins || errors.Is(err, keeper.ErrBegins)
	}
	return nil, "", begins
}

// onceEach prints what the host lacks, each text once however many servers are
// restored.
func onceEach(w io.Writer) func(string) {
	told := map[string]bool{}
	return func(text string) {
		if !told[text] {
			fmt.Fprintf(w, "ipvsadm: %s\n", text)
		}
		told[text] = true
	}
}

// systemNames are those of this host.
func systemNames() *ipvsadm.SystemNames {
	f, err := os.Open("/etc/services")
	if err != nil {
		return ipvsadm.NewSystemNames(strings.NewReader("")) // ports are numbers
	}
	defer f.Close()
	return ipvsadm.NewSystemNames(f)
}

// ipvsadmMain is `ipvsadm ARGS…`: on what an evenkeel forwards here, else on the
// kernel's IPVS, and where there is none on a director that is started for it.
func ipvsadmMain(args []string) int {
	names := systemNames()
	s := &ipvsadm.Shell{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Resolver: names, Names: names}
	// Help, and what is wrong with a command line, need no table.
	c, err := ipvsadm.Parse(args, names)
	if err != nil || c.Action == ipvsadm.Help || c.Action == ipvsadm.Version {
		return s.Main(args)
	}
	ours, backend := runningDirector()
	if ours != nil && backend != "ipvs" {
		s.Table = ours
		return s.Main(args)
	}
	client, err := ipvs.Dial()
	if err != nil {
		if os.Geteuid() != 0 {
			// An empty list would be taken for the truth.
			fmt.Fprintln(os.Stderr, "Can't initialize ipvs: Permission denied (you must be root)")
			return 255
		}
		if ours, err = byHand(c); err != nil {
			fmt.Fprintf(os.Stderr, "ipvsadm: %v\n", err)
			return 255
		}
		s.Table = ours
		code := s.Main(args)
		if code != 0 {
			endIdle(ours)
		}
		return code
	}
	defer client.Close()
	s.Table = kernelTable{client}
	if ours != nil {
		s.Table = mixedTable{kernelTable{client}, ours}
	}
	return s.Main(args)
}
