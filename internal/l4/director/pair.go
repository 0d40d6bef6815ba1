package director

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"evenkeel/internal/l4"
	"evenkeel/internal/l4/flowsync"
	"evenkeel/internal/model"
)

// Teller tells other directors of connections, and takes theirs: a
// flowsync.Daemon.
type Teller interface {
	Active(bool)
	Status() flowsync.Status
	Settle(context.Context) // until it has what others know
	Rekey(flowsync.Keys)
	Close()
}

// kernelTeller is a plane whose kernel tells by itself.
type kernelTeller interface {
	Daemons() ([]l4.SyncDaemon, error)
	StartDaemon(l4.SyncDaemon) error
	StopDaemon(backup bool) error
}

// flowCounter is a plane that knows how many connections it remembers.
type flowCounter interface{ Remembered() (int, error) }

// afterwards is how long a director that has lost an address still tells of its
// connections: the one that has taken it may just have begun, and have none.
const afterwards = 5 * time.Second

// pairing is what lvs_sync_daemon asks for. It is guarded by the service's mu,
// but for what the teller looks at.
type pairing struct {
	settings flowsync.Settings // without the keys
	keys     flowsync.Keys
	teller   Teller // nil: nobody tells
	kernel   bool   // the kernel's daemons are ours
	active   bool
	trouble  string
	masters  map[string]bool      // instances that have their addresses here
	lost     map[string]time.Time // those that had, and since when they have not
	about    atomic.Pointer[aboutFlows]
	shortest atomic.Int64 // of the times after which the plane forgets what goes on
}

// aboutFlows is what decides about single connections. It is not changed.
type aboutFlows struct {
	owner   map[netip.Addr]string // which instance has an address
	masters map[string]bool
	leaving map[place]bool
}

// tell says whether a connection is this director's: its address is here, or
// is one that no instance moves.
func (a *aboutFlows) tell(s *l4.Sync) bool {
	name, moves := a.owner[s.Service.Addr]
	return !moves || a.masters[name]
}

// take leaves out who is remembered for a server that leaves: the next
// connection of such a client goes to another one.
func (a *aboutFlows) take(list []l4.Sync) (kept []l4.Sync) {
	if len(a.leaving) == 0 {
		return list
	}
	for i := range list {
		if !list[i].Template || !a.leaving[place{list[i].Service, list[i].Server}] {
			kept = append(kept, list[i])
		}
	}
	return kept
}

// owners is which instance moves which address.
func owners(f *model.Failover) map[netip.Addr]string {
	all := map[netip.Addr]string{}
	for _, i := range f.Instances {
		for _, list := range [][]*model.IPAddress{i.Addresses, i.AddressesExcluded} {
			for _, a := range list {
				all[a.Prefix.Addr()] = i.Name
			}
		}
	}
	return all
}

// syncSettings are the configuration's.
func syncSettings(l *model.LVSGlobal) flowsync.Settings {
	return flowsync.Settings{Interface: l.SyncInterface, ID: uint8(max(l.SyncID, 0)), MaxLen: l.SyncMaxLen, Group: l.SyncGroup, Port: uint16(l.SyncPort), TTL: uint8(l.SyncTTL)}
}

// Masters says which instances have their addresses on this host now: their
// connections are told to other directors. It does not wait, and takes the map.
func (s *Service) Masters(names map[string]bool) {
	s.queue.mu.Lock()
	s.queue.masters = names
	s.queue.mu.Unlock()
	s.wake()
}

// Settle waits, after Start, until other directors have told of their
// connections, as long as the context allows.
func (s *Service) Settle(ctx context.Context) {
	s.mu.Lock()
	t := s.pair.teller
	s.mu.Unlock()
	if t != nil {
		t.Settle(ctx)
	}
}

