package checks

import (
	"bytes"
	"encoding/binary"

	"evenkeel/internal/model"
	"evenkeel/internal/pool"
)

// buildPgSQL is option pgsql-check: a start-up message is answered by a
// request for authentication, or by its success.
func buildPgSQL(s *Script, c *model.Check, _ *Env) error {
	s.add(
		&connect{byDefault: true, linger: true},
		&send{data: pgsqlStartup(c.User)},
		&expect{ // an error says why
			negate: true, match: func(in []byte) bool { return in[0] == 'E' },
			minRecv: 5, what: "content (regex)", onFail: pgsqlError,
			settle: pgsqlWhole,
		},
		&expect{
			match: pgsqlAuthentication, minRecv: 9, what: "content (regex)", bad: pool.CheckL7Status,
			onSuccess: literal("PostgreSQL server is ok"), onFail: literal("PostgreSQL unknown error"),
			settle: func(in []byte) bool { return len(in) >= 9 },
		},
	)
	return nil
}

func pgsqlStartup(user string) []byte {
	body := []byte{0, 3, 0, 0} // protocol 3.0
	body = append(append(body, "user\x00"...), user...)
	body = append(body, 0, 0)
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body)+4)), body...)
}

// pgsqlWhole says whether the first message is complete.
func pgsqlWhole(in []byte) bool {
	return len(in) >= 5 && uint64(len(in)) >= 1+uint64(binary.BigEndian.Uint32(in[1:]))
}

// pgsqlAuthentication: 'R', a length of 8 to 255, and a kind of authentication
// that exists.
func pgsqlAuthentication(in []byte) bool {
	if len(in) < 9 || in[0] != 'R' || in[1] != 0 || in[2] != 0 || in[3] != 0 || in[4] < 8 {
		return false
	}
	kind := binary.BigEndian.Uint32(in[5:])
	return kind <= 12 && kind != 1
}

// pgsqlError finds the message field of an error response.
func pgsqlError(f *Facts) []byte {
	b := f.Payload
	if len(b) < 6 {
		return nil
	}
	for _, field := range bytes.Split(b[5:], []byte{0}) {
		if len(field) > 1 && field[0] == 'M' {
			return field[1:]
		}
	}
	return []byte("PostgreSQL unknown error")
}
