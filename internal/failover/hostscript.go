package failover

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"evenkeel/internal/alert"
	"evenkeel/internal/command"
	"evenkeel/internal/model"
)

// Host scripts are startup_script and shutdown_script: they prepare the host
// before anything is opened, and put it back when everything is closed.

// defaultHostScript is how long one may take.
const defaultHostScript = 10 * time.Second

// longestShutdown is what the keeper's patience leaves for the last script.
const longestShutdown = 10 * time.Second

// killPause is between asking a program to end and making it.
const killPause = time.Second

func checkHostScripts(f *model.Failover, d *model.Diagnostics) {
	for _, c := range []*model.Command{f.Startup, f.Shutdown} {
		commandOf(c, f, d) // a user that does not exist is an error
	}
	if f.Shutdown != nil && f.ShutdownTimeout > longestShutdown {
		d.Warnf(f.Shutdown.Pos, "shutdown_script_timeout %v: this process is ended %v after it was told to: write %d or less",
			f.ShutdownTimeout, longestShutdown, int(longestShutdown.Seconds()))
	}
}

// hostScript runs one, if there is one. It failing is told and stops nothing, as
// in keepalived.
func (s *Service) hostScript(what string, c *model.Command, timeout time.Duration) {
	f := s.prepared.model
	var none model.Diagnostics
	x := commandOf(c, f, &none)
	if x == nil {
		return
	}
	if timeout == 0 {
		timeout = defaultHostScript
	}
	e := alert.Event{Kind: "script", Severity: alert.Notice, Plane: "vrrp", Name: what, Text: what + " has run: " + x.String()}
	if err := runProgram(*x, timeout, f.ScriptCheck); err != nil {
		e.Severity, e.Text = alert.Warning, fmt.Sprintf("%s %s: %v", what, x, err)
		fmt.Fprintf(s.options.Stderr, "failover: %s\n", e.Text)
	}
	s.hub.Post(e)
}

// complaintLength is how much of what a program says is passed on.
const complaintLength = 512

// runProgram runs a program to its end, or until its time is over.
func runProgram(c command.Command, timeout time.Duration, secure bool) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	p, err := command.Start(c, command.Options{Stderr: w, Secure: secure, DieWithParent: true})
	w.Close()
	if err != nil {
		return err
	}
	said := make(chan []byte, 1)
	go func() {
		b, _ := io.ReadAll(io.LimitReader(r, complaintLength))
		_, _ = io.Copy(io.Discard, r)
		said <- bytes.TrimSpace(b)
	}()
	ended := make(chan command.Exit, 1)
	go func() { ended <- p.Wait() }()
	select {
	case exit := <-ended:
		if exit.OK() {
			return nil
		}
		// Something that it started may hold the other end.
		_ = r.SetReadDeadline(time.Now().Add(killPause))
		return fmt.Errorf("%v: %s", exit, <-said)
	case <-time.After(timeout):
	}
	p.Kill(syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(killPause):
		p.Kill(syscall.SIGKILL)
		<-ended
	}
	return fmt.Errorf("killed: it had not ended after %v", timeout)
}