// pairUp makes the telling as it is wanted.
func (s *Service) pairUp() {
	s.queue.mu.Lock()
	if now := s.queue.masters; now != nil {
		s.queue.masters = nil
		s.pair.follow(now, time.Now())
	}
	s.queue.mu.Unlock()
	tells := s.pair.tells(time.Now())
	l := &s.plan.model.LVS
	s.pair.active = l.SyncInstance == "" || s.pair.masters[l.SyncInstance]
	still := s.pair.active || tells[l.SyncInstance]
	syncer, ours := s.plane.(l4.Syncer)
	kernel, theirs := s.plane.(kernelTeller)
	switch {
	case l.SyncInterface == "" || s.plane == nil:
		s.alone(false)
	case ours && s.opt.Sync != nil:
		s.pair.about.Store(&aboutFlows{owner: owners(s.plan.model), masters: tells, leaving: s.leaving.places()})
		if want := syncSettings(l); s.pair.teller == nil || want != s.pair.settings {
			s.alone(false)
			s.pair.settings, s.pair.keys = want, s.plan.keys
			want.Keys = s.plan.keys
			s.pair.teller = s.opt.Sync(want, s.table(syncer), s.pairNotice)
		} else if !s.pair.keys.Equal(s.plan.keys) {
			s.pair.keys = s.plan.keys
			s.pair.teller.Rekey(s.plan.keys)
		}
		s.pair.teller.Active(still)
	case theirs:
		s.pair.settings, s.pair.kernel = syncSettings(l), true
		s.pairTrouble(pairKernel(kernel, s.pair.settings, s.pair.active, l.SyncInstance == "" || !s.pair.active))
	}
}

// follow notes which instances have their addresses here.
func (p *pairing) follow(masters map[string]bool, now time.Time) {
	if p.lost == nil {
		p.lost = map[string]time.Time{}
	}
	for name := range p.masters {
		if !masters[name] {
			p.lost[name] = now
		}
	}
	p.masters = masters
}

// tells are the instances whose connections are this director's to tell of.
func (p *pairing) tells(now time.Time) map[string]bool {
	all := maps.Clone(p.masters)
	for name, at := range p.lost {
		switch {
		case p.masters[name] || now.Sub(at) >= afterwards:
			delete(p.lost, name)
		default:
			all[name] = true
		}
	}
	return all
}

// table is the plane for the teller.
func (s *Service) table(p l4.Syncer) flowsync.Table {
	t := flowsync.Table{
		Changed: p.Changed,
		Tell:    func(x *l4.Sync) bool { return s.pair.about.Load().tell(x) },
		Insert:  func(list []l4.Sync) (int, error) { return p.Insert(s.pair.about.Load().take(list)...) },
		Flows: func() int {
			c, ok := p.(flowCounter)
			if !ok {
				return 0
			}
			n, _ := c.Remembered()
			return n
		},
		Shortest: func() time.Duration { return time.Duration(s.pair.shortest.Load()) },
	}
	if n, ok := p.(l4.Noter); ok {
		t.Watch, t.Noted = n.Watch, n.Noted
	}
	return t
}

// shortest is after how short a time without packets, at least, a plane forgets
// a connection that has not ended, or a client.
func shortest(c *l4.Config) time.Duration {
	t := c.Timeouts.WithDefaults()
	least := min(t.TCP, t.TCPFin, t.UDP)
	for i := range c.Services {
		if d := c.Services[i].Persistence; d > 0 {
			least = min(least, d)
		}
	}
	return least
}

// alone ends the telling. keep leaves the kernel's to the next process.
func (s *Service) alone(keep bool) {
	if s.pair.teller != nil {
		s.pair.teller.Close()
		s.pair.teller = nil
	}
	if k, ok := s.plane.(kernelTeller); ok && s.pair.kernel && !keep {
		if err := pairKernel(k, s.pair.settings, false, false); err != nil {
			s.warn("sync", err.Error())
		}
	}
	s.pair.kernel, s.pair.trouble = false, ""
}

