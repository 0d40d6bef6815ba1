package top

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// patience is how long anything may take on a busy machine.
const patience = 40 * time.Second

// terminal is a pseudo-terminal with a program on it, and what it drew.
type terminal struct {
	t      *testing.T
	master *os.File
	slave  *os.File
	before unix.Termios
	cmd    *exec.Cmd
	ended  chan error

	mu     sync.Mutex
	screen screen
	raw    []byte // all that was written
}

// openTerminal makes one of a size.
func openTerminal(t *testing.T, columns, rows int) *terminal {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	// Polled by the runtime, so that closing it ends a read.
	x := &terminal{t: t, master: os.NewFile(uintptr(fd), "ptmx"), ended: make(chan error, 1)}
	if x.slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	x.before = x.settings()
	x.resize(columns, rows)
	t.Cleanup(func() {
		if x.cmd != nil {
			_ = x.cmd.Process.Kill()
			<-x.ended
		}
		x.slave.Close()
		x.master.Close()
	})
	return x
}

func (x *terminal) settings() unix.Termios {
	x.t.Helper()
	s, err := unix.IoctlGetTermios(int(x.slave.Fd()), unix.TCGETS)
	if err != nil {
		x.t.Fatal(err)
	}
	return *s
}

// resize changes the size; the kernel tells the program.
func (x *terminal) resize(columns, rows int) {
	x.t.Helper()
	x.mu.Lock()
	x.screen = screen{columns: columns, rows: rows}
	x.mu.Unlock()
	if err := unix.IoctlSetWinsize(int(x.slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: uint16(columns), Row: uint16(rows)}); err != nil {
		x.t.Fatal(err)
	}
}

// start runs the program on the terminal.
func (x *terminal) start(environment []string, args ...string) {
	x.t.Helper()
	x.run(exec.Command(program, args...), environment...)
}

// run runs any program on it.
func (x *terminal) run(cmd *exec.Cmd, environment ...string) {
	x.t.Helper()
	x.cmd = cmd
	x.cmd.Env = append(os.Environ(), "LANG=C.UTF-8", "LC_ALL=C.UTF-8", "NO_COLOR=", "TERM=xterm-256color")
	x.cmd.Env = append(x.cmd.Env, environment...)
	x.cmd.Stdin, x.cmd.Stdout, x.cmd.Stderr = x.slave, x.slave, x.slave
	x.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := x.cmd.Start(); err != nil {
		x.t.Fatal(err)
	}
	go x.read()
	go func() {
		x.ended <- cmd.Wait()
		close(x.ended)
	}()
}

func (x *terminal) read() {
	buffer := make([]byte, 4096)
	for {
		n, err := x.master.Read(buffer)
		x.mu.Lock()
		x.raw = append(x.raw, buffer[:n]...)
		x.screen.write(buffer[:n])
		x.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (x *terminal) press(keys string) {
	x.t.Helper()
	if _, err := x.master.WriteString(keys); err != nil {
		x.t.Fatal(err)
	}
}

// see waits until a text is on the screen.
func (x *terminal) see(text string) {
	x.t.Helper()
	x.until(fmt.Sprintf("%q on the screen", text), func(all string) bool { return strings.Contains(all, text) })
}

// miss waits until a text is not on the screen.
func (x *terminal) miss(text string) {
	x.t.Helper()
	x.until(fmt.Sprintf("no %q on the screen", text), func(all string) bool { return all != "" && !strings.Contains(all, text) })
}

func (x *terminal) until(what string, done func(screen string) bool) {
	x.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		x.mu.Lock()
		all := x.screen.String()
		x.mu.Unlock()
		if done(all) {
			return
		}
		select {
		case err := <-x.ended:
			x.t.Fatalf("waiting for %s, it ended: %v\n%s", what, err, x.written())
		default:
		}
		if time.Now().After(end) {
			x.t.Fatalf("waiting for %s:\n%s", what, all)
		}
	}
}

func (x *terminal) written() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return string(x.raw)
}

// end waits for the program's end, with a code, and compares the terminal with
// what it was.
func (x *terminal) end(code int) {
	x.t.Helper()
	select {
	case <-x.ended:
	case <-time.After(patience):
		x.t.Fatal("it does not end")
	}
	if got := x.cmd.ProcessState.ExitCode(); got != code {
		x.t.Errorf("it ended with %d, not %d\n%s", got, code, x.written())
	}
	x.cmd = nil
	if now := x.settings(); now != x.before {
		x.t.Errorf("the terminal is not as it was: %+v, before %+v", now, x.before)
	}
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		all := x.written()
		if strings.LastIndex(all, "\x1b[?1049l") > strings.LastIndex(all, "\x1b[?1049h") && strings.LastIndex(all, "\x1b[?25h") > strings.LastIndex(all, "\x1b[?25l") {
			return
		}
		if time.Now().After(end) {
			x.t.Fatalf("the screen or the cursor was not given back: %q", all[max(0, len(all)-200):])
		}
	}
}

// screen understands as much of a terminal as is drawn with here: texts, where
// they go, and clearing.
type screen struct {
	columns, rows int
	x, y          int
	cells         [][]rune
	pending       []byte
}

func (s *screen) write(b []byte) {
	b = append(s.pending, b...)
	s.pending = nil
	for len(b) > 0 {
		if b[0] == 0x1b {
			n := s.escape(b)
			if n == 0 { // more is to come
				s.pending = append([]byte(nil), b...)
				return
			}
			b = b[n:]
			continue
		}
		if !utf8.FullRune(b) {
			s.pending = append([]byte(nil), b...)
			return
		}
		r, n := utf8.DecodeRune(b)
		b = b[n:]
		switch {
		case r == '\r':
			s.x = 0
		case r == '\n':
			s.y++
		case r >= ' ':
			s.put(r)
		}
	}
}

func (s *screen) put(r rune) {
	for len(s.cells) <= s.y {
		s.cells = append(s.cells, nil)
	}
	for len(s.cells[s.y]) <= s.x {
		s.cells[s.y] = append(s.cells[s.y], ' ')
	}
	s.cells[s.y][s.x] = r
	s.x++
}

// escape takes one sequence and gives its length.
func (s *screen) escape(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case ']', 'P', '_', '^': // up to BEL or ST
		for i := 2; i < len(b); i++ {
			if b[i] == 7 {
				return i + 1
			}
			if b[i] == '\\' && b[i-1] == 0x1b {
				return i + 1
			}
		}
		return 0
	case '(', ')', '#', '%':
		return min(3, len(b)) / 3 * 3
	case '[':
		for i := 2; i < len(b); i++ {
			if b[i] >= 0x40 && b[i] <= 0x7e {
				s.order(b[i], string(b[2:i]))
				return i + 1
			}
		}
		return 0
	}
	return 2
}

func (s *screen) order(final byte, arguments string) {
	switch final {
	case 'H':
		row, column, _ := strings.Cut(arguments, ";")
		y, _ := strconv.Atoi(row)
		x, _ := strconv.Atoi(column)
		s.y, s.x = max(y-1, 0), max(x-1, 0)
	case 'J':
		s.cells = nil
	}
}

func (s *screen) String() string {
	var b strings.Builder
	for _, row := range s.cells {
		b.WriteString(strings.TrimRight(string(row), " ") + "\n")
	}
	return b.String()
}

// size is how much of the screen was written to.
func (s *screen) size() (columns, rows int) {
	for _, row := range s.cells {
		columns = max(columns, len(row))
	}
	return columns, len(s.cells)
}
