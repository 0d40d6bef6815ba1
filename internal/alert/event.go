package alert

import (
	"time"
)

// Severity is a level of RFC 5424, the more urgent the smaller.
type Severity uint8

// The severities.
const (
	Emergency Severity = iota
	Alert
	Critical
	Error
	Warning
	Notice
	Info
	Debug
)

var severities = [...]string{"emergency", "alert", "critical", "error", "warning", "notice", "info", "debug"}

func (s Severity) String() string {
	if int(s) < len(severities) {
		return severities[s]
	}
	return "debug"
}

// Event is something that happened. It is not changed once it is posted.
type Event struct {
	Kind     string // what sort of thing, the same word each time: "transition", "script", "duplicate-master"
	Severity Severity
	Plane    string // "vrrp", "health", "bfd", "alert"
	Name     string // of the instance, group, server or sink; may be empty
	Text     string // one line for people, such as "(VI_1) Entering MASTER STATE"
	Fields   []Field
	At       time.Time // Post sets it when it is zero

	// Mail is set when somebody asked for a mail about this.
	Mail *Message
	// Notify is set when scripts and FIFOs are to hear of it.
	Notify *Notify
}

// Field is one more fact about an event; names are lower_case.
type Field struct{ Name, Value string }

// Message is what a mail says. The sink puts the router's name in front of the
// subject.
type Message struct {
	Subject string // "VRRP Instance VI_1 - Entering MASTER state"
	Body    string // "": the event's text and fields
}
