package director_test

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"evenkeel/internal/alert"
	"evenkeel/internal/dialect/keepalived"
	"evenkeel/internal/l4"
	"evenkeel/internal/l4/director"
	"evenkeel/internal/l4/fake"
	"evenkeel/internal/model"
)

var update = flag.Bool("update", false, "write the golden files")

// recorder is the fake plane with a journal of what people are told between
// its lines. Like a real one it goes on when a process lets go of it.
type recorder struct {
	fake.Plane
	mu     sync.Mutex
	lines  []string
	broken error
	zeroed int
	flows  []l4.Flow
}

func newRecorder() *recorder {
	r := &recorder{flows: someFlows}
	f := everything("fake")
	r.Offers = &f
	r.Fail = func(l4.Config) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.broken
	}
	return r
}

func (r *recorder) Set(c l4.Config) error {
	err := r.Plane.Set(c)
	r.take()
	return err
}

func (r *recorder) Forget(k l4.Key, server l4.ServerKey) error {
	err := r.Plane.Forget(k, server)
	r.take()
	return err
}

// take moves what the fake has written into the journal.
func (r *recorder) take() {
	text := r.Plane.Text()
	r.mu.Lock()
	defer r.mu.Unlock()
	for line := range strings.Lines(text) {
		r.lines = append(r.lines, strings.TrimSuffix(line, "\n"))
	}
}

func (r *recorder) Flows(yield func(l4.Flow) bool) error {
	for _, f := range r.flows {
		if !yield(f) {
			break
		}
	}
	return nil
}

func (r *recorder) Zero(k ...l4.Key) error {
	r.zeroed++
	return r.Plane.Zero(k...)
}

func (r *recorder) Close() error {
	r.say("closed")
	return nil
}

func (r *recorder) say(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, text)
}

// bench is a director with everything around it.
type bench struct {
	t        *testing.T
	dir      string
	plane    *recorder
	service  *director.Service
	keep     bool
	missing  []string
	advise   string // for NAT
	ipvs     bool   // a second backend that has everything
	mu       sync.Mutex
	sessions map[string]bool
	files    map[string]int64
	held     map[netip.Addr]bool
	out      strings.Builder
}

func newBench(t *testing.T) *bench {
	return &bench{t: t, dir: t.TempDir(), plane: newRecorder(), sessions: map[string]bool{}, files: map[string]int64{}, held: map[netip.Addr]bool{}}
}

var someFlows = []l4.Flow{
	{Protocol: l4.TCP, Client: netip.MustParseAddrPort("192.0.2.1:1024"), Virtual: netip.MustParseAddrPort("192.0.2.10:80"), Server: netip.MustParseAddrPort("10.0.0.1:80"), State: "ESTABLISHED", Expires: time.Minute},
	{Protocol: l4.UDP, Client: netip.MustParseAddrPort("[2001:db8::1]:1024"), State: "UDP", FwMark: 7, Template: true},
	{Protocol: l4.TCP, State: "FIN_WAIT"},
}

func everything(name string) l4.Features {
	return l4.Features{Name: name, PortRanges: true, AnyPort: true, FwMarks: true, SYNLimit: true, Engines: []string{"sip"}}
}

func (b *bench) backends() []director.Backend {
	all := []director.Backend{{Name: "fake", Features: b.plane.Features, Probe: func() []string { return b.missing },
		Advice: b.advice,
		Open:   func(bool) (l4.Plane, error) { b.plane.say("opened"); return b.plane, nil },
		Remove: func() error { b.plane.say("removed"); return nil }}}
	if b.ipvs {
		all = append(all, director.Backend{Name: "ipvs", Features: func() l4.Features { return everything("ipvs") }, Probe: func() []string { return nil },
			Open: func(flush bool) (l4.Plane, error) {
				b.plane.say(fmt.Sprint("opened ipvs, flush ", flush))
				return b.plane, nil
			},
			Flush: func() error { b.plane.say("flushed"); return nil }})
	}
	return all
}

func (b *bench) advice(methods, _ []l4.Method) (list []string) {
	if slices.Contains(methods, l4.NAT) && b.advise != "" {
		list = append(list, b.advise)
	}
	return list
}

func (b *bench) begin() {
	b.service = director.New(director.Options{Backends: b.backends(), Post: b.posted, StateFile: filepath.Join(b.dir, "state.json"), KeepServices: b.keep,
		BFD: func(name string) (bool, bool) {
			b.mu.Lock()
			defer b.mu.Unlock()
			up, known := b.sessions[name]
			return up, known
		},
		File: func(name string) (int64, bool) {
			b.mu.Lock()
			defer b.mu.Unlock()
			n, known := b.files[name]
			return n, known
		}})
}

func (b *bench) posted(e alert.Event) {
	text := fmt.Sprintf("event %s %s: %s", e.Kind, e.Severity, e.Text)
	if e.Notify != nil {
		text += "\n    pipe: " + e.Notify.Line
		for _, c := range e.Notify.Commands() {
			text += "\n    run: " + strings.Join(c.Argv, " ")
		}
	}
	if e.Mail != nil {
		text += "\n    mail: " + e.Mail.Subject
	}
	b.plane.say(text)
}

func (b *bench) configure(text string) model.Diagnostics {
	c, d := keepalived.Parse([]keepalived.File{{Name: "f", Data: []byte(text)}}, keepalived.Options{Exists: func(string) bool { return true }})
	if d.HasErrors() {
		return d
	}
	return append(d, b.service.Configure(c)...)
}

