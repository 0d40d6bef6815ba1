package certs

import (
	"crypto/tls"
	"strings"
)

// suite is a cipher suite up to TLS 1.2 with the words that select it in an
// OpenSSL cipher list.
type suite struct {
	id    uint16
	name  string // OpenSSL's
	words []string
}

// suites are those that crypto/tls speaks and OpenSSL 3 still builds: RC4 and
// 3DES are in neither. The order is that of preference.
var suites = func() []suite {
	type row struct {
		id   uint16
		name string
		spec string
	}
	var out []suite
	for _, r := range []row{
		{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "ECDHE-ECDSA-AES256-GCM-SHA384", "EC-ECDSA 256GCM SHA384 12"},
		{tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, "ECDHE-RSA-AES256-GCM-SHA384", "EC-RSA 256GCM SHA384 12"},
		{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-ECDSA-CHACHA20-POLY1305", "EC-ECDSA CHACHA SHA256 12"},
		{tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-RSA-CHACHA20-POLY1305", "EC-RSA CHACHA SHA256 12"},
		{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "ECDHE-ECDSA-AES128-GCM-SHA256", "EC-ECDSA 128GCM SHA256 12"},
		{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "ECDHE-RSA-AES128-GCM-SHA256", "EC-RSA 128GCM SHA256 12"},
		{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256, "ECDHE-ECDSA-AES128-SHA256", "EC-ECDSA 128 MAC256 12"},
		{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256, "ECDHE-RSA-AES128-SHA256", "EC-RSA 128 MAC256 12"},
		{tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, "ECDHE-ECDSA-AES256-SHA", "EC-ECDSA 256 MAC1 10"},
		{tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, "ECDHE-RSA-AES256-SHA", "EC-RSA 256 MAC1 10"},
		{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, "ECDHE-ECDSA-AES128-SHA", "EC-ECDSA 128 MAC1 10"},
		{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, "ECDHE-RSA-AES128-SHA", "EC-RSA 128 MAC1 10"},
		{tls.TLS_RSA_WITH_AES_256_GCM_SHA384, "AES256-GCM-SHA384", "RSA 256GCM SHA384 12"},
		{tls.TLS_RSA_WITH_AES_128_GCM_SHA256, "AES128-GCM-SHA256", "RSA 128GCM SHA256 12"},
		{tls.TLS_RSA_WITH_AES_128_CBC_SHA256, "AES128-SHA256", "RSA 128 MAC256 12"},
		{tls.TLS_RSA_WITH_AES_256_CBC_SHA, "AES256-SHA", "RSA 256 MAC1 10"},
		{tls.TLS_RSA_WITH_AES_128_CBC_SHA, "AES128-SHA", "RSA 128 MAC1 10"},
	} {
		words := []string{r.name, "ALL", "DEFAULT", "HIGH"}
		for _, s := range strings.Fields(r.spec) {
			words = append(words, suiteWords[s]...)
		}
		out = append(out, suite{r.id, r.name, words})
	}
	return out
}()

// suiteWords are OpenSSL's keywords for each property. GCM and ChaCha20
// suites have no MAC, so SHA256 and SHA384 do not select them.
var suiteWords = map[string][]string{
	"EC-ECDSA": {"ECDHE", "EECDH", "kECDHE", "kEECDH", "ECDSA", "aECDSA"},
	"EC-RSA":   {"ECDHE", "EECDH", "kECDHE", "kEECDH", "aRSA"},
	"RSA":      {"RSA", "kRSA", "aRSA"},
	"256GCM":   {"AES", "AES256", "AESGCM"},
	"128GCM":   {"AES", "AES128", "AESGCM"},
	"256":      {"AES", "AES256", "CBC"},
	"128":      {"AES", "AES128", "CBC"},
	"CHACHA":   {"CHACHA20"},
	"MAC256":   {"SHA256"},
	"MAC1":     {"SHA", "SHA1"},
	"SHA256":   {},
	"SHA384":   {},
	"12":       {"TLSv1.2"},
	"10":       {"TLSv1", "TLSv1.0", "SSLv3"},
}

func (s *suite) is(word string) bool {
	for _, w := range s.words {
		if w == word {
			return true
		}
	}
	return false
}

// parseCiphers gives the suites of an OpenSSL cipher list. As OpenSSL does it,
// words that are not known select nothing, and only an empty result is wrong:
// ok is false then. The order in the list has no meaning: crypto/tls has its
// own.
func parseCiphers(list string) (ids []uint16, ok bool) {
	on := make([]bool, len(suites))
	killed := make([]bool, len(suites))
	for _, item := range strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune(":, ;", r) }) {
		op := byte('=')
		if strings.IndexByte("!-+@", item[0]) >= 0 {
			op, item = item[0], item[1:]
		}
		if op == '+' || op == '@' {
			continue // these only order, or set OpenSSL's security level
		}
		words := strings.Split(item, "+")
		for i := range suites {
			if !suites[i].hasAll(words) {
				continue
			}
			switch op {
			case '!':
				killed[i] = true
				on[i] = false
			case '-':
				on[i] = false
			default:
				on[i] = !killed[i]
			}
		}
	}
	for i := range suites {
		if on[i] {
			ids = append(ids, suites[i].id)
		}
	}
	return ids, len(ids) > 0
}

