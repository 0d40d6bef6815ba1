package arch

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "evenkeel/"

// A rule says what packages may import of this module. A package may always
// import packages below itself.
type importRule struct {
	of    string   // the package; with /... also those below it
	only  []string // what it may import, in the same form
	never []string // other imports that it must not have, such as "net"
	why   string
}

// rules has an entry for every package: the first whose pattern fits counts.
var rules = []importRule{
	{of: "cmd/...", only: []string{"internal/alert", "internal/keeper/...", "internal/node", "internal/dialect/...", "internal/l4/...", "internal/lab/...", "internal/rule", "internal/model", "internal/top"},
		why: "the program parses its arguments and hands over; planes meet in node (ipvsadm and realserver are programs of their own)"},
	{of: "internal/node", only: []string{"internal/..."},
		why: "node is the one place where planes meet"},

	{of: "internal/model", only: nil, never: []string{"net", "os", "time/tzdata"},
		why: "everybody reads the model, so it depends on nobody and does nothing"},
	{of: "internal/message", only: nil, never: []string{"net", "net/http", "os"},
		why: "a message is data, shared by the codec and the rules"},
	{of: "internal/wire/...", only: []string{"internal/message"}, never: []string{"net", "net/http", "os", "syscall"},
		why: "codecs do no I/O, so that tests and fuzzers drive them with bytes"},
	{of: "internal/keyhash", only: nil, never: []string{"net", "os", "sync", "syscall", "time"},
		why: "hashes are pure"},
	{of: "internal/balance", only: []string{"internal/keyhash"}, never: []string{"net", "os", "sync", "syscall", "time"},
		why: "algorithms are pure: no locks, clocks or sockets"},
	{of: "internal/rule", only: []string{"internal/keyhash", "internal/model", "internal/message", "internal/wire/http1"}, never: []string{"syscall"},
		why: "rules of every dialect run here; other planes are behind Env"},

	{of: "internal/dialect/...", only: []string{"internal/dialect", "internal/model", "internal/rule"}, never: []string{"syscall"},
		why: "a dialect turns text into the model; it knows the rule machine's keyword tables and no plane"},
	{of: "internal/plan", only: []string{"internal/model", "internal/rule"}, never: []string{"net/http", "syscall"},
		why: "plan resolves and judges what dialects read; it runs nothing and knows no dialect"},

	{of: "internal/engine", only: nil, never: []string{"net/http"},
		why: "loops move bytes and know no protocol above TLS records"},
	{of: "internal/certs", only: []string{"internal/model"}, never: []string{"net/http"},
		why: "certificates are used by planes and use none"},
	{of: "internal/accesslog", only: []string{"internal/model"}, never: []string{"net/http"},
		why: "it sends finished lines; what is in them is the rule machine's affair"},
	{of: "internal/pool", only: []string{"internal/balance", "internal/model"}, never: []string{"net/http", "os", "syscall"},
		why: "servers, slots and queues: time comes in as an argument and nothing touches a socket"},
	{of: "internal/health/...", only: []string{"internal/health/...", "internal/bfd", "internal/command", "internal/model", "internal/pool", "internal/rule", "internal/wire/proxyproto"}, never: []string{"net/http"},
		why: "checks report to the pool and know neither proxy nor engine"},
	{of: "internal/proxy", only: []string{"internal/balance", "internal/engine", "internal/message", "internal/model", "internal/pool", "internal/rule", "internal/wire/..."},
		never: []string{"net/http"},
		why:   "the proxy stands on engine, pool and rules; checks, admin, certificates and logs are behind interfaces"},
	{of: "internal/admin", only: []string{"internal/model", "internal/pool", "internal/rule"}, never: []string{"net/http"},
		why: "the runtime API reads snapshots through its Source; it cannot reach traffic"},

	{of: "internal/vrrp", only: []string{"internal/wire/vrrp"}, never: []string{"net", "os", "syscall", "sync"},
		why: "the state machine of VRRP is pure: time, packets and priorities come in as arguments"},
	{of: "internal/bfd", only: []string{"internal/model", "internal/wire/bfd"}, never: []string{"net/http"},
		why: "BFD sessions report to callbacks and know nobody"},
	{of: "internal/netconf/...", only: []string{"internal/netconf", "internal/wire/neighbor"}, never: []string{"net/http"},
		why: "the host's network is changed here and nowhere else; who wants what is others' affair"},
	{of: "internal/command", only: []string{"internal/model"}, never: []string{"net"},
		why: "it runs programs as the users that a configuration names, and knows no plane"},
	{of: "internal/track", only: []string{"internal/command", "internal/model"}, never: []string{"net/http"},
		why: "tracked things report to callbacks; what a failure means is decided by others"},
	{of: "internal/alert", only: []string{"internal/command", "internal/model"},
		why: "every plane posts events here, so it may depend on none"},
	{of: "internal/metrics", only: nil, why: "planes count; this page only shows"},
	{of: "internal/failover/...", only: []string{"internal/alert", "internal/bfd", "internal/command", "internal/failover/...", "internal/keeper/lease", "internal/metrics", "internal/model", "internal/netconf", "internal/track", "internal/vrrp", "internal/wire/..."},
		never: []string{"net/http"},
		why:   "the failover process stands on VRRP, the host's network and trackers; it knows no traffic and no dialect"},
	{of: "internal/l4/director", only: []string{"internal/alert", "internal/command", "internal/health/real", "internal/health/checks", "internal/l4", "internal/l4/flowsync", "internal/model"}, never: []string{"net/http"},
		why: "it turns configuration and check results into a desired state; the data plane is behind l4.Plane"},
	{of: "internal/l4/ipvsadm", only: []string{"internal/l4"}, never: []string{"net/http"},
		why: "a command line and tables; who forwards is behind an interface"},
	{of: "internal/l4/realserver", only: []string{"internal/l4", "internal/netconf", "internal/wire/neighbor"}, never: []string{"net/http"},
		why: "a real server's side changes the host through netconf"},
	{of: "internal/l4/...", only: []string{"internal/keyhash", "internal/l4/...", "internal/wire/neighbor"}, never: []string{"net/http"},
		why: "data planes forward what they are told and know no configuration"},
	{of: "internal/lab/...", only: []string{"internal/lab/...", "internal/wire/neighbor"},
		why: "the lab runs programs from outside, as a user would, and looks at packets"},

	{of: "internal/keeper", only: []string{"internal/keeper/...", "internal/model"}, never: []string{"net/http", "crypto/tls"},
		why: "the keeper outlives workers because it knows no traffic at all"},
	{of: "internal/keeper/report", only: []string{"internal/model"}, why: "it prints diagnostics"},
	{of: "internal/keeper/...", only: []string{"internal/keeper/ipc", "internal/keeper/lease", "internal/keeper/socket", "internal/keeper/worker", "internal/model"}, never: []string{"net/http", "crypto/tls"},
		why: "both ends of the keeper know no traffic"},

	{of: "internal/top", only: nil, never: []string{"net", "net/http"},
		why: "it shows what a node tells in JSON and CSV; who asks the node is behind Source"},

	{of: "demo", only: nil, why: "the demo is a user of the program, not a part of it"},
	{of: "bench/...", only: []string{"bench/...", "internal/l4", "internal/l4/xdp"},
		why: "a benchmark measures the program from outside; what runs in the kernel has no outside but its loader"},
	{of: "test/...", only: []string{"test/..."}, why: "end-to-end tests drive the program from outside"},
}

