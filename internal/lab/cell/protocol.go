package cell

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"
)

// Program is something to run on a node.
type Program struct {
	Name string   // what it is called here; its log is Name.log
	Args []string // with the program's path
	Env  []string // beside the node's own
	// Restart is how long after its end it is started again, as its service
	// manager does; 0: never. Hold ends that.
	Restart time.Duration
}

// Status is a program's present state.
type Status struct {
	Name   string
	PID    int // inside of the node
	Ended  bool
	Result string // how it ended
}

type request struct {
	Do      string // start, kill, hold or list
	Program *Program
}

type response struct {
	Error    string
	PID      int
	Programs []Status
}

// SocketName is the init's socket inside of a node's directory.
const SocketName = "init.sock"

// Dir is where a node sees its own directory.
const Dir = "/run/lab"

// patience is how long an init may take to answer.
const patience = 60 * time.Second

// Node speaks to the init of a node.
type Node struct {
	dir string
}

// At is the node whose directory, as the host sees it, is dir.
func At(dir string) Node { return Node{dir} }

func (n Node) ask(q request) (r response, err error) {
	c, err := net.DialTimeout("unix", filepath.Join(n.dir, SocketName), patience)
	if err != nil {
		return r, fmt.Errorf("node %s: %w", filepath.Base(n.dir), err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	line, err := json.Marshal(q)
	if err != nil {
		return r, err
	}
	if _, err := c.Write(append(line, '\n')); err != nil {
		return r, fmt.Errorf("node %s: %w", filepath.Base(n.dir), err)
	}
	if line, err = bufio.NewReader(c).ReadBytes('\n'); err == nil {
		err = json.Unmarshal(line, &r)
	}
	if err == nil && r.Error != "" {
		err = errors.New(r.Error)
	}
	if err != nil {
		return r, fmt.Errorf("node %s: %w", filepath.Base(n.dir), err)
	}
	return r, nil
}

// Start runs a program, in a session of its own, and gives its process id inside of the node.
func (n Node) Start(p Program) (int, error) {
	r, err := n.ask(request{Do: "start", Program: &p})
	return r.PID, err
}

// KillAll kills every process of the node but its init, all at one instant.
func (n Node) KillAll() error {
	_, err := n.ask(request{Do: "kill"})
	return err
}

// Hold lets programs that end stay ended, until the next Start of each.
func (n Node) Hold() error {
	_, err := n.ask(request{Do: "hold"})
	return err
}

// List tells what was started, in order, and how it is.
func (n Node) List() ([]Status, error) {
	r, err := n.ask(request{Do: "list"})
	return r.Programs, err
}
