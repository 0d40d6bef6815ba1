package ipvsadm

import (
	"fmt"
	"net/netip"
	"strings"

	"evenkeel/internal/l4"
)

// Command is one command line, understood.
type Command struct {
	Action Action

	Service  l4.Service // its key, and for AddService and EditService its settings
	KeyGiven bool       // List, Zero: of this service alone
	Server   l4.Server
	Timeouts l4.Timeouts // SetTimeouts: zero keeps
	Daemon   l4.SyncDaemon
	List     Listing
	Numeric  bool
}

// Listing is what -L shows and how.
type Listing struct {
	Connections, Timeouts, Daemons              bool
	Stats, Rate, Thresholds, Persistent, Tunnel bool
	Exact, NoSort                               bool
}

// Error is why a command line is no command, or was not carried out.
type Error struct {
	Code int // exit code
	Text string
}

// Exit codes of ipvsadm.
const (
	codeList   = 1
	codeUsage  = 2
	codeFailed = 255
)

func (e *Error) Error() string { return e.Text }

func usageError(format string, args ...any) error {
	return &Error{codeUsage, fmt.Sprintf(format, args...)}
}

func tryHelp() error {
	return &Error{codeFailed, "Try `ipvsadm -h' or 'ipvsadm --help' for more information."}
}

// Resolver turns names into numbers where no number is written.
type Resolver interface {
	// Host is an IPv4 address of a host.
	Host(name string) (netip.Addr, bool)
	// Port is a service's port; protocol is "tcp", "udp" or "sctp".
	Port(service, protocol string) (uint16, bool)
}

// noNames is a Resolver that knows none.
type noNames struct{}

func (noNames) Host(string) (netip.Addr, bool)     { return netip.Addr{}, false }
func (noNames) Port(string, string) (uint16, bool) { return 0, false }

// parser is the state of one command line.
type parser struct {
	resolver Resolver
	command  Command
	given    optionSet
	rest     []string // words that are no options

	family l4.Family // of the service, as far as it is known
	mask   uint32    // of IPv4, or the prefix length of IPv6
	flags  []string  // of the scheduler, to be looked at when it is known
}

// Parse reads the arguments behind the program's name. An error is always an
// *Error. resolver may be nil: then names are not known.
func Parse(args []string, resolver Resolver) (Command, error) {
	if resolver == nil {
		resolver = noNames{}
	}
	p := &parser{resolver: resolver}
	p.command.Server = l4.Server{Weight: 1, Method: l4.DR}
	if len(args) == 0 {
		return Command{Action: List}, nil
	}
	s := scanner{args: args}
	if err := p.first(&s); err != nil {
		return Command{}, err
	}
	if a := p.command.Action; a == Help || a == Version {
		return p.command, nil
	}
	for {
		w, value, ok, err := s.nextOf(optionWords)
		if err != nil {
			return Command{}, err
		}
		if !ok {
			break
		}
		if err := w.set(p, value); err != nil {
			return Command{}, err
		}
	}
	p.rest = append(p.rest, s.rest...)
	if err := p.finish(); err != nil {
		return Command{}, err
	}
	return p.command, nil
}

// first reads the command, which has to come first.
func (p *parser) first(s *scanner) error {
	w, value, ok, err := s.nextOf(commandWords)
	if err != nil || !ok || len(s.rest) > 0 {
		return tryHelp()
	}
	p.command.Action = w.action
	switch w.action {
	case StartDaemon, StopDaemon:
		switch value {
		case "master":
		case "backup":
			p.command.Daemon.Backup = true
		default:
			if w.action == StartDaemon {
				return usageError("illegal start-daemon parameter specified")
			}
			return usageError("illegal start_daemon specified")
		}
	}
	return nil
}

// mark notes that an option was given, which may be once.
func (p *parser) mark(o option) error {
	if p.given.has(o) {
		return usageError("multiple '%s' options specified", o)
	}
	p.given |= 1 << o
	return nil
}

// finish looks at the whole.
func (p *parser) finish() error {
	c := &p.command
	if c.Action == SetTimeouts {
		if err := p.timeouts(); err != nil {
			return err
		}
	}
	if len(p.rest) > 0 {
		return usageError("unexpected argument %s", p.rest[0])
	}
	if err := p.resolveFlags(); err != nil {
		return err
	}
	if err := p.checkOptions(); err != nil {
		return err
	}
	if c.Action == AddService || c.Action == EditService {
		if err := p.checkService(); err != nil {
			return err
		}
	}
	if c.Action == List {
		if err := p.listing(); err != nil {
			return err
		}
	}
	c.Numeric = p.given.has(optNumeric)
	c.KeyGiven = p.given.has(optService)
	if c.Action == AddServer || c.Action == EditServer || c.Action == DeleteServer {
		return p.finishServer()
	}
	return p.finishMask()
}

// checkService is about options that do not fit each other.
func (p *parser) checkService() error {
	s := &p.command.Service
	if s.FwMark == 0 && s.Port == 0 && !p.given.has(optPersistent) {
		return usageError("Zero port specified for non-persistent service")
	}
	if s.OnePacket && s.FwMark == 0 && s.Protocol != l4.UDP {
		return usageError("One-Packet Scheduling is only for UDP virtual services")
	}
	return nil
}