// covers says whether pattern, which may end in /..., stands for path.
func covers(pattern, path string) bool {
	if tree, ok := strings.CutSuffix(pattern, "/..."); ok {
		return path == tree || strings.HasPrefix(path, tree+"/")
	}
	return pattern == path
}

// verdict gives what is wrong with one import; empty when nothing is.
func verdict(r importRule, from, to string) string {
	local, ours := strings.CutPrefix(to, module)
	if !ours {
		if slices.Contains(r.never, to) {
			return from + " imports " + to + ": " + r.why
		}
		if strings.Contains(strings.SplitN(to, "/", 2)[0], ".") {
			if !slices.Contains(allowedModules, to) {
				return from + " imports " + to + ": other modules need a reason, and a line in allowedModules"
			}
		}
		return ""
	}
	if strings.HasPrefix(local, from+"/") || slices.ContainsFunc(r.only, func(p string) bool { return covers(p, local) }) {
		return ""
	}
	return from + " imports " + local + ": " + r.why
}

// allowedModules are imports from outside of the standard library.
var allowedModules = []string{
	// The kernel's interfaces that package syscall does not have.
	"golang.org/x/sys/unix",
	// Messages of rtnetlink for what is rare; what is hot is built by hand.
	"github.com/vishvananda/netlink", "github.com/vishvananda/netlink/nl", "github.com/vishvananda/netns",
	// Messages of nftables.
	"github.com/google/nftables", "github.com/google/nftables/expr", "github.com/google/nftables/userdata", "github.com/google/nftables/binaryutil",
	// DNS messages of DNS_CHECK.
	"golang.org/x/net/dns/dnsmessage",
	// Filters of raw sockets.
	"golang.org/x/net/bpf",
	// Loading of programs into the kernel.
	"github.com/cilium/ebpf", "github.com/cilium/ebpf/asm", "github.com/cilium/ebpf/btf", "github.com/cilium/ebpf/features",
	"github.com/cilium/ebpf/link", "github.com/cilium/ebpf/rlimit", "github.com/cilium/ebpf/ringbuf",
	// The screen of top: keys, cells and colours; how wide a text is on it.
	"github.com/gdamore/tcell/v3", "github.com/gdamore/tcell/v3/color", "github.com/clipperhouse/displaywidth",
	// The text format of /metrics.
	"github.com/prometheus/client_golang/prometheus", "github.com/prometheus/client_golang/prometheus/promhttp",
	"github.com/prometheus/client_golang/prometheus/collectors",
}

