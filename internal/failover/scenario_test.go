package failover

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"evenkeel/internal/failover/report"
	"evenkeel/internal/keeper/lease"
)

// newPage is what a keeper shares with its failover process.
func newPage(t *testing.T) *lease.Page {
	t.Helper()
	p, err := lease.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// status is a node as its status tells.
func (x *node) status() *report.View {
	x.t.Helper()
	v := new(report.View)
	if err := json.Unmarshal([]byte(x.control("status json")), v); err != nil {
		x.t.Fatal(err)
	}
	return v
}

func (x *node) instance(name string) *report.Instance {
	x.t.Helper()
	v := x.status()
	for n := range v.Instances {
		if v.Instances[n].Name == name {
			return &v.Instances[n]
		}
	}
	x.t.Fatalf("no instance %s", name)
	return nil
}

func TestRestartStaysMaster(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"crash", "retire"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, 2)
			page := newPage(t)
			// A long interval, so that the test binary starts within the peers' patience.
			config := func(priority int) string {
				return strings.ReplaceAll(instanceText("VI_1", 51, priority, vip+"/24"), "advert_int 0.1\n", "advert_int 4\n")
			}
			a := l.start(0, config(150), page)
			b := l.start(1, config(100), nil)
			a.control("master VI_1") // without waiting for silence
			a.control("clear VI_1")
			l.eventually("the first is master", func() bool { return a.instance("VI_1").State == "MASTER" })
			if w, ok := page.ReadWill(); !ok || len(w.Alive) != 1 || len(w.Leave) != 1 || len(w.Remove) == 0 || w.Every != 4*time.Second {
				t.Fatalf("will: %+v %v", w, ok)
			}
			if how == "crash" {
				a.kill()
			} else {
				a.control("retire")
				_ = a.cmd.Wait()
			}
			if !l.has(0, vip) {
				t.Fatal("the address went with the process")
			}
			a.run(l.nodes[0])
			i := a.instance("VI_1")
			if i.State != "MASTER" || i.Counters.BecameMaster != 0 {
				t.Errorf("after the restart: %+v", i)
			}
			if n := len(i.History); n != 2 || i.History[n-1].To != "MASTER" {
				t.Errorf("history: %+v", i.History)
			}
			if n := b.instance("VI_1").Counters.BecameMaster; n != 0 {
				t.Errorf("the peer became master %d times", n)
			}
			a.stop()
			l.only(1, vip)
			if w, ok := page.ReadWill(); ok && !w.Empty() || page.ReadState() != nil {
				t.Errorf("a stopped process left a will %+v and a state %q", w, page.ReadState())
			}
		})
	}
}

func TestFrozenProcess(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	a := l.start(0, calm(instanceText("VI_1", 51, 150, vip+"/24", "nopreempt")), nil)
	l.only(0, vip)
	b := l.start(1, calm(instanceText("VI_1", 51, 100, vip+"/24", "nopreempt")), nil)
	l.eventually("the second hears the first", func() bool { return b.instance("VI_1").Counters.AdvertsReceived > 0 })
	if err := a.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	// The kernel takes the address away when the lease is over.
	l.only(1, vip)
	if err := a.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	i := a.instance("VI_1")
	if i.State != "BACKUP" || l.has(0, vip) {
		t.Errorf("after the freeze: %+v", i)
	}
	if n := b.instance("VI_1").Counters.DuplicateMaster; n != 0 {
		t.Errorf("the new master saw another one %d times", n)
	}
	if n := b.instance("VI_1").Counters.BecameMaster; n != 1 {
		t.Errorf("the second became master %d times", n)
	}
}

func TestKeeperFrozen(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	page := newPage(t)
	if err := page.KeeperBeat(lease.Now(), time.Hour); err != nil {
		t.Fatal(err)
	}
	a := l.start(0, instanceText("VI_1", 51, 150, vip+"/24"), page)
	b := l.start(1, instanceText("VI_1", 51, 100, vip+"/24"), nil)
	l.only(0, vip)
	_ = page.KeeperBeat(lease.Now(), time.Millisecond)
	l.only(1, vip)
	if got := a.control("status"); !strings.Contains(got, "the keeper is frozen") {
		t.Errorf("status:\n%s", got)
	}
	_ = page.KeeperBeat(lease.Now(), time.Hour)
	l.only(0, vip)
	b.stop()
}

