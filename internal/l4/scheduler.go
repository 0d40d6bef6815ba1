package l4

// A Scheduler chooses the server of a new connection.
type Scheduler struct {
	Name string
	Help string // one line for people

	Table    bool // its choices are laid down before any packet comes
	Hash     bool // the same client (or destination) always gets the same server
	Counting bool // it looks at the connections of the servers
	Random   bool // its choices cannot be foretold
}

// Schedulers are all that there are, with IPVS's names and meaning.
var Schedulers = []Scheduler{
	{Name: "rr", Table: true, Help: "each server in turn"},
	{Name: "wrr", Table: true, Help: "each server in turn, more often with more weight"},
	{Name: "lc", Counting: true, Help: "the server with the fewest connections"},
	{Name: "wlc", Counting: true, Help: "the server with the fewest connections for its weight"},
	{Name: "lblc", Counting: true, Help: "a destination's last server, unless it is overloaded: then wlc"},
	{Name: "lblcr", Counting: true, Help: "the least loaded of a destination's servers, which grow when overloaded"},
	{Name: "dh", Table: true, Hash: true, Help: "by a hash of the destination address"},
	{Name: "sh", Table: true, Hash: true, Help: "by a hash of the source address"},
	{Name: "sed", Counting: true, Help: "the server with the shortest expected delay: (active + 1) / weight"},
	{Name: "nq", Counting: true, Help: "an idle server, if there is one; else sed"},
	{Name: "fo", Counting: true, Help: "the server with the most weight that is not overloaded"},
	{Name: "ovf", Counting: true, Help: "the server with the most weight until it has more connections than that, then the next"},
	{Name: "twos", Counting: true, Random: true, Help: "of two servers drawn by weight, the one with fewer connections for its weight"},
	{Name: "mh", Table: true, Hash: true, Help: "by Maglev's consistent hash of the source address"},
}

// DefaultScheduler is the scheduler of a service that names none.
const DefaultScheduler = "wlc"

// SchedulerByName is a scheduler's entry; "" is the default's.
func SchedulerByName(name string) (Scheduler, bool) {
	if name == "" {
		name = DefaultScheduler
	}
	for _, s := range Schedulers {
		if s.Name == name {
			return s, true
		}
	}
	return Scheduler{}, false
}
