package failover

import (
	"fmt"
	"strconv"
	"time"

	"evenkeel/internal/alert"
	"evenkeel/internal/bfd"
	"evenkeel/internal/model"
	"evenkeel/internal/track"
	"evenkeel/internal/vrrp"
)

// words of keepalived for the states, as scripts and FIFOs get them.
var notifyState = map[vrrp.State]string{vrrp.Backup: "BACKUP", vrrp.Master: "MASTER", vrrp.Fault: "FAULT", vrrp.Stopped: "STOP"}

// transition notes and tells that an instance changed its state.
func (p *plane) transition(i *instance, a *vrrp.Action) {
	t := transition{at: p.wall(), from: a.From.String(), to: a.To.String(), why: a.Text()}
	if len(i.history) == historyLength {
		copy(i.history, i.history[1:])
		i.history = i.history[:historyLength-1]
	}
	i.history = append(i.history, t)
	i.transitions[a.To]++
	i.wallSince = t.at
	p.willBad, p.stateBad = true, true
	word := notifyState[a.To]
	if word == "" {
		return
	}
	e := alert.Event{Kind: "transition", Severity: alert.Notice, Plane: "vrrp", Name: i.name(), At: t.at,
		Text: fmt.Sprintf("(%s) Entering %s STATE (%s)", i.name(), word, t.why),
		Fields: []alert.Field{{Name: "from", Value: a.From.String()}, {Name: "to", Value: a.To.String()},
			{Name: "reason", Value: t.why}, {Name: "priority", Value: strconv.Itoa(int(i.machine.Info().Effective))}},
		Notify: &alert.Notify{Object: "INSTANCE", Name: i.name(), State: word, Priority: int(i.machine.Info().Effective), Hooks: i.setup.hooks}}
	if a.To == vrrp.Fault {
		e.Severity = alert.Warning
	}
	if i.doomed {
		e.Notify.State = deletedState(&i.setup.model.Notify)
	}
	if i.setup.mail && a.To != vrrp.Stopped && !(a.To == vrrp.Fault && p.plan.model.Mail.NoFaults) {
		e.Mail = alert.TransitionMessage("INSTANCE", i.name(), word)
	}
	p.events.Post(e)
}

// deletedState is what is told of an instance that a reload has removed.
func deletedState(n *model.Notify) string {
	if n.DeletedSent {
		return "DELETED"
	}
	return notifyState[vrrp.Fault]
}

// postGroup tells that a sync group changed its state.
func (p *plane) postGroup(g *group) {
	word := notifyState[g.state]
	if word == "" {
		return
	}
	e := alert.Event{Kind: "group", Severity: alert.Notice, Plane: "vrrp", Name: g.setup.model.Name, At: p.wall(),
		Text:   fmt.Sprintf("VRRP_Group(%s) Syncing instances to %s state", g.setup.model.Name, word),
		Fields: []alert.Field{{Name: "to", Value: word}},
		Notify: &alert.Notify{Object: "GROUP", Name: g.setup.model.Name, State: word, Hooks: g.setup.hooks}}
	if g.setup.mail {
		e.Mail = alert.TransitionMessage("GROUP", g.setup.model.Name, word)
	}
	p.events.Post(e)
}

// notices bounds how often the same is said.
type notices struct {
	last map[noticeKey]time.Duration
}

type noticeKey struct {
	i    *instance
	kind string
}

// noticePause is the time between two events of the same kind about the same
// instance; what happens in between is counted.
const noticePause = 10 * time.Second

func (n *notices) allow(now time.Duration, i *instance, kind string) bool {
	k := noticeKey{i, kind}
	if last, ok := n.last[k]; ok && now-last < noticePause {
		return false
	}
	if n.last == nil || len(n.last) > 4096 {
		n.last = map[noticeKey]time.Duration{}
	}
	n.last[k] = now
	return true
}

// complain tells about trouble with the host, at a bounded rate.
func (p *plane) complain(i *instance, kind, text string) {
	if !p.notices.allow(p.now, i, kind) {
		return
	}
	e := alert.Event{Kind: kind, Severity: alert.Warning, Plane: "vrrp", Text: text, At: p.wall()}
	if i != nil {
		e.Name = i.name()
		e.Text = "(" + i.name() + ") " + text
	}
	p.events.Post(e)
}

func eventFrozen(i *instance, late time.Duration) alert.Event {
	return alert.Event{Kind: "frozen", Severity: alert.Error, Plane: "vrrp", Name: i.name(),
		Text: fmt.Sprintf("(%s) this process did not run for %v, longer than its peers wait: it gives %s up",
			i.name(), late.Round(time.Millisecond), "its addresses")}
}

func (p *plane) post(e alert.Event) {
	e.At = p.wall()
	p.events.Post(e)
}

