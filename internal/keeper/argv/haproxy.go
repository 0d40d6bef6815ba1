package argv

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// HAProxy is what a command line of haproxy asks for.
type HAProxy struct {
	Files []string // -f and --, directories not yet opened (see Expand)

	Version      int    // 1: -v, 2: -vv
	Check        bool   // -c
	Condition    string // -cc
	HasCondition bool
	Daemon       bool // -D
	Debug        bool // -d
	Foreground   bool // -db, and -d
	Quiet        bool // -q
	Verbose      bool // -V
	Master       bool // -W, -Ws
	Notify       bool // -Ws
	MasterCLI    string
	Pidfile      string
	MaxConn      int
	MaxProxyConn int
	MaxMemory    int // megabytes
	Localpeer    string
	ChangeDir    string
	OldPids      []int
	OldNow       bool   // -st
	OldSocket    string // -x

	NoEpoll, NoPoll, NoSplice, NoGetaddrinfo, NoReusePort bool // -de -dp -dS -dG -dR
	NoServerVerify                                        bool // -dV
	IgnoreResolveFailures                                 bool // -dr
	ZeroWarning                                           bool // -dW
	Diagnostic                                            bool // -dD
	DumpConfig                                            bool // -dC
	DumpLibraries                                         bool // -dL
	DumpKeywords                                          string
	HasDumpKeywords                                       bool
}

// ErrUsage asks for the usage text and exit status 1.
var ErrUsage = errors.New("usage")

// switches are the options without a value.
var switches = map[string]func(*HAProxy){
	"v":  func(h *HAProxy) { h.Version = max(h.Version, 1) },
	"vv": func(h *HAProxy) { h.Version = 2 },
	"c":  func(h *HAProxy) { h.Check = true },
	"D":  func(h *HAProxy) { h.Daemon = true },
	"d":  func(h *HAProxy) { h.Debug, h.Foreground = true, true },
	"db": func(h *HAProxy) { h.Foreground = true },
	"q":  func(h *HAProxy) { h.Quiet = true },
	"V":  func(h *HAProxy) { h.Verbose = true },
	"W":  func(h *HAProxy) { h.Master = true },
	"Ws": func(h *HAProxy) { h.Master, h.Notify = true, true },
	"de": func(h *HAProxy) { h.NoEpoll = true },
	"dp": func(h *HAProxy) { h.NoPoll = true },
	"dS": func(h *HAProxy) { h.NoSplice = true },
	"dG": func(h *HAProxy) { h.NoGetaddrinfo = true },
	"dR": func(h *HAProxy) { h.NoReusePort = true },
	"dV": func(h *HAProxy) { h.NoServerVerify = true },
	"dr": func(h *HAProxy) { h.IgnoreResolveFailures = true },
	"dW": func(h *HAProxy) { h.ZeroWarning = true },
	"dD": func(h *HAProxy) { h.Diagnostic = true },
	"dL": func(h *HAProxy) { h.DumpLibraries = true },
	"dZ": func(h *HAProxy) {}, // zero-copy forwarding off: nothing of that kind is built in
	"dI": func(h *HAProxy) {}, // insecure fork: has no meaning here
	"dv": func(h *HAProxy) {}, // kqueue: another system's
	"dk": func(h *HAProxy) {},
}

// prefixed are the options whose argument, if any, is glued on.
var prefixed = []struct {
	name string
	set  func(*HAProxy, string)
}{
	{"dK", func(h *HAProxy, v string) { h.HasDumpKeywords, h.DumpKeywords = true, v }},
	{"dC", func(h *HAProxy, _ string) { h.DumpConfig = true }},
	{"dM", func(*HAProxy, string) {}}, // memory debugging: the run-time's own
	{"dt", func(*HAProxy, string) {}}, // traces
	{"dF", func(*HAProxy, string) {}}, // fast forwarding off
}

