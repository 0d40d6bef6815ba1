package checks

import (
	"evenkeel/internal/model"
	"evenkeel/internal/pool"
)

// ldapBind is an anonymous LDAPv3 bind request, message 1.
var ldapBind = []byte{0x30, 0x0c, 0x02, 0x01, 0x01, 0x60, 0x07, 0x02, 0x01, 0x03, 0x04, 0x00, 0x80, 0x00}

// buildLDAP is option ldap-check: the bind is answered with success.
func buildLDAP(s *Script, _ *model.Check, _ *Env) error {
	s.add(&send{data: ldapBind}, &packet{min: 14, read: func(in []byte) (*Result, bool) {
		code, ok := ldapResult(in)
		switch {
		case !ok:
			return &Result{Status: pool.CheckL7Response, Info: "Not LDAPv3 protocol"}, true
		case code != 0:
			return &Result{Status: pool.CheckL7Status, Code: code, Info: "See RFC: http://tools.ietf.org/html/rfc4511#section-4.1.9"}, true
		}
		return &Result{Status: pool.CheckL7OK, Info: "Success"}, true
	}})
	return nil
}

// ldapResult finds the result code in a bind response (RFC 4511, 4.2.2):
// SEQUENCE { messageID 1, [APPLICATION 1] { ENUMERATED code … } }. Lengths may
// be in the long form.
func ldapResult(b []byte) (code int, ok bool) {
	if b, ok = ldapOpen(b, 0x30); !ok {
		return 0, false
	}
	if len(b) < 3 || b[0] != 2 || b[1] != 1 || b[2] != 1 {
		return 0, false
	}
	if b, ok = ldapOpen(b[3:], 0x61); !ok {
		return 0, false
	}
	if len(b) < 3 || b[0] != 0x0a || b[1] != 1 {
		return 0, false
	}
	return int(b[2]), true
}

// ldapOpen steps over a tag and its length.
func ldapOpen(b []byte, tag byte) ([]byte, bool) {
	if len(b) < 2 || b[0] != tag {
		return nil, false
	}
	skip := 2
	if b[1]&0x80 != 0 {
		skip += int(b[1] & 0x7f)
	}
	if skip > 6 || len(b) < skip {
		return nil, false
	}
	return b[skip:], true
}