// noticeWords are the severity and kind of what machines notice.
var noticeWords = map[vrrp.NoticeKind]struct {
	kind     string
	severity alert.Severity
}{
	vrrp.NoticeBadPacket:           {"bad-packet", alert.Warning},
	vrrp.NoticeTTL:                 {"bad-packet", alert.Warning},
	vrrp.NoticeUnknownPeer:         {"unknown-peer", alert.Warning},
	vrrp.NoticeOwnSource:           {"own-source", alert.Warning},
	vrrp.NoticeInterval:            {"interval", alert.Warning},
	vrrp.NoticeAddresses:           {"addresses", alert.Warning},
	vrrp.NoticeReplay:              {"replay", alert.Warning},
	vrrp.NoticeDuplicateMaster:     {"duplicate-master", alert.Critical},
	vrrp.NoticeLowerPriorityMaster: {"lower-priority", alert.Notice},
	vrrp.NoticeOwnerConflict:       {"owner-conflict", alert.Critical},
	vrrp.NoticePriority:            {"priority", alert.Info},
}

// note tells what a machine noticed.
func (p *plane) note(i *instance, a *vrrp.Action) {
	p.noteScripts(i, a)
	w := noticeWords[a.Notice]
	// A change of priority is news each time.
	if a.Notice != vrrp.NoticePriority && !p.notices.allow(p.now, i, w.kind+strconv.Itoa(int(a.Notice))) {
		return
	}
	e := alert.Event{Kind: w.kind, Severity: w.severity, Plane: "vrrp", Name: i.name(), At: p.wall(),
		Text: "(" + i.name() + ") " + noteText(i, a)}
	if a.Peer.IsValid() {
		e.Fields = append(e.Fields, alert.Field{Name: "peer", Value: a.Peer.String()})
	}
	p.events.Post(e)
}

// noteScripts runs the scripts that are for notices.
func (p *plane) noteScripts(i *instance, a *vrrp.Action) {
	n := &i.setup.model.Notify
	state := ""
	switch {
	case a.Notice == vrrp.NoticeLowerPriorityMaster && n.MasterRxLowerPrio != nil:
		state = "MASTER_RX_LOWER_PRI"
	case a.Notice == vrrp.NoticePriority && n.PriorityChanges && i.machine.State() == vrrp.Master:
		state = "MASTER_PRIORITY"
	case a.Notice == vrrp.NoticePriority && n.PriorityChanges && i.machine.State() == vrrp.Backup:
		state = "BACKUP_PRIORITY"
	default:
		return
	}
	p.events.Post(alert.Event{Kind: "notify", Severity: alert.Debug, Plane: "vrrp", Name: i.name(), At: p.wall(),
		Text:   "(" + i.name() + ") " + state,
		Notify: &alert.Notify{Object: "INSTANCE", Name: i.name(), State: state, Priority: int(i.machine.Info().Effective), Hooks: i.setup.hooks}})
}

// noteText makes the words of a notice.
func noteText(i *instance, a *vrrp.Action) string {
	if a.Notice == vrrp.NoticePriority && i.why != "" {
		return a.Text() + " (" + i.why + ")"
	}
	return a.Text()
}

// postTracked tells what became of a tracked thing.
func (p *plane) postTracked(r track.Report) {
	s := alert.Notice
	if r.State == track.Down || r.Advisory {
		s = alert.Warning
	}
	p.events.Post(alert.Event{Kind: r.Kind.String(), Severity: s, Plane: "vrrp", Name: r.Name, At: p.wall(), Text: r.Text})
}

func (p *plane) postBFD(c bfd.Change) {
	s := alert.Notice
	if !c.Up {
		s = alert.Warning
	}
	p.events.Post(alert.Event{Kind: "bfd", Severity: s, Plane: "bfd", Name: c.Name, At: p.wall(),
		Text: fmt.Sprintf("BFD session %s is %v, was %v: %s", c.Name, c.To, c.From, c.Why)})
}

// repeatStates writes the states of all instances and groups to the FIFOs after
// a reload (fifo_write_vrrp_states_on_reload), for readers that were started
// anew. Scripts do not hear of it.
func (p *plane) repeatStates() {
	if !p.plan.model.StatesOnReload {
		return
	}
	tell := func(object, name, state string, priority uint8) {
		if state == "" {
			return
		}
		p.events.Post(alert.Event{Kind: "reload", Severity: alert.Debug, Plane: "vrrp", Name: name, At: p.wall(), Text: name + " is " + state,
			Notify: &alert.Notify{Object: object, Name: name, State: state, Priority: int(priority)}})
	}
	for _, i := range p.instances {
		tell("INSTANCE", i.name(), notifyState[i.machine.State()], i.machine.Info().Effective)
	}
	for _, g := range p.groups {
		tell("GROUP", g.setup.model.Name, notifyState[g.state], 0)
	}
}
