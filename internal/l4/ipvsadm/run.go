package ipvsadm

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"evenkeel/internal/l4"
)

// Follows is the ipvsadm whose behaviour this package has.
const Follows = "v1.31 2019/12/24"

// Table is what commands are carried out on. Errors wrap the numbers that the
// kernel's IPVS has (syscall.Errno): EEXIST, ESRCH for a service that is not
// there, ENOENT for a server or scheduler that is not there, EINVAL, EPERM.
type Table interface {
	// Version is of the table's IPVS, and size how many buckets it has.
	Version() (version string, size int, err error)
	Services() ([]l4.ServiceStats, error)

	AddService(l4.Service) error
	EditService(l4.Service) error
	DeleteService(l4.Key) error
	Flush() error
	AddServer(l4.Key, l4.Server) error
	EditServer(l4.Key, l4.Server) error
	DeleteServer(l4.Key, l4.ServerKey) error
	Zero(...l4.Key) error // all without a key

	Flows(yield func(l4.Flow) bool) error
	Timeouts() (l4.Timeouts, error)
	SetTimeouts(l4.Timeouts) error // zero keeps
	Daemons() ([]l4.SyncDaemon, error)
	StartDaemon(l4.SyncDaemon) error
	StopDaemon(backup bool) error
}

// Ranger is a Table whose services may have a range of ports.
type Ranger interface{ PortRanges() bool }

// Shell is what commands run in.
type Shell struct {
	Table          Table
	Stdin          io.Reader // of -R
	Stdout, Stderr io.Writer
	Resolver       Resolver // nil: names are not known
	Names          Names    // nil: listings have numbers only
}

// Main carries out one command line, the arguments behind the program's name,
// and gives the exit code.
func (s *Shell) Main(args []string) int {
	c, err := Parse(args, s.Resolver)
	if err == nil {
		err = s.Run(c)
	}
	return s.report(err)
}

func (s *Shell) report(err error) int {
	if err == nil {
		return 0
	}
	var said *silent
	if errors.As(err, &said) {
		return said.code
	}
	fmt.Fprintln(s.Stderr, err)
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return codeFailed
}

// Run carries out a command.
func (s *Shell) Run(c Command) error {
	switch c.Action {
	case Help:
		fmt.Fprintf(s.Stdout, "ipvsadm %s (evenkeel)\n%s", Follows, Usage())
		return nil
	case Version:
		fmt.Fprintf(s.Stdout, "ipvsadm %s (evenkeel)\n", Follows)
		return nil
	}
	if k := c.Service.Key; k.PortLast > k.Port {
		if r, ok := s.Table.(Ranger); !ok || !r.PortRanges() {
			return &Error{codeFailed, "the kernel's IPVS has no ranges of ports"}
		}
	}
	switch c.Action {
	case List:
		return s.list(c)
	case Save:
		return s.save(c)
	case Restore:
		return s.restore()
	}
	return failure(c.Action, s.change(c))
}

// change carries out what changes the table.
func (s *Shell) change(c Command) error {
	t, k := s.Table, c.Service.Key
	switch c.Action {
	case AddService:
		return t.AddService(c.Service)
	case EditService:
		return t.EditService(c.Service)
	case DeleteService:
		return t.DeleteService(k)
	case Clear:
		return t.Flush()
	case AddServer:
		return t.AddServer(k, c.Server)
	case EditServer:
		return t.EditServer(k, c.Server)
	case DeleteServer:
		return t.DeleteServer(k, c.Server.Key())
	case Zero:
		if c.KeyGiven {
			return t.Zero(k)
		}
		return t.Zero()
	case SetTimeouts:
		return t.SetTimeouts(c.Timeouts)
	case StartDaemon:
		return t.StartDaemon(c.Daemon)
	case StopDaemon:
		return t.StopDaemon(c.Daemon.Backup)
	}
	return fmt.Errorf("no action %d", c.Action)
}

// causes are what the numbers of the table's errors mean to a kind of command.
var causes = []struct {
	of    []Action // nil: any
	errno syscall.Errno
	text  string
}{
	{nil, syscall.EPERM, "Permission denied (you must be root)"},
	{nil, syscall.EACCES, "Permission denied (you must be root)"},
	{nil, syscall.ENOPROTOOPT, "Protocol not available"},
	{nil, syscall.ENOMEM, "Memory allocation problem"},
	{nil, syscall.EINVAL, "Invalid operation.  Possibly wrong module version, address not unicast, ..."},
	{[]Action{AddService}, syscall.EEXIST, "Service already exists"},
	{[]Action{AddService, EditService}, syscall.ENOENT, "Scheduler or persistence engine not found"},
	{[]Action{EditService, DeleteService, Zero, List}, syscall.ESRCH, "No such service"},
	{[]Action{AddServer, EditServer, DeleteServer}, syscall.ESRCH, "Service not defined"},
	{[]Action{AddServer}, syscall.EEXIST, "Destination already exists"},
	{[]Action{EditServer, DeleteServer}, syscall.ENOENT, "No such destination"},
	{[]Action{StartDaemon}, syscall.EEXIST, "Daemon has already run"},
	{[]Action{StopDaemon}, syscall.ESRCH, "No daemon is running"},
	{[]Action{StopDaemon}, syscall.ENOENT, "No daemon is running"},
}

