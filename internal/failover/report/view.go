package report

import (
	"encoding/json"
	"fmt"
	"time"

	"evenkeel/internal/alert"
)

// View is a failover process at one moment. Its JSON form is an interface:
// fields are added, never renamed.
type View struct {
	Version    string        `json:"version"`
	RouterID   string        `json:"router_id"`
	Now        time.Time     `json:"now"`
	Started    time.Time     `json:"started"`
	Scheduling string        `json:"scheduling"` // of the event loop: "SCHED_RR 1", or why not
	Proxy      string        `json:"proxy"`      // none, serving, down
	Keeper     string        `json:"keeper"`     // alive, frozen, none
	Loop       Loop          `json:"loop"`
	Instances  []Instance    `json:"instances"`
	Groups     []Group       `json:"groups"`
	Tracked    []Tracked     `json:"tracked"`
	Interfaces []Interface   `json:"interfaces"`
	Sinks      []Sink        `json:"sinks"`
	Settings   []Setting     `json:"-"` // global ones, for the data dump
	Wakeups    uint64        `json:"wakeups"`
	Uptime     time.Duration `json:"-"`
}

// Loop is how the event loop does.
type Loop struct {
	WorstLateMillis float64 `json:"worst_late_ms"`
	Frozen          uint64  `json:"frozen"` // instances given up because the process did not run
	Renewals        uint64  `json:"lease_renewals"`
	RenewalsFailed  uint64  `json:"lease_renewals_failed"`
	Received        uint64  `json:"packets_received"`
	Sent            uint64  `json:"packets_sent"`
	SendErrors      uint64  `json:"packets_not_sent"`
}

// Instance is one vrrp_instance.
type Instance struct {
	Name        string       `json:"name"`
	Group       string       `json:"group,omitempty"`
	State       string       `json:"state"`
	Since       time.Time    `json:"since"`
	Why         string       `json:"why"` // why it is in this state
	Leaving     bool         `json:"leaving,omitempty"`
	Drill       bool         `json:"drill,omitempty"`
	Version     int          `json:"version"`
	Family      int          `json:"family"`
	VRID        int          `json:"vrid"`
	Interface   string       `json:"interface"`
	Device      string       `json:"device"` // carries the addresses; another one with a virtual MAC
	Source      string       `json:"source"`
	Destination []string     `json:"destination"` // the multicast group or the peers
	Unicast     bool         `json:"unicast,omitempty"`
	Configured  int          `json:"configured_priority"`
	Priority    int          `json:"priority"`
	PriorityWhy string       `json:"priority_why,omitempty"`
	IntervalMS  float64      `json:"advert_interval_ms"`
	DownMS      float64      `json:"down_interval_ms"`
	Preempt     bool         `json:"preempt"`
	Master      string       `json:"master,omitempty"` // address of the present one
	MasterPrio  int          `json:"master_priority,omitempty"`
	MasterHere  bool         `json:"master_here"`
	LastHeardMS float64      `json:"last_heard_ms_ago,omitempty"`
	Holds       bool         `json:"holds_addresses"`
	LeaseS      float64      `json:"lease_s"`
	Addresses   []Address    `json:"addresses"`
	Tracks      []Track      `json:"tracks"`
	Faults      []string     `json:"faults,omitempty"`
	History     []Transition `json:"history"`
	Counters    Counters     `json:"counters"`
	LastError   string       `json:"last_error,omitempty"`

	Settings []Setting `json:"-"` // more of the configuration, for the data dump
}

// Address is one virtual address.
type Address struct {
	Prefix   string `json:"prefix"`
	Device   string `json:"device"`
	Set      bool   `json:"set"` // it is on the host
	Excluded bool   `json:"excluded,omitempty"`
}

// Track is something that an instance's priority depends on.
type Track struct {
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Weight int    `json:"weight"`
	State  string `json:"state"` // up, down, pending
}

// Transition is one change of state.
type Transition struct {
	At   time.Time `json:"at"`
	From string    `json:"from"`
	To   string    `json:"to"`
	Why  string    `json:"why"`
}

// Counters count since the instance began.
type Counters struct {
	AdvertsReceived uint64 `json:"adverts_received"`
	AdvertsSent     uint64 `json:"adverts_sent"`
	AdvertsLate     uint64 `json:"adverts_late"`
	BecameMaster    uint64 `json:"became_master"`
	ReleasedMaster  uint64 `json:"released_master"`
	ZeroReceived    uint64 `json:"priority_zero_received"`
	ZeroSent        uint64 `json:"priority_zero_sent"`
	DuplicateMaster uint64 `json:"duplicate_master"`
	Announcements   uint64 `json:"announcements"`
	SendErrors      uint64 `json:"send_errors"`
	// To counts transitions by the state that was entered.
	To map[string]uint64 `json:"transitions,omitempty"`
	// Discarded packets by reason, and those of keepalived's dump by name.
	Discarded map[string]uint64 `json:"discarded,omitempty"`
	Length    uint64            `json:"-"`
	TTL       uint64            `json:"-"`
	Type      uint64            `json:"-"`
	Interval  uint64            `json:"-"`
	Addresses uint64            `json:"-"`
	AuthType  uint64            `json:"-"`
	AuthData  uint64            `json:"-"`
	Mismatch  uint64            `json:"-"`
}

// Group is one sync group.
type Group struct {
	Name    string   `json:"name"`
	State   string   `json:"state"`
	Members []string `json:"members"`
	Faults  int      `json:"faults"`
}

// Tracked is a script, process, file or BFD session.
type Tracked struct {
	Kind   string    `json:"kind"`
	Name   string    `json:"name"`
	State  string    `json:"state"`
	Value  int64     `json:"value,omitempty"`
	Since  time.Time `json:"since"`
	Text   string    `json:"text,omitempty"`
	Runs   uint64    `json:"runs,omitempty"`
	Missed uint64    `json:"missed,omitempty"`
}

// Interface is one that instances use.
type Interface struct {
	Name  string   `json:"name"`
	Index int      `json:"index"`
	IPv4  string   `json:"ipv4,omitempty"`
	IPv6  string   `json:"ipv6,omitempty"`
	MAC   string   `json:"mac"`
	State string   `json:"state"` // "UP, RUNNING"
	MTU   int      `json:"mtu"`
	Kind  string   `json:"kind,omitempty"`
	Users []string `json:"instances,omitempty"`
}

// Sink is where events go.
type Sink struct {
	Name       string `json:"name"`
	Queued     int    `json:"queued"`
	Sent       uint64 `json:"sent"`
	Dropped    uint64 `json:"dropped"`
	Suppressed uint64 `json:"suppressed"`
	Retries    uint64 `json:"retries"`
	Trouble    string `json:"trouble,omitempty"`
}

// Setting is a line of the data dump: "Name = Value".
type Setting struct{ Name, Value string }

// Event is something that happened.
type Event struct {
	At       time.Time `json:"at"`
	Kind     string    `json:"kind"`
	Severity string    `json:"severity"`
	Plane    string    `json:"plane"`
	Name     string    `json:"name,omitempty"`
	Text     string    `json:"text"`
}

// Events is what happened, the oldest first, for programs: a list of Event.
func Events(list []alert.Event) string {
	all := make([]Event, 0, len(list))
	for i := range list {
		e := &list[i]
		all = append(all, Event{e.At, e.Kind, e.Severity.String(), e.Plane, e.Name, e.Text})
	}
	b, err := json.Marshal(all)
	if err != nil {
		return fmt.Sprintf("%q\n", err.Error())
	}
	return string(b) + "\n"
}
