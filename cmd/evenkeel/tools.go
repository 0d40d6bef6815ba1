package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"evenkeel/internal/keeper"
	"evenkeel/internal/top"
)

// target is the running node that a tool speaks to.
type target struct {
	socket string
	pid    int
}

func (t *target) flags(fs *flag.FlagSet) {
	fs.StringVar(&t.socket, "s", os.Getenv("EVENKEEL_SOCKET"), "`socket` of the runtime API: a path, or address:port")
	fs.IntVar(&t.pid, "p", 0, "process `id`, where several run")
}

// dial connects to the runtime API: over its socket, or without one through
// the keeper of the only evenkeel that runs here.
func (t *target) dial() (net.Conn, error) {
	if t.socket != "" {
		network := "tcp"
		if strings.HasPrefix(t.socket, "/") || strings.HasPrefix(t.socket, ".") || !strings.Contains(t.socket, ":") {
			network = "unix"
		}
		return net.DialTimeout(network, t.socket, 5*time.Second)
	}
	pid, err := t.find()
	if err != nil {
		return nil, err
	}
	return keeper.DialRuntime(pid)
}

func (t *target) find() (int, error) {
	if t.pid > 0 {
		return t.pid, nil
	}
	pids, err := keeper.Running()
	switch {
	case err != nil:
		return 0, err
	case len(pids) == 0:
		return 0, errors.New("no evenkeel runs here; give its socket with -s")
	case len(pids) > 1:
		return 0, fmt.Errorf("several run here: choose one of %v with -p", pids)
	}
	return pids[0], nil
}

// ask sends commands and gives the whole answer.
func (t *target) ask(commands string) (string, error) {
	c, err := t.dial()
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, commands+"\n"); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(c)
	return string(answer), err
}

// failoverWords begin the commands that are the failover process's.
var failoverWords = []string{"vrrp", "status", "master", "backup", "fault", "clear", "events", "dump", "services"}

func ctlCommand(args []string) int {
	var t target
	fs := flag.NewFlagSet("evenkeel ctl", flag.ContinueOnError)
	t.flags(fs)
	if fs.Parse(args) != nil {
		return 1
	}
	if fs.NArg() == 0 {
		fmt.Fprintln(os.Stderr, `evenkeel ctl: which command? ("help" lists the proxy's, "vrrp help" those for addresses)`)
		return 1
	}
	if t.socket == "" && slices.Contains(failoverWords, fs.Arg(0)) {
		return t.failover(fs.Args())
	}
	answer, err := t.ask(strings.Join(fs.Args(), " "))
	if err != nil && t.socket == "" && fs.Arg(0) == "help" && t.failover([]string{"vrrp", "help"}) == 0 {
		return 0 // there is no proxy, whose commands they would be
	}
	fmt.Print(answer)
	return failed("ctl", err)
}

func (t *target) failover(words []string) int {
	pid, err := t.find()
	if err != nil {
		return failed("ctl", err)
	}
	if words[0] == "vrrp" {
		words = words[1:]
	}
	answer, err := keeper.Control(pid, strings.Join(words, " "))
	if answer = strings.TrimSpace(answer); answer != "" {
		fmt.Println(answer)
	}
	return failed("ctl", err)
}

func failed(name string, err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintf(os.Stderr, "evenkeel %s: %v\n", name, err)
	return 1
}

func reloadCommand(args []string) int {
	var t target
	fs := flag.NewFlagSet("evenkeel reload", flag.ContinueOnError)
	fs.IntVar(&t.pid, "p", 0, "process `id`, where several run")
	if fs.Parse(args) != nil {
		return 1
	}
	pid, err := t.find()
	if err == nil {
		var text string
		text, err = keeper.Reload(pid)
		fmt.Print(text)
	}
	return failed("reload", err)
}

func statusCommand(args []string) int {
	var t target
	fs := flag.NewFlagSet("evenkeel status", flag.ContinueOnError)
	t.flags(fs)
	if fs.Parse(args) != nil {
		return 1
	}
	if t.socket != "" {
		return t.showProxy()
	}
	pid, err := t.find()
	if err != nil {
		return failed("status", err)
	}
	t.pid = pid
	if fs.Arg(0) == "json" {
		text, err := keeper.Control(pid, "status json")
		fmt.Println(strings.TrimSpace(text))
		return failed("status", err)
	}
	text, err := keeper.Status(pid)
	if err != nil {
		return failed("status", err)
	}
	fmt.Println(text)
	addresses, noAddresses := keeper.Control(pid, "status")
	if noAddresses == nil {
		fmt.Println(addresses)
		if !strings.Contains(text, " worker ") {
			return 0
		}
	}
	return t.showProxy()
}

// showProxy shows the columns of `show stat` that tell whether all is well.
func (t *target) showProxy() int {
	answer, err := t.ask("show stat")
	if err != nil {
		return failed("status", err)
	}
	table, err := top.StatTable(answer, top.Columns(os.Stdout))
	if err != nil {
		return failed("status", fmt.Errorf("the answer to show stat is not understood: %w", err))
	}
	fmt.Print(table)
	return 0
}
