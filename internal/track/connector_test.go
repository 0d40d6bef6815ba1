package track

import (
	"encoding/binary"
	"os"
	"os/exec"
	"reflect"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// connectorMessage is one event as the kernel sends it.
func connectorMessage(what uint32, data ...uint32) []byte {
	n := binary.NativeEndian
	b := make([]byte, unix.NLMSG_HDRLEN+sizeCN+sizeEvent)
	n.PutUint16(b[4:], unix.NLMSG_DONE)
	n.PutUint32(b[unix.NLMSG_HDRLEN:], cnIdxProc)
	n.PutUint32(b[unix.NLMSG_HDRLEN+4:], cnValProc)
	n.PutUint32(b[unix.NLMSG_HDRLEN+sizeCN:], what)
	for _, d := range data {
		b = n.AppendUint32(b, d)
	}
	n.PutUint32(b, uint32(len(b)))
	return b
}

func TestParseConnector(t *testing.T) {
	for _, c := range []struct {
		name string
		b    []byte
		want []procEvent
	}{
		{"fork", connectorMessage(procFork, 5, 4, 6, 6), []procEvent{{what: procFork, parent: 4, pid: 6}}},
		{"thread", connectorMessage(procFork, 5, 5, 6, 5), nil},
		{"exec", connectorMessage(procExec, 7, 7), []procEvent{{what: procExec, pid: 7}}},
		{"comm of a thread", connectorMessage(procComm, 8, 7, 0, 0, 0, 0), nil},
		{"exit", connectorMessage(procExit, 7, 7, 0, 17), []procEvent{{what: procExit, pid: 7}}},
		{"answer", connectorMessage(procNone, 0), []procEvent{{what: procNone}}},
		{"refusal", connectorMessage(procNone, 1), []procEvent{{what: procNone, errno: 1}}},
		{"another kind", connectorMessage(4, 7, 7), nil},
		{"cut short", connectorMessage(procExec, 7), nil},
		{"two", append(connectorMessage(procExec, 7, 7), connectorMessage(procExit, 7, 7)...), []procEvent{{what: procExec, pid: 7}, {what: procExit, pid: 7}}},
	} {
		if got := parseConnector(c.b); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

// next waits for a report about name.
func next(t *testing.T, reports <-chan Report, name string) Report {
	t.Helper()
	late := time.After(20 * time.Second)
	for {
		select {
		case r := <-reports:
			if r.Name == name && !r.Advisory {
				return r
			}
			t.Logf("also: %+v", r)
		case <-late:
			t.Fatalf("nothing was reported about %s", name)
		}
	}
}

// watchSleep starts and ends a process that a watch of ours waits for.
func watchSleep(t *testing.T, open func() (*connector, error)) {
	dir := t.TempDir()
	bin := dir + "/ekf-napper"
	b, err := os.ReadFile("/bin/sleep")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(bin, b, 0o755); err != nil {
		t.Fatal(err)
	}
	reports := make(chan Report, 100)
	p := startProcesses(func(r Report) { reports <- r }, "/proc", open)
	defer p.close()
	p.set([]Process{{Name: "napper", Argv: []string{"ekf-napper"}, Quorum: 1}, {Name: "hour", Argv: []string{bin, "3600"}, Quorum: 1}})
	if r := next(t, reports, "napper"); r.State != Down {
		t.Fatalf("before it runs: %+v", r)
	}
	if r := next(t, reports, "hour"); r.State != Down {
		t.Fatalf("before it runs: %+v", r)
	}
	c := exec.Command(bin, "3600")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Wait()
	defer c.Process.Kill()
	if r := next(t, reports, "napper"); r.State != Up {
		t.Fatalf("while it runs: %+v", r)
	}
	if r := next(t, reports, "hour"); r.State != Up {
		t.Fatalf("by its parameters: %+v", r)
	}
	if st := p.snapshot(); len(st) != 2 || st[0].Value != 1 || st[0].State != Up {
		t.Errorf("status: %+v", st)
	}
	c.Process.Kill() // not reaped yet: it is a zombie, and does not run
	if r := next(t, reports, "napper"); r.State != Down {
		t.Fatalf("after its end: %+v", r)
	}
}

func TestProcessEvents(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the proc connector is for root")
	}
	c, err := openConnector()
	if err != nil {
		t.Skipf("no proc connector here (a container, or a kernel without it): %v", err)
	}
	c.close()
	watchSleep(t, openConnector)
}

func TestProcessesWithoutEvents(t *testing.T) {
	watchSleep(t, func() (*connector, error) { return nil, unix.EPERM })
}
