package pool

import "time"

// CheckStatus is the outcome of one health check, as `show stat` names it.
type CheckStatus uint8

const (
	CheckUnknown CheckStatus = iota // UNK
	CheckInit                       // INI
	CheckHana                       // HANA
	CheckSockErr                    // SOCKERR
	CheckL4OK
	CheckL4Timeout
	CheckL4Con
	CheckL6OK
	CheckL6Timeout
	CheckL6Response
	CheckL7Timeout
	CheckL7Response
	CheckL7OK
	CheckL7OKConditional // L7OKC: disable-on-404
	CheckL7Status
	CheckProcErr
	CheckProcTimeout
	CheckProcOK
	checkStatusCount
)

// CheckReport is the end of one health check.
type CheckReport struct {
	Now      int64 // monotonic nanoseconds; 0: Options.Now is asked
	Status   CheckStatus
	Code     int           // HTTP or protocol status, 0: none
	Info     string        // what HAProxy logs as info: "…"
	Duration time.Duration // of the check
}

// AgentReport is the end of one agent check. An agent line may hold several
// words; what it did not say is nil or zero.
type AgentReport struct {
	Now      int64
	Status   CheckStatus // L7OK, L7STS or a failure to talk
	Info     string
	Duration time.Duration
	Weight   string // "75%", "" for none
	MaxConn  *int
	Admin    string // "", "ready", "drain", "maint"
	Oper     string // "", "up", "down", "failed", "stopped"
	Reason   string // text after # of a down word
}
