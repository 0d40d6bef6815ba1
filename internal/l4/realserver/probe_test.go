package realserver

import (
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"evenkeel/internal/wire/neighbor"
)

// What has come is heard also by a process that was held up until its time was
// over, and a network that never ends talking does not keep it.
func TestListenLate(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	m := neighbor.GratuitousReply(neighbor.HardwareAddr{2, 0, 0, 0, 0, 1}, vip4)
	frame := neighbor.Append(nil, &m)
	if _, err := unix.Write(pair[1], frame); err != nil {
		t.Fatal(err)
	}
	q := question{fd: pair[0], device: "eth0", vips: []netip.Addr{vip4}, heard: map[claim]bool{}}
	if err := q.listen(time.Now().Add(-time.Second)); err != nil || len(q.answers) != 1 {
		t.Errorf("%v, %v", q.answers, err)
	}
	stop, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		for {
			select {
			case <-stop:
				return
			default:
				_, _ = unix.Write(pair[1], frame)
			}
		}
	}()
	if err := q.listen(time.Now().Add(-time.Second)); err != nil || len(q.answers) != 1 {
		t.Errorf("%v, %v", q.answers, err)
	}
	close(stop)
	<-over
}
