package vrrp

// Error is why an advertisement was refused. The values count from 1 without
// gaps up to ErrorKinds, so that they can index counters.
type Error uint8

const (
	// ErrLength: shorter than its header or its address count says, or longer
	// (RFC 3768 7.1, RFC 9568 7.1).
	ErrLength Error = iota + 1
	ErrVersion
	// ErrType: not an ADVERTISEMENT, the only type there is.
	ErrType
	ErrVRID
	// ErrCount: no address in it.
	ErrCount
	// ErrInterval: an interval of 0.
	ErrInterval
	ErrChecksum
	// ErrAuthType: another authentication than the one that is expected, or an
	// unknown one.
	ErrAuthType
	// ErrAuthData: a wrong password or a wrong integrity check value.
	ErrAuthData
)

// ErrorKinds is the number of values that an Error can have.
const ErrorKinds = int(ErrAuthData)

var errorTexts = [...]string{
	ErrLength:   "invalid length",
	ErrVersion:  "wrong version",
	ErrType:     "not an advertisement",
	ErrVRID:     "unknown virtual router",
	ErrCount:    "no addresses",
	ErrInterval: "interval 0",
	ErrChecksum: "wrong checksum",
	ErrAuthType: "wrong authentication type",
	ErrAuthData: "wrong authentication data",
}

func (e Error) Error() string {
	if int(e) < len(errorTexts) && errorTexts[e] != "" {
		return "VRRP advertisement: " + errorTexts[e]
	}
	return "VRRP advertisement: error"
}