// tell writes down what happened since.
func (b *bench) tell() {
	synctest.Wait()
	b.plane.mu.Lock()
	defer b.plane.mu.Unlock()
	for _, l := range b.plane.lines {
		b.out.WriteString("  " + l + "\n")
	}
	b.plane.lines = nil
}

// do carries out one line of a scenario. What a file says of configurations is
// in parts.
func (b *bench) do(line string, parts map[string]string) {
	b.out.WriteString("> " + line + "\n")
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "start", "check", "reload":
		if word != "reload" {
			b.begin()
		}
		d := b.configure(parts[rest])
		for _, x := range d {
			fmt.Fprintf(&b.out, "  %v: %s; %s\n", x.Pos, x.Message, x.Cure)
		}
		switch {
		case word == "check" || d.HasErrors():
		case word == "reload":
			b.service.Apply()
		default:
			b.service.Held(b.holds)
			if err := b.service.Start(); err != nil {
				fmt.Fprintf(&b.out, "  error: %v\n", err)
			}
		}
	case "up", "down":
		b.mu.Lock()
		b.sessions[rest] = word == "up"
		b.mu.Unlock()
		if b.service != nil {
			b.service.Changed(model.CheckerBFD, rest)
		}
	case "file":
		name, value, _ := strings.Cut(rest, " ")
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			b.t.Fatal(err)
		}
		b.mu.Lock()
		b.files[name] = n
		b.mu.Unlock()
		b.service.Changed(model.CheckerFILE, name)
	case "held", "away":
		b.mu.Lock()
		b.held[netip.MustParseAddr(rest)] = word == "held"
		b.mu.Unlock()
		if b.service != nil {
			b.service.Held(b.holds)
		}
	case "services":
		b.out.WriteString(b.service.Control(line))
	case "break":
		b.plane.mu.Lock()
		b.plane.broken = errors.New(rest)
		b.plane.mu.Unlock()
	case "mend":
		b.plane.mu.Lock()
		b.plane.broken = nil
		b.plane.mu.Unlock()
	case "wait":
		d, err := time.ParseDuration(rest)
		if err != nil {
			b.t.Fatal(err)
		}
		time.Sleep(d)
	case "connections": // of one server of the first service: active, inactive
		var address string
		var r l4.ServerStats
		if _, err := fmt.Sscan(rest, &address, &r.Active, &r.Inactive); err != nil {
			b.t.Fatal(err)
		}
		a := netip.MustParseAddrPort(address)
		r.Server = l4.Server{Addr: a.Addr(), Port: a.Port()}
		b.plane.Count(b.plane.Config().Services[0].Key, r)
	case "stop":
		b.service.Stop()
	case "retire":
		b.service.Retire()
	case "crash": // nothing is called; only what was written down is left
		b.tell()
		b.service.Retire()
		b.plane.lines = nil
	case "keep":
		b.keep = true
	case "missing":
		b.missing = []string{rest}
	case "advise":
		b.advise = rest
	case "ipvs":
		b.ipvs = true
	case "only":
		b.plane.Offers.Schedulers, b.plane.Offers.Protocols = strings.Fields(rest), []l4.Protocol{l4.TCP, l4.UDP}
	default:
		b.t.Fatalf("unknown line %q", line)
	}
	b.tell()
}

func (b *bench) holds(p netip.Prefix) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.held[p.Addr()]
}

// TestScenarios runs testdata/*.txt: configurations between "== NAME" lines, and
// after "== scenario" what happens, and compares what the plane and people were
// told with the golden file.
func TestScenarios(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txt")
	if len(files) < 8 {
		t.Fatalf("%d scenarios", len(files))
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			got := scenario(t, string(text))
			golden := strings.TrimSuffix(f, ".txt") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("not as in %s:\n%s", golden, got)
			}
		})
	}
}

// TestSwitches: what IPVS has sysctls for reaches the plane, and leaves it.
func TestSwitches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		parts := map[string]string{}
		const service = "virtual_server 192.0.2.10 80 {\n lvs_sched rr\n lvs_method NAT\n protocol TCP\n real_server 10.0.0.1 80 {\n }\n}\n"
		is := func(line, switches string, nodest, quiet, sloppy bool) {
			t.Helper()
			parts["a"] = "global_defs {\n" + switches + "}\n" + service
			b.do(line+" a", parts)
			if c := b.plane.Config(); c.ExpireNoDestination != nodest || c.ExpireQuiescent != quiet || c.SloppyTCP != sloppy || len(c.Services) != 1 {
				t.Errorf("%q: %+v", switches, c)
			}
		}
		is("start", " lvs_expire_nodest_conn\n", true, false, false)
		is("reload", " lvs_expire_quiescent_template on\n lvs_expire_nodest_conn off\n", false, true, false)
		is("reload", " lvs_sloppy_tcp\n", false, false, true)
		is("reload", "", false, false, false)
		b.service.Stop()
	})
}

func scenario(t *testing.T, text string) string {
	parts := map[string]string{}
	name := ""
	for line := range strings.Lines(text) {
		if n, ok := strings.CutPrefix(line, "== "); ok {
			name = strings.TrimSpace(n)
			continue
		}
		parts[name] += line
	}
	var out string
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		lines := strings.Split(strings.TrimSpace(parts["scenario"]), "\n")
		for _, line := range lines {
			b.do(line, parts)
		}
		if b.service != nil && !slices.Contains([]string{"stop", "retire"}, lines[len(lines)-1]) {
			b.service.Stop() // no goroutine is left
		}
		out = b.out.String()
	})
	return out
}
