package argv

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// DefaultKeepalivedFile is what keepalived reads without -f.
const DefaultKeepalivedFile = "/etc/keepalived/keepalived.conf"

// Keepalived is what a command line of keepalived asks for (keepalived(8)).
type Keepalived struct {
	File            string
	OnlyVRRP        bool // -P
	OnlyCheck       bool // -C
	Console         bool // -l
	Detail          bool // -D
	Facility        int  // -S, of syslog; -1: as configured
	NoSyslog        bool // -G
	DontFork        bool // -n
	DontRelease     bool // -V: addresses stay when the daemon stops
	DontReleaseIPVS bool // -I
	Pidfile         string
	Namespace       string // -s
	ConfigID        string // -i
	Umask           int    // -u; -1: as it is
	Signal          string // --signum
	Test            bool   // -t
	TestLog         string
	Version         bool
	Help            bool
	// Ignored are options that have no meaning here, with the reason.
	Ignored []string
}

// keepalivedOption is one option; value says whether it takes one.
type keepalivedOption struct {
	short byte // 0: none
	long  string
	value optionValue
	set   func(k *Keepalived, v string) error
}

type optionValue uint8

const (
	noValue optionValue = iota
	withValue
	maybeValue
)

func flagOption(short byte, long string, at func(*Keepalived) *bool) keepalivedOption {
	return keepalivedOption{short, long, noValue, func(k *Keepalived, _ string) error { *at(k) = true; return nil }}
}

func textOption(short byte, long string, at func(*Keepalived) *string) keepalivedOption {
	return keepalivedOption{short, long, withValue, func(k *Keepalived, v string) error { *at(k) = v; return nil }}
}

// idleOption is accepted and does nothing, for the reason why.
func idleOption(short byte, long string, value optionValue, why string) keepalivedOption {
	return keepalivedOption{short, long, value, func(k *Keepalived, _ string) error {
		k.Ignored = append(k.Ignored, "--"+long+": "+why)
		return nil
	}}
}

var keepalivedOptions = []keepalivedOption{
	textOption('f', "use-file", func(k *Keepalived) *string { return &k.File }),
	flagOption('P', "vrrp", func(k *Keepalived) *bool { return &k.OnlyVRRP }),
	flagOption('C', "check", func(k *Keepalived) *bool { return &k.OnlyCheck }),
	idleOption('B', "no_bfd", noValue, "BFD runs where a bfd_instance is configured"),
	idleOption(0, "all", noValue, "one process does what is configured"),
	flagOption('l', "log-console", func(k *Keepalived) *bool { return &k.Console }),
	flagOption('D', "log-detail", func(k *Keepalived) *bool { return &k.Detail }),
	{'S', "log-facility", withValue, setFacility},
	flagOption('G', "no-syslog", func(k *Keepalived) *bool { return &k.NoSyslog }),
	{'u', "umask", withValue, setUmask},
	idleOption('X', "release-vips", noValue, "addresses are always handed over on a stop"),
	flagOption('V', "dont-release-vrrp", func(k *Keepalived) *bool { return &k.DontRelease }),
	flagOption('I', "dont-release-ipvs", func(k *Keepalived) *bool { return &k.DontReleaseIPVS }),
	idleOption('R', "dont-respawn", noValue, "a process that dies is started again, or its addresses would have no owner"),
	flagOption('n', "dont-fork", func(k *Keepalived) *bool { return &k.DontFork }),
	idleOption('d', "dump-conf", noValue, "SIGUSR1 or `evenkeel ctl dump data` shows the configuration"),
	textOption('p', "pid", func(k *Keepalived) *string { return &k.Pidfile }),
	idleOption('r', "vrrp_pid", withValue, "there is one pid file, of the keeper (-p)"),
	idleOption('c', "checkers_pid", withValue, "there is one pid file, of the keeper (-p)"),
	idleOption('b', "bfd_pid", withValue, "there is one pid file, of the keeper (-p)"),
	idleOption('a', "address-monitoring", noValue, "what happens to the addresses of an instance is always told; `ip monitor address` tells the rest"),
	idleOption('x', "snmp", noValue, "there is no SNMP agent; /metrics and `evenkeel status json` tell the same"),
	idleOption('A', "snmp-agent-socket", withValue, "there is no SNMP agent"),
	textOption('s', "namespace", func(k *Keepalived) *string { return &k.Namespace }),
	idleOption('m', "core-dump", noValue, "a crash prints its stack"),
	idleOption('M', "core-dump-pattern", maybeValue, "a crash prints its stack"),
	idleOption('e', "all-config", noValue, "write include_check in global_defs"),
	textOption('i', "config-id", func(k *Keepalived) *string { return &k.ConfigID }),
	textOption(0, "signum", func(k *Keepalived) *string { return &k.Signal }),
	{'t', "config-test", maybeValue, func(k *Keepalived, v string) error { k.Test, k.TestLog = true, v; return nil }},
	flagOption('v', "version", func(k *Keepalived) *bool { return &k.Version }),
	flagOption('h', "help", func(k *Keepalived) *bool { return &k.Help }),
}

