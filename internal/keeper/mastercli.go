package keeper

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"evenkeel/internal/keeper/socket"
)

// openMasterCLI listens on the socket of -S.
func (k *Keeper) openMasterCLI() error {
	fd, publish, err := socket.Open(*k.o.MasterCLI)
	if err != nil {
		return fmt.Errorf("master CLI: %w", err)
	}
	if publish != nil {
		if err := publish(); err != nil {
			return fmt.Errorf("master CLI: %w", err)
		}
	}
	f := os.NewFile(uintptr(fd), "master CLI")
	l, err := net.FileListener(f)
	f.Close()
	if err != nil {
		return fmt.Errorf("master CLI: %w", err)
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	go func() { <-k.done; l.Close() }()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go k.serveMaster(c)
		}
	}()
	return nil
}

// session is one client of the master's command line.
type session struct {
	k      *Keeper
	conn   net.Conn
	in     *bufio.Reader
	prompt bool
	target string // "" is the master
}

func (k *Keeper) serveMaster(c net.Conn) {
	defer c.Close()
	s := &session{k: k, conn: c, in: bufio.NewReaderSize(c, 16<<10)}
	for {
		if s.prompt {
			fmt.Fprintf(c, "%s> ", s.promptName())
		}
		line, err := s.in.ReadString('\n')
		if err != nil && line == "" {
			return
		}
		for command := range strings.SplitSeq(strings.TrimSpace(line), ";") {
			if !s.run(strings.TrimSpace(command)) {
				return
			}
		}
		if !s.prompt || err != nil {
			return
		}
	}
}

func (s *session) promptName() string {
	if s.target == "" {
		return "master"
	}
	return s.target
}

// run does one command and says whether the session goes on.
func (s *session) run(command string) bool {
	target := s.target
	if strings.HasPrefix(command, "@") {
		first, rest, _ := strings.Cut(command, " ")
		if first == "@master" || first == "@" {
			first = ""
		}
		if command = strings.TrimSpace(rest); command == "" {
			s.target = strings.TrimPrefix(first, "@")
			return true
		}
		target = strings.TrimPrefix(first, "@")
	}
	switch {
	case command == "":
	case command == "quit":
		return false
	case command == "prompt":
		s.prompt = !s.prompt
	case target != "":
		s.forward(target, command)
	default:
		s.master(command)
	}
	return true
}

const masterHelp = `The following commands are valid at this level:
  @!<pid>                                 : send a command to the <pid> process
  @<relative pid>                         : send a command to the <relative pid> process
  @master                                 : send a command to the master process
  reload                                  : reload haproxy
  hardreload                              : reload haproxy, the workers before stop at once
  show proc                               : show processes status
  show startup-logs                       : report logs emitted during the last start or reload
  show version                            : show version of the current process
  help [<command>]                        : list matching or all commands
  prompt                                  : toggle interactive mode with prompt
  quit                                    : disconnect
`

func (s *session) master(command string) {
	say := func(text string) { fmt.Fprintf(s.conn, "%s\n", text) }
	switch strings.Join(strings.Fields(command), " ") {
	case "show proc":
		var text string
		s.k.do(func() { text = s.k.showProc() })
		say(text)
	case "show version":
		say(s.k.o.Version + "\n")
	case "show startup-logs":
		var text string
		s.k.do(func() { text = s.k.startLog.String() })
		say(text)
	case "reload", "hardreload":
		ok, text := s.k.reloadAndWait()
		if ok && command == "hardreload" {
			s.k.do(s.k.stopFormer)
		}
		say(fmt.Sprintf("Success=%d\n--\n%s", map[bool]int{true: 1}[ok], text))
	case "help":
		say(masterHelp)
	default:
		say("Unknown command: '" + command + "', but maybe one of the following ones is a better match:\n" + masterHelp)
	}
}

// forward sends a command to a worker and copies what it answers.
func (s *session) forward(target, command string) {
	missing := false
	fd, err := s.k.runtimeStream(func() *child {
		c := s.k.pick(target)
		missing = c == nil
		return c
	})
	if missing {
		fmt.Fprintf(s.conn, "Can't find the target PID matching the prefix '@%s'\n\n", target)
		return
	}
	if err != nil {
		fmt.Fprintf(s.conn, "%v\n\n", err)
		return
	}
	f := os.NewFile(uintptr(fd), "runtime")
	stream, err := net.FileConn(f)
	f.Close()
	if err != nil {
		return
	}
	defer stream.Close()
	// A worker that hangs must not hold this client for ever.
	_ = stream.SetDeadline(time.Now().Add(30 * time.Second))
	fmt.Fprintf(stream, "%s\n", command)
	if u, ok := stream.(*net.UnixConn); ok {
		_ = u.CloseWrite()
	}
	_, _ = io.Copy(s.conn, stream)
}

// pick finds the worker of "1" (the one that serves) or "!pid".
func (k *Keeper) pick(target string) *child {
	if pid, ok := strings.CutPrefix(target, "!"); ok {
		n, _ := strconv.Atoi(pid)
		for _, c := range k.children {
			if c.process.Pid == n {
				return c
			}
		}
		return nil
	}
	if target == "1" {
		return k.current
	}
	return nil
}

// stopFormer ends every worker that drains.
func (k *Keeper) stopFormer() {
	for _, c := range k.children {
		if c.draining {
			c.told = true
			_ = c.process.Signal(syscall.SIGTERM)
		}
	}
}

// reloadAndWait reloads and tells how it went. It is called outside the loop.
func (k *Keeper) reloadAndWait() (ok bool, log string) {
	result := make(chan bool, 1)
	k.do(func() {
		if k.stopping || !k.settled {
			result <- false
			return
		}
		if k.candidate != nil {
			// The reload under way may have read the files before they changed:
			// only the next one counts.
			k.again = true
			k.waitNext = append(k.waitNext, result)
			return
		}
		k.waiters = append(k.waiters, result)
		k.reload()
	})
	select {
	case ok = <-result:
	case <-k.done:
	}
	k.do(func() { log = k.startLog.String() })
	return ok, log
}

// showProc is HAProxy's table of processes.
func (k *Keeper) showProc() string {
	var b strings.Builder
	row := func(pid int, kind string, reloads string, since time.Time) {
		fmt.Fprintf(&b, "%-15d %-15s %-15s %-15s %-15s\n", pid, kind, reloads, uptime(time.Since(since)), k.o.Version)
	}
	fmt.Fprintf(&b, "%-15s %-15s %-15s %-15s %-15s\n", "#<PID>", "<type>", "<reloads>", "<uptime>", "<version>")
	row(os.Getpid(), "master", fmt.Sprintf("%d [failed: %d]", k.reloads, k.failed), k.started)
	b.WriteString("# workers\n")
	if k.current != nil {
		row(k.current.process.Pid, "worker", itoa(k.reloads-k.current.reloads), k.current.started)
	}
	old := false
	for _, c := range k.children {
		if c == k.current || c == k.candidate {
			continue
		}
		if !old {
			b.WriteString("# old workers\n")
			old = true
		}
		row(c.process.Pid, "worker", itoa(k.reloads-c.reloads), c.started)
	}
	b.WriteString("# programs\n")
	for _, c := range k.holders {
		row(c.process.Pid, "failover", "0", c.started)
	}
	return b.String()
}

func uptime(d time.Duration) string {
	s := int(d.Seconds())
	return fmt.Sprintf("%dd%02dh%02dm%02ds", s/86400, s/3600%24, s/60%60, s%60)
}
