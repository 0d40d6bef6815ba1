package alert

import (
	"strconv"
	"strings"

	"evenkeel/internal/command"
)

// Notify is what keepalived's scripts and FIFOs get: INSTANCE "VI_1" MASTER 150.
type Notify struct {
	Object   string // "INSTANCE" or "GROUP"; or "VS", "RS" with Line
	Name     string
	State    string // MASTER, BACKUP, FAULT, STOP, DELETED, MASTER_RX_LOWER_PRI, MASTER_PRIORITY, BACKUP_PRIORITY
	Priority int
	// Line is the FIFO's whole line, without its end, for objects of another
	// shape: "RS [10.0.0.1]:tcp:80 [10.0.0.9]:tcp:80 UP".
	Line string
	// Hooks are the object's scripts; nil: none.
	Hooks *Hooks
}

// Hooks are the scripts of an instance, group or server; nil ones are not run.
type Hooks struct {
	Master, Backup, Fault, Stop, Deleted *command.Command
	MasterRxLowerPriority                *command.Command
	// All gets four more arguments: object, name, state, priority. It runs
	// after the others.
	All *command.Command
	// Run are scripts for this event whatever its state, with the arguments
	// that they have (notify_up, quorum_down).
	Run []command.Command
}

// hooks says which script of Hooks a state runs.
var hooks = map[string]func(*Hooks) *command.Command{
	"MASTER":              func(h *Hooks) *command.Command { return h.Master },
	"BACKUP":              func(h *Hooks) *command.Command { return h.Backup },
	"FAULT":               func(h *Hooks) *command.Command { return h.Fault },
	"STOP":                func(h *Hooks) *command.Command { return h.Stop },
	"DELETED":             func(h *Hooks) *command.Command { return h.Deleted },
	"MASTER_RX_LOWER_PRI": func(h *Hooks) *command.Command { return h.MasterRxLowerPriority },
}

// general are the states that Hooks.All hears of; the others are for FIFOs.
var general = map[string]bool{"MASTER": true, "BACKUP": true, "FAULT": true, "STOP": true, "DELETED": true}

// Commands lists what is to be run, in order.
func (n *Notify) Commands() []command.Command {
	h := n.Hooks
	if h == nil {
		return nil
	}
	var list []command.Command
	if pick := hooks[n.State]; pick != nil {
		if c := pick(h); c != nil {
			list = append(list, *c)
		}
	}
	if h.All != nil && general[n.State] {
		list = append(list, h.All.With(n.Object, n.Name, n.State, strconv.Itoa(n.Priority)))
	}
	return append(list, h.Run...)
}

// AppendLine appends the FIFO's line with its end. A name cannot end the line
// or the quotes: such bytes become '_'.
func (n *Notify) AppendLine(b []byte) []byte {
	if n.Line != "" {
		return append(append(b, clean(n.Line, false)...), '\n')
	}
	b = append(b, clean(n.Object, true)...)
	b = append(b, ' ', '"')
	b = append(b, clean(n.Name, true)...)
	b = append(b, '"', ' ')
	b = append(b, clean(n.State, true)...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(n.Priority), 10)
	return append(b, '\n')
}

// clean replaces control characters, and quotation marks where asked to.
func clean(s string, quotes bool) string {
	bad := func(r rune) bool { return r < ' ' || r == 0x7f || quotes && r == '"' }
	if strings.IndexFunc(s, bad) < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		if bad(r) {
			return '_'
		}
		return r
	}, s)
}
