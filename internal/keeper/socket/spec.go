package socket

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Spec describes one listening socket. It travels between processes as JSON,
// so every field is plain.
type Spec struct {
	// Exactly one of Addr, Path and FD says where.

	// Addr is a numeric address with its port; an IPv4 address opens an IPv4
	// socket. [::] takes IPv4 as well unless V6Only is set.
	Addr netip.AddrPort `json:",omitzero"`
	// Path is a unix socket: a file, or with a leading @ an abstract name.
	Path string `json:",omitempty"`
	// Inherited says that FD is a descriptor which the process was started
	// with (`fd@N`).
	Inherited bool `json:",omitempty"`
	FD        int  `json:",omitempty"`

	// What makes it another socket, though the address is the same.

	Datagram    bool   `json:",omitempty"`
	V6Only      bool   `json:",omitempty"`
	Transparent bool   `json:",omitempty"` // IP_TRANSPARENT: foreign addresses
	Interface   string `json:",omitempty"` // SO_BINDTODEVICE
	Shard       int    `json:",omitempty"` // several sockets share one address

	// What can be changed while it is open.

	Backlog     int    `json:",omitempty"` // 0: the system's largest
	MSS         int    `json:",omitempty"`
	FastOpen    int    `json:",omitempty"` // queue length of TFO, 0: off
	DeferAccept bool   `json:",omitempty"`
	UserTimeout int    `json:",omitempty"` // milliseconds, TCP_USER_TIMEOUT
	Mode        uint32 `json:",omitempty"` // unix file mode, 0: as the umask says
	UID         *int   `json:",omitempty"`
	GID         *int   `json:",omitempty"`
	NoReusePort bool   `json:",omitempty"`
}

// Key is the same for two descriptions that one socket can serve.
func (s Spec) Key() string {
	var b strings.Builder
	switch {
	case s.Inherited:
		return "fd@" + strconv.Itoa(s.FD)
	case s.Path != "":
		b.WriteString("unix@" + s.Path)
	default:
		b.WriteString(netip.AddrPortFrom(s.Addr.Addr().Unmap(), s.Addr.Port()).String())
	}
	if s.Datagram {
		b.WriteString(" datagram")
	}
	if s.V6Only && s.Addr.Addr().Is6() {
		b.WriteString(" v6only")
	}
	if s.Transparent {
		b.WriteString(" transparent")
	}
	if s.Interface != "" {
		b.WriteString(" interface " + s.Interface)
	}
	if s.Shard != 0 {
		b.WriteString(" shard " + strconv.Itoa(s.Shard))
	}
	return b.String()
}

// String is the address as a person writes it.
func (s Spec) String() string {
	switch {
	case s.Inherited:
		return "fd@" + strconv.Itoa(s.FD)
	case s.Path != "":
		return s.Path
	}
	return s.Addr.String()
}

func (s Spec) validate() error {
	n := 0
	for _, set := range []bool{s.Inherited, s.Path != "", s.Addr.IsValid()} {
		if set {
			n++
		}
	}
	if n != 1 {
		return fmt.Errorf("a listening socket needs exactly one of address, path and descriptor")
	}
	return nil
}