// failure puts a table's error into ipvsadm's words.
func failure(a Action, err error) error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e // in our words already
	}
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return &Error{codeFailed, err.Error()}
	}
	for _, c := range causes {
		if c.errno != errno {
			continue
		}
		for _, of := range c.of {
			if of == a {
				return &Error{codeFailed, c.text}
			}
		}
		if c.of == nil {
			return &Error{codeFailed, c.text}
		}
	}
	// The C library begins its texts with a capital.
	text := errno.Error()
	return &Error{codeFailed, strings.ToUpper(text[:1]) + text[1:]}
}

// names are those for listings: none with -n.
func (s *Shell) printer(c Command) *printer {
	if c.Numeric {
		return newPrinter(s.Stdout, nil)
	}
	return newPrinter(s.Stdout, s.Names)
}

func (s *Shell) list(c Command) error {
	p := s.printer(c)
	var err error
	switch {
	case c.List.Connections:
		p.connectionHeader(c.List.Persistent)
		err = s.Table.Flows(func(f l4.Flow) bool {
			p.connection(&f, c.List.Persistent)
			return true
		})
	case c.List.Timeouts:
		var t l4.Timeouts
		if t, err = s.Table.Timeouts(); err == nil {
			p.timeouts(t)
		}
	case c.List.Daemons:
		var list []l4.SyncDaemon
		list, err = s.Table.Daemons()
		for _, d := range list {
			p.daemon(d)
		}
	default:
		err = s.services(p, c)
	}
	return cmp.Or(failure(List, err), p.w.Flush())
}

func (s *Shell) services(p *printer, c Command) error {
	list, err := s.Table.Services()
	if err != nil {
		return err
	}
	if c.KeyGiven {
		k := c.Service.Key.Canonical()
		for i := range list {
			if list[i].Key.Canonical() == k {
				one := ordered(list[i : i+1])
				if c.List.NoSort {
					one = list[i : i+1]
				}
				p.header(c.List)
				p.service(&one[0], c.List)
				return nil
			}
		}
		return &Error{codeList, "No such service"}
	}
	version, size, err := s.Table.Version()
	if err != nil {
		return err
	}
	p.f("IP Virtual Server version %s (size=%d)\n", version, size)
	p.header(c.List)
	if !c.List.NoSort {
		list = ordered(list)
	}
	for i := range list {
		p.service(&list[i], c.List)
	}
	return nil
}

func (s *Shell) save(c Command) error {
	list, err := s.Table.Services()
	if err != nil {
		return failure(Save, err)
	}
	list = ordered(list)
	p := s.printer(c)
	for i := range list {
		p.save(&list[i])
	}
	return p.w.Flush()
}

// maxLine is the longest line that -R takes.
const maxLine = 64 << 10

// restore does the commands of standard input, in turn. What the table does
// not take is said, and the rest done; a line that is no command ends it.
func (s *Shell) restore() error {
	lines := bufio.NewScanner(s.Stdin)
	lines.Buffer(nil, maxLine)
	code := 0
	for n := 1; lines.Scan(); n++ {
		words := strings.Fields(lines.Text())
		if len(words) > 0 && words[0] == "ipvsadm" {
			words = words[1:]
		}
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		c, err := Parse(words, s.Resolver)
		if err == nil && c.Action == Restore {
			err = usageError("line %d: -R within what is restored", n)
		}
		if err != nil {
			return err
		}
		if err := s.Run(c); err != nil {
			code = s.report(err)
		}
	}
	if err := lines.Err(); err != nil {
		return &Error{codeFailed, "standard input: " + err.Error()}
	}
	if code != 0 {
		return &silent{code}
	}
	return nil
}

// silent is an exit code after all was said.
type silent struct{ code int }

func (*silent) Error() string { return "" }

// Usage lists the words that Parse takes.
func Usage() string {
	var b strings.Builder
	b.WriteString("usage: ipvsadm COMMAND [OPTIONS]\n\ncommands, of which one comes first (without any: --list):\n")
	for _, w := range commandWords {
		usageLine(&b, w)
	}
	b.WriteString("\noptions:\n")
	for _, w := range optionWords {
		usageLine(&b, w)
	}
	return b.String()
}

func usageLine(b *strings.Builder, w word) {
	if w.help == "" {
		return
	}
	short := "   "
	if w.short != 0 {
		short = "-" + string(w.short) + ","
	}
	fmt.Fprintf(b, "  %s --%-32s %s\n", short, strings.TrimSpace(w.long+" "+w.names), w.help)
}
