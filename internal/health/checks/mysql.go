package checks

import (
	"bytes"
	"encoding/binary"

	"evenkeel/internal/model"
	"evenkeel/internal/pool"
)

// buildMySQL is option mysql-check: the server's handshake is read; with a
// user, a login without password and a goodbye are sent too.
func buildMySQL(s *Script, c *model.Check, _ *Env) error {
	s.add(&connect{byDefault: true, linger: true})
	if c.User == "" {
		s.add(&packet{read: mysqlHandshake})
		return nil
	}
	s.add(
		&send{data: mysqlLogin(c.User, c.MySQLPre41)},
		&packet{read: mysqlHandshake},
		&packet{read: mysqlLoggedIn},
	)
	return nil
}

// mysqlLogin is a client's handshake response and COM_QUIT.
func mysqlLogin(user string, pre41 bool) []byte {
	var body []byte
	if pre41 {
		body = append(body, 0x00, 0x80) // CLIENT_SECURE_CONNECTION, protocol 3.20
		body = append(body, 0, 0, 1)    // largest packet
		body = append(append(body, user...), 0, 0)
	} else {
		body = binary.LittleEndian.AppendUint32(body, 0x8200) // SECURE_CONNECTION, PROTOCOL_41
		body = append(body, 0x00, 0x80, 0x00, 0x01)           // largest packet
		body = append(body, 0x21)                             // utf8
		body = append(body, make([]byte, 23)...)
		body = append(append(body, user...), 0, 0)
	}
	b := []byte{byte(len(body)), byte(len(body) >> 8), byte(len(body) >> 16), 1}
	return append(append(b, body...), 1, 0, 0, 0, 1)
}

// mysqlPacket takes the first packet off. whole: it is complete.
func mysqlPacket(in []byte) (body, rest []byte, whole bool) {
	if len(in) < 4 {
		return nil, nil, false
	}
	n := int(in[0]) | int(in[1])<<8 | int(in[2])<<16
	if len(in) < 4+n {
		return nil, nil, false
	}
	return in[4 : 4+n], in[4+n:], true
}

// mysqlError is the result of an error packet.
func mysqlError(body []byte) *Result {
	r := &Result{Status: pool.CheckL7Status}
	if len(body) >= 3 {
		r.Code = int(binary.LittleEndian.Uint16(body[1:]))
		message := body[3:]
		if len(message) >= 6 && message[0] == '#' { // SQL state
			message = message[6:]
		}
		r.Info = text(message)
	}
	return r
}

// mysqlHandshake reads the server's first packet.
func mysqlHandshake(in []byte) (*Result, bool) {
	body, _, whole := mysqlPacket(in)
	switch {
	case !whole:
		return nil, false
	case len(body) == 0:
		return &Result{Status: pool.CheckL7Response}, true
	case body[0] == 0xff:
		return mysqlError(body), true
	}
	version, _, _ := bytes.Cut(body[1:], []byte{0})
	return &Result{Status: pool.CheckL7OK, Info: "MySQL server is ok: " + text(version)}, true
}

// mysqlLoggedIn reads the packet after the handshake: anything but an error
// lets the user in.
func mysqlLoggedIn(in []byte) (*Result, bool) {
	first, rest, whole := mysqlPacket(in)
	if !whole {
		return nil, false
	}
	body, _, whole := mysqlPacket(rest)
	switch {
	case !whole:
		return nil, false
	case len(body) == 0:
		return &Result{Status: pool.CheckL7Response}, true
	case body[0] == 0xff:
		return mysqlError(body), true
	}
	version := []byte{}
	if len(first) > 0 {
		version, _, _ = bytes.Cut(first[1:], []byte{0})
	}
	return &Result{Status: pool.CheckL7OK, Info: "MySQL server is ok: " + text(version)}, true
}
