package forwarding

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestStopOfAll: SIGTERM for every process at once, as killall and systemd send
// it, is a stop like any other: what was configured and what was changed of it
// by hand is gone.
func TestStopOfAll(t *testing.T) {
	l := newLAN(t)
	l.direct()
	l.serve("1")
	l.serve("2")
	text := globals + vrrp("MASTER", 150, vip+"/24") + virtual("DR", "rr", "", real("10.79.0.21 80", ""), real("10.79.0.22 80", ""))
	d := l.director("d", text)
	l.eventually("the master", func() bool { return l.holds("d", vip) })
	l.types("d", "ipvsadm -d -t "+vip+":80 -r 10.79.0.21:80")
	l.eventually("one server", func() bool { return only(l.who(4), "2") })
	cmd, child := d.cmd, d.another(0)
	for _, pid := range []int{cmd.Process.Pid, child} {
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	hung := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	_ = cmd.Wait()
	if !hung.Stop() {
		t.Errorf("it did not end within %v", patience)
	}
	d.cmd = nil
	if l.holds("d", vip) {
		t.Error("the address is left")
	}
	if got := l.types("d", "ipvsadm -Ln"); strings.Contains(got, vip) {
		t.Errorf("left:\n%s", got)
	}
	d.restart()
	l.eventually("the master again", func() bool { return l.holds("d", vip) })
	l.eventually("both servers", func() bool { return only(l.who(4), "1", "2") })
}

// TestListedWhileBegun: somebody who lists services while a director begins, after
// a crash that left them, waits for it and starts none beside it.
func TestListedWhileBegun(t *testing.T) {
	needsNoIPVS(t)
	l := newLAN(t)
	t.Cleanup(l.clearByHand)
	l.direct()
	l.serve("1")
	d := l.director("d", globals+virtual("DR", "rr", "", real("10.79.0.21 80", "")))
	child := d.another(0)
	_ = d.cmd.Process.Kill()
	_ = syscall.Kill(child, syscall.SIGKILL)
	_ = d.cmd.Wait()
	l.eventually("it is gone", func() bool { return syscall.Kill(child, 0) != nil })
	d.begin()
	l.eventually("it can be asked", func() bool {
		text := d.ctl("services")
		return strings.Contains(text, "only beginning") || strings.Contains(text, vip)
	})
	for range 5 {
		if got := l.types("d", "ipvsadm -Ln"); !strings.Contains(got, vip+":80 rr") {
			t.Errorf("listed:\n%s", got)
		}
	}
	if pids := l.started("d"); len(pids) > 0 {
		t.Errorf("directors beside it: %v", pids)
	}
	d.eventually("it serves", d.serves)
}
