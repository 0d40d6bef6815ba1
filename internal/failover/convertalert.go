package failover

import (
	"evenkeel/internal/alert"
	"evenkeel/internal/command"
	"evenkeel/internal/model"
	"evenkeel/internal/track"
)

// commandOf makes a runnable command; a user that does not exist is an error.
func commandOf(c *model.Command, f *model.Failover, d *model.Diagnostics) *command.Command {
	if c == nil || len(c.Argv) == 0 {
		return nil
	}
	return &command.Command{Argv: c.Argv, User: identity(c.User, f, d)}
}

func identity(u *model.Credential, f *model.Failover, d *model.Diagnostics) *command.Identity {
	if u == nil {
		u = f.ScriptUser
	}
	if u == nil {
		return command.Default()
	}
	id, err := command.Lookup(u.User, u.Group)
	if err != nil {
		d.Errorf(u.Pos, "%v", err)
	}
	return id
}

func hooks(n *model.Notify, f *model.Failover, d *model.Diagnostics) *alert.Hooks {
	h := &alert.Hooks{
		Master: commandOf(n.Master, f, d), Backup: commandOf(n.Backup, f, d), Fault: commandOf(n.Fault, f, d),
		Stop: commandOf(n.Stop, f, d), Deleted: commandOf(n.Deleted, f, d), All: commandOf(n.All, f, d),
		MasterRxLowerPriority: commandOf(n.MasterRxLowerPrio, f, d),
	}
	if h.Master == nil && h.Backup == nil && h.Fault == nil && h.Stop == nil && h.Deleted == nil && h.All == nil && h.MasterRxLowerPriority == nil {
		return nil
	}
	return h
}

// alertConfig is where events go, besides where the command line sends them.
func alertConfig(f *model.Failover, routerID string, o *Options, d *model.Diagnostics) alert.Config {
	c := alert.Config{Sinks: append([]alert.Spec(nil), o.Sinks...)}
	c.Sinks = append(c.Sinks, alert.Scripts{Secure: f.ScriptCheck})
	if len(f.Mail.To) > 0 {
		c.Sinks = append(c.Sinks, alert.Mail{Server: f.Mail.Server, Port: f.Mail.Port, HELO: f.Mail.HELO, From: f.Mail.From,
			To: f.Mail.To, RouterID: routerID, ConnectTimeout: f.Mail.ConnectTimeout})
	}
	for _, w := range f.Webhook {
		c.Sinks = append(c.Sinks, alert.Webhook{URL: w.URL, Headers: w.Headers, Timeout: w.Timeout, Node: routerID})
	}
	fifo := func(path string, objects alert.Objects, user *model.Credential, reader *model.Command) {
		if path == "" {
			return
		}
		var id *command.Identity
		if user != nil || f.ScriptUser != nil {
			id = identity(user, f, d)
		}
		c.Sinks = append(c.Sinks, alert.FIFO{Path: path, Objects: objects, User: id, Reader: commandOf(reader, f, d), Secure: f.ScriptCheck})
	}
	n := &f.Notify
	fifo(n.Path, alert.AllObjects, n.User, n.Script)
	fifo(n.VRRPPath, alert.VRRPObjects, n.VRRPUser, n.VRRPScript)
	fifo(n.LVSPath, alert.LVSObjects, n.LVSUser, n.LVSScript)
	return c
}

// trackConfig is what the tracker watches.
func trackConfig(f *model.Failover, d *model.Diagnostics) track.Config {
	c := track.Config{Secure: f.ScriptCheck}
	for _, s := range f.Scripts {
		x := track.Script{Name: s.Name, Interval: s.Interval, Timeout: s.Timeout, Rise: s.Rise, Fall: s.Fall, InitFail: s.InitFail}
		if cmd := commandOf(&s.Command, f, d); cmd != nil {
			x.Command = *cmd
		}
		c.Scripts = append(c.Scripts, x)
	}
	for _, s := range f.Processes {
		x := track.Process{Name: s.Name, Argv: s.Process, ParamMatch: paramMatch[s.ParamMatch], FullCommand: s.FullCommand,
			Quorum: s.Quorum, ForkDelay: s.ForkDelay, ExitDelay: s.ExitDelay}
		if !s.NoMax {
			most := s.QuorumMax
			x.QuorumMax = &most
		}
		c.Processes = append(c.Processes, x)
	}
	for _, s := range f.Files {
		c.Files = append(c.Files, track.File{Name: s.Name, Path: s.Path,
			Init: track.Init{Write: s.InitFile, Value: int64(s.InitVal), Overwrite: s.Override}})
	}
	return c
}

var paramMatch = map[string]track.ParamMatch{"": track.ParamsDefault, "exact": track.ParamsExact,
	"partial": track.ParamsPartial, "initial": track.ParamsInitial}
