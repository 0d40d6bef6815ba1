package failover

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// peer is a keepalived in a namespace.
type peer struct {
	t    *testing.T
	ns   string
	path string
	cmd  *exec.Cmd
	log  *logBuffer
}

func needKeepalived(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("keepalived"); err != nil {
		t.Skip("needs keepalived")
	}
}

func (l *lab) keepalived(n int, config string) *peer {
	l.t.Helper()
	k := &peer{t: l.t, ns: l.nodes[n], path: l.t.TempDir()}
	if err := os.WriteFile(k.path+"/keepalived.conf", []byte("global_defs {\n vrrp_version 2\n}\n"+config), 0o600); err != nil {
		l.t.Fatal(err)
	}
	k.start()
	l.t.Cleanup(func() {
		k.kill()
		if l.t.Failed() {
			l.t.Logf("keepalived said:\n%s", k.log)
		}
	})
	return k
}

func (k *peer) start() {
	k.log = &logBuffer{}
	k.cmd = exec.Command("ip", "netns", "exec", k.ns, "keepalived", "-n", "-l", "-D", "-P", "-f", k.path+"/keepalived.conf",
		"-p", k.path+"/pid", "-r", k.path+"/vrrp.pid")
	k.cmd.Stdout, k.cmd.Stderr = k.log, k.log
	// A group of its own, so that all of its processes can be killed at once.
	k.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := k.cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
}

// stop is SIGTERM: priority 0 and the addresses removed.
func (k *peer) stop() {
	_ = k.cmd.Process.Signal(syscall.SIGTERM)
	_ = k.cmd.Wait()
}

