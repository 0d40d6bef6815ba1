package vrrp

// State is what an instance is.
type State uint8

const (
	Init State = iota
	Backup
	Master
	Fault
	Stopped
)

var stateNames = [...]string{Init: "INIT", Backup: "BACKUP", Master: "MASTER", Fault: "FAULT", Stopped: "STOPPED"}

func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "UNKNOWN"
}

// Cause is why a state changed.
type Cause uint8

const (
	CauseStart Cause = iota
	CauseOwner
	CauseTimeout
	CauseReleased
	CausePreempt
	CauseHigherPriority
	CauseHigherAddress
	CauseFault
	CauseRecovered
	CauseGroup
	CauseDrill
	CauseFrozen
	CauseRestart
	CauseStop
)

var causeTexts = [...]string{
	CauseStart:          "started",
	CauseOwner:          "owns the addresses (priority 255)",
	CauseTimeout:        "no advertisement within the down interval",
	CauseReleased:       "the master gave up (priority 0)",
	CausePreempt:        "the master has a lower priority",
	CauseHigherPriority: "a master of higher priority",
	CauseHigherAddress:  "a master of the same priority and a higher address",
	CauseFault:          "fault",
	CauseRecovered:      "the fault is over",
	CauseGroup:          "the sync group",
	CauseDrill:          "ordered",
	CauseFrozen:         "this node was frozen longer than its peers wait",
	CauseRestart:        "reconfigured",
	CauseStop:           "stopped",
}

func (c Cause) String() string {
	if int(c) < len(causeTexts) {
		return causeTexts[c]
	}
	return "unknown"
}
