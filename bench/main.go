package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// settings are the flags.
type settings struct {
	only     string
	rounds   int
	seconds  float64
	json     bool
	markdown string
	gate     bool
	profile  string
	evenkeel string
	haproxy  string
	pin      bool
	keep     bool
	list     bool
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == loadCommand {
		os.Exit(loadMain(os.Args[2:]))
	}
	os.Exit(benchMain())
}

func benchMain() int {
	var s settings
	flag.StringVar(&s.only, "only", "", "run only the scenarios whose name matches this `regexp`")
	flag.IntVar(&s.rounds, "rounds", 9, "turns that each program gets in a scenario")
	flag.Float64Var(&s.seconds, "seconds", 2, "length of a turn")
	flag.BoolVar(&s.json, "json", false, "print the figures of every turn as JSON on standard output")
	flag.StringVar(&s.markdown, "md", "", "write the tables into `FILE` (between its bench markers, where it has them)")
	flag.BoolVar(&s.gate, "gate", false, "exit with 1 when a limit is not kept")
	flag.StringVar(&s.profile, "profile", "", "record one more turn of evenkeel's worker with perf into `FILE`")
	flag.StringVar(&s.evenkeel, "evenkeel", "bin/evenkeel", "the program to measure")
	flag.StringVar(&s.haproxy, "haproxy", "", "the program to compare with (default: haproxy on this machine)")
	flag.BoolVar(&s.pin, "pin", true, "the proxy on CPU 0, nginx and the load tool on CPU 1 (one-thread scenarios)")
	flag.BoolVar(&s.keep, "keep", false, "keep the directory with configurations and logs")
	flag.BoolVar(&s.list, "list", false, "list the scenarios")
	flag.Parse()
	if s.list {
		for _, sc := range scenarios {
			fmt.Printf("%-16s %s\n", sc.name, sc.title)
		}
		return 0
	}
	only, err := regexp.Compile(s.only)
	if err != nil || flag.NArg() > 0 || s.rounds < 1 || s.seconds <= 0 {
		fmt.Fprintln(os.Stderr, "bench: wrong arguments", err)
		flag.Usage()
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b, err := newBench(s)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 2
	}
	defer b.close()
	results, err := b.runAll(ctx, only)
	if werr := b.write(results); err == nil {
		err = werr
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 2
	}
	if s.gate && broken(results) {
		return 1
	}
	return 0
}

// bench is one run: where its files are, which ports it has, what it started.
type bench struct {
	settings
	dir    string
	port   int // the first of portBlock ports
	shift  int // of the ports that proxies get
	lock   net.Listener
	origin *process
	procs  *processes
	peers  [2]program
}

const (
	peerHAProxy = iota
	peerEvenkeel
)

func newBench(s settings) (*bench, error) {
	if exec.Command("scripts/peers").Run() != nil {
		progress("scripts/peers did not run (not in the project's directory?)")
	}
	b := &bench{settings: s, procs: newProcesses()}
	ok := false
	defer func() {
		if !ok {
			b.close()
		}
	}()
	var err error
	if b.dir, err = os.MkdirTemp("", "evenkeel-bench-"); err != nil {
		return nil, err
	}
	if err = b.findPrograms(); err != nil {
		return nil, err
	}
	if b.port, b.lock, err = freePorts(); err != nil {
		return nil, err
	}
	if err = b.startOrigin(); err != nil {
		return nil, err
	}
	ok = true
	return b, nil
}

// findPrograms copies evenkeel aside: a build that is made during the run
// must not change what is measured.
func (b *bench) findPrograms() error {
	haproxy := b.haproxy
	if haproxy == "" {
		var err error
		if haproxy, err = findTool("haproxy"); err != nil {
			return err
		}
	}
	for _, tool := range []string{"nginx", "wrk", "ab"} {
		if _, err := findTool(tool); err != nil {
			return err
		}
	}
	text, err := os.ReadFile(b.evenkeel)
	if err != nil {
		return fmt.Errorf("%w (run `make build` first)", err)
	}
	copied := filepath.Join(b.dir, "evenkeel")
	if err := os.WriteFile(copied, text, 0o755); err != nil {
		return err
	}
	b.peers[peerHAProxy] = program{Name: "haproxy", path: haproxy}
	b.peers[peerEvenkeel] = program{Name: "evenkeel", path: copied}
	for i := range b.peers {
		out, _ := exec.Command(b.peers[i].path, versionArgs[i]...).Output()
		b.peers[i].Version, _, _ = strings.Cut(string(out), "\n")
	}
	return nil
}

var versionArgs = [2][]string{{"-v"}, {"version"}}

func findTool(name string) (string, error) {
	for _, dir := range []string{"", "/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"} {
		path, err := exec.LookPath(filepath.Join(dir, name))
		if err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed (scripts/peers installs it on Debian, as root)", name)
}

func (b *bench) close() {
	b.procs.endAll()
	if b.lock != nil {
		b.lock.Close()
	}
	if b.keep {
		progress("kept: %s", b.dir)
		return
	}
	os.RemoveAll(b.dir)
}

func (b *bench) runAll(ctx context.Context, only *regexp.Regexp) ([]*result, error) {
	var results []*result
	var failures error
	plan := newSchedule(b.settings, only, time.Now())
	for i, sc := range plan.todo {
		began := time.Now()
		progress("%s", plan.line(i, began))
		r := &result{Name: sc.name, Title: sc.title}
		err := sc.run(ctx, b, r)
		if ctx.Err() != nil {
			return results, errors.New("interrupted")
		}
		r.Took = time.Since(began).Round(time.Second).String()
		if err != nil {
			failures = errors.Join(failures, fmt.Errorf("%s: %w", sc.name, err))
			progress("%s: FAILED: %v", sc.name, err)
			r.Failed = err.Error()
		}
		results = append(results, r)
		if b.json {
			r.print(os.Stderr)
		} else {
			r.print(os.Stdout)
		}
	}
	if len(results) == 0 {
		return nil, errors.New("no scenario has that name (see -list)")
	}
	return results, failures
}

func (b *bench) write(results []*result) error {
	if b.json {
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		if err := enc.Encode(map[string]any{"machine": machine(), "programs": b.peers, "scenarios": results}); err != nil {
			return err
		}
	}
	if b.markdown != "" {
		return writeMarkdown(b.markdown, b.peers[:], results)
	}
	return nil
}
