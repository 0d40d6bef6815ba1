package proxy

import (
	"fmt"
	"strconv"

	"evenkeel/internal/message"
	"evenkeel/internal/wire/http1"
)

// page is a ready response: what is sent when no server's answer is.
type page struct {
	status    int
	logged    int // the status that the log shows, if it is another one
	reason    string
	old       bool // HTTP/1.0
	fields    []message.Field
	body      []byte
	silent    bool // an empty error file: close without a word
	announced int  // Content-Length of the file it came from, -1: it had none
}

// explanations go into the body of a built-in error page.
var explanations = map[int]string{
	200: "The service is ready.",
	400: "The request could not be understood.",
	401: "Please log in to see this page.",
	403: "The rules of this site forbid this request.",
	404: "There is no such page.",
	405: "This method cannot be used here.",
	407: "Please log in to this proxy first.",
	408: "The request did not arrive completely in time.",
	410: "This page is gone for good.",
	413: "The request body is too large.",
	414: "The address is too long.",
	421: "This server does not answer for that host.",
	422: "The content cannot be processed.",
	425: "Please send this request again after the handshake.",
	429: "Too many requests came from your address; please wait a little.",
	431: "The request headers are too large.",
	500: "Something went wrong in here.",
	501: "The request needs something that this server cannot do.",
	502: "The server gave no valid answer.",
	503: "No server can take this request right now.",
	504: "The server took too long to answer.",
	505: "This version of HTTP is not spoken here.",
}

// emptyPage is the answer of a rule with a status that has no page.
func emptyPage(status int) *page {
	return &page{status: status, reason: message.Reason(status), fields: []message.Field{contentLength(0)}}
}

// paged are the statuses for which HAProxy has an error page, and takes an
// errorfile.
var paged = map[int]bool{
	200: true, 400: true, 401: true, 403: true, 404: true, 405: true, 407: true, 408: true, 410: true, 413: true, 421: true,
	422: true, 425: true, 429: true, 500: true, 501: true, 502: true, 503: true, 504: true,
}

// builtinPage makes the error page of a status that has no file.
func builtinPage(status int) *page {
	reason := message.Reason(status)
	why := explanations[status]
	if why == "" {
		why = "The request was not served."
	}
	body := fmt.Sprintf("<html><body><h1>%d %s</h1>\n%s\n</body></html>\n", status, reason, why)
	return &page{status: status, reason: reason, body: []byte(body), fields: []message.Field{
		contentLength(len(body)),
		field("cache-control", "no-cache"),
		field("content-type", "text/html"),
	}}
}

func field(lower, value string) message.Field {
	return message.Field{Name: []byte(lower), Value: []byte(value), ID: message.Lookup(lower)}
}

func contentLength(n int) message.Field { return field("content-length", strconv.Itoa(n)) }

// parsePage takes an error file apart: a whole HTTP response as it would go
// over the wire. Its framing headers are replaced by ours.
func parsePage(raw []byte) (*page, error) {
	if len(raw) == 0 {
		return &page{silent: true, announced: -1}, nil
	}
	raw = normaliseLineEnds(raw)
	var h message.Head
	n, err := http1.ParseResponse(raw, &h, nil)
	if err == http1.ErrMore {
		return nil, fmt.Errorf("the header block has no end: an empty line must follow it")
	}
	if err != nil {
		return nil, err
	}
	p := &page{status: h.Status, reason: string(h.Reason), body: raw[n:], announced: -1, old: h.Version < message.HTTP11}
	p.fields = append(p.fields, contentLength(len(p.body)))
	if v, ok := h.Get(message.FieldContentLength); ok {
		if n, err := strconv.Atoi(string(v)); err == nil {
			p.announced = n
		}
	}
	for _, f := range h.Fields {
		switch f.ID {
		case message.FieldContentLength, message.FieldTransferEncoding, message.FieldConnection,
			message.FieldKeepAlive, message.FieldProxyConnection:
			continue
		}
		p.fields = append(p.fields, f)
	}
	return p, nil
}

// normaliseLineEnds turns LF alone into CRLF in the head: error files are
// written with text editors.
func normaliseLineEnds(raw []byte) []byte {
	out := make([]byte, 0, len(raw)+32)
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c == '\n' && (i == 0 || raw[i-1] != '\r') {
			out = append(out, '\r', '\n')
		} else {
			out = append(out, c)
		}
		if n := len(out); c == '\n' && n >= 4 && string(out[n-4:]) == "\r\n\r\n" {
			return append(out, raw[i+1:]...)
		}
	}
	return out
}
