package xdp

import (
	"time"

	"evenkeel/internal/l4"
)

// The numbers of bpf/consts.h.
const (
	tickShift = 24

	serviceHashFallback = 0x01
	serviceHashPort     = 0x02
	serviceOnePacket    = 0x04
	serviceSloppy       = 0x08
	serviceAnyPort      = 0x10

	destAvailable = 0x01

	hopMAC      = 0x01
	hopGateway  = 0x02
	hopGateway6 = 0x04

	flowReverse     = 0x01
	flowSource      = 0x02
	flowDestination = 0x04
	flowNoOutput    = 0x08
	flowSynced      = 0x20
	flowHeld        = 0x40
	flowLocal       = 0x80

	kindMark = 3

	fastCPUs = 255
	fastLine = 32

	setExpireNoDest    = 0x01
	setExpireQuiescent = 0x02
	setRanges          = 0x04
	setMarks           = 0x08
)

const (
	stateUDP      = 11
	stateTemplate = 12
	stateDead     = 13
)

// stateNames are the states as ipvsadm prints them, by number.
var stateNames = []string{"NONE", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT", "TIME_WAIT",
	"CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "SYNACK", "UDP", "NONE", "CLOSE"}

// dropNames are the reasons for which a packet was not forwarded, by number.
var dropNames = []string{"", "no server", "server removed", "SYN limit", "table full", "port collision",
	"no route", "too big", "TTL exceeded", "malformed", "stray fragment", "pool exhausted", "internal", "stateless"}

// schedulerNumbers are the schedulers that the programs know.
var schedulerNumbers = map[string]uint8{"rr": 0, "wrr": 1, "lc": 2, "wlc": 3, "sh": 4, "dh": 5, "mh": 6,
	"sed": 7, "nq": 8, "fo": 9, "ovf": 10, "lblc": 11, "lblcr": 12, "twos": 13}

// stateTimeouts is how long a flow without packets is kept, by state: what can
// be set, and IPVS's fixed values.
func stateTimeouts(t l4.Timeouts) [stateTemplate]time.Duration {
	return [stateTemplate]time.Duration{
		2 * time.Second, t.TCP, 2 * time.Minute, time.Minute, t.TCPFin, 2 * time.Minute,
		10 * time.Second, time.Minute, 30 * time.Second, 2 * time.Minute, 2 * time.Minute, t.UDP,
	}
}

// ticks is a duration in the programs' unit, at least one.
func ticks(d time.Duration) uint32 { return max(1, uint32(d>>tickShift)) }

// duration is a number of ticks as one.
func duration(n uint32) time.Duration { return time.Duration(n) << tickShift }