// valued are the options that take the next word.
var valued = map[string]func(*HAProxy, string) error{
	"f":  func(h *HAProxy, v string) error { h.Files = append(h.Files, v); return nil },
	"n":  func(h *HAProxy, v string) error { h.MaxConn = number(v); return nil },
	"N":  func(h *HAProxy, v string) error { h.MaxProxyConn = number(v); return nil },
	"m":  func(h *HAProxy, v string) error { h.MaxMemory = number(v); return nil },
	"L":  func(h *HAProxy, v string) error { h.Localpeer = v; return nil },
	"C":  func(h *HAProxy, v string) error { h.ChangeDir = v; return nil },
	"p":  func(h *HAProxy, v string) error { h.Pidfile = v; return nil },
	"S":  func(h *HAProxy, v string) error { h.MasterCLI = v; return nil },
	"x":  func(h *HAProxy, v string) error { h.OldSocket = v; return nil },
	"cc": func(h *HAProxy, v string) error { h.Condition, h.HasCondition = v, true; return nil },
}

// number reads as C's atol does: what begins with no digit is zero.
func number(s string) int {
	s = strings.TrimSpace(s)
	end := 0
	for end < len(s) && (s[end] >= '0' && s[end] <= '9' || end == 0 && (s[0] == '-' || s[0] == '+')) {
		end++
	}
	n, err := strconv.Atoi(s[:end])
	if err != nil && end > 1 {
		return math.MaxInt32
	}
	return n
}

// Parse reads the words after the program's name.
func Parse(args []string) (*HAProxy, error) {
	h := &HAProxy{}
	for i := 0; i < len(args); i++ {
		word := args[i]
		if len(word) < 2 || word[0] != '-' {
			return nil, ErrUsage
		}
		option := word[1:]
		if option == "-" {
			h.Files = append(h.Files, args[i+1:]...)
			break
		}
		if set, ok := switches[option]; ok {
			set(h)
			continue
		}
		if option == "sf" || option == "st" {
			n, err := h.oldPids(word, args[i+1:])
			if err != nil {
				return nil, err
			}
			i += n
			continue
		}
		if set, ok := valued[option]; ok {
			if i+1 >= len(args) || args[i+1] == "" {
				return nil, ErrUsage
			}
			i++
			if err := set(h, args[i]); err != nil {
				return nil, err
			}
			continue
		}
		if !h.glued(option) {
			return nil, ErrUsage
		}
	}
	if err := h.complete(); err != nil {
		return nil, err
	}
	return h, nil
}

func (h *HAProxy) glued(option string) bool {
	for _, p := range prefixed {
		if v, ok := strings.CutPrefix(option, p.name); ok {
			p.set(h, v)
			return true
		}
	}
	return false
}

func (h *HAProxy) complete() error {
	if len(h.Files) == 0 && h.Version == 0 && !h.HasCondition && !h.HasDumpKeywords {
		return ErrUsage
	}
	if h.MasterCLI != "" && !h.Master {
		h.MasterCLI = "" // it is the master's; HAProxy ignores it too
	}
	return nil
}

// oldPids takes numbers until the next option. Several may stand in one
// word, as in "$(cat pid)".
func (h *HAProxy) oldPids(option string, words []string) (used int, err error) {
	h.OldNow = option == "-st"
	for _, w := range words {
		if strings.HasPrefix(w, "-") {
			break
		}
		for f := range strings.FieldsSeq(w) {
			pid, err := strconv.Atoi(f)
			if err != nil {
				return 0, fmt.Errorf("%s option: some bytes unconsumed in PID list {%s}", option, f)
			}
			if pid <= 0 {
				return 0, fmt.Errorf("%s option: invalid PID %d", option, pid)
			}
			if !slices.Contains(h.OldPids, pid) {
				h.OldPids = append(h.OldPids, pid)
			}
		}
		used++
	}
	return used, nil
}

// Expand replaces each directory by its files that end in .cfg, sorted, and
// leaves hidden ones out.
func Expand(files []string) ([]string, error) {
	var all []string
	for _, f := range files {
		st, err := os.Stat(f)
		if err != nil {
			var pe *os.PathError
			if errors.As(err, &pe) {
				err = pe.Err
			}
			text := err.Error()
			return nil, fmt.Errorf("config : Cannot open configuration file/directory %s : %s", f, strings.ToUpper(text[:1])+text[1:])
		}
		if !st.IsDir() {
			all = append(all, f)
			continue
		}
		names, err := filepath.Glob(filepath.Join(f, "*.cfg"))
		if err != nil {
			return nil, err
		}
		for _, n := range names {
			if st, err := os.Stat(n); err == nil && st.Mode().IsRegular() && !strings.HasPrefix(filepath.Base(n), ".") {
				all = append(all, n)
			}
		}
	}
	return all, nil
}
