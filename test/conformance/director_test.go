package conformance

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"evenkeel/test/subject"
)

// frontends is how many listening sockets a director inherits, besides the
// one of its command line.
const frontends = 4

// director is a running HAProxy, or evenkeel in its place, with everything
// around it.
type director struct {
	t       testing.TB
	program string
	who     int           // of the two that are compared: 0 or 1
	pace    time.Duration // how many times slower its clocks, and those of what is around it, go
	dir     string
	cmd     *exec.Cmd
	fes     [frontends]string // addresses of fd@${fe1}, …
	cli     string            // address of fd@${cli}
	origins map[string]*origin
	log     *syslog
	stderr  *subject.Output
	exited  chan struct{}
	words   *strings.Replacer // of configuration texts
	names   *strings.Replacer // addresses back to their names
}

// deadAddr refuses connections: nobody listens on the first port.
const deadAddr = "127.0.0.1:1"

// newDirector makes everything around a director and does not start it.
func newDirector(t testing.TB, program string) *director { return newSlowDirector(t, program, 1) }

func newSlowDirector(t testing.TB, program string, pace time.Duration) *director {
	t.Helper()
	d := &director{t: t, program: program, pace: pace, dir: t.TempDir(), origins: map[string]*origin{}, log: newSyslog(t), stderr: &subject.Output{}}
	words := []string{"{dead}", deadAddr, "{dir}", d.dir, "{log}", d.log.addr()}
	names := []string{d.dir, "{dir}", d.log.addr(), "{log}"}
	for _, name := range []string{"s1", "s2", "s3", "s4"} {
		o := newOrigin(t, name, pace)
		d.origins[name] = o
		_, port, _ := net.SplitHostPort(o.addr())
		words = append(words, "{"+name+"}", o.addr(), "{"+name+".port}", port)
		names = append(names, o.addr(), "{"+name+"}")
	}
	for i := range frontends {
		words = append(words, fmt.Sprintf("{fe%d}", i+1), fmt.Sprintf("\"fd@${fe%d}\"", i+1))
	}
	d.words, d.names = strings.NewReplacer(words...), strings.NewReplacer(names...)
	return d
}

// sleep lets time pass at the director's pace.
func (d *director) sleep(t time.Duration) { time.Sleep(t * d.pace) }

// clock is a duration in a configuration text.
var clock = regexp.MustCompile(`(\b(?:timeout [a-z-]+|wait-for-body time|pool-purge-delay|inter|agent-inter|tcp-request inspect-delay) )(\d+)(ms|s)?\b`)

// slower multiplies the durations of a configuration text.
func slower(text string, pace time.Duration) string {
	return clock.ReplaceAllStringFunc(text, func(s string) string {
		m := clock.FindStringSubmatch(s)
		n, _ := strconv.Atoi(m[2])
		return m[1] + strconv.Itoa(n*int(pace)) + m[3]
	})
}

// file writes a file into the director's directory.
func (d *director) file(name, text string) string {
	d.t.Helper()
	path := filepath.Join(d.dir, name)
	if err := os.WriteFile(path, []byte(d.words.Replace(text)), 0o600); err != nil {
		d.t.Fatal(err)
	}
	return path
}

// start runs the program on the configuration. Listening sockets are made
// here and inherited, as a test harness of a proxy does it, so that a client
// may connect at once.
func (d *director) start(config string, args ...string) {
	d.t.Helper()
	path := d.file("haproxy.cfg", config)
	d.cmd = exec.Command(d.program, append([]string{"-db", "-f", path}, args...)...)
	d.cmd.Stdout, d.cmd.Stderr = d.stderr, d.stderr
	d.cmd.Env = append(os.Environ(), "testdir="+d.dir)
	names := []string{d.dir, "{dir}", d.log.addr(), "{log}"}
	var inherited []io.Closer
	for i := range frontends + 1 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			d.t.Fatal(err)
		}
		f, err := ln.(*net.TCPListener).File()
		if err != nil {
			d.t.Fatal(err)
		}
		inherited = append(inherited, ln, f)
		d.cmd.ExtraFiles = append(d.cmd.ExtraFiles, f)
		name := "cli"
		if i < frontends {
			name = fmt.Sprintf("fe%d", i+1)
			d.fes[i] = ln.Addr().String()
			_, port, _ := net.SplitHostPort(d.fes[i])
			names = append(names, d.fes[i], "{"+name+"}", port, "{"+name+".port}")
		} else {
			d.cli = ln.Addr().String()
			names = append(names, d.cli, "{"+name+"}")
		}
		d.cmd.Env = append(d.cmd.Env, fmt.Sprintf("%s=%d", name, 3+i))
	}
	for name, o := range d.origins {
		_, port, _ := net.SplitHostPort(o.addr())
		names = append(names, o.addr(), "{"+name+"}", port, "{"+name+".port}")
	}
	d.names = strings.NewReplacer(names...)
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	for _, c := range inherited {
		c.Close()
	}
	d.exited = make(chan struct{})
	go func() {
		d.cmd.Wait()
		close(d.exited)
	}()
	d.t.Cleanup(d.stop)
}

// stop ends the program the hard way, if it has not ended yet.
func (d *director) stop() {
	d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.exited:
	case <-time.After(3 * time.Second):
		d.cmd.Process.Kill()
		<-d.exited
	}
}

// ask sends one line to the runtime API and gives what comes back.
func (d *director) ask(command string) string {
	c, err := net.Dial("tcp", d.cli)
	if err != nil {
		return "cannot connect: " + err.Error()
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(c, command+"\n")
	b, err := io.ReadAll(c)
	if err != nil {
		return string(b) + "<" + err.Error() + ">"
	}
	return string(b)
}
