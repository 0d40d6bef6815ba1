package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"evenkeel/internal/keeper"
	"evenkeel/internal/top"
)

// topCommand shows a running node, live on a terminal or as plain text.
func topCommand(args []string) int {
	var t target
	fs := flag.NewFlagSet("evenkeel top", flag.ContinueOnError)
	t.flags(fs)
	seconds := fs.String("d", "2", "`seconds` between two looks")
	count := fs.Int("n", 0, "print so many snapshots as plain text; 0: live on the terminal")
	once := fs.Bool("once", false, "the same as -n 1")
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(os.Stderr, "\n%s", top.Usage())
		return 2
	case err != nil:
		return 1
	}
	delay, err := top.ParseDelay(*seconds)
	if err != nil {
		return failed("top", fmt.Errorf("-d: %w", err))
	}
	if fs.NArg() > 0 || *count < 0 {
		return failed("top", errors.New("usage: evenkeel top [-s SOCKET | -p PID] [-d SECONDS] [-n COUNT | --once]"))
	}
	if *once {
		*count = 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	source := &nodeSource{target: t}
	why := top.Drawable(os.Stdout)
	if *count == 0 && why == nil {
		return failed("top", top.Run(ctx, source, delay))
	}
	err = top.Print(ctx, source, os.Stdout, delay, *count, top.Columns(os.Stdout))
	if errors.Is(err, syscall.EPIPE) {
		return 0 // whoever read it has seen enough
	}
	return failed("top", err)
}

// nodeSource asks a node over its keeper, or a proxy over its runtime API.
type nodeSource struct {
	target target
	pid    int // of the keeper that answered last; 0: none yet
}

// Fetch implements top.Source.
func (s *nodeSource) Fetch(context.Context) (*top.Raw, error) {
	raw := &top.Raw{}
	var err error
	if s.target.socket != "" {
		err = s.overSocket(raw)
	} else {
		err = s.overKeeper(raw)
	}
	raw.At = time.Now()
	return raw, err
}

func (s *nodeSource) overSocket(raw *top.Raw) error {
	stat, err := s.target.ask("show stat")
	if err != nil {
		return err
	}
	info, err := s.target.ask("show info")
	raw.Stat, raw.Info = []byte(stat), []byte(info)
	return err
}

// choose finds the keeper: the one of last time as long as it runs.
func (s *nodeSource) choose() (int, error) {
	if s.pid != 0 && s.target.pid == 0 {
		if pids, err := keeper.Running(); err == nil && slices.Contains(pids, s.pid) {
			return s.pid, nil
		}
	}
	return s.target.find()
}

func (s *nodeSource) overKeeper(raw *top.Raw) error {
	pid, err := s.choose()
	if err != nil {
		return err
	}
	if raw.Processes, err = keeper.Status(pid); err != nil {
		return fmt.Errorf("process %d: %w", pid, err)
	}
	s.pid, raw.PID = pid, pid
	// Side by side: one that hangs must not hide the other.
	var parts sync.WaitGroup
	var moving, proxying error
	if strings.Contains(raw.Processes, " failover ") {
		parts.Go(func() { moving = fetchMoving(raw, pid) })
	}
	if strings.Contains(raw.Processes, " worker ") {
		parts.Go(func() { proxying = fetchProxy(raw, pid) })
	}
	parts.Wait()
	if moving != nil {
		raw.Troubles = append(raw.Troubles, "the failover process does not answer: "+moving.Error())
	}
	if proxying != nil {
		raw.Troubles = append(raw.Troubles, "the worker does not answer: "+proxying.Error())
	}
	return nil
}

func fetchMoving(raw *top.Raw, pid int) error {
	status, err := keeper.Control(pid, "status json")
	if err != nil {
		return err
	}
	events, err := keeper.Control(pid, "events json")
	raw.Status, raw.Events = []byte(status), []byte(events)
	return err
}

func fetchProxy(raw *top.Raw, pid int) error {
	t := target{pid: pid}
	stat, err := t.ask("show stat")
	if err != nil {
		return err
	}
	info, err := t.ask("show info")
	raw.Stat, raw.Info = []byte(stat), []byte(info)
	return err
}