func setFacility(k *Keepalived, v string) error {
	names := map[string]int{"user": 1, "daemon": 3}
	if n, ok := names[v]; ok {
		k.Facility = n
		return nil
	}
	n, err := strconv.Atoi(strings.TrimPrefix(v, "local"))
	if err != nil || n < 0 || n > 7 {
		return fmt.Errorf("invalid log facility '%s': 0 to 7, local0 to local7, user or daemon", v)
	}
	k.Facility = 16 + n
	return nil
}

func setUmask(k *Keepalived, v string) error {
	n, err := strconv.ParseUint(v, 0, 32)
	if err != nil || n > 0o777 {
		return fmt.Errorf("invalid umask '%s': up to 0777", v)
	}
	k.Umask = int(n)
	return nil
}

// ParseKeepalived reads the arguments after the program's name as
// getopt_long does.
func ParseKeepalived(args []string) (*Keepalived, error) {
	k := &Keepalived{File: DefaultKeepalivedFile, Facility: -1, Umask: -1}
	for len(args) > 0 {
		word := args[0]
		args = args[1:]
		var err error
		switch {
		case word == "--":
			if len(args) > 0 {
				err = fmt.Errorf("unexpected argument '%s'", args[0])
			}
			args = nil
		case strings.HasPrefix(word, "--"):
			args, err = k.long(word[2:], args)
		case strings.HasPrefix(word, "-") && len(word) > 1:
			args, err = k.short(word[1:], args)
		default:
			err = fmt.Errorf("unexpected argument '%s'", word)
		}
		if err != nil {
			return nil, err
		}
	}
	return k, nil
}

func (k *Keepalived) long(word string, args []string) ([]string, error) {
	name, value, has := strings.Cut(word, "=")
	var found []keepalivedOption
	for _, o := range keepalivedOptions {
		if o.long == name {
			found = []keepalivedOption{o}
			break
		}
		if strings.HasPrefix(o.long, name) {
			found = append(found, o)
		}
	}
	switch {
	case len(found) == 0:
		return nil, fmt.Errorf("unrecognized option '--%s'", name)
	case len(found) > 1:
		return nil, fmt.Errorf("option '--%s' is ambiguous", name)
	}
	o := found[0]
	switch {
	case has && o.value == noValue:
		return nil, fmt.Errorf("option '--%s' doesn't allow an argument", o.long)
	case !has && o.value == withValue:
		if len(args) == 0 {
			return nil, fmt.Errorf("option '--%s' requires an argument", o.long)
		}
		value, args = args[0], args[1:]
	}
	return args, o.set(k, value)
}

// short reads a cluster of one-letter options.
func (k *Keepalived) short(word string, args []string) ([]string, error) {
	for len(word) > 0 {
		letter := word[0]
		word = word[1:]
		i := slices.IndexFunc(keepalivedOptions, func(o keepalivedOption) bool { return o.short == letter && letter != 0 })
		if i < 0 {
			return nil, fmt.Errorf("invalid option -- '%c'", letter)
		}
		o := keepalivedOptions[i]
		value := ""
		if o.value != noValue {
			value, word = word, ""
			if value == "" && o.value == withValue {
				if len(args) == 0 {
					return nil, fmt.Errorf("option requires an argument -- '%c'", letter)
				}
				value, args = args[0], args[1:]
			}
		}
		if err := o.set(k, value); err != nil {
			return nil, err
		}
	}
	return args, nil
}

// KeepalivedSignals are the numbers that --signum tells.
var KeepalivedSignals = map[string]int{"STOP": 15, "RELOAD": 1, "DATA": 10, "STATS": 12}

// KeepalivedUsage is the text of --help.
func KeepalivedUsage(name string) string {
	return "Usage: " + name + ` [OPTION...]
  -f, --use-file=FILE          Read this configuration file
                                default '` + DefaultKeepalivedFile + `'
  -P, --vrrp                   VRRP only
  -C, --check                  Virtual servers and their checks only
  -l, --log-console            Log to the console as well
  -D, --log-detail             Log in detail
  -S, --log-facility=([0-7]|local[0-7]|user|daemon)
  -G, --no-syslog              Do not log to syslog
  -u, --umask=MASK             umask of created files
  -V, --dont-release-vrrp      Leave addresses and routes where they are on a stop
  -I, --dont-release-ipvs      Leave virtual services on a stop
  -n, --dont-fork              Stay in the foreground
  -p, --pid=FILE               Write the process id here
  -s, --namespace=NAME         Run in this network namespace
  -i, --config-id=ID           For lines that begin with '@'; default: the node's name
      --signum=SIGFUNC         Tell the number of STOP, RELOAD, DATA or STATS
  -t, --config-test[=LOG_FILE] Check the configuration
  -v, --version                Show the version
  -h, --help                   Show this text
Also taken, with a word on why they have no effect here: -B -R -X -a -b -c -d -e -m -M -r -x -A --all
`
}