func TestProxyIsFollowed(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	page := newPage(t)
	_ = page.SetWorker(lease.WorkerDown, lease.Now())
	a := l.start(0, calm(instanceText("VI_1", 51, 150, vip+"/24", "track_proxy {\n }")), page)
	l.start(1, calm(instanceText("VI_1", 51, 100, vip+"/24")), nil)
	l.only(1, vip)
	a.is("VI_1", "FAULT", "")
	_ = page.SetWorker(lease.WorkerServing, lease.Now())
	l.only(0, vip)
	// A restart after a crash is no reason to move.
	before := a.instance("VI_1").Counters.BecameMaster
	down := time.Now()
	_ = page.SetWorker(lease.WorkerDown, lease.Now())
	_ = page.SetWorker(lease.WorkerServing, lease.Now())
	quick := time.Since(down) < proxyGrace // unless this process was held up itself
	_ = page.SetWorker(lease.WorkerDown, lease.Now())
	l.only(1, vip)
	if i := a.instance("VI_1"); quick && i.Counters.BecameMaster != before {
		t.Errorf("it moved for a restart: %+v", i)
	}
}

func TestBackendIsFollowed(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	page := newPage(t)
	_ = page.SetWorker(lease.WorkerServing, lease.Now())
	_ = page.SetDown([]string{"other"})
	a := l.start(0, instanceText("VI_1", 51, 150, vip+"/24", "track_proxy {\n backend shop\n }"), page)
	l.start(1, instanceText("VI_1", 51, 100, vip+"/24"), nil)
	l.only(0, vip)
	_ = page.SetDown([]string{"other", "shop"})
	l.only(1, vip)
	a.is("VI_1", "FAULT", "shop")
	_ = page.SetDown([]string{})
	l.only(0, vip)
	_ = page.SetWorker(lease.WorkerDown, lease.Now())
	l.only(1, vip) // the whole proxy is the backend's, too
}

