package accesslog

import "strings"

// Severities of RFC 5424, as the level argument of Send.
const (
	Emerg = iota
	Alert
	Crit
	Err
	Warning
	Notice
	Info
	Debug
)

// facilities in the order of their codes. The last eight names after cron2
// are spelled as HAProxy spells them.
var facilities = [24]string{
	"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news",
	"uucp", "cron", "auth2", "ftp", "ntp", "audit", "alert", "cron2",
	"local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
}

var levels = [8]string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"}

// Facility gives the code of a facility's name.
func Facility(name string) (int, bool) { return index(facilities[:], name) }

// Level gives the severity of a level's name.
func Level(name string) (int, bool) { return index(levels[:], name) }

func index(list []string, name string) (int, bool) {
	for i, s := range list {
		if strings.EqualFold(s, name) {
			return i, true
		}
	}
	return 0, false
}
