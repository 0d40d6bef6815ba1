package screen

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"evenkeel/internal/lab"
	"evenkeel/internal/lab/process"
	"evenkeel/internal/lab/record"
	"evenkeel/internal/lab/report"
	"evenkeel/internal/lab/topology"
)

// Times of the screen.
const (
	frameEvery = 100 * time.Millisecond
	cellTime   = 100 * time.Millisecond
	lag        = 60 * time.Millisecond // of the observers' records
	lookEvery  = 5                     // frames between two looks at processes
)

// step is one drill in the list.
type step struct {
	software lab.Software
	name     string
	text     string
	run, of  int
	runs     []lab.Run
}

// Screen shows drills. It is the audience of a plan, and draws by itself.
type Screen struct {
	// Set once.
	out     *os.File
	cluster *lab.Cluster
	c       report.Palette
	started time.Time
	title   string

	mu    sync.Mutex
	watch *lab.Watch
	steps []*step

	// Owned by the goroutine that draws.
	frame int
	roles []process.Roles

	stop, done chan struct{}
}

// Size gives a terminal's columns and rows; ok is false when f is none.
func Size(f *os.File) (columns, rows int, ok bool) {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil || os.Getenv("TERM") == "dumb" {
		return 0, 0, false
	}
	if size.Col == 0 || size.Row == 0 {
		return 80, 24, true
	}
	return int(size.Col), int(size.Row), true
}

// Open begins to draw; Close ends it.
func Open(out *os.File, c *lab.Cluster, colours report.Palette) *Screen {
	s := &Screen{out: out, cluster: c, c: colours, started: time.Now(), title: c.Topology.Description, stop: make(chan struct{}), done: make(chan struct{})}
	s.out.WriteString("\x1b[?1049h\x1b[?25l\x1b[2J")
	go s.live()
	return s
}

// Close gives the terminal back.
func (s *Screen) Close() {
	close(s.stop)
	<-s.done
	s.out.WriteString("\x1b[?25h\x1b[?1049l")
}

// Enter is for lab.Plan: the observers run.
func (s *Screen) Enter(w *lab.Watch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watch = w
}

// Began, Happened and Ended make it a lab.Audience.
func (s *Screen) Began(software lab.Software, drill string, repetition, of int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.last()
	if last == nil || last.name != drill || last.software != software || repetition == 1 {
		last = &step{software: software, name: drill}
		s.steps = append(s.steps, last)
	}
	last.run, last.of, last.text = repetition, of, "waiting for rest"
}

// Happened shows what the lab does beside the present drill.
func (s *Screen) Happened(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last := s.last(); last != nil {
		last.text = text
	}
}

// Ended shows a result.
func (s *Screen) Ended(_ lab.Software, _ string, r lab.Run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last := s.last(); last != nil {
		last.runs = append(last.runs, r)
	}
}

func (s *Screen) last() *step {
	if len(s.steps) == 0 {
		return nil
	}
	return s.steps[len(s.steps)-1]
}

func (s *Screen) live() {
	defer close(s.done)
	tick := time.NewTicker(frameEvery)
	defer tick.Stop()
	for {
		s.draw()
		select {
		case <-s.stop:
			return
		case <-tick.C:
		}
	}
}

func (s *Screen) draw() {
	columns, rows, ok := Size(s.out)
	if !ok {
		return
	}
	if s.frame%lookEvery == 0 {
		s.roles = s.roles[:0]
		for i := range s.cluster.Topology.Directors {
			roles, err := s.cluster.Roles(i)
			if err != nil {
				roles = process.Roles{}
			}
			s.roles = append(s.roles, roles)
		}
	}
	s.frame++
	s.mu.Lock()
	lines := s.lines(columns, rows)
	s.mu.Unlock()
	var b strings.Builder
	b.WriteString("\x1b[H")
	for i, line := range lines[:min(len(lines), rows)] {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(Clip(line, columns) + s.c.Off + "\x1b[K")
	}
	b.WriteString("\x1b[J")
	s.out.WriteString(b.String())
}

// shown is how many addresses have strips at most.
const shown = 2

// addresses are those that have strips.
func (s *Screen) addresses() []topology.VIP {
	all := s.cluster.Topology.VIPs
	return all[:min(len(all), shown)]
}

// labelWidth is what stands before a strip.
func (s *Screen) labelWidth() int {
	width := 12
	for _, v := range s.addresses() {
		width = max(width, len(v.Address.String())+2)
	}
	return min(width, 26)
}

// lines is the whole frame. It is called with mu held.
func (s *Screen) lines(columns, rows int) []string {
	c := s.c
	d := time.Since(s.started)
	lines := []string{"", fmt.Sprintf("  %sevenkeel lab%s  %s%s · %d:%02d%s", c.Bold, c.Off, c.Dim, s.title, int(d.Minutes()), int(d.Seconds())%60, c.Off), ""}
	width := max(columns-s.labelWidth()-4, 10)
	cells := make([][]cell, len(s.addresses()))
	if s.watch != nil {
		records, now := s.watch.Recent(time.Duration(width+2) * cellTime)
		for i := range cells {
			cells[i] = strip(records, i, now, width, cellTime, lag, func(m record.MAC) int { return s.cluster.DirectorOf(m) })
		}
	}
	lines = append(lines, s.nodes(cells)...)
	lines = append(lines, "")
	lines = append(lines, s.strips(cells)...)
	lines = append(lines, "")
	return append(lines, s.list(max(rows-len(lines)-2, 3))...)
}

