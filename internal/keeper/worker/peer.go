package worker

import (
	"time"

	"evenkeel/internal/keeper/ipc"
)

// Peer leads from one worker to another: client connections that are idle,
// each with what the receiver needs to know of it.
type Peer struct{ conn *ipc.Conn }

// NewPeer uses an end of an ipc pair.
func NewPeer(c *ipc.Conn) *Peer { return &Peer{conn: c} }

// Give passes a connection on. It never blocks. After nil the descriptor is
// closed here: the other worker owns the connection.
func (p *Peer) Give(fd int, meta []byte) error {
	// One byte in front, so that empty meta is not taken for the end.
	if err := p.conn.Send(append([]byte{'c'}, meta...), 0, fd); err != nil {
		return err
	}
	ipc.CloseAll([]int{fd})
	return nil
}

// Take waits for the next connection; io.EOF is the end. The caller owns
// both results.
func (p *Peer) Take() (fd int, meta []byte, err error) {
	for {
		packet, fds, err := p.conn.Receive(time.Time{})
		if err != nil {
			return -1, nil, err
		}
		if len(fds) != 1 || len(packet) == 0 {
			ipc.CloseAll(fds)
			continue
		}
		return fds[0], append([]byte(nil), packet[1:]...), nil
	}
}

// Close ends this side. What was given before still arrives.
func (p *Peer) Close() error { return p.conn.Close() }
