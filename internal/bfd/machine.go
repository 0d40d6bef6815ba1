package bfd

import (
	"math"
	"time"

	wire "evenkeel/internal/wire/bfd"
)

// State is a session's state.
type State = wire.State

// The states of a session.
const (
	AdminDown = wire.AdminDown
	Down      = wire.Down
	Init      = wire.Init
	Up        = wire.Up
)

// ActionKind says what an Action is.
type ActionKind uint8

// What a machine asks for.
const (
	// Send: send Control to the neighbor.
	Send ActionKind = iota
	// Changed: the state went From From To To.
	Changed
	// Ended: nothing more will come after Stop.
	Ended
)

// Action is one thing for the runner to do.
type Action struct {
	Kind     ActionKind
	Control  wire.Control // Send
	From, To State        // Changed
	Why      string       // Changed
}

// Info is what is known of a session.
type Info struct {
	Name              string
	State             State
	Since             time.Duration // on the clock of the caller
	Why               string        // it is in this state
	Diagnostic        wire.Diagnostic
	RemoteState       State
	RemoteDiagnostic  wire.Diagnostic
	Discriminator     uint32
	RemoteDiscr       uint32
	TxInterval        time.Duration // in use, before jitter
	DetectionTime     time.Duration // 0: nothing was heard yet
	LastHeard         time.Duration
	Sent, Received    uint64
	Flaps             uint64 // times it left Up
	Discarded         uint64 // packets that were refused
	LastDiscardReason string
}

// never is a time that does not come.
const never = time.Duration(math.MaxInt64)

// goodbyes and goodbyeGap are how often and how far apart a session that is
// stopped says so: once more than needed for each packet that may be lost.
const (
	goodbyes   = 3
	goodbyeGap = 10 * time.Millisecond
)

// Machine is one session. It is not safe for concurrent use. Times are
// durations on any one monotonic clock. A slice of actions is valid until the
// next call.
type Machine struct {
	// Set once.
	random func() float64

	cfg  Config
	info Info

	remoteMinRx, remoteMinTx time.Duration
	remoteMult               uint8
	remoteDemand             bool

	desiredMinTx  time.Duration // what we announce
	requiredMinRx time.Duration
	// RFC 5880 section 6.8.3: a longer interval to send at, and a shorter one
	// to expect, count only once the neighbor has seen them. While a poll is
	// under way these are the old ones; 0: none.
	txHold, rxHold time.Duration
	polling        bool
	pollAgain      bool // parameters changed while polling

	nextTx  time.Duration // never: no periodic packets
	lastTx  time.Duration
	pace    time.Duration // the interval that nextTx was made from
	expires time.Duration // never: not armed
	goodbye int           // packets that Stop still owes

	actions []Action
}

// New makes a session that is down and silent until Start. random gives
// numbers in [0,1) for jitter; discriminator is unique on this system, not 0.
func New(c Config, discriminator uint32, random func() float64) *Machine {
	c = c.withDefaults()
	m := &Machine{
		random: random, cfg: c,
		info:        Info{Name: c.Name, State: Down, RemoteState: Down, Discriminator: discriminator, Why: "nothing was heard from the neighbor yet"},
		remoteMinRx: time.Microsecond,
		nextTx:      never, expires: never,
		requiredMinRx: c.MinRx,
	}
	m.desiredMinTx = m.idle()
	return m
}

// idle is the interval of a session that is not up.
func (m *Machine) idle() time.Duration { return max(m.cfg.IdleTx, m.cfg.MinTx) }

// Info is a snapshot.
func (m *Machine) Info() Info {
	i := m.info
	i.Name, i.TxInterval, i.DetectionTime = m.cfg.Name, m.txInterval(), m.detectionTime()
	return i
}

// Deadline is when Timer wants to be called; never is the largest Duration.
func (m *Machine) Deadline() time.Duration { return min(m.nextTx, m.expires) }

// Start begins to send.
func (m *Machine) Start(now time.Duration) []Action {
	m.actions = m.actions[:0]
	m.info.Since = now
	if !m.cfg.Passive {
		m.send(now, false)
	}
	return m.actions
}

// Timer does what is due.
func (m *Machine) Timer(now time.Duration) []Action {
	m.actions = m.actions[:0]
	if now >= m.expires {
		m.expire(now)
	}
	if now >= m.nextTx {
		m.send(now, false)
		if m.info.State == AdminDown {
			m.farewell()
		}
	}
	return m.actions
}

