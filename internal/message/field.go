package message

// FieldID numbers the header names that the proxy itself looks at, so that
// finding them needs no comparison of text.
type FieldID uint8

const (
	FieldOther FieldID = iota
	FieldHost
	FieldConnection
	FieldContentLength
	FieldTransferEncoding
	FieldTE
	FieldTrailer
	FieldUpgrade
	FieldExpect
	FieldKeepAlive
	FieldProxyConnection
	FieldCookie
	FieldSetCookie
	FieldXForwardedFor
	FieldCacheControl
	FieldAuthorization
	FieldUserAgent
	FieldAccept
	FieldAcceptEncoding
	FieldReferer
	FieldContentType
	FieldDate
	FieldServer
	FieldETag
	FieldLastModified
	FieldLocation
	FieldVary
	FieldContentEncoding
	FieldHTTP2Settings
	FieldForwarded
	FieldProxyAuthorization
	fieldCount
)

var fieldNames = [fieldCount]string{
	FieldHost: "host", FieldConnection: "connection", FieldContentLength: "content-length",
	FieldTransferEncoding: "transfer-encoding", FieldTE: "te", FieldTrailer: "trailer",
	FieldUpgrade: "upgrade", FieldExpect: "expect", FieldKeepAlive: "keep-alive",
	FieldProxyConnection: "proxy-connection", FieldCookie: "cookie", FieldSetCookie: "set-cookie",
	FieldXForwardedFor: "x-forwarded-for", FieldCacheControl: "cache-control",
	FieldAuthorization: "authorization", FieldUserAgent: "user-agent", FieldAccept: "accept",
	FieldAcceptEncoding: "accept-encoding", FieldReferer: "referer", FieldContentType: "content-type",
	FieldDate: "date", FieldServer: "server", FieldETag: "etag", FieldLastModified: "last-modified",
	FieldLocation: "location", FieldVary: "vary", FieldContentEncoding: "content-encoding",
	FieldHTTP2Settings: "http2-settings", FieldForwarded: "forwarded",
	FieldProxyAuthorization: "proxy-authorization",
}

// fieldBuckets is indexed by (length*7 + first letter) mod its size; each
// bucket lists the candidates.
var fieldBuckets [64][]FieldID

func init() {
	for id := FieldOther + 1; id < fieldCount; id++ {
		n := fieldNames[id]
		b := fieldBucket(len(n), n[0])
		fieldBuckets[b] = append(fieldBuckets[b], id)
	}
}

func fieldBucket(n int, first byte) int { return (n*7 + int(first|0x20)) & 63 }

// Identify gives the ID of a header name in any case.
func Identify(name []byte) FieldID {
	if len(name) == 0 {
		return FieldOther
	}
	for _, id := range fieldBuckets[fieldBucket(len(name), name[0])] {
		if EqualFold(name, fieldNames[id]) {
			return id
		}
	}
	return FieldOther
}

// Lookup is Identify for a name that is in lower case already.
func Lookup(lower string) FieldID {
	if lower == "" {
		return FieldOther
	}
	for _, id := range fieldBuckets[fieldBucket(len(lower), lower[0])] {
		if lower == fieldNames[id] {
			return id
		}
	}
	return FieldOther
}

var methodNames = [...]string{
	MethodGet: "GET", MethodHead: "HEAD", MethodPost: "POST", MethodPut: "PUT", MethodDelete: "DELETE",
	MethodOptions: "OPTIONS", MethodTrace: "TRACE", MethodConnect: "CONNECT", MethodPatch: "PATCH",
}

// IdentifyMethod numbers a method; methods are case-sensitive (RFC 9110, 9.1).
func IdentifyMethod(m []byte) Method {
	for id := MethodGet; int(id) < len(methodNames); id++ {
		if string(m) == methodNames[id] {
			return id
		}
	}
	return MethodOther
}