// list is what `go list` tells of a package.
type list struct {
	ImportPath string
	Dir        string
	Doc        string
	Imports    []string
	GoFiles    []string
}

func packages(t *testing.T) []list {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Doc,Imports,GoFiles", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	var all []list
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p list
		if err := d.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < 20 {
		t.Fatalf("only %d packages found", len(all))
	}
	return all
}

func TestImports(t *testing.T) {
	for _, p := range packages(t) {
		from := strings.TrimPrefix(p.ImportPath, module)
		i := slices.IndexFunc(rules, func(r importRule) bool { return covers(r.of, from) })
		if i < 0 {
			t.Errorf("%s: nobody said what this package may import: add it to the rules", from)
			continue
		}
		for _, to := range p.Imports {
			if wrong := verdict(rules[i], from, to); wrong != "" {
				t.Error(wrong)
			}
		}
	}
}

// The guard itself: each of these has to be refused, or let through.
func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		from, to string
		ok       bool
	}{
		{"internal/model", "strings", true},
		{"internal/model", "net", false},
		{"internal/model", "evenkeel/internal/rule", false},
		{"internal/pool", "evenkeel/internal/health", false},
		{"internal/pool", "evenkeel/internal/balance", true},
		{"internal/proxy", "evenkeel/internal/dialect/haproxy", false},
		{"internal/proxy", "evenkeel/internal/health", false},
		{"internal/admin", "evenkeel/internal/proxy", false},
		{"internal/dialect/haproxy", "evenkeel/internal/proxy", false},
		{"internal/dialect/vcl", "evenkeel/internal/model", true},
		{"internal/keeper", "evenkeel/internal/engine", false},
		{"internal/keeper/worker", "evenkeel/internal/node", false},
		{"internal/wire/http2", "net", false},
		{"internal/node", "evenkeel/internal/proxy", true},
		{"internal/health", "evenkeel/internal/health/checks", true},
		{"cmd/evenkeel", "evenkeel/internal/proxy", false},
		{"demo", "evenkeel/internal/model", false},
		{"internal/engine", "example.org/left-pad", false},
	} {
		i := slices.IndexFunc(rules, func(r importRule) bool { return covers(r.of, c.from) })
		if i < 0 {
			t.Errorf("%s has no rule", c.from)
			continue
		}
		if wrong := verdict(rules[i], c.from, c.to); (wrong == "") != c.ok {
			t.Errorf("%s importing %s: %q", c.from, c.to, wrong)
		}
	}
}
