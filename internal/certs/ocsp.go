package certs

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"time"
)

// The parts of an OCSP response (RFC 6960, section 4.2.1) that decide whether
// it may be stapled. Its signature is for the client to check.
type ocspResponse struct {
	Status   asn1.Enumerated
	Response struct {
		Type     asn1.ObjectIdentifier
		Response []byte
	} `asn1:"explicit,tag:0,optional"`
}

type ocspBasic struct {
	Data struct {
		Raw         asn1.RawContent
		Version     int `asn1:"optional,default:0,explicit,tag:0"`
		ResponderID asn1.RawValue
		ProducedAt  time.Time `asn1:"generalized"`
		Responses   []ocspSingle
	}
	SignatureAlgorithm pkix.AlgorithmIdentifier
	Signature          asn1.BitString
	Certificates       []asn1.RawValue `asn1:"explicit,tag:0,optional"`
}

type ocspSingle struct {
	ID struct {
		HashAlgorithm pkix.AlgorithmIdentifier
		NameHash      []byte
		IssuerKeyHash []byte
		Serial        *big.Int
	}
	Good    asn1.Flag        `asn1:"tag:0,optional"`
	Revoked asn1.RawValue    `asn1:"tag:1,optional"`
	Unknown asn1.Flag        `asn1:"tag:2,optional"`
	This    time.Time        `asn1:"generalized"`
	Next    time.Time        `asn1:"generalized,explicit,tag:0,optional"`
	Extra   []pkix.Extension `asn1:"explicit,tag:1,optional"`
}

// checkOCSP says until when a response may be stapled, or why it may not.
func checkOCSP(der []byte, leaf *x509.Certificate, now time.Time) (until time.Time, why string) {
	var r ocspResponse
	if rest, err := asn1.Unmarshal(der, &r); err != nil || len(rest) > 0 {
		return until, "it is not an OCSP response in DER form"
	}
	if r.Status != 0 {
		return until, "the responder refused to answer"
	}
	var b ocspBasic
	if rest, err := asn1.Unmarshal(r.Response.Response, &b); err != nil || len(rest) > 0 {
		return until, "its content cannot be read"
	}
	if len(b.Data.Responses) != 1 {
		return until, "it is not about one certificate"
	}
	s := &b.Data.Responses[0]
	switch {
	case s.ID.Serial == nil || s.ID.Serial.Cmp(leaf.SerialNumber) != 0:
		return until, "it is about another certificate"
	case !bool(s.Good):
		return until, "the certificate's status is not good"
	case s.Next.IsZero():
		return until, "it has no end (nextUpdate)"
	case now.After(s.Next):
		return until, "it ended on " + s.Next.UTC().Format(time.DateTime)
	}
	return s.Next, ""
}
