package message

import "encoding/binary"

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

// knownField is a name of fieldNames as words to compare with: its first, its
// middle and its last bytes, which overlap in most names. fold has 0x20 where
// want has a letter, so that an OR with it lowers the case of letters only.
type knownField struct {
	want, fold [3]uint64
	length     int
	next       FieldID // the next candidate in the same slot, or FieldOther
}

var (
	knownFields [fieldCount]knownField
	fieldSlots  [64]FieldID
)

func init() {
	for id := fieldCount - 1; id > FieldOther; id-- {
		name := []byte(fieldNames[id])
		slot := fieldSlot(name)
		k := knownField{length: len(name), next: fieldSlots[slot]}
		k.want[0], k.want[1], k.want[2] = nameWords(name)
		for i, c := range name {
			if c < 'a' || c > 'z' {
				name[i] = 0
			} else {
				name[i] = 0x20
			}
		}
		k.fold[0], k.fold[1], k.fold[2] = nameWords(name)
		knownFields[id], fieldSlots[slot] = k, id
	}
}

// fieldSlot hashes a name in any case; with these factors no two known names
// share a slot.
func fieldSlot(name []byte) int {
	n := len(name)
	return (n*2 + int(name[0]|0x20)*5 + int(name[n-1]|0x20)*6) & 63
}

// nameWords loads up to 24 bytes of a name, each of them at least once.
func nameWords(b []byte) (first, mid, last uint64) {
	n := len(b)
	switch {
	case n > 16:
		return binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[n-8:])
	case n >= 8:
		return binary.LittleEndian.Uint64(b), 0, binary.LittleEndian.Uint64(b[n-8:])
	case n >= 4:
		return uint64(binary.LittleEndian.Uint32(b)), 0, uint64(binary.LittleEndian.Uint32(b[n-4:]))
	}
	for _, c := range b {
		first = first<<8 | uint64(c)
	}
	return first, 0, 0
}

// Identify gives the ID of a header name in any case.
func Identify(name []byte) FieldID {
	n := len(name)
	if n == 0 || n > 24 {
		return FieldOther
	}
	for id := fieldSlots[fieldSlot(name)]; id != FieldOther; id = knownFields[id].next {
		k := &knownFields[id]
		if k.length != n {
			continue
		}
		first, mid, last := nameWords(name)
		if first|k.fold[0] == k.want[0] && mid|k.fold[1] == k.want[1] && last|k.fold[2] == k.want[2] {
			return id
		}
	}
	return FieldOther
}

// Lookup is Identify for a name that is in lower case already.
func Lookup(lower string) FieldID {
	if len(lower) > 24 {
		return FieldOther
	}
	return Identify([]byte(lower)) // short enough to stay on the stack
}

// Name is the field's name in lower case; FieldOther has none.
func (id FieldID) Name() string {
	if id >= fieldCount {
		return ""
	}
	return fieldNames[id]
}

var methodNames = [...]string{
	MethodGet: "GET", MethodHead: "HEAD", MethodPost: "POST", MethodPut: "PUT", MethodDelete: "DELETE",
	MethodOptions: "OPTIONS", MethodTrace: "TRACE", MethodConnect: "CONNECT", MethodPatch: "PATCH",
}

// IdentifyMethod numbers a method; methods are case-sensitive (RFC 9110, 9.1).
func IdentifyMethod(m []byte) Method {
	switch string(m) {
	case "GET":
		return MethodGet
	case "HEAD":
		return MethodHead
	case "POST":
		return MethodPost
	case "PUT":
		return MethodPut
	case "DELETE":
		return MethodDelete
	case "OPTIONS":
		return MethodOptions
	case "TRACE":
		return MethodTrace
	case "CONNECT":
		return MethodConnect
	case "PATCH":
		return MethodPatch
	}
	return MethodOther
}

// String is the method's name; MethodOther has none.
func (m Method) String() string {
	if int(m) >= len(methodNames) {
		return ""
	}
	return methodNames[m]
}