// pairKernel makes the kernel's daemons the ones that are wanted.
func pairKernel(k kernelTeller, want flowsync.Settings, master, backup bool) error {
	running, err := k.Daemons()
	if err != nil {
		return fmt.Errorf("the kernel's synchronisation daemons: %w", err)
	}
	for _, wanted := range []struct{ backup, on bool }{{false, master}, {true, backup}} {
		d := l4.SyncDaemon{Backup: wanted.backup, Interface: want.Interface, ID: want.ID, MaxLen: want.MaxLen, Group: want.Group, Port: want.Port, TTL: want.TTL}
		on := false
		for _, r := range running {
			if r.Backup != d.Backup {
				continue
			}
			if wanted.on && like(r, d) {
				on = true
				continue
			}
			if err := k.StopDaemon(d.Backup); err != nil {
				return err
			}
		}
		if wanted.on && !on {
			if err := k.StartDaemon(d); err != nil {
				return err
			}
		}
	}
	return nil
}

// like says whether a daemon is as wanted, as far as the kernel was told.
func like(is, want l4.SyncDaemon) bool {
	return is.Interface == want.Interface && is.ID == want.ID && (want.MaxLen == 0 || is.MaxLen == want.MaxLen) && (!want.Group.IsValid() || is.Group == want.Group) &&
		(want.Port == 0 || is.Port == want.Port) && (want.TTL == 0 || is.TTL == want.TTL)
}

// pairTrouble tells when the kernel does not do as it is told, and when it does
// again.
func (s *Service) pairTrouble(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text == s.pair.trouble {
		return
	}
	s.pair.trouble = text
	if err != nil {
		s.pairNotice(true, "connections are not told to other directors, it is tried again: "+text)
	} else {
		s.pairNotice(false, "connections are told to other directors again")
	}
}

func (s *Service) pairNotice(trouble bool, text string) {
	if trouble {
		s.warn("sync", text)
		return
	}
	s.notice("sync", text)
}

// PairView is lvs_sync_daemon as it is now.
type PairView struct {
	By        string     `json:"by"` // "evenkeel", or "kernel": then only the first few fields are known
	Interface string     `json:"interface"`
	Group     string     `json:"group,omitempty"`
	Port      int        `json:"port,omitempty"`
	ID        int        `json:"id"`
	MaxLen    int        `json:"maxlen,omitempty"` // 0: what the MTU allows
	TTL       int        `json:"ttl,omitempty"`
	Instance  string     `json:"instance,omitempty"`
	Tells     bool       `json:"tells"` // this director tells of its connections
	Trouble   string     `json:"trouble,omitempty"`
	Told      uint64     `json:"told"` // connections
	ToldRate  float64    `json:"told_rate"`
	LagMS     int64      `json:"lag_ms"`      // how old a change can be that has not been told
	LookMS    int64      `json:"interval_ms"` // between two looks at the connections
	Refreshes uint64     `json:"refreshes"`   // everything was told again
	Took      uint64     `json:"took"`        // connections of others
	TookRate  float64    `json:"took_rate"`
	Unknown   uint64     `json:"unknown"`  // of services or servers that are not here
	Sent      uint64     `json:"sent"`     // datagrams
	Received  uint64     `json:"received"` // datagrams
	Failed    uint64     `json:"failed"`   // that could not be sent, or put in
	Bad       uint64     `json:"bad"`      // datagrams that are not well-formed
	Foreign   uint64     `json:"foreign"`  // of another ID
	Encrypted bool       `json:"encrypted"`
	Unsigned  uint64     `json:"unsigned"` // datagrams without a key, where there is one here
	Keyless   uint64     `json:"keyless"`  // with a key, where there is none here
	Forged    uint64     `json:"forged"`   // with another key
	Replayed  uint64     `json:"replayed"` // that were there before
	Advice    []string   `json:"advice,omitempty"`
	Missed    uint64     `json:"missed"` // there was more than could be noted, and all were looked at
	Peers     []PeerView `json:"peers"`
}

