package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// flags are what the command line says.
type flags struct {
	once    bool
	plain   bool
	program string
	config  string
	keep    int
	fresh   int
	pause   time.Duration
	pace    time.Duration
}

func main() {
	var f flags
	flag.BoolVar(&f.once, "once", false, "one round, then a summary; exit code 1 if anything was lost")
	flag.BoolVar(&f.plain, "plain", false, "lines instead of a screen, as when the output is no terminal")
	flag.StringVar(&f.program, "evenkeel", "bin/evenkeel", "the `program`")
	flag.StringVar(&f.config, "config", "examples/demo/haproxy.cfg", "its configuration `file`")
	flag.IntVar(&f.keep, "keep", 24, "`clients` that keep their connection")
	flag.IntVar(&f.fresh, "fresh", 8, "`clients` that open one for each request")
	flag.DurationVar(&f.pause, "pause", 8*time.Millisecond, "a client's `rest` after an answer (twice that for those with new connections)")
	flag.DurationVar(&f.pace, "pace", 2*time.Second, "`time` between events")
	flag.Parse()
	f.pause = max(f.pause, time.Microsecond)
	// The director must not outlive this thread; see director.start.
	runtime.LockOSThread()
	os.Exit(run(f))
}

func run(f flags) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	dir, err := os.MkdirTemp("", "evenkeel-demo-")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(dir)
	s, err := set(f, dir)
	if err != nil {
		return fail(err)
	}
	defer s.strike()
	if err := s.raise(ctx); err != nil {
		for _, line := range s.director.words(10) {
			fmt.Fprintln(os.Stderr, "  "+line)
		}
		return fail(err)
	}
	err = s.perform(ctx, f)
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "demo:", err)
		for _, line := range s.director.words(15) {
			fmt.Fprintln(os.Stderr, "  "+line)
		}
		return 1
	}
	if s.lost() > 0 {
		return 1
	}
	return 0
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, "demo:", err)
	return 1
}

// set prepares everything and starts nothing.
func set(f flags, dir string) (*show, error) {
	if _, err := os.Stat(f.program); err != nil {
		return nil, fmt.Errorf("%w (build it first: make build)", err)
	}
	program, err := filepath.Abs(f.program)
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(originCount + 1)
	if err != nil {
		return nil, err
	}
	d := &director{program: program, config: f.config, dir: dir}
	d.env = []string{"DEMO_DIR=" + dir, fmt.Sprintf("DEMO_PORT=%d", ports[0])}
	s := &show{director: d, pace: f.pace, round: 1}
	s.load = &load{addr: fmt.Sprintf("127.0.0.1:%d", ports[0]), index: map[string]int{}, keep: f.keep, fresh: f.fresh, pause: f.pause}
	for i, name := range []string{"amber", "birch", "cedar", "dune"} {
		o := newOrigin(name, fmt.Sprintf("127.0.0.1:%d", ports[i+1]))
		d.env = append(d.env, fmt.Sprintf("%s=%d", strings.ToUpper(name), ports[i+1]))
		s.origins = append(s.origins, o)
		s.load.index[name] = i
	}
	return s, nil
}

// freePorts finds n ports nobody listens on. They lie below those that the
// kernel gives to clients, so that an origin finds its own free when it comes
// back.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range 200 {
		port := 20000 + rand.IntN(10000)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		defer l.Close() // until all are found
		if ports = append(ports, port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, errors.New("no free ports on 127.0.0.1")
}

// raise starts origins and director, and waits for a first answer.
func (s *show) raise(ctx context.Context) error {
	for _, o := range s.origins {
		if err := o.start(); err != nil {
			return err
		}
	}
	s.started = time.Now()
	if err := s.director.start(); err != nil {
		return err
	}
	c := &client{addr: s.load.addr}
	took, err := s.until(ctx, s.started, "a first answer", func() bool {
		_, err := c.do("/")
		return err == nil
	})
	if err != nil {
		return err
	}
	s.results = append(s.results, result{name: "director started", text: "first answer after " + short(took), done: true, took: took})
	return nil
}

// strike ends everything that raise started.
func (s *show) strike() {
	s.director.stop()
	for _, o := range s.origins {
		o.kill()
	}
}

// perform plays the script under load, and shows it.
func (s *show) perform(ctx context.Context, f flags) error {
	clients, rest := context.WithCancel(context.WithoutCancel(ctx))
	defer s.load.done.Wait()
	defer rest()
	s.load.run(clients)

	tr := &trail{}
	tr.add(s.load, time.Now())
	_, _, terminal := terminalSize(os.Stdout)
	view := viewer(&lines{out: os.Stdout, s: s, trail: tr})
	if terminal && !f.plain {
		view = &screenView{screen{out: os.Stdout, c: colours(os.Getenv("NO_COLOR") == ""), s: s, trail: tr}}
	}
	watching, blind := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		s.watch(watching, tr, view)
	}()
	err := s.rounds(ctx, f.once, view)
	blind()
	<-watched
	rest()
	s.load.done.Wait()
	view.end()
	s.summary(os.Stdout, colours(terminal && os.Getenv("NO_COLOR") == ""))
	return err
}

// rounds plays the script once, or again and again.
func (s *show) rounds(ctx context.Context, once bool, view viewer) error {
	for first := true; ; first = false {
		if err := s.play(ctx, s.steps(first), view.step); err != nil || once {
			return err
		}
		if err := s.wait(ctx, 3*s.pace); err != nil {
			return err
		}
		s.mu.Lock()
		s.round++
		s.results = s.results[:0:0]
		s.mu.Unlock()
	}
}

// watch samples figures and shows them until ctx ends.
func (s *show) watch(ctx context.Context, t *trail, view viewer) {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		servers, err := s.director.servers()
		worker, err2 := s.director.worker()
		s.mu.Lock()
		if err == nil {
			s.servers = servers
		}
		if err2 == nil {
			s.workerID = worker
		}
		s.mu.Unlock()
		view.tick()
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			t.add(s.load, now)
		}
	}
}