// expire is the detection time without a packet.
func (m *Machine) expire(now time.Duration) {
	m.expires = never
	if s := m.info.State; s == Up || s == Init {
		why := "nothing heard for the detection time of " + m.detectionTime().String()
		m.change(now, Down, diagExpired, why)
		// The last packet that knows the neighbor's discriminator tells it, in
		// case that only its packets are lost.
		m.send(now, false)
	}
	m.info.RemoteDiscr, m.info.RemoteState = 0, Down
	m.remoteMinRx, m.remoteDemand = time.Microsecond, false
	m.schedule(now)
}

// Receive takes a packet that was addressed to this session, and whose TTL is
// good.
func (m *Machine) Receive(now time.Duration, c *wire.Control) []Action {
	m.actions = m.actions[:0]
	if m.info.State == AdminDown {
		m.Discard("the session is administratively down")
		return nil
	}
	m.info.Received++
	m.info.LastHeard = now
	m.info.RemoteDiscr, m.info.RemoteState, m.info.RemoteDiagnostic = c.MyDiscriminator, c.State, c.Diagnostic
	m.remoteMinRx, m.remoteMinTx = c.RequiredMinRx, c.DesiredMinTx
	m.remoteMult, m.remoteDemand = c.DetectMult, c.Demand
	if c.Final && m.polling {
		m.polling, m.txHold, m.rxHold = false, 0, 0
		if m.pollAgain {
			m.poll()
		}
	}
	changed := m.advance(now, c)
	m.expires = never
	if d := m.detectionTime(); d > 0 {
		m.expires = now + d
	}
	switch {
	case c.Poll:
		// At once, whatever the state and the timer are (section 6.8.7).
		m.send(now, true)
	case changed:
		m.send(now, false)
	default:
		m.schedule(now)
	}
	return m.actions
}

// advance is the state machine of section 6.8.6.
func (m *Machine) advance(now time.Duration, c *wire.Control) (changed bool) {
	switch {
	case c.State == AdminDown:
		if m.info.State != Down {
			return m.change(now, Down, diagSignaled, "the neighbor is administratively down")
		}
	case m.info.State == Down && c.State == Down:
		return m.change(now, Init, m.info.Diagnostic, "the neighbor was heard")
	case m.info.State == Down && c.State == Init, m.info.State == Init && c.State >= Init:
		return m.change(now, Up, diagNone, "both sides hear each other")
	case m.info.State == Up && c.State == Down:
		why := "the neighbor went down"
		if c.Diagnostic != diagNone {
			why += ": " + c.Diagnostic.String()
		}
		return m.change(now, Down, diagSignaled, why)
	}
	return false
}

const (
	diagNone     = wire.NoDiagnostic
	diagExpired  = wire.DetectionTimeExpired
	diagSignaled = wire.NeighborSignaledDown
	diagAdmin    = wire.AdministrativelyDown
)

func (m *Machine) change(now time.Duration, to State, d wire.Diagnostic, why string) bool {
	from := m.info.State
	if from == Up {
		m.info.Flaps++
	}
	m.info.State, m.info.Since, m.info.Diagnostic, m.info.Why = to, now, d, why
	m.polling, m.pollAgain, m.txHold, m.rxHold = false, false, 0, 0
	m.desiredMinTx, m.requiredMinRx = m.idle(), m.cfg.MinRx
	if to == Up {
		if m.desiredMinTx != m.cfg.MinTx {
			m.desiredMinTx = m.cfg.MinTx
			m.poll()
		}
	}
	m.actions = append(m.actions, Action{Kind: Changed, From: from, To: to, Why: why})
	return true
}

// poll starts a poll sequence, or another one after that under way.
func (m *Machine) poll() {
	m.pollAgain = m.polling
	m.polling = true
}

// Stop takes the session administratively down. Ended follows, now or after
// some Timer calls.
func (m *Machine) Stop(now time.Duration) []Action {
	m.actions = m.actions[:0]
	if m.info.State == AdminDown {
		return nil
	}
	m.change(now, AdminDown, diagAdmin, "stopped")
	m.expires, m.goodbye = never, goodbyes
	if m.info.RemoteDiscr == 0 {
		m.goodbye = 1 // nobody listens, as far as we know
	}
	if m.info.RemoteDiscr != 0 || !m.cfg.Passive {
		m.send(now, false)
	}
	m.farewell()
	return m.actions
}

