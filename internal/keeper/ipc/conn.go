package ipc

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// MaxPacket is the longest message; longer things travel as blobs.
const MaxPacket = 64 << 10

// maxFDs is the kernel's SCM_MAX_FD.
const maxFDs = 253

// ErrBusy says that a message was not sent because the other side does not
// read, or too many descriptors are in flight. The caller keeps them.
var ErrBusy = errors.New("the other process does not read")

// Conn is one end of a SEQPACKET pair. Sends may come from any goroutine;
// only one may receive.
type Conn struct {
	uc  *net.UnixConn
	buf []byte // owned by the receiver
	oob []byte
}

// FromFD takes fd over.
func FromFD(fd int) (*Conn, error) {
	f := os.NewFile(uintptr(fd), "ipc")
	if f == nil {
		return nil, fmt.Errorf("descriptor %d is not valid", fd)
	}
	defer f.Close() // FileConn takes a copy
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	uc, ok := c.(*net.UnixConn)
	if !ok {
		c.Close()
		return nil, fmt.Errorf("descriptor %d is not a unix socket", fd)
	}
	return &Conn{uc: uc}, nil
}

// FromUnixConn takes a connected unixpacket socket over.
func FromUnixConn(uc *net.UnixConn) *Conn { return &Conn{uc: uc} }

// Pair gives two connected descriptors, close-on-exec, not yet in use.
func Pair() (a, b int, err error) {
	p, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, -1, fmt.Errorf("socketpair: %w", err)
	}
	return p[0], p[1], nil
}

// Send sends one message with copies of fds; the caller still owns fds. It
// gives up after wait (0: at once) with ErrBusy.
func (c *Conn) Send(msg []byte, wait time.Duration, fds ...int) error {
	if len(msg) > MaxPacket {
		return fmt.Errorf("a message of %d bytes is longer than %d", len(msg), MaxPacket)
	}
	var oob []byte
	if len(fds) > 0 {
		oob = syscall.UnixRights(fds...)
	}
	raw, err := c.uc.SyscallConn()
	if err != nil {
		return err
	}
	if wait > 0 {
		if err := c.uc.SetWriteDeadline(time.Now().Add(wait)); err != nil {
			return err
		}
	}
	var sendErr error
	err = raw.Write(func(fd uintptr) bool {
		_, sendErr = syscall.SendmsgN(int(fd), msg, oob, nil, syscall.MSG_NOSIGNAL|syscall.MSG_DONTWAIT)
		return wait == 0 || sendErr != syscall.EAGAIN
	})
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ErrBusy
	case err != nil:
		return err
	case sendErr == syscall.EAGAIN, sendErr == syscall.ETOOMANYREFS, sendErr == syscall.ENOBUFS:
		return ErrBusy
	}
	return sendErr
}

// Receive waits for one message. msg is valid until the next call; the
// caller owns fds. A zero deadline waits for ever. The end is io.EOF.
func (c *Conn) Receive(deadline time.Time) (msg []byte, fds []int, err error) {
	if c.buf == nil {
		c.buf = make([]byte, MaxPacket)
		c.oob = make([]byte, syscall.CmsgSpace(maxFDs*4))
	}
	if err := c.uc.SetReadDeadline(deadline); err != nil {
		return nil, nil, err
	}
	n, oobn, flags, _, err := c.uc.ReadMsgUnix(c.buf, c.oob)
	if err != nil {
		return nil, nil, err
	}
	if fds, err = ParseRights(c.oob[:oobn]); err != nil {
		return nil, nil, err
	}
	if flags&(syscall.MSG_TRUNC|syscall.MSG_CTRUNC) != 0 {
		CloseAll(fds)
		return nil, nil, fmt.Errorf("a message was cut short")
	}
	if n == 0 && len(fds) == 0 {
		return nil, nil, io.EOF
	}
	return c.buf[:n], fds, nil
}

// ParseRights takes the descriptors out of control data.
func ParseRights(oob []byte) (fds []int, err error) {
	if len(oob) == 0 {
		return nil, nil
	}
	msgs, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	for i := range msgs {
		if msgs[i].Header.Level != syscall.SOL_SOCKET || msgs[i].Header.Type != syscall.SCM_RIGHTS {
			continue
		}
		got, err := syscall.ParseUnixRights(&msgs[i])
		if err != nil {
			CloseAll(fds)
			return nil, err
		}
		fds = append(fds, got...)
	}
	return fds, nil
}

// CloseAll closes descriptors that nobody wants.
func CloseAll(fds []int) {
	for _, fd := range fds {
		syscall.Close(fd)
	}
}

// PeerCred tells who is at the other end.
func (c *Conn) PeerCred() (cred *syscall.Ucred, err error) {
	raw, err := c.uc.SyscallConn()
	if err != nil {
		return nil, err
	}
	ctlErr := raw.Control(func(fd uintptr) {
		cred, err = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if ctlErr != nil {
		return nil, ctlErr
	}
	return cred, err
}

// Close ends this side; a Receive under way returns.
func (c *Conn) Close() error { return c.uc.Close() }
