package vrrp

// Tracked is one thing that an instance's priority depends on.
type Tracked struct {
	Kind string // "script", "interface", "process", "file", "bfd", "proxy"
	Name string
	// Weight 0: down is a fault. Above 0: added while up. Below 0: taken off
	// while down. Reverse turns the direction of the adjustment round, and with
	// weight 0 up and down.
	Weight  int
	Reverse bool
	Up      bool
	// File: Value times Weight is added instead; with weight 0 any value but 0
	// is a fault, and so is a result below -253.
	File  bool
	Value int
}

// Effective computes the priority from the configured one and what is tracked.
// fault is the reason when something without a weight is down, otherwise "".
// why is for people: "150 - 60 script chk_nginx failed = 90".
func Effective(configured uint8, tracked []Tracked) (effective uint8, why, fault string) {
	return configured, "", ""
}
