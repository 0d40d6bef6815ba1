package top

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/gdamore/tcell/v3"
	"github.com/gdamore/tcell/v3/color"
	"golang.org/x/sys/unix"
)

// Columns is how wide a terminal is; 0 when f is none that lines can be cut
// for.
func Columns(f *os.File) int {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Col)
}

// Drawable says whether a screen can be drawn on f, and if not, why.
func Drawable(f *os.File) error {
	if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err != nil {
		return errors.New("the output is not a terminal")
	}
	if t := os.Getenv("TERM"); t == "" || t == "dumb" {
		return fmt.Errorf("nothing can be drawn on a terminal of type %q", t)
	}
	return nil
}

// Print writes count snapshots as plain text, the first after two looks, so
// that there are rates. A count of 0: until ctx ends. columns is as for
// Model.Text.
func Print(ctx context.Context, source Source, out io.Writer, delay time.Duration, count, columns int) error {
	var m Model
	u := &UI{Delay: delay}
	look := func() error {
		raw, err := source.Fetch(ctx)
		if err != nil {
			return err
		}
		m.Observe(Decode(raw))
		return nil
	}
	if err := look(); err != nil {
		return err
	}
	wait := min(delay, time.Second)
	for n := 0; count == 0 || n < count; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		wait = delay
		if err := look(); ctx.Err() != nil {
			return nil
		} else if err != nil {
			m.Lost(time.Now(), err)
		}
		text := m.Text(u, columns)
		if n > 0 {
			text = "\n" + text
		}
		if _, err := io.WriteString(out, text); err != nil {
			return err
		}
		if m.lost != "" && n+1 == count {
			return errors.New(m.lost)
		}
	}
	return nil
}

// answer is what one look found.
type answer struct {
	snapshot *Snapshot
	err      error
}

// screen is the terminal while it is drawn on. Everything in it belongs to the
// goroutine of Run.
type screen struct {
	tcell.Screen
	model  Model
	ui     UI
	source Source
	looked chan answer // holds one
	busy   bool        // a look is under way
}

// Run draws the node on the terminal until the person there, or ctx, ends it.
// The first look is made before anything is drawn: its error is returned.
func Run(ctx context.Context, source Source, delay time.Duration) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	first, err := source.Fetch(ctx)
	if err != nil {
		return err
	}
	// Without asking the terminal what it can do: some never answer.
	t, err := tcell.NewScreen(tcell.OptNegotiation(false))
	if err != nil {
		return err
	}
	s := &screen{Screen: t, source: source, ui: UI{Delay: delay}, looked: make(chan answer, 1)}
	s.model.Observe(Decode(first))
	if err := s.Init(); err != nil {
		return fmt.Errorf("the terminal cannot be used: %w", err)
	}
	defer s.Fini() // also when something here panics: the terminal stays usable
	return s.run(ctx)
}

func (s *screen) run(ctx context.Context) error {
	// Soon a second look, so that there are rates.
	timer := time.NewTimer(min(s.ui.Delay, time.Second))
	defer timer.Stop()
	s.draw()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-s.EventQ():
			if !ok {
				return nil
			}
			end, err := s.event(ctx, e, timer)
			if end || err != nil {
				return err
			}
		case <-timer.C:
			timer.Reset(s.ui.Delay)
			if s.ui.Paused {
				continue
			}
			s.look(ctx)
			continue
		case a := <-s.looked:
			s.busy = false
			if a.err != nil {
				s.model.Lost(time.Now(), a.err)
			} else {
				s.model.Observe(a.snapshot)
			}
		}
		s.draw()
	}
}

// look asks the node, unless it is being asked already.
func (s *screen) look(ctx context.Context) {
	if s.busy {
		return
	}
	s.busy = true
	go func() {
		raw, err := s.source.Fetch(ctx)
		if err != nil {
			s.looked <- answer{err: err}
			return
		}
		s.looked <- answer{snapshot: Decode(raw)}
	}()
}

