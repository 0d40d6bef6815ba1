package worker

import "evenkeel/internal/keeper/ipc"

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
