package checks

import (
	"bytes"

	"evenkeel/internal/model"
	"evenkeel/internal/pool"
)

// buildSMTP is option smtpchk: greeting, HELO or EHLO, QUIT.
func buildSMTP(s *Script, c *model.Check, _ *Env) error {
	helo := c.HELO
	if helo == "" {
		helo = "HELO localhost"
	}
	s.add(
		&connect{byDefault: true, linger: true},
		smtpReply(smtpCode, pool.CheckL7Response),
		smtpReply(smtpGood, pool.CheckL7Status),
		&send{data: []byte(helo + "\r\n")},
		smtpReply(smtpGood, pool.CheckL7Status),
		&send{data: []byte("QUIT\r\n")},
		smtpReply(smtpGood, pool.CheckL7Status),
	)
	return nil
}

// smtpCode says whether three digits and a separator start the reply, smtpGood
// whether the first digit is a 2 too.
func smtpCode(in []byte) bool {
	return len(in) >= 4 && isDigit(in[0]) && isDigit(in[1]) && isDigit(in[2]) && bytes.IndexByte([]byte(" -\r"), in[3]) >= 0
}

func smtpGood(in []byte) bool { return smtpCode(in) && in[0] == '2' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// smtpReply waits for a whole line.
func smtpReply(good func([]byte) bool, bad pool.CheckStatus) *expect {
	said := func(f *Facts) []byte {
		line := firstLine(f)
		if len(line) < 4 {
			return nil
		}
		return bytes.TrimLeft(line[4:], " ")
	}
	return &expect{
		match:   func(in []byte) bool { return good(in) && bytes.IndexByte(in, '\n') >= 0 },
		minRecv: 4, bad: bad, onSuccess: said, onFail: said,
		code:   func(f *Facts) int { return leadingNumber(f.Payload[:min(3, len(f.Payload))]) },
		settle: func(in []byte) bool { return bytes.IndexByte(in, '\n') >= 0 },
	}
}