// PeerView is another director that is heard.
type PeerView struct {
	Address  string  `json:"address"`
	Tells    bool    `json:"tells"`
	Flows    int     `json:"flows"`
	LagMS    int64   `json:"lag_ms"` // as it says
	HeardMS  int64   `json:"heard_ms"`
	Received uint64  `json:"received"` // connections
	Rate     float64 `json:"rate"`
	Lost     uint64  `json:"lost"` // datagrams
	Late     uint64  `json:"late"`
}

func (s *Service) viewPair() *PairView {
	if s.pair.teller == nil && !s.pair.kernel {
		return nil
	}
	w := s.pair.settings
	v := &PairView{By: "kernel", Interface: w.Interface, ID: int(w.ID), Instance: s.plan.model.LVS.SyncInstance, Tells: s.pair.active, Trouble: s.pair.trouble}
	if s.pair.teller == nil {
		return v
	}
	t := s.pair.teller.Status()
	v.By, v.Group, v.Port, v.Trouble = "evenkeel", t.Settings.Group.String(), int(t.Settings.Port), t.Trouble
	v.MaxLen, v.TTL = t.Settings.MaxLen, int(t.Settings.TTL)
	v.Told, v.ToldRate, v.LagMS, v.LookMS, v.Refreshes = t.Told, t.ToldRate, t.Lag.Milliseconds(), t.Interval.Milliseconds(), t.Refreshes
	v.Took, v.TookRate, v.Unknown = t.Took, t.TookRate, t.Unknown
	v.Sent, v.Received, v.Failed, v.Bad, v.Foreign = t.Sent, t.Received, t.Failed, t.Bad, t.Foreign
	v.Missed, v.Encrypted, v.Advice = t.Missed, t.Encrypted, t.Advice
	v.Unsigned, v.Keyless, v.Forged, v.Replayed = t.Unsigned, t.Keyless, t.Forged, t.Replayed
	for _, p := range t.Peers {
		v.Peers = append(v.Peers, PeerView{Address: p.Address.String(), Tells: p.Active, Flows: p.Flows, LagMS: p.Lag.Milliseconds(),
			HeardMS: p.Heard.Milliseconds(), Received: p.Received, Rate: p.Rate, Lost: p.Lost, Late: p.Late})
	}
	return v
}

func (v *PairView) text(b *strings.Builder) {
	role := "this director listens"
	if v.Tells {
		role = "this director tells and listens"
	}
	if v.Instance != "" {
		role += " (" + v.Instance + ")"
	}
	if v.Encrypted {
		role += ", encrypted"
	}
	if v.By == "kernel" {
		fmt.Fprintf(b, "pair: by the kernel on %s, id %d: %s\n", v.Interface, v.ID, role)
	} else {
		fmt.Fprintf(b, "pair: %s, %s port %d, id %d: %s\n", v.Interface, v.Group, v.Port, v.ID, role)
	}
	if v.Trouble != "" {
		fmt.Fprintf(b, "  ! %s\n", v.Trouble)
	}
	for _, advice := range v.Advice {
		fmt.Fprintf(b, "  ! %s\n", advice)
	}
	if v.By == "kernel" {
		return
	}
	if v.Tells {
		fmt.Fprintf(b, "  told %d connections, %.0f/s, lag %d ms\n", v.Told, v.ToldRate, v.LagMS)
	}
	fmt.Fprintf(b, "  took %d connections, %.0f/s, %d of services or servers that are not here\n", v.Took, v.TookRate, v.Unknown)
	for i := range v.Peers {
		p := &v.Peers[i]
		role := "listens"
		if p.Tells {
			role = fmt.Sprintf("tells, lag %d ms", p.LagMS)
		}
		fmt.Fprintf(b, "  %s %s, has %d connections, heard %.1f s ago, %d datagrams lost\n", p.Address, role, p.Flows, float64(p.HeardMS)/1000, p.Lost)
	}
	if len(v.Peers) == 0 {
		b.WriteString("  nobody else is heard\n")
	}
}
