package proxy

import (
	"evenkeel/internal/engine"
	"evenkeel/internal/wire/http1"
)

// spliceFrom is how much of a body must still come for the kernel to carry it
// from socket to socket through a pipe (splice(2)). Below, the calls that it
// takes cost more than the copy that it saves.
const spliceFrom = 256 << 10

// spliceMost is asked for in one call.
const spliceMost = 1 << 20

// canSplice says whether the response's body may pass through a pipe: a plain
// one of known length, between plain sockets.
func (st *stream) canSplice() bool {
	return st.resFraming.Kind == http1.FramingLength && !st.noSplice && !st.s.conn.IsTLS() && !st.sc.conn.IsTLS()
}

// spliceIn moves body from the server into the pipe, which is empty.
func (st *stream) spliceIn() (progress bool, err error) {
	if st.pipeDown == nil {
		p, err := st.w.loop.GetPipe()
		if err != nil {
			st.noSplice = true // out of descriptors: buffers do as well
			return st.fillToClient()
		}
		st.pipeDown = p
		if st.sb != nil {
			st.w.loop.PutBuffer(st.sb)
			st.sb = st.w.loop.GetBuffer() // for the tail
			st.big = false
		}
	}
	n, err := st.sc.conn.SpliceIn(st.pipeDown, int(min(st.resLeft, spliceMost)))
	if n == 0 {
		return st.readAgain(err)
	}
	st.resLeft -= int64(n)
	st.resDone = st.resLeft == 0
	return true, nil
}

// spliceOut moves what the pipe holds to the client. sent: it is empty.
func (st *stream) spliceOut() (sent bool, err error) {
	moved := false
	for st.pipeDown.Len() > 0 {
		n, err := st.s.conn.SpliceOut(st.pipeDown)
		st.bytesOut += int64(n)
		moved = moved || n > 0
		if err == engine.ErrAgain {
			if limit := st.fe.to.client; limit > 0 && (moved || !st.s.timer.Armed()) {
				st.w.loop.Arm(&st.s.timer, st.s, st.w.loop.Now()+limit)
			}
			st.w.loop.Disarm(&st.timer)
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
}
