package track

import (
	"time"

	"evenkeel/internal/command"
)

// Kind is what sort of thing is tracked.
type Kind uint8

// The kinds. Names are unique in a kind, not across kinds.
const (
	KindScript Kind = iota
	KindProcess
	KindFile
)

func (k Kind) String() string { return [...]string{"script", "process", "file"}[k] }

// State is what is known of a tracked thing.
type State uint8

// The states. Pending lasts until the first result; whoever depends on a
// pending thing should neither count it as failed nor as good.
const (
	Pending State = iota
	Up
	Down
)

func (s State) String() string { return [...]string{"pending", "up", "down"}[s] }

// Report is one change of one tracked thing.
type Report struct {
	Kind  Kind
	Name  string
	State State
	// Value is the number in a file; 0 for other kinds. A file is Up as long
	// as it can be read or is missing (which counts as 0).
	Value int64
	// Text says for people what happened: "script chk_web failed: exit status 1".
	Text string
	// Advisory: nothing changed for priorities; the text is worth logging (a
	// script that cannot be run, a file without a number).
	Advisory bool
}

// Script is one vrrp_script.
type Script struct {
	Name     string
	Command  command.Command
	Interval time.Duration
	Timeout  time.Duration // 0: the interval
	Rise     int           // successes in a row until it is up, at least 1
	Fall     int           // failures in a row until it is down, at least 1
	InitFail bool          // down until it has risen; otherwise the first result decides
}

// Process is one vrrp_track_process.
type Process struct {
	Name string
	// Argv is the program's name as in /proc/PID/comm or, with FullCommand or
	// parameters, as in /proc/PID/cmdline, then the parameters.
	Argv        []string
	ParamMatch  ParamMatch
	FullCommand bool
	Quorum      int  // at least so many: 1 normally
	QuorumMax   *int // at most so many; nil: any number; 0: none may run
	// A change for the better or worse by a process that came is believed
	// after ForkDelay, by one that went after ExitDelay.
	ForkDelay, ExitDelay time.Duration
}

// ParamMatch is how parameters are compared.
type ParamMatch uint8

// The ways: not at all unless parameters are given (then all, exactly); the
// first ones exactly; the first ones, of which the last may go on; all exactly,
// also when none is given.
const (
	ParamsDefault ParamMatch = iota
	ParamsPartial
	ParamsInitial
	ParamsExact
)

// File is one track_file.
type File struct {
	Name string
	Path string
	Init Init
}

// Init is what is written into a tracked file at the start.
type Init struct {
	Write     bool
	Value     int64
	Overwrite bool // also when it exists
}

// Config is everything that is tracked.
type Config struct {
	Scripts   []Script
	Processes []Process
	Files     []File
	// Secure refuses scripts that would run as root while another user can
	// write to any part of their path (enable_script_security).
	Secure bool
}

// Status is one tracked thing as it is now.
type Status struct {
	Kind   Kind
	Name   string
	State  State
	Value  int64     // a file's number, or how many processes match
	Since  time.Time // of State
	Text   string    // the last result in words
	Runs   uint64    // scripts: runs that ended
	Missed uint64    // scripts: runs left out because one was still going
}

// Options are set once.
type Options struct {
	// Post gets each report. It is called from goroutines of the tracker, one
	// report at a time for each name and in order, and must not block.
	Post func(Report)
}
