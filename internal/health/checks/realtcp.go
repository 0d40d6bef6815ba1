package checks

import (
	"context"
	"net"
	"time"

	"evenkeel/internal/model"
)

// realTCP is TCP_CHECK: a connection.
type realTCP struct{ reach *reach }

func compileRealTCP(c *model.RealCheck, _ *RealEnv) (RealChecker, error) {
	r, err := newReach(c.Connect, c.Timeout)
	return &realTCP{r}, err
}

// Run connects.
func (k *realTCP) Run(ctx context.Context, t RealTarget) RealResult {
	start, to := time.Now(), k.reach.to(t.Server)
	c, err := k.reach.dial(ctx, "tcp", to)
	if err != nil {
		return k.reach.unreached(start, "connection", to, err)
	}
	res := outcome(start, true, "connected to %s", to)
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
	return res
}