// farewell paces the repeated packets of Stop, which the neighbor's own limit
// may forbid.
func (m *Machine) farewell() {
	m.goodbye--
	gap := max(goodbyeGap, m.remoteMinRx)
	if m.goodbye <= 0 || m.remoteMinRx == 0 || gap > 5*goodbyeGap {
		m.nextTx = never
		m.actions = append(m.actions, Action{Kind: Ended})
		return
	}
	m.nextTx = m.lastTx + gap
}

// Reconfigure changes what may be changed while the session lives on: all but
// neighbor, source and port.
func (m *Machine) Reconfigure(now time.Duration, c Config) []Action {
	m.actions = m.actions[:0]
	c = c.withDefaults()
	old := m.cfg
	m.cfg = c
	if m.info.State != Up {
		m.desiredMinTx, m.requiredMinRx = m.idle(), c.MinRx
		if old.Passive && !c.Passive && m.nextTx == never && m.info.State != AdminDown {
			m.send(now, false)
		}
		return m.actions
	}
	if c.MinTx == m.desiredMinTx && c.MinRx == m.requiredMinRx && c.Multiplier == old.Multiplier {
		return nil
	}
	if c.MinTx > m.desiredMinTx && m.txHold == 0 {
		m.txHold = m.desiredMinTx
	}
	if c.MinRx < m.requiredMinRx && m.rxHold == 0 {
		m.rxHold = m.requiredMinRx
	}
	m.desiredMinTx, m.requiredMinRx = c.MinTx, c.MinRx
	m.poll()
	m.send(now, false)
	return m.actions
}

// Discard counts a packet that was not given to Receive.
func (m *Machine) Discard(why string) {
	m.info.Discarded++
	m.info.LastDiscardReason = why
}

// txInterval is the interval in use, before jitter; 0: the neighbor wants no
// periodic packets.
func (m *Machine) txInterval() time.Duration {
	if m.remoteMinRx == 0 {
		return 0
	}
	own := m.desiredMinTx
	if m.txHold > 0 {
		own = min(own, m.txHold)
	}
	return max(own, m.remoteMinRx)
}

// detectionTime is section 6.8.4's, for asynchronous mode; 0: unknown.
func (m *Machine) detectionTime() time.Duration {
	return time.Duration(m.remoteMult) * max(m.requiredMinRx, m.rxHold, m.remoteMinTx)
}

// quiet says that periodic packets must not be sent (section 6.8.7).
func (m *Machine) quiet() bool {
	switch {
	case m.cfg.Passive && m.info.RemoteDiscr == 0, m.remoteMinRx == 0:
		return true
	case m.remoteDemand && m.info.State == Up && m.info.RemoteState == Up:
		return !m.polling
	}
	return false
}

// schedule sets the time of the next periodic packet after the last one. What
// is scheduled stays where the interval is the same.
func (m *Machine) schedule(now time.Duration) {
	if m.info.State == AdminDown {
		return
	}
	if m.quiet() {
		m.nextTx = never
		return
	}
	pace := m.txInterval()
	if m.nextTx != never && pace == m.pace {
		return
	}
	m.pace = pace
	m.nextTx = max(now, m.lastTx+m.jitter(pace))
}

// jitter shortens an interval by up to a quarter; with a multiplier of 1, by a
// tenth at least.
func (m *Machine) jitter(d time.Duration) time.Duration {
	if m.cfg.Multiplier == 1 {
		return d - d/10 - time.Duration(float64(d)*0.15*m.random())
	}
	return d - time.Duration(float64(d)*0.25*m.random())
}

// send sends a packet now and schedules the one after it.
func (m *Machine) send(now time.Duration, final bool) {
	m.actions = append(m.actions, Action{Kind: Send, Control: wire.Control{
		Diagnostic: m.info.Diagnostic, State: m.info.State,
		Poll: m.polling && !final, Final: final,
		DetectMult:      uint8(m.cfg.Multiplier),
		MyDiscriminator: m.info.Discriminator, YourDiscriminator: m.info.RemoteDiscr,
		DesiredMinTx: m.desiredMinTx, RequiredMinRx: m.requiredMinRx,
	}})
	m.info.Sent++
	m.lastTx, m.nextTx = now, never
	m.schedule(now)
}