func (k *peer) kill() {
	_ = syscall.Kill(-k.cmd.Process.Pid, syscall.SIGKILL)
	if b, err := os.ReadFile(k.path + "/vrrp.pid"); err == nil {
		var pid int
		if _, err := fmt.Sscan(string(b), &pid); err == nil && pid > 1 {
			if comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); strings.HasPrefix(string(comm), "keepalived") {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		_ = os.Remove(k.path + "/vrrp.pid")
	}
	_ = k.cmd.Wait()
}

// interop is a configuration that both programs run, PRIORITY, ME and PEER
// being different.
type interop struct {
	name, config string
	vips         []string
}

var interops = []interop{
	{"v2 PASS", `vrrp_instance V {
 interface eth0
 virtual_router_id 51
 priority PRIORITY
 advert_int 1
 authentication {
  auth_type PASS
  auth_pass secret12
 }
 virtual_ipaddress {
  192.0.2.100/24
  192.0.2.101/32 dev eth0
 }
}`, []string{vip, "192.0.2.101"}},
	{"v2 AH", `vrrp_instance V {
 interface eth0
 virtual_router_id 52
 priority PRIORITY
 advert_int 1
 authentication {
  auth_type AH
  auth_pass secret12
 }
 virtual_ipaddress {
  192.0.2.100/24
 }
}`, []string{vip}},
	{"v3 IPv4", `vrrp_instance V {
 interface eth0
 virtual_router_id 53
 priority PRIORITY
 advert_int 0.2
 version 3
 virtual_ipaddress {
  192.0.2.100/24
 }
}`, []string{vip}},
	{"v3 IPv6", `vrrp_instance V {
 interface eth0
 virtual_router_id 54
 priority PRIORITY
 advert_int 0.2
 version 3
 virtual_ipaddress {
  fe80::100/64
  2001:db8::100/64
 }
}`, []string{"fe80::100", "2001:db8::100"}},
	{"unicast v3 IPv4", `vrrp_instance V {
 interface eth0
 virtual_router_id 55
 priority PRIORITY
 advert_int 0.2
 version 3
 unicast_src_ip 192.0.2.ME
 unicast_peer {
  192.0.2.PEER
 }
 virtual_ipaddress {
  192.0.2.100/24
 }
}`, []string{vip}},
	{"unicast v2", `vrrp_instance V {
 interface eth0
 virtual_router_id 56
 priority PRIORITY
 advert_int 1
 unicast_src_ip 192.0.2.ME
 unicast_peer {
  192.0.2.PEER
 }
 virtual_ipaddress {
  192.0.2.100/24
 }
}`, []string{vip}},
	{"virtual MAC", `vrrp_instance V {
 interface eth0
 use_vmac vrrp57
 virtual_router_id 57
 priority PRIORITY
 advert_int 0.2
 version 3
 virtual_ipaddress {
  192.0.2.100/24
 }
}`, []string{vip}},
	{"virtual MAC, IPv6", `vrrp_instance V {
 interface eth0
 use_vmac vrrp58
 virtual_router_id 58
 priority PRIORITY
 advert_int 0.2
 version 3
 virtual_ipaddress {
  fe80::100/64
  2001:db8::100/64
 }
}`, []string{"fe80::100", "2001:db8::100"}},
	{"sync group", `vrrp_sync_group G {
 group {
  V
  W
 }
}
vrrp_instance V {
 interface eth0
 virtual_router_id 59
 priority PRIORITY
 advert_int 0.2
 version 3
 virtual_ipaddress {
  192.0.2.100/24
 }
}
vrrp_instance W {
 interface eth0
 virtual_router_id 60
 priority PRIORITY
 advert_int 0.2
 version 3
 virtual_ipaddress {
  2001:db8::100/64
 }
}`, []string{vip, "2001:db8::100"}},
}

// text is the configuration for node n (from 1) of two.
func (x *interop) text(n, priority int) string {
	r := strings.NewReplacer("PRIORITY", fmt.Sprint(priority), "ME", fmt.Sprint(n), "PEER", fmt.Sprint(3-n))
	return r.Replace(x.config) + "\n"
}

// onlyAll is only for several addresses.
func (l *lab) onlyAll(node int, vips []string) {
	l.t.Helper()
	for _, v := range vips {
		l.only(node, v)
	}
}

func TestWithKeepalived(t *testing.T) {
	needRoot(t)
	needKeepalived(t)
	for _, x := range interops {
		t.Run(x.name+", higher than it", func(t *testing.T) {
			t.Parallel()
			l := newLab(t, 2)
			k := l.keepalived(1, x.text(2, 100))
			l.onlyAll(1, x.vips)
			n := l.start(0, x.text(1, 150), nil)
			l.onlyAll(0, x.vips) // we preempt it, and it steps back
			n.stop()
			l.onlyAll(1, x.vips) // it hears priority 0
			n.run(l.nodes[0])
			l.onlyAll(0, x.vips)
			n.kill() // it misses us, and our lease ends
			l.onlyAll(1, x.vips)
			k.stop()
		})
		t.Run(x.name+", lower than it", func(t *testing.T) {
			t.Parallel()
			l := newLab(t, 2)
			n := l.start(0, x.text(1, 100), nil)
			l.onlyAll(0, x.vips)
			k := l.keepalived(1, x.text(2, 150))
			l.onlyAll(1, x.vips) // it preempts us
			k.stop()
			l.onlyAll(0, x.vips)
			k.start()
			l.onlyAll(1, x.vips)
			n.stop()
			l.onlyAll(1, x.vips)
		})
	}
}

// A backup with nopreempt leaves a lower master alone, whichever program it is.
func TestNoPreemptWithKeepalived(t *testing.T) {
	needRoot(t)
	needKeepalived(t)
	x := interop{config: `vrrp_instance V {
 state BACKUP
 nopreempt
 interface eth0
 virtual_router_id 62
 priority PRIORITY
 advert_int 1
 version 3
 virtual_ipaddress {
  192.0.2.100/24
 }
}`}
	t.Run("we are higher", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, 2)
		k := l.keepalived(1, x.text(2, 100))
		l.only(1, vip)
		n := l.start(0, x.text(1, 150), nil)
		l.eventually("we hear it", func() bool { return n.instance("V").Counters.AdvertsReceived > 4 })
		if i := n.instance("V"); i.State != "BACKUP" {
			t.Errorf("preempted: %+v", i)
		}
		k.stop()
		l.only(0, vip)
	})
	t.Run("it is higher", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, 2)
		n := l.start(0, x.text(1, 100), nil)
		l.only(0, vip)
		sent := n.instance("V").Counters.AdvertsSent
		k := l.keepalived(1, x.text(2, 150))
		l.eventually("it has heard us", func() bool { return n.instance("V").Counters.AdvertsSent > sent+4 })
		l.only(0, vip)
		n.stop()
		l.only(1, vip)
		k.stop()
	})
}

// Both nodes have one priority and were master apart: the higher address stays
// master, whichever program has it.
func TestTieWithKeepalived(t *testing.T) {
	needRoot(t)
	needKeepalived(t)
	x := interop{config: `vrrp_instance V {
 interface eth0
 virtual_router_id 61
 priority PRIORITY
 advert_int 0.2
 version 3
 virtual_ipaddress {
  192.0.2.100/24
 }
}`}
	for ours := range 2 {
		t.Run(fmt.Sprintf("we are node %d", ours+1), func(t *testing.T) {
			t.Parallel()
			l := newLab(t, 2)
			isolated := func(word string) {
				for _, port := range []string{"p1", "p2"} {
					l.ip("-n " + l.bridge() + " link set " + port + " type bridge_slave isolated " + word)
				}
			}
			isolated("on")
			l.start(ours, x.text(ours+1, 100), nil)
			k := l.keepalived(1-ours, x.text(2-ours, 100))
			l.eventually("two masters of a network in two parts", func() bool { return l.has(0, vip) && l.has(1, vip) })
			isolated("off")
			l.only(1, vip)
			k.stop()
		})
	}
}
