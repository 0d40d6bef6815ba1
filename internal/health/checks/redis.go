package checks

import (
	"bytes"

	"evenkeel/internal/model"
	"evenkeel/internal/pool"
)

// buildRedis is option redis-check: PING is answered by PONG.
func buildRedis(s *Script, _ *model.Check, _ *Env) error {
	pong := []byte("+PONG\r\n")
	s.add(&send{data: []byte("*1\r\n$4\r\nPING\r\n")}, &expect{
		match:   func(in []byte) bool { return bytes.Contains(in, pong) },
		minRecv: len(pong), what: "content '+PONG'", bad: pool.CheckL7Status,
		onSuccess: literal("Redis server is ok"), onFail: firstLine,
		settle: func(in []byte) bool { return bytes.HasSuffix(in, []byte("\r\n")) },
	})
	return nil
}
