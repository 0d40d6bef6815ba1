package checks

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"

	"evenkeel/internal/model"
)

// realUDP is UDP_CHECK: a datagram, and what comes back.
type realUDP struct {
	reach *reach
	spec  model.UDPCheckSpec
}

// defaultMaxReply is keepalived's max_reply_length.
const defaultMaxReply = 255

func compileRealUDP(c *model.RealCheck, _ *RealEnv) (RealChecker, error) {
	r, err := newReach(c.Connect, c.Timeout)
	if err != nil {
		return nil, err
	}
	k := &realUDP{reach: r}
	if c.UDP != nil {
		k.spec = *c.UDP
	}
	if k.spec.MaxReply <= 0 {
		k.spec.MaxReply = defaultMaxReply
	}
	switch s := &k.spec; {
	case s.MinReply > s.MaxReply:
		return nil, fmt.Errorf("min_reply_length %d is larger than max_reply_length %d", s.MinReply, s.MaxReply)
	case s.MaxReply > 65535:
		return nil, fmt.Errorf("max_reply_length %d is larger than a datagram, 65535", s.MaxReply)
	case s.ReplyMask != nil && len(s.ReplyMask) != len(s.Reply):
		return nil, fmt.Errorf("the mask has %d octets for a reply of %d", len(s.ReplyMask), len(s.Reply))
	}
	return k, nil
}

// Run sends the payload, or random octets. Without require_reply the server is
// good unless an ICMP error says that nobody is there.
func (k *realUDP) Run(ctx context.Context, t RealTarget) RealResult {
	start, to := time.Now(), k.reach.to(t.Server)
	c, err := k.reach.dial(ctx, "udp", to)
	if err != nil {
		return k.reach.unreached(start, "socket", to, err)
	}
	x := converse(ctx, c, k.reach.timeout, k.reach.timeout)
	defer x.end(true)
	payload := k.spec.Payload
	if len(payload) == 0 {
		payload = make([]byte, 32)
		rand.Read(payload)
	}
	if _, err := x.Write(payload); err != nil {
		return k.reach.unreached(start, "datagram", to, err)
	}
	buf := make([]byte, k.spec.MaxReply+1)
	n, err := x.Read(buf)
	switch {
	case isTimeout(err) && !k.spec.RequireReply:
		return outcome(start, true, "no error from %s", to)
	case err != nil:
		return x.broken(start, "reply", to, err)
	case !k.spec.RequireReply:
		return outcome(start, true, "reply from %s", to)
	case n > k.spec.MaxReply:
		return outcome(start, false, "reply from %s is longer than %d octets", to, k.spec.MaxReply)
	case n < k.spec.MinReply:
		return outcome(start, false, "reply from %s has %d octets instead of %d", to, n, k.spec.MinReply)
	}
	if i := k.differs(buf[:n]); i >= 0 {
		return outcome(start, false, "reply from %s differs at octet %d: %s", to, i, hex.EncodeToString(buf[i:min(n, i+16)]))
	}
	return outcome(start, true, "reply of %d octets from %s", n, to)
}

// differs gives the first octet that is not as wanted. What is longer, there or
// here, is not looked at.
func (k *realUDP) differs(got []byte) int {
	for i := range min(len(got), len(k.spec.Reply)) {
		mask := byte(0xff)
		if k.spec.ReplyMask != nil {
			mask = k.spec.ReplyMask[i]
		}
		if (got[i]^k.spec.Reply[i])&mask != 0 {
			return i
		}
	}
	return -1
}
