package certs

import (
	"errors"
	"strconv"
	"strings"
)

// OpenSSL's numbers for what can be wrong with a certificate: ssl_c_verify
// gives them, crt-ignore-err and ca-ignore-err take them.
const (
	errNoIssuer         = 2 // of a certificate that the ca-file holds
	errNoCRL            = 3
	errSignature        = 7
	errCRLSignature     = 8
	errNotYetValid      = 9
	errExpired          = 10
	errCRLNotYetValid   = 11
	errCRLExpired       = 12
	errSelfSigned       = 18
	errSelfSignedInside = 19
	errNoLocalIssuer    = 20
	errLeafSignature    = 21
	errTooLong          = 22
	errRevoked          = 23
	errInvalidCA        = 24
	errPathLength       = 25
	errPurpose          = 26
	errCriticalExt      = 34
	errNameNotPermitted = 47
	errUnspecified      = 1
)

var errTexts = map[int]string{
	errUnspecified:      "unspecified certificate verification error",
	errNoIssuer:         "unable to get issuer certificate",
	errNoCRL:            "unable to get certificate CRL",
	errSignature:        "certificate signature failure",
	errCRLSignature:     "CRL signature failure",
	errNotYetValid:      "certificate is not yet valid",
	errExpired:          "certificate has expired",
	errCRLNotYetValid:   "CRL is not yet valid",
	errCRLExpired:       "CRL has expired",
	errSelfSigned:       "self-signed certificate",
	errSelfSignedInside: "self-signed certificate in certificate chain",
	errNoLocalIssuer:    "unable to get local issuer certificate",
	errLeafSignature:    "unable to verify the first certificate",
	errTooLong:          "certificate chain too long",
	errRevoked:          "certificate revoked",
	errInvalidCA:        "invalid CA certificate",
	errPathLength:       "path length constraint exceeded",
	errPurpose:          "unsuitable certificate purpose",
	errCriticalExt:      "unhandled critical extension",
	errNameNotPermitted: "permitted subtree violation",
}

// errNames are the words that HAProxy 3.0 takes besides the numbers, without
// their X509_V_ERR_.
var errNames = map[string]int{
	"UNSPECIFIED": 1, "UNABLE_TO_GET_ISSUER_CERT": 2, "UNABLE_TO_GET_CRL": 3, "UNABLE_TO_DECRYPT_CERT_SIGNATURE": 4,
	"UNABLE_TO_DECRYPT_CRL_SIGNATURE": 5, "UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY": 6, "CERT_SIGNATURE_FAILURE": 7,
	"CRL_SIGNATURE_FAILURE": 8, "CERT_NOT_YET_VALID": 9, "CERT_HAS_EXPIRED": 10, "CRL_NOT_YET_VALID": 11, "CRL_HAS_EXPIRED": 12,
	"OUT_OF_MEM": 17, "DEPTH_ZERO_SELF_SIGNED_CERT": 18, "SELF_SIGNED_CERT_IN_CHAIN": 19, "UNABLE_TO_GET_ISSUER_CERT_LOCALLY": 20,
	"UNABLE_TO_VERIFY_LEAF_SIGNATURE": 21, "CERT_CHAIN_TOO_LONG": 22, "CERT_REVOKED": 23, "INVALID_CA": 24, "PATH_LENGTH_EXCEEDED": 25,
	"INVALID_PURPOSE": 26, "CERT_UNTRUSTED": 27, "CERT_REJECTED": 28, "SUBJECT_ISSUER_MISMATCH": 29, "AKID_SKID_MISMATCH": 30,
	"AKID_ISSUER_SERIAL_MISMATCH": 31, "KEYUSAGE_NO_CERTSIGN": 32, "UNABLE_TO_GET_CRL_ISSUER": 33, "UNHANDLED_CRITICAL_EXTENSION": 34,
	"KEYUSAGE_NO_CRL_SIGN": 35, "INVALID_NON_CA": 37, "KEYUSAGE_NO_DIGITAL_SIGNATURE": 39, "INVALID_EXTENSION": 41,
	"INVALID_POLICY_EXTENSION": 42, "NO_EXPLICIT_POLICY": 43, "PERMITTED_VIOLATION": 47, "EXCLUDED_VIOLATION": 48, "SUBTREE_MINMAX": 49,
	"HOSTNAME_MISMATCH": 62, "EMAIL_MISMATCH": 63, "IP_ADDRESS_MISMATCH": 64, "EE_KEY_TOO_SMALL": 66, "CA_KEY_TOO_SMALL": 67, "CA_MD_TOO_WEAK": 68,
}

// ignored is a set of error numbers that are let pass.
type ignored struct {
	all bool
	set map[int]bool
}

func (g ignored) has(code int) bool { return g.all || g.set[code] }

// parseIgnored reads "all" or numbers and names with commas between.
func parseIgnored(s string) (ignored, *fault) {
	g := ignored{set: map[int]bool{}}
	if s == "" {
		return g, nil
	}
	for _, w := range strings.Split(s, ",") {
		if w == "all" {
			g.all = true
			continue
		}
		n, err := strconv.Atoi(w)
		if err != nil {
			var ok bool
			if n, ok = errNames[strings.TrimPrefix(w, "X509_V_ERR_")]; !ok {
				err = errors.New("unknown")
			} else {
				err = nil
			}
		}
		if err != nil || n < 0 || n > 255 {
			return g, faultf("write all, or numbers as in 10,12", "'%s' is not the number of a verification error", w)
		}
		g.set[n] = true
	}
	return g, nil
}
