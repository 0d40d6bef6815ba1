package ipvsadm

// option is one of ipvsadm's options that stand beside a command. Their order
// is that in which complaints about them are made.
type option uint8

const (
	optNumeric option = iota
	optConnection
	optService
	optScheduler
	optPersistent
	optNetmask
	optServer
	optForward
	optWeight
	optUpper
	optLower
	optInterface
	optTimeout
	optDaemon
	optStats
	optRate
	optThresholds
	optPersistentConn
	optNoSort
	optSyncID
	optExact
	optOPS
	optPE
	optSchedFlags
	optMcastGroup
	optMcastPort
	optMcastTTL
	optSyncMaxLen
	optTunInfo
	optTunType
	optTunPort
	optTunNoCsum
	optTunCsum
	optTunRemCsum
	optCount
)

// optionNames are the options as messages call them.
var optionNames = [optCount]string{"numeric", "connection", "service-address", "scheduler", "persistent", "netmask",
	"real-server", "forwarding-method", "weight", "u-threshold", "l-threshold", "mcast-interface", "timeout", "daemon",
	"stats", "rate", "thresholds", "persistent-conn", "nosort", "syncid", "exact", "ops", "pe", "sched-flags",
	"mcast-group", "mcast-port", "mcast-ttl", "sync-maxlen", "tun-info", "tun-type", "tun-port", "tun-nocsum",
	"tun-csum", "tun-remcsum"}

func (o option) String() string { return optionNames[o] }

// optionSet is which options were given.
type optionSet uint64

func setOf(list ...option) (s optionSet) {
	for _, o := range list {
		s |= 1 << o
	}
	return s
}

func (s optionSet) has(o option) bool { return s&(1<<o) != 0 }

// Action is what a command line asks for.
type Action uint8

// The actions.
const (
	None Action = iota
	AddService
	EditService
	DeleteService
	Clear
	List
	AddServer
	DeleteServer
	EditServer
	SetTimeouts
	StartDaemon
	StopDaemon
	Restore
	Save
	Zero
	Help
	Version
)

// action is one command: its name in messages, and which options it needs and
// may have beside those.
type action struct {
	name          string
	needs, allows optionSet
}

var (
	serviceSettings = setOf(optScheduler, optPersistent, optNetmask, optOPS, optPE, optSchedFlags)
	serverSettings  = setOf(optForward, optWeight, optUpper, optLower, optTunType, optTunPort, optTunNoCsum, optTunCsum, optTunRemCsum)
	daemonSettings  = setOf(optInterface, optSyncID, optMcastGroup, optMcastPort, optMcastTTL, optSyncMaxLen)
	listSettings    = setOf(optNumeric, optConnection, optService, optTimeout, optDaemon, optStats, optRate, optThresholds,
		optPersistentConn, optNoSort, optSyncID, optExact, optTunInfo)
)

var actions = map[Action]action{
	AddService:    {"add-service", setOf(optService), serviceSettings},
	EditService:   {"edit-service", setOf(optService), serviceSettings},
	DeleteService: {"delete-service", setOf(optService), 0},
	Clear:         {"flush", 0, 0},
	List:          {"list", 0, listSettings},
	AddServer:     {"add-server", setOf(optService, optServer), serverSettings},
	DeleteServer:  {"delete-server", setOf(optService, optServer), 0},
	EditServer:    {"edit-server", setOf(optService, optServer), serverSettings},
	SetTimeouts:   {"set", 0, 0},
	StartDaemon:   {"start-daemon", 0, daemonSettings},
	StopDaemon:    {"stop-daemon", 0, setOf(optSyncID)},
	Restore:       {"restore", 0, 0},
	Save:          {"save", 0, setOf(optNumeric)},
	Zero:          {"zero", 0, setOf(optService)},
}

// argument says what follows a word.
type argument uint8

const (
	noArgument argument = iota
	needsArgument
	mayHaveArgument // the next word, unless it begins with a dash
)

// word is one entry of the command line's vocabulary.
type word struct {
	long     string
	short    byte // 0: none
	argument argument
	action   Action // of a command
	set      func(p *parser, value string) error
	names    string // of the argument, for help
	help     string
}

// commandWords come first on a command line.
var commandWords = []word{
	{long: "add-service", short: 'A', action: AddService, help: "add a virtual service"},
	{long: "edit-service", short: 'E', action: EditService, help: "change one"},
	{long: "delete-service", short: 'D', action: DeleteService, help: "remove one, with its servers"},
	{long: "clear", short: 'C', action: Clear, help: "remove all of them"},
	{long: "list", short: 'L', action: List, help: "show services, connections (-c), timeouts or daemons"},
	{short: 'l', action: List},
	{long: "add-server", short: 'a', action: AddServer, help: "add a real server to a service"},
	{long: "edit-server", short: 'e', action: EditServer, help: "change one"},
	{long: "delete-server", short: 'd', action: DeleteServer, help: "remove one"},
	{long: "save", short: 'S', action: Save, help: "print the services as commands for -R"},
	{long: "restore", short: 'R', action: Restore, help: "do the commands of standard input, one on a line"},
	{long: "zero", short: 'Z', action: Zero, help: "set counters back, of one service or of all"},
	{long: "set", action: SetTimeouts, help: "set the timeouts tcp, tcpfin and udp, in seconds; 0 keeps one"},
	{long: "start-daemon", argument: needsArgument, action: StartDaemon, names: "master|backup", help: "start to send or to receive connections"},
	{long: "stop-daemon", argument: needsArgument, action: StopDaemon, names: "master|backup", help: "stop it"},
	{long: "help", short: 'h', action: Help, help: "show this"},
	{long: "version", short: 'v', action: Version, help: "show the version"},
}

