package netconf

// Frame is an Ethernet frame and the link on which it leaves.
type Frame struct {
	Index int
	Bytes []byte
}

// Announcer sends frames by the batch, on any link of the namespace in which it
// was opened. It belongs to one goroutine, and never waits.
type Announcer struct {
}

// AnnouncerStats counts frames.
type AnnouncerStats struct {
	Sent    uint64
	Refused uint64 // by the kernel: link down or gone, queue full
}

// OpenAnnouncer makes the socket.
func OpenAnnouncer() (*Announcer, error) { return nil, errNotYet }

// Close gives the socket back.
func (a *Announcer) Close() error { return errNotYet }

// Send hands the frames to the kernel in as few calls as it takes. A frame that
// the kernel refuses does not keep the others back. It gives how many were
// taken, and the first refusal.
func (a *Announcer) Send(frames []Frame) (int, error) { return 0, errNotYet }

// Stats counts since OpenAnnouncer.
func (a *Announcer) Stats() AnnouncerStats { return AnnouncerStats{} }
