package checks

import (
	"encoding/binary"

	"evenkeel/internal/model"
	"evenkeel/internal/pool"
)

// sslHello is an SSLv3 client hello: it asks whether TLS is spoken without
// doing any. Its random part names the product that is replaced, since servers
// have been told to keep it out of their logs.
func sslHello() []byte {
	var suites []byte
	for _, r := range [][2]uint16{{0x01, 0x1b}, {0x2f, 0x3a}} {
		for s := r[0]; s <= r[1]; s++ {
			suites = binary.BigEndian.AppendUint16(suites, s)
		}
	}
	body := []byte{3, 0} // SSL 3.0
	body = append(body, 'k', 1, 'Y', 0x16)
	body = append(body, "HAPROXYSSLCHK\nHAPROXYSSLCHK\n"...)
	body = append(body, 0) // no session
	body = binary.BigEndian.AppendUint16(body, uint16(len(suites)))
	body = append(body, suites...)
	body = append(body, 1, 0) // no compression
	b := []byte{22, 3, 0}
	b = binary.BigEndian.AppendUint16(b, uint16(len(body)+4))
	b = append(b, 1, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(len(body)))
	return append(b, body...)
}

// buildSSLHello is option ssl-hello-chk: a handshake or an alert answers.
func buildSSLHello(s *Script, _ *model.Check, _ *Env) error {
	s.add(&send{data: sslHello()}, &expect{
		match:   func(in []byte) bool { return in[0] == 22 || in[0] == 21 },
		minRecv: 5, what: "content (regex)", ok: pool.CheckL6OK, bad: pool.CheckL6Response, late: pool.CheckL6Timeout,
		onFail: literal(""), settle: func([]byte) bool { return true },
	})
	return nil
}
