package ipvs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// transport carries one request and hands each message of the answer to each,
// without its generic netlink header. A dump has many, a change none.
type transport interface {
	do(command uint8, dump bool, body []byte, each func(body []byte) error) error
	Close() error
}

// socket is a generic netlink socket of the namespace in which it was opened.
type socket struct {
	family uint16 // set once

	mu     sync.Mutex // one request at a time
	fd     int
	serial uint32
	buffer []byte
}

const (
	answerTimeout = 5 * time.Second
	// A dump comes in pieces of at most 32 KiB.
	receiveBuffer = 64 << 10
)

// open makes a socket and finds the family, which has the kernel load its
// module where it is allowed to.
func open() (*socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_GENERIC)
	if err != nil {
		return nil, fmt.Errorf("generic netlink: %w", err)
	}
	s := &socket{fd: fd, buffer: make([]byte, receiveBuffer), family: unix.GENL_ID_CTRL}
	timeout := unix.NsecToTimeval(answerTimeout.Nanoseconds())
	err = errors.Join(
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &timeout),
		unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}),
	)
	if err == nil {
		s.family, err = s.resolve()
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return s, nil
}

// Close gives the descriptor back.
func (s *socket) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd < 0 {
		return nil
	}
	err := unix.Close(s.fd)
	s.fd = -1
	return err
}

// resolve asks for the number of IPVS's family.
func (s *socket) resolve() (uint16, error) {
	var family uint16
	body := appendText(nil, unix.CTRL_ATTR_FAMILY_NAME, familyName)
	err := s.do(unix.CTRL_CMD_GETFAMILY, false, body, func(b []byte) error {
		return attributes(b, func(a attribute) error {
			if a.kind != unix.CTRL_ATTR_FAMILY_ID {
				return nil
			}
			n, err := a.number()
			family = uint16(n)
			return err
		})
	})
	if err != nil {
		return 0, err
	}
	if family == 0 {
		return 0, syscall.ENOENT
	}
	return family, nil
}

const headers = unix.NLMSG_HDRLEN + unix.GENL_HDRLEN

// request is a whole netlink message.
func request(family uint16, flags uint16, serial uint32, command uint8, body []byte) []byte {
	b := make([]byte, headers, headers+len(body))
	binary.NativeEndian.PutUint32(b, uint32(headers+len(body)))
	binary.NativeEndian.PutUint16(b[4:], family)
	binary.NativeEndian.PutUint16(b[6:], flags)
	binary.NativeEndian.PutUint32(b[8:], serial)
	b[16], b[17] = command, familyVersion
	return append(b, body...)
}

func (s *socket) do(command uint8, dump bool, body []byte, each func([]byte) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd < 0 {
		return os.ErrClosed
	}
	s.serial++
	flags := uint16(unix.NLM_F_REQUEST | unix.NLM_F_ACK)
	if dump {
		flags = unix.NLM_F_REQUEST | unix.NLM_F_DUMP
	}
	if err := unix.Sendto(s.fd, request(s.family, flags, s.serial, command, body), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("netlink: %w", err)
	}
	var wrong error // of the reader of an answer that goes on
	for {
		n, _, err := unix.Recvfrom(s.fd, s.buffer, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("netlink: no answer: %w", err)
		}
		done, err := answer(s.buffer[:n], s.serial, func(b []byte) error {
			if wrong == nil && each != nil {
				wrong = each(b)
			}
			return nil
		})
		if done || err != nil {
			return errors.Join(err, wrong)
		}
	}
}

// answer reads one datagram. It is done after an acknowledgement, an error or
// the end of a dump; what belongs to an earlier request is passed over.
func answer(datagram []byte, serial uint32, each func([]byte) error) (done bool, err error) {
	for len(datagram) >= unix.NLMSG_HDRLEN {
		n := int(binary.NativeEndian.Uint32(datagram))
		if n < unix.NLMSG_HDRLEN || n > len(datagram) {
			return true, errors.New("netlink: message with a wrong length")
		}
		kind := binary.NativeEndian.Uint16(datagram[4:])
		ours := binary.NativeEndian.Uint32(datagram[8:]) == serial
		body := datagram[unix.NLMSG_HDRLEN:n]
		datagram = datagram[min((n+3)&^3, len(datagram)):]
		if !ours {
			continue
		}
		switch kind {
		case unix.NLMSG_NOOP:
		case unix.NLMSG_ERROR, unix.NLMSG_DONE:
			if len(body) < 4 {
				return true, nil // the end of a dump has no number on old kernels
			}
			if code := int32(binary.NativeEndian.Uint32(body)); code < 0 {
				return true, syscall.Errno(-code)
			}
			return true, nil
		default:
			if len(body) < unix.GENL_HDRLEN {
				return true, errors.New("netlink: message without a generic header")
			}
			if err := each(body[unix.GENL_HDRLEN:]); err != nil {
				return true, err
			}
		}
	}
	return false, nil
}