func TestTrackedFile(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	path := t.TempDir() + "/weight"
	set := func(v string) {
		if err := os.WriteFile(path, []byte(v+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set("0")
	config := "track_file tf {\n file " + path + "\n weight 1\n}\n" + instanceText("VI_1", 51, 150, vip+"/24", "track_file {\n tf weight 1\n }")
	a := l.start(0, config, nil)
	l.start(1, instanceText("VI_1", 51, 100, vip+"/24"), nil)
	l.only(0, vip)
	set("-60")
	l.eventually("the file's weight counts", func() bool {
		i := a.instance("VI_1")
		return i.Priority == 90 && strings.Contains(i.PriorityWhy, "90")
	})
	l.only(1, vip)
	set("0")
	l.only(0, vip)
}

func TestAddressTakenAway(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	a := l.start(0, calm(instanceText("VI_1", 51, 150, vip+"/24")), nil)
	l.only(0, vip)
	l.ip("-n " + l.nodes[0] + " addr del " + vip + "/24 dev eth0")
	l.only(0, vip)
	if got := a.control("events"); !strings.Contains(got, "put back") {
		t.Errorf("events:\n%s", got)
	}
	if i := a.instance("VI_1"); i.Counters.BecameMaster != 1 {
		t.Errorf("it changed its state: %+v", i.History)
	}
	l.ip("-n " + l.nodes[0] + " addr flush dev eth0 scope global")
	l.eventually("a fault without any address", func() bool { return a.instance("VI_1").State == "FAULT" })
	l.ip("-n " + l.nodes[0] + " addr add 192.0.2.1/24 dev eth0")
	l.only(0, vip)
}

func TestLinkFlaps(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	a := l.start(0, instanceText("VI_1", 51, 150, vip+"/24"), nil)
	l.start(1, instanceText("VI_1", 51, 100, vip+"/24"), nil)
	l.only(0, vip)
	l.ip("-n " + l.bridge() + " link set p1 down") // no carrier for the node
	l.only(1, vip)
	l.ip("-n " + l.bridge() + " link set p1 up")
	l.only(0, vip)
	l.ip("-n " + l.nodes[0] + " link set eth0 down")
	l.only(1, vip)
	l.ip("-n " + l.nodes[0] + " link set eth0 up")
	l.only(0, vip)
	// The interface itself goes, and comes back as another one.
	l.ip("-n " + l.bridge() + " link del p1")
	l.only(1, vip)
	a.is("VI_1", "FAULT", "does not exist")
	l.ip(fmt.Sprintf("-n %s link add p1 type veth peer name eth0 netns %s", l.bridge(), l.nodes[0]))
	l.ip("-n " + l.bridge() + " link set p1 master br0 up")
	l.ip("-n " + l.nodes[0] + " link set eth0 up")
	l.ip("-n " + l.nodes[0] + " addr add 192.0.2.1/24 dev eth0")
	l.only(0, vip)
	// Renamed, and back.
	l.ip("-n " + l.nodes[0] + " link set eth0 name other0")
	l.only(1, vip)
	l.ip("-n " + l.nodes[0] + " link set other0 name eth0")
	l.only(0, vip)
}

func TestPartition(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	a := l.start(0, calm(instanceText("VI_1", 51, 150, vip+"/24")), nil)
	b := l.start(1, calm(instanceText("VI_1", 51, 100, vip+"/24")), nil)
	l.only(0, vip)
	l.eventually("the second hears the first", func() bool { return b.instance("VI_1").Counters.AdvertsReceived > 0 })
	l.ip("-n " + l.bridge() + " link set p1 type bridge_slave isolated on")
	l.ip("-n " + l.bridge() + " link set p2 type bridge_slave isolated on")
	l.eventually("two masters of a network in two parts", func() bool { return l.has(0, vip) && l.has(1, vip) })
	l.ip("-n " + l.bridge() + " link set p1 type bridge_slave isolated off")
	l.ip("-n " + l.bridge() + " link set p2 type bridge_slave isolated off")
	l.only(0, vip)
	if i := a.instance("VI_1"); i.Counters.BecameMaster != 1 {
		t.Errorf("the better master gave way: %+v", i.History)
	}
	if got := a.control("events"); !strings.Contains(got, "two masters") {
		t.Errorf("no alarm about two masters:\n%s", got)
	}
}

func TestStaleAddressGoes(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	l.ip("-n " + l.nodes[1] + " addr add " + vip + "/24 dev eth0") // left by something that died
	l.start(0, instanceText("VI_1", 51, 150, vip+"/24"), nil)
	l.start(1, instanceText("VI_1", 51, 100, vip+"/24"), nil)
	l.only(0, vip)
}

func TestDrills(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	a := l.start(0, instanceText("VI_1", 51, 150, vip+"/24"), nil)
	b := l.start(1, instanceText("VI_1", 51, 100, vip+"/24"), nil)
	l.only(0, vip)
	b.control("master VI_1")
	l.only(1, vip)
	b.control("clear VI_1")
	l.only(0, vip)
	a.control("fault VI_1 disk is full")
	l.only(1, vip)
	if got := a.control("status"); !strings.Contains(got, "disk is full") {
		t.Errorf("status:\n%s", got)
	}
	a.control("clear VI_1")
	l.only(0, vip)
	for line, want := range map[string]string{
		"master nobody": "there are: VI_1", "reboot": "unknown command", "": "status json", "status yaml": "not known"} {
		if got := a.control(line); !strings.Contains(got, want) {
			t.Errorf("%q: %s", line, got)
		}
	}
}

func TestReload(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	one := func(priority int) string { return calm(instanceText("VI_1", 51, priority, vip+"/24")) }
	two := func(address string) string { return calm(instanceText("VI_2", 52, 150, address)) }
	a := l.start(0, one(150)+two("192.0.2.110/24"), nil)
	l.start(1, one(100), nil)
	l.only(0, vip)
	l.only(0, "192.0.2.110")
	// A line more at the top, and another address in one instance.
	a.write("# a comment\n" + one(150) + two("192.0.2.111/24"))
	if got := a.control("reload"); got != "" {
		t.Fatal(got)
	}
	l.only(0, "192.0.2.111")
	l.only(-1, "192.0.2.110")
	for _, name := range []string{"VI_1", "VI_2"} {
		if i := a.instance(name); i.Counters.BecameMaster != 1 {
			t.Errorf("%s noticed the reload: %+v", name, i)
		}
	}
	// A broken file changes nothing.
	a.write("vrrp_instance VI_1 {\n}\n")
	if got := a.control("reload"); got == "" {
		t.Error("a broken configuration was taken")
	}
	l.only(0, vip)
	// One goes, one changes its priority, one comes.
	a.write(one(50) + instanceText("VI_3", 53, 150, "192.0.2.120/24"))
	if got := a.control("reload"); got != "" {
		t.Fatal(got)
	}
	l.only(1, vip)
	l.only(-1, "192.0.2.111")
	l.only(0, "192.0.2.120")
	if v := a.status(); len(v.Instances) != 2 {
		t.Errorf("%d instances", len(v.Instances))
	}
}

func TestVirtualMACLinkIsRemoved(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	a := l.start(0, instanceText("VI_1", 51, 150, vip+"/24", "use_vmac vrrp51"), nil)
	l.only(0, vip)
	if got := l.try("-n " + l.nodes[0] + " link show vrrp51"); !strings.Contains(got, "00:00:5e:00:01:33") {
		t.Errorf("link: %s", got)
	}
	a.stop()
	if got := l.try("-n " + l.nodes[0] + " link show vrrp51"); !strings.Contains(got, "does not exist") {
		t.Errorf("a link was left behind: %s", got)
	}
}

// TestManyInterfaces: a socket may join only 20 groups, a node may have more
// interfaces.
func TestManyInterfaces(t *testing.T) {
	t.Parallel()
	const n = 45
	l := newLab(t, 1)
	var config strings.Builder
	for k := 1; k <= n; k++ {
		l.ip(fmt.Sprintf("-n %s link add d%d type veth peer name e%d", l.nodes[0], k, k))
		l.ip(fmt.Sprintf("-n %s link set e%d up", l.nodes[0], k))
		l.ip(fmt.Sprintf("-n %s link set d%d up", l.nodes[0], k))
		l.ip(fmt.Sprintf("-n %s addr add 10.1.%d.1/24 dev d%d", l.nodes[0], k, k))
		config.WriteString(strings.ReplaceAll(instanceText(fmt.Sprintf("V%d", k), k, 150, fmt.Sprintf("10.1.%d.100/24", k)), "eth0", fmt.Sprintf("d%d", k)))
	}
	a := l.start(0, config.String(), nil)
	l.eventually("all are master", func() bool {
		return strings.Count(l.try("-n "+l.nodes[0]+" -o -4 addr show"), ".100/24") == n
	})
	if got := strings.Count(l.try("-n "+l.nodes[0]+" -4 maddr show"), "224.0.0.18"); got != n {
		t.Errorf("%d interfaces listen to the group:\n%s", got, a.control("events"))
	}
}

// TestScriptDecides: a check that fails takes an instance out of service, and
// scripts hear of the changes with keepalived's arguments.
func TestScriptDecides(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	dir := t.TempDir()
	ok, log := dir+"/ok", dir+"/log"
	touch := func() {
		if err := os.WriteFile(ok, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	touch()
	script := dir + "/notify"
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho \"$@\" >>"+log+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	config := "global_defs {\n script_user root\n}\nvrrp_script chk {\n script \"/usr/bin/test -e " + ok + "\"\n interval 1\n fall 1\n rise 1\n}\n" +
		instanceText("VI_1", 51, 150, vip+"/24", "track_script {\n chk\n }", "notify "+script)
	a := l.start(0, config, nil)
	l.start(1, instanceText("VI_1", 51, 100, vip+"/24"), nil)
	l.only(0, vip)
	_ = os.Remove(ok)
	l.only(1, vip)
	a.is("VI_1", "FAULT", "chk")
	touch()
	l.only(0, vip)
	l.eventually("the script was told", func() bool {
		b, _ := os.ReadFile(log)
		return strings.Contains(string(b), "INSTANCE VI_1 FAULT 150\n") && strings.Count(string(b), "INSTANCE VI_1 MASTER 150\n") >= 2
	})
	a.stop()
	l.eventually("the script was told of the end", func() bool {
		b, _ := os.ReadFile(log)
		return strings.HasSuffix(string(b), "INSTANCE VI_1 STOP 150\n")
	})
}
