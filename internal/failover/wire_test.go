package failover

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// capture is what goes over a port of the lab's bridge.
type capture struct{ fd int }

// advertAt is one advertisement on the wire.
type advertAt struct {
	at       time.Duration // of the kernel's clock
	priority uint8
}

// capture begins to listen at the bridge's port of a node.
func (l *lab) capture(port string) *capture {
	l.t.Helper()
	c := &capture{fd: -1}
	// The thread must not end: nodes that it has started would end with it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		l.t.Fatal(err)
	}
	defer unix.Close(home)
	err = c.open("/run/netns/"+l.bridge(), port)
	if back := unix.Setns(home, unix.CLONE_NEWNET); back != nil {
		panic(back) // other tests would go on in there
	}
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { unix.Close(c.fd) })
	return c
}

func (c *capture) open(namespace, port string) error {
	ns, err := unix.Open(namespace, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(ns)
	if err := unix.Setns(ns, unix.CLONE_NEWNET); err != nil {
		return err
	}
	all := uint16(unix.ETH_P_ALL<<8 | unix.ETH_P_ALL>>8)
	if c.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(all)); err != nil {
		return err
	}
	_ = unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20)
	if err := unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return err
	}
	r, err := unix.NewIfreq(port)
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(c.fd, unix.SIOCGIFINDEX, r); err != nil {
		return err
	}
	return unix.Bind(c.fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: int(r.Uint32())})
}

// adverts are those of version 3 over IPv4 that have come in, by VRID.
func (c *capture) adverts() map[uint8][]advertAt {
	all := map[uint8][]advertAt{}
	var packet, control [512]byte
	for {
		n, nc, _, _, err := unix.Recvmsg(c.fd, packet[:], control[:], 0)
		if err != nil {
			return all
		}
		const header = 20
		if n < header+8 || packet[0] != 0x45 || packet[9] != 112 || packet[header] != 0x31 {
			continue
		}
		messages, _ := unix.ParseSocketControlMessage(control[:nc])
		for _, m := range messages {
			if m.Header.Type == unix.SCM_TIMESTAMPNS {
				ts := (*unix.Timespec)(unsafe.Pointer(&m.Data[0]))
				vrid := packet[header+1]
				all[vrid] = append(all[vrid], advertAt{time.Duration(ts.Nano()), packet[header+2]})
			}
		}
	}
}

// TestReloadOnTheWire: a reload changes one of 50 instances, and the other 49
// send every advertisement on time. A quarter of an interval is for a machine
// that is busy with other tests. When that is not enough, the measure is a
// second node, which nobody reloads: whatever holds up both is the machine's, and
// whatever holds up one of them alone is tried again.
func TestReloadOnTheWire(t *testing.T) {
	t.Parallel()
	const n, interval, changed = 50, 400 * time.Millisecond, 7
	l := newLab(t, 2)
	text := manyText(n, "0.4")
	a := l.start(0, text, nil)
	var others strings.Builder
	for k := 1; k <= n; k++ {
		others.WriteString(instanceText(fmt.Sprintf("V%d", k), 100+k, 150, fmt.Sprintf("10.1.%d.1/32", k)))
	}
	l.start(1, strings.ReplaceAll(others.String(), "advert_int 0.1\n", "advert_int 0.4\n"), nil)
	l.eventually("all are master", func() bool {
		return strings.Count(l.try("-n "+l.nodes[0]+" -o -4 addr show"), "inet 10.0.") == n &&
			strings.Count(l.try("-n "+l.nodes[1]+" -o -4 addr show"), "inet 10.1.") == n
	})
	late := ""
	for priority := range uint8(6) {
		c := l.capture("p1") // the other node's pass there, too
		time.Sleep(3 * interval)
		a.write(strings.Replace(text, "virtual_router_id 7\n priority 150", fmt.Sprintf("virtual_router_id 7\n priority 14%d", priority), 1))
		if got := a.control("reload"); got != "" {
			t.Fatal(got)
		}
		time.Sleep(3 * interval)
		all, still := c.adverts(), map[uint8][]advertAt{}
		for vrid, list := range all {
			if vrid > 100 {
				still[vrid] = list
				delete(all, vrid)
			}
		}
		if last := all[changed]; len(last) == 0 || last[0].priority == last[len(last)-1].priority {
			t.Fatalf("the one that was changed did not change: %v", last)
		}
		delete(all, changed)
		worst, where := worstGap(all, n-1)
		other, _ := worstGap(still, n)
		if other < unheard && worst <= max(interval*5/4, other+interval/4) {
			return
		}
		late = fmt.Sprintf("%s for %v, beside a node where it was %v", where, worst, other)
		t.Logf("attempt %d: %s", priority+1, late)
	}
	t.Error(late)
}

// unheard is longer than any time between two advertisements.
const unheard = time.Hour

// worstGap is the longest time between two advertisements of any instance, of
// which there are at least n, and whose priority is 150.
func worstGap(all map[uint8][]advertAt, n int) (worst time.Duration, where string) {
	if len(all) < n {
		return unheard, fmt.Sprintf("only %d instances are heard", len(all))
	}
	for vrid, list := range all {
		if len(list) < 2 {
			return unheard, fmt.Sprintf("VRID %d: too few advertisements", vrid)
		}
		for k := 1; k < len(list); k++ {
			if gap := list[k].at - list[k-1].at; gap > worst {
				worst, where = gap, fmt.Sprintf("VRID %d: nothing", vrid)
			}
			if list[k].priority != 150 {
				return unheard, fmt.Sprintf("VRID %d: another priority", vrid)
			}
		}
	}
	return worst, where
}