// nodes tells of each director who it is now and which processes it runs.
func (s *Screen) nodes(cells [][]cell) (lines []string) {
	c := s.c
	for i, n := range s.cluster.Topology.Directors {
		mark, word := c.Dim+"○", "standby"
		held := 0
		for _, of := range cells {
			if len(of) > 0 && slices.Contains(of[len(of)-1].owners, i) {
				held++
			}
		}
		switch {
		case held > 0 && len(cells) > 1:
			mark, word = s.colour(i)+"●", fmt.Sprintf("has %d", held)
		case held > 0:
			mark, word = s.colour(i)+"●", "has it"
		}
		var parts []string
		if i < len(s.roles) {
			for _, role := range []process.Role{process.Keeper, process.ProxyKeeper, process.Failover, process.Worker} {
				for _, p := range s.roles[i][role] {
					parts = append(parts, fmt.Sprintf("%s %s%d%s", role, c.Dim, p.PID, c.Off))
				}
			}
		}
		if len(parts) == 0 {
			parts = []string{c.Red + "nothing runs" + c.Off}
		}
		if s.cluster.Mixed() {
			parts = append([]string{fmt.Sprintf("%s%-10s%s", c.Dim, s.cluster.Software(i), c.Off)}, parts...)
		}
		lines = append(lines, fmt.Sprintf("  %s%s %s%-9s%s %-8s %s", mark, c.Off, c.Bold, n.Name, c.Off, word, strings.Join(parts, "  ")))
	}
	return lines
}

// colour is the one of a director.
func (s *Screen) colour(director int) string {
	return []string{s.c.Blue, s.c.Yellow, s.c.Green}[director%3]
}

// strips draws the last seconds: owners, probe, requests.
func (s *Screen) strips(cells [][]cell) (lines []string) {
	for i, v := range s.addresses() {
		lines = append(lines, s.owners(cells[i])...)
		lines = append(lines, s.line(v.Address.String(), s.probes(cells[i])))
	}
	return append(lines, s.load(cells[0])...)
}

// line is a strip with its label, which is cut where it is too long.
func (s *Screen) line(label, strip string) string {
	width := s.labelWidth()
	return fmt.Sprintf("  %-*s%s", width, label[:min(len(label), width-1)], strip)
}

// owners draws who answers for an address.
func (s *Screen) owners(cells []cell) (lines []string) {
	c := s.c
	for i, n := range s.cluster.Topology.Directors {
		var b strings.Builder
		for _, x := range cells {
			held := false
			for _, o := range x.owners {
				held = held || o == i
			}
			switch {
			case held && len(x.owners) > 1:
				b.WriteString(c.Red + "█")
			case held:
				b.WriteString(s.colour(i) + "█")
			default:
				b.WriteString(c.Dim + "·" + c.Off)
			}
		}
		lines = append(lines, s.line(n.Name, b.String()))
	}
	return lines
}

// probes draws whether an address answers.
func (s *Screen) probes(cells []cell) string {
	var probe strings.Builder
	for _, x := range cells {
		switch {
		case !x.known:
			probe.WriteString(" ")
		case x.missed:
			probe.WriteString(s.c.Red + "▁")
		default:
			probe.WriteString(s.c.Green + "▔")
		}
	}
	return probe.String() + s.c.Off
}

// load draws the requests.
func (s *Screen) load(cells []cell) (lines []string) {
	c := s.c
	var load strings.Builder
	most := 1
	for _, x := range cells {
		most = max(most, x.answered)
	}
	for _, x := range cells {
		switch {
		case x.lost > 0:
			load.WriteString(c.Red + "×" + c.Off)
		case x.answered > 0:
			load.WriteString(c.Dim + string([]rune("▁▂▃▄▅▆▇█")[x.answered*7/most]) + c.Off)
		default:
			load.WriteString(" ")
		}
	}
	lines = append(lines, s.line("requests", load.String()))
	answered, lost := 0, 0
	if s.watch != nil {
		answered, lost = s.watch.Counts()
	}
	return append(lines, fmt.Sprintf("  %s%-*s%d answered, %d lost · each letter is %s, now at the right%s", c.Dim, s.labelWidth(), "", answered, lost, report.Short(cellTime), c.Off))
}

// list shows the newest drills.
func (s *Screen) list(rows int) (lines []string) {
	c := s.c
	for _, x := range s.steps[max(len(s.steps)-rows, 0):] {
		n := len(x.runs)
		if n < x.of || n == 0 {
			lines = append(lines, fmt.Sprintf("  %s▸%s %-16s %s%-10s %d of %d: %s%s", c.Blue, c.Off, x.name, c.Dim, x.software, x.run, x.of, x.text, c.Off))
			continue
		}
		d := lab.Drill{Runs: x.runs}
		mark := c.Green + "✓"
		if sum := d.Summary(); sum.Failed > 0 || sum.Still || sum.Open {
			mark = c.Red + "✗"
		}
		lines = append(lines, fmt.Sprintf("  %s%s %-16s %s%-10s%s %s", mark, c.Off, x.name, c.Dim, x.software, c.Off, report.Brief(d, c)))
	}
	return lines
}

// Clip cuts a line to a width; escape sequences take no room.
func Clip(line string, columns int) string {
	used := 0
	for i := 0; i < len(line); {
		if line[i] == '\x1b' {
			if end := strings.IndexByte(line[i:], 'm'); end >= 0 {
				i += end + 1
				continue
			}
		}
		_, size := utf8.DecodeRuneInString(line[i:])
		if used++; used > columns {
			return line[:i]
		}
		i += size
	}
	return line
}