// optionWords follow.
var optionWords = []word{
	{long: "tcp-service", short: 't', argument: needsArgument, set: (*parser).tcpService, names: "host[:port]", help: "the service: TCP"},
	{long: "udp-service", short: 'u', argument: needsArgument, set: (*parser).udpService, names: "host[:port]", help: "UDP"},
	{long: "sctp-service", argument: needsArgument, set: (*parser).sctpService, names: "host[:port]", help: "SCTP"},
	{long: "fwmark-service", short: 'f', argument: needsArgument, set: (*parser).markService, names: "mark", help: "packets with a firewall mark"},
	{long: "ipv6", short: '6', set: (*parser).ipv6, help: "after -f: the mark is of IPv6 packets"},
	{long: "scheduler", short: 's', argument: needsArgument, set: (*parser).scheduler, names: "name", help: "how a server is chosen"},
	{long: "sched-flags", short: 'b', argument: needsArgument, set: (*parser).schedulerFlags, names: "flags", help: "what changes the choice, with commas between"},
	{long: "persistent", short: 'p', argument: mayHaveArgument, set: (*parser).persistent, names: "[seconds]", help: "a client stays with its server (360)"},
	{long: "netmask", short: 'M', argument: needsArgument, set: (*parser).netmask, names: "mask", help: "clients of a network are one; of IPv6 a prefix length"},
	{long: "pe", argument: needsArgument, set: (*parser).engine, names: "name", help: "persistence engine: sip"},
	{long: "ops", short: 'o', set: (*parser).onePacket, help: "each UDP packet is scheduled by itself"},
	{long: "real-server", short: 'r', argument: needsArgument, set: (*parser).realServer, names: "host[:port]", help: "the server"},
	{long: "gatewaying", short: 'g', set: (*parser).gatewaying, help: "direct routing (without -g, -i or -m, too)"},
	{long: "ipip", short: 'i', set: (*parser).tunneling, help: "through a tunnel"},
	{long: "masquerading", short: 'm', set: (*parser).masquerading, help: "address translation"},
	{long: "tun-type", argument: needsArgument, set: (*parser).tunnelType, names: "type", help: "ipip, gue or gre"},
	{long: "tun-port", argument: needsArgument, set: (*parser).tunnelPort, names: "port", help: "of gue"},
	{long: "tun-nocsum", set: (*parser).tunnelNoChecksum, help: "gue, gre: no checksum"},
	{long: "tun-csum", set: (*parser).tunnelChecksum, help: "gue, gre: with one"},
	{long: "tun-remcsum", set: (*parser).tunnelRemoteChecksum, help: "gue: with remote checksum offload"},
	{long: "weight", short: 'w', argument: needsArgument, set: (*parser).weight, names: "number", help: "share of connections (1); 0: no new ones"},
	{long: "u-threshold", short: 'x', argument: needsArgument, set: (*parser).upper, names: "number", help: "connections at which it gets no more"},
	{long: "l-threshold", short: 'y', argument: needsArgument, set: (*parser).lower, names: "number", help: "connections below which it gets some again"},
	{long: "connection", short: 'c', set: flagWord(optConnection), help: "list: connections"},
	{long: "timeout", set: flagWord(optTimeout), help: "list: timeouts"},
	{long: "daemon", set: flagWord(optDaemon), help: "list: sync daemons"},
	{long: "stats", set: flagWord(optStats), help: "list: counters"},
	{long: "rate", set: flagWord(optRate), help: "list: what comes in a second"},
	{long: "exact", set: flagWord(optExact), help: "list: large numbers whole"},
	{long: "thresholds", set: flagWord(optThresholds), help: "list: thresholds"},
	{long: "persistent-conn", set: flagWord(optPersistentConn), help: "list: persistent clients; with -c what they are known by"},
	{long: "tun-info", set: flagWord(optTunInfo), help: "list: tunnels"},
	{long: "sort", set: (*parser).sort, help: "no effect: lists are in order"},
	{long: "nosort", set: flagWord(optNoSort), help: "list: as the table has it"},
	{long: "numeric", short: 'n', set: flagWord(optNumeric), help: "addresses and ports as numbers"},
	{long: "mcast-interface", argument: needsArgument, set: (*parser).mcastInterface, names: "device", help: "daemon: where messages go"},
	{long: "mcast-group", argument: needsArgument, set: (*parser).mcastGroup, names: "address", help: "daemon: 224.0.0.81"},
	{long: "mcast-port", argument: needsArgument, set: (*parser).mcastPort, names: "port", help: "daemon: 8848"},
	{long: "mcast-ttl", argument: needsArgument, set: (*parser).mcastTTL, names: "number", help: "daemon: 1"},
	{long: "syncid", argument: needsArgument, set: (*parser).syncID, names: "number", help: "daemon: whose messages"},
	{long: "sync-maxlen", argument: needsArgument, set: (*parser).syncMaxLen, names: "bytes", help: "daemon: of a message"},
}

func flagWord(o option) func(*parser, string) error {
	return func(p *parser, _ string) error { return p.mark(o) }
}