func (s *suite) hasAll(words []string) bool {
	for _, w := range words {
		if !s.is(w) {
			return false
		}
	}
	return true
}

// everySuite is for servers: some old ones speak no forward secrecy.
func everySuite() []uint16 {
	ids, _ := parseCiphers("ALL")
	return ids
}

// curves by the names that OpenSSL knows them under, in lower case.
var curves = map[string]tls.CurveID{
	"x25519":     tls.X25519,
	"p-256":      tls.CurveP256,
	"prime256v1": tls.CurveP256,
	"secp256r1":  tls.CurveP256,
	"p-384":      tls.CurveP384,
	"secp384r1":  tls.CurveP384,
	"p-521":      tls.CurveP521,
	"secp521r1":  tls.CurveP521,

	"x25519mlkem768":     tls.X25519MLKEM768,
	"secp256r1mlkem768":  tls.SecP256r1MLKEM768,
	"secp384r1mlkem1024": tls.SecP384r1MLKEM1024,
}

// otherCurves are those that OpenSSL has and crypto/tls has not.
var otherCurves = map[string]bool{
	"x448": true, "ffdhe2048": true, "ffdhe3072": true, "ffdhe4096": true, "ffdhe6144": true, "ffdhe8192": true,
	"brainpoolp256r1": true, "brainpoolp384r1": true, "brainpoolp512r1": true, "secp224r1": true, "p-224": true, "secp256k1": true,
	"sect283k1": true, "sect283r1": true, "sect409k1": true, "sect409r1": true, "sect571k1": true, "sect571r1": true, "prime192v1": true,
	"p-192": true, "b-283": true, "k-283": true, "b-409": true, "k-409": true, "b-571": true, "k-571": true,
}

// parseCurves gives the curves of a list, and those that cannot be used here.
// unknown is a name that OpenSSL does not know either.
func parseCurves(list string) (ids []tls.CurveID, skipped []string, unknown string) {
	if list == "auto" {
		return nil, nil, ""
	}
	for _, name := range strings.FieldsFunc(list, func(r rune) bool { return r == ':' || r == '/' || r == ',' }) {
		optional := strings.HasPrefix(name, "?")
		short := strings.ToLower(strings.TrimLeft(name, "?*"))
		id, ok := curves[short]
		switch {
		case ok:
			ids = append(ids, id)
		case otherCurves[short]:
			skipped = append(skipped, name)
		case !optional:
			return nil, nil, name
		}
	}
	return ids, skipped, ""
}
