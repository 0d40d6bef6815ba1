package failover

import (
	"testing"
)

const vip = "192.0.2.100"

func TestTakeover(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	a := l.start(0, instanceText("VI_1", 51, 150, vip+"/24"), nil)
	b := l.start(1, instanceText("VI_1", 51, 100, vip+"/24"), nil)
	l.only(0, vip)
	// A crash of everything: the lease frees the address.
	a.kill()
	l.only(1, vip)
	// Back again.
	a.run(l.nodes[0])
	l.only(0, vip)
	// A graceful stop leaves nothing behind.
	a.stop()
	l.only(1, vip)
	b.stop()
	l.only(-1, vip)
}
