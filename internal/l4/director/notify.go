package director

import (
	"fmt"
	"strconv"

	"evenkeel/internal/alert"
	"evenkeel/internal/command"
	"evenkeel/internal/health/real"
	"evenkeel/internal/model"
)

// severities of what happens to servers.
var severities = map[real.EventKind]alert.Severity{
	real.ServerUp: alert.Notice, real.ServerDown: alert.Warning, real.ServerWeight: alert.Notice,
	real.QuorumGained: alert.Notice, real.QuorumLost: alert.Error,
	real.CheckFailed: alert.Info, real.CheckRecovered: alert.Info,
}

// kinds are the events' names; programs that get them look for these.
var kinds = map[real.EventKind]string{
	real.ServerUp: "server-up", real.ServerDown: "server-down", real.ServerWeight: "server-weight",
	real.QuorumGained: "quorum-gained", real.QuorumLost: "quorum-lost",
	real.CheckFailed: "check-failed", real.CheckRecovered: "check-recovered",
}

// words are keepalived's for the states, in scripts' pipes and mails.
var words = map[real.EventKind]string{real.ServerUp: "UP", real.ServerDown: "DOWN", real.QuorumGained: "UP", real.QuorumLost: "DOWN"}

// alertOf makes the event for people and scripts.
func alertOf(e *real.Event, f *model.Failover) alert.Event {
	a := alert.Event{Kind: kinds[e.Kind], Severity: severities[e.Kind], Plane: "health", Name: e.Service, Text: e.Text}
	if e.Stopping && a.Severity < alert.Notice {
		a.Severity = alert.Notice
	}
	if e.Log && a.Severity > alert.Notice {
		a.Severity = alert.Notice
	}
	a.Fields = append(a.Fields, alert.Field{Name: "weight", Value: strconv.Itoa(e.Weight)})
	if e.Real != nil {
		a.Fields = append(a.Fields, alert.Field{Name: "server", Value: realName(e)})
	}
	if e.Check != "" {
		a.Fields = append(a.Fields, alert.Field{Name: "check", Value: string(e.Check)})
	}
	word := words[e.Kind]
	if word == "" {
		return a
	}
	a.Notify = &alert.Notify{Object: "VS", Name: e.Service, State: word, Line: "VS " + virtualName(e.Virtual) + " " + word}
	if e.Real != nil {
		a.Notify.Object, a.Notify.Name = "RS", e.Service+" "+realName(e)
		a.Notify.Line = "RS " + realName(e) + " " + virtualName(e.Virtual) + " " + word
	}
	if c := commandOf(e.Notify, f); c != nil {
		a.Notify.Hooks = &alert.Hooks{Run: []command.Command{*c}}
	}
	if wantsMail(e, f) {
		a.Mail = &alert.Message{Subject: subject(e, word), Body: "=> " + e.Text + " <="}
	}
	return a
}

// subject is keepalived's, which people filter by.
func subject(e *real.Event, word string) string {
	if e.Real == nil {
		return fmt.Sprintf("Virtualserver %s - %s", virtualName(e.Virtual), word)
	}
	return fmt.Sprintf("Realserver %s of virtual server %s - %s", realName(e), virtualName(e.Virtual), word)
}

// wantsMail: a real server is worth a mail unless something says otherwise, a
// quorum only where something asks for it. With no_checker_emails only what the
// configuration adds and removes is told.
func wantsMail(e *real.Event, f *model.Failover) bool {
	if len(f.Mail.To) == 0 {
		return false
	}
	if f.Mail.NoChecker && e.Real != nil && e.Check != "" && !e.Stopping {
		return false
	}
	switch {
	case e.Mail != nil:
		return *e.Mail
	case f.Mail.AlertChecker != nil:
		return *f.Mail.AlertChecker
	case f.Mail.AlertDefault:
		return true
	}
	return e.Real != nil
}

// virtualName and realName are how keepalived writes them in mails and pipes.
func virtualName(v *model.VirtualServer) string {
	switch {
	case v.Group != "":
		return "[" + v.Group + "]:" + lower(v.Protocol)
	case v.FwMark != 0:
		return fmt.Sprintf("FWM %d", v.FwMark)
	}
	return endpoint(v.Addr, v.Protocol, v.Port)
}

func realName(e *real.Event) string { return endpoint(e.Real.Addr, e.Virtual.Protocol, e.Real.Port) }

// commandOf makes a runnable command. A user that is not there any more runs
// nothing: validateCommands has said so when the configuration was read.
func commandOf(c *model.Command, f *model.Failover) *command.Command {
	if c == nil || len(c.Argv) == 0 {
		return nil
	}
	id, err := identity(c, f)
	if err != nil {
		return nil
	}
	return &command.Command{Argv: c.Argv, User: id}
}

func identity(c *model.Command, f *model.Failover) (*command.Identity, error) {
	u := c.User
	if u == nil {
		u = f.ScriptUser
	}
	if u == nil {
		return command.Default(), nil
	}
	return command.Lookup(u.User, u.Group)
}

// validateCommands finds the users of all scripts.
func (p *plan) validateCommands() (d model.Diagnostics) {
	check := func(c *model.Command) {
		if c == nil {
			return
		}
		if _, err := identity(c, p.model); err != nil {
			at, cure := c.Pos, "make that user, or name one that is there: script_user in global_defs"
			if c.User != nil {
				at, cure = c.User.Pos, "make that user, or name one that is there behind the command"
			}
			d = append(d, model.Diagnostic{Pos: at, Severity: model.Error, Message: fmt.Sprintf("the command %s cannot be run: %v", c.Argv[0], err), Cure: cure})
		}
	}
	for _, v := range p.virtuals {
		check(v.spec.QuorumUp)
		check(v.spec.QuorumDown)
		for _, r := range v.spec.Real {
			check(r.NotifyUp)
			check(r.NotifyDown)
		}
	}
	return d
}