// event takes what the terminal tells.
func (s *screen) event(ctx context.Context, e tcell.Event, timer *time.Timer) (end bool, err error) {
	switch e := e.(type) {
	case *tcell.EventResize:
		s.Sync()
	case *tcell.EventError:
		return true, fmt.Errorf("the terminal: %w", e)
	case *tcell.EventKey:
		k, ok := keyOf(e)
		switch {
		case !ok:
		case k == suspend:
			return s.stop()
		default:
			switch s.ui.Key(k) {
			case Quit:
				return true, nil
			case Look:
				s.look(ctx)
			case Retime:
				timer.Reset(s.ui.Delay)
			}
		}
	}
	return false, nil
}

// suspend is Ctrl-Z.
const suspend Key = "suspend"

// stop gives the terminal back to the shell until that goes on with us.
func (s *screen) stop() (end bool, err error) {
	if err := s.Suspend(); err != nil {
		return true, err
	}
	// To this very thread, so that it does not go on before all of us have
	// stopped: the terminal would be set up and then set back by the shell.
	runtime.LockOSThread()
	err = unix.Tgkill(unix.Getpid(), unix.Gettid(), unix.SIGTSTP)
	runtime.UnlockOSThread()
	if err != nil {
		return true, err
	}
	if err := s.Resume(); err != nil {
		return true, fmt.Errorf("the terminal cannot be used any more: %w", err)
	}
	s.Sync()
	return false, nil
}

// keyNames are the keys that are no characters.
var keyNames = map[tcell.Key]Key{
	tcell.KeyUp: Up, tcell.KeyDown: Down, tcell.KeyPgUp: PageUp, tcell.KeyPgDn: PageDown, tcell.KeyHome: Home, tcell.KeyEnd: End,
	tcell.KeyTab: Tab, tcell.KeyBacktab: BackTab, tcell.KeyEnter: Enter, tcell.KeyEsc: Escape, tcell.KeyBackspace: Backspace,
	tcell.KeyCtrlC: Interrupt, tcell.KeyCtrlZ: suspend, tcell.KeyCtrlF: PageDown, tcell.KeyCtrlB: PageUp,
}

func keyOf(e *tcell.EventKey) (Key, bool) {
	if e.Key() == tcell.KeyRune {
		return Key(e.Str()), e.Modifiers()&(tcell.ModCtrl|tcell.ModAlt|tcell.ModMeta) == 0
	}
	if e.Key() == tcell.KeyTab && e.Modifiers()&tcell.ModShift != 0 {
		return BackTab, true
	}
	k, ok := keyNames[e.Key()]
	return k, ok
}

// looks is how each style is drawn. Terminals without colours, and people who
// set NO_COLOR, get the rest: bold, dim, reverse.
var looks = [...]tcell.Style{
	Plain:  tcell.StyleDefault,
	Faint:  tcell.StyleDefault.Dim(true),
	Strong: tcell.StyleDefault.Bold(true),
	Good:   tcell.StyleDefault.Foreground(color.Green),
	Bad:    tcell.StyleDefault.Foreground(color.Red).Bold(true),
	Doubt:  tcell.StyleDefault.Foreground(color.Yellow),
	Title:  tcell.StyleDefault.Bold(true).Underline(true),
	Bar:    tcell.StyleDefault.Reverse(true),
}

func (s *screen) draw() {
	s.Clear()
	columns, rows := s.Size()
	for y, l := range s.model.Frame(&s.ui, columns, rows) {
		x := 0
		for _, p := range l {
			for rest := p.Text; rest != "" && x < columns; {
				before := rest
				n := 0
				if rest, n = s.Put(x, y, rest, looks[p.Style]); len(rest) == len(before) {
					break
				}
				x += n
			}
		}
	}
	s.Show()
}

// Usage describes the keys, for the help of the command.
func Usage() string {
	var b strings.Builder
	for _, l := range helpLines(unbounded) {
		b.WriteString(l.String() + "\n")
	}
	return b.String()
}