// checkOptions compares what was given with what the command has.
func (p *parser) checkOptions() error {
	a := actions[p.command.Action]
	for o := option(0); o < optCount; o++ {
		switch given := p.given.has(o); {
		case !given && a.needs.has(o):
			return usageError("You need to supply the '%s' option for the '%s' command", o, a.name)
		case given && !a.needs.has(o) && !a.allows.has(o):
			return usageError("Illegal '%s' option with the '%s' command", o, a.name)
		}
	}
	return nil
}

// listing is about the options of -L, some of which exclude each other.
func (p *parser) listing() error {
	conflict := func(a, b option) error {
		return usageError("The option '%s' conflicts with the '%s' option in the 'list' command", a, b)
	}
	g := p.given
	switch {
	case g.has(optConnection) && g.has(optService):
		return conflict(optService, optConnection)
	case g.has(optTimeout) && g.has(optConnection):
		return conflict(optTimeout, optConnection)
	case g.has(optTimeout) && g.has(optService):
		return conflict(optTimeout, optService)
	case g.has(optDaemon) && g.has(optConnection):
		return conflict(optDaemon, optConnection)
	case g.has(optDaemon) && g.has(optService):
		return conflict(optDaemon, optService)
	case g.has(optDaemon) && g.has(optTimeout):
		return conflict(optDaemon, optTimeout)
	}
	connections, others := g.has(optConnection), g.has(optTimeout) || g.has(optDaemon)
	numbers := g.has(optStats) || g.has(optRate) || g.has(optThresholds)
	if (connections || others) && numbers || others && g.has(optPersistentConn) {
		return usageError("options conflicts in the list command")
	}
	p.command.List = Listing{Connections: g.has(optConnection), Timeouts: g.has(optTimeout), Daemons: g.has(optDaemon),
		Stats: g.has(optStats), Rate: g.has(optRate), Thresholds: g.has(optThresholds), Persistent: g.has(optPersistentConn),
		Tunnel: g.has(optTunInfo), Exact: g.has(optExact), NoSort: g.has(optNoSort)}
	return nil
}

// scanner takes a command line apart by popt's rules.
type scanner struct {
	args   []string
	at     int
	inside string // what is left of a word of short options
	rest   []string
	ended  bool // behind "--"
	last   string
}

// nextOf is the next option. A command where an option has to be is an error of
// its own.
func (s *scanner) nextOf(known []word) (word, string, bool, error) {
	for s.inside == "" {
		if s.at >= len(s.args) {
			return word{}, "", false, nil
		}
		a := s.args[s.at]
		s.at++
		switch {
		case s.ended || len(a) < 2 || a[0] != '-':
			s.rest = append(s.rest, a)
			if &known[0] == &commandWords[0] {
				return word{}, "", false, nil
			}
		case a == "--":
			s.ended = true
		case a[1] == '-':
			s.last = a
			return s.long(known, a)
		default:
			s.last, s.inside = a, a[1:]
		}
	}
	short := s.inside[0]
	s.inside = s.inside[1:]
	w, ok := find(known, func(w word) bool { return w.short == short })
	if !ok {
		if _, isCommand := find(commandWords, func(w word) bool { return w.short == short }); isCommand {
			return w, "", false, usageError("invalid option `%s'", s.last)
		}
		return w, "", false, &Error{codeFailed, s.last + ": unknown option"}
	}
	value, err := s.value(w, strings.TrimPrefix(s.inside, "="), s.inside != "")
	if w.argument != noArgument {
		s.inside = ""
	}
	return w, value, err == nil, err
}

func (s *scanner) long(known []word, a string) (word, string, bool, error) {
	name, value, attached := strings.Cut(a[2:], "=")
	w, ok := find(known, func(w word) bool { return w.long != "" && w.long == name })
	if !ok {
		if _, isCommand := find(commandWords, func(w word) bool { return w.long != "" && w.long == name }); isCommand {
			return w, "", false, usageError("invalid option `%s'", a)
		}
		return w, "", false, &Error{codeFailed, a + ": unknown option"}
	}
	if attached && w.argument == noArgument {
		return w, "", false, &Error{codeFailed, a + ": option does not take an argument"}
	}
	value, err := s.value(w, value, attached)
	return w, value, err == nil, err
}

// absent is the value of an argument that was not given, which is not the same
// as an empty one.
const absent = "\x00"

// value is the argument of a word: attached to it, or the next one.
func (s *scanner) value(w word, attached string, has bool) (string, error) {
	if w.argument == noArgument {
		return "", nil
	}
	if has {
		return attached, nil
	}
	if s.at < len(s.args) && !(w.argument == mayHaveArgument && strings.HasPrefix(s.args[s.at], "-")) {
		s.at++
		return s.args[s.at-1], nil
	}
	if w.argument == mayHaveArgument {
		return absent, nil
	}
	return "", &Error{codeFailed, s.last + ": missing argument"}
}

func find(list []word, is func(word) bool) (word, bool) {
	for _, w := range list {
		if is(w) {
			return w, true
		}
	}
	return word{}, false
}
