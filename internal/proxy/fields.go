package proxy

import (
	"net/netip"
	"strings"

	"evenkeel/internal/message"
	"evenkeel/internal/model"
	"evenkeel/internal/rule"
	"evenkeel/internal/wire/http1"
)

// forwardFor is `option forwardfor` or `originalto`, compiled.
type forwardFor struct {
	name   []byte
	lower  string
	id     message.FieldID
	except []netip.Prefix
	ifNone bool
}

func compileForwardFor(m *model.ForwardFor, name string) *forwardFor {
	if m == nil {
		return nil
	}
	if m.Header != "" {
		name = m.Header
	}
	f := &forwardFor{name: []byte(name), lower: strings.ToLower(name), ifNone: m.IfNone}
	f.id = message.Lookup(f.lower)
	for _, e := range m.Except {
		if p, err := netip.ParsePrefix(e); err == nil {
			f.except = append(f.except, p.Masked())
		} else if a, err := netip.ParseAddr(e); err == nil {
			f.except = append(f.except, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	return f
}

func (f *forwardFor) append(b []byte, h *message.Head, addr netip.Addr) []byte {
	if !addr.IsValid() {
		return b
	}
	if len(f.except) > 0 {
		a := addr.Unmap()
		for _, p := range f.except {
			if p.Contains(a) {
				return b
			}
		}
	}
	if f.ifNone && h.Index(f.id, f.lower, 0) >= 0 {
		return b
	}
	b = append(b, f.name...)
	b = append(b, ": "...)
	b = addr.Unmap().AppendTo(b)
	return append(b, "\r\n"...)
}

// appendForwarded adds who the client is, as the frontend or backend asks.
func (st *stream) appendForwarded(b []byte) []byte {
	ff := st.be.ff
	if ff == nil {
		ff = st.fe.ff
	}
	if ff != nil {
		b = ff.append(b, &st.req, st.tx.Src().Addr())
	}
	oto := st.be.oto
	if oto == nil {
		oto = st.fe.oto
	}
	if oto != nil {
		b = oto.append(b, &st.req, st.tx.Dst().Addr())
	}
	return b
}

// special says whether anything but rules looks at requests of this frontend.
func (f *Frontend) special() bool {
	return f.monitorURI != nil || f.monitorNet.IsValid() || f.uniqueID != nil || len(f.reqCaps) > 0 ||
		f.cookieCap != nil || f.opt.RestrictReqHdrNames > model.RestrictPreserve
}

// early handles monitoring requests, captures and the unique ID. true: the
// request has been answered.
func (st *stream) early() bool {
	f := st.fe
	if f.opt.RestrictReqHdrNames > model.RestrictPreserve && st.restrictNames() {
		return true
	}
	if f.monitorURI != nil && string(st.req.Target) == string(f.monitorURI) ||
		f.monitorNet.IsValid() && f.monitorNet.Contains(st.s.rc.Src.Addr().Unmap()) {
		st.setTerm('L', 'R')
		st.monitor = true
		for _, c := range f.monitorFail {
			if c(&st.tx) {
				st.fail(503)
				return true
			}
		}
		st.fail(200)
		return true
	}
	st.capture(f.reqCaps, &st.req, &st.tx.ReqCaptures)
	if f.uniqueID != nil {
		id := f.uniqueID.Append(nil, &st.tx)
		st.tx.Log.UniqueID = id
		if f.uniqueHdr != nil {
			st.req.Add(message.Lookup(strings.ToLower(string(f.uniqueHdr))), f.uniqueHdr, id)
		}
	}
	return false
}

// restrictNames is option http-restrict-req-hdr-names. true: refused.
func (st *stream) restrictNames() bool {
	for i := range st.req.Fields {
		f := &st.req.Fields[i]
		if f.Name == nil || plainName(f.Name) {
			continue
		}
		if st.fe.opt.RestrictReqHdrNames == model.RestrictReject {
			st.setTerm('P', 'R')
			st.w.stats[st.fe.index].deniedReq++
			st.fail(403)
			return true
		}
		f.Name = nil
	}
	return false
}

func plainName(b []byte) bool {
	for _, c := range b {
		if c != '-' && (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// capture keeps copies of the header values that the log shows.
func (st *stream) capture(caps []capture, h *message.Head, to *[][]byte) {
	for i, c := range caps {
		for len(*to) <= i {
			*to = append(*to, nil)
		}
		if c.name == "" {
			continue
		}
		if v, ok := h.GetName(c.name); ok {
			(*to)[i] = h.Keep(v[:min(len(v), c.max)])
		}
	}
}

// appendRequestText is the request line as it was received, for logs.
func appendRequestText(b []byte, h *message.Head) []byte {
	b = append(b, h.Method...)
	b = append(b, ' ')
	b = append(b, h.Target...)
	if h.Version == message.HTTP10 {
		return append(b, " HTTP/1.0"...)
	}
	return append(b, " HTTP/1.1"...)
}

// keyMaker makes the bytes that a hash algorithm hashes.
type keyMaker func(st *stream) ([]byte, bool)

// noteNominated keeps the names in the client's Connection field before rules
// add fields of their own.
func (st *stream) noteNominated() {
	st.nominated, st.received = st.nominated[:0], len(st.req.Fields)
	for i := st.req.Index(message.FieldConnection, "connection", 0); i >= 0; i = st.req.Index(message.FieldConnection, "connection", i+1) {
		for tok, rest := http1.NextToken(st.req.Fields[i].Value); len(tok) > 0; tok, rest = http1.NextToken(rest) {
			st.nominated = append(st.nominated, strings.ToLower(string(tok)))
		}
	}
}

var _ = rule.Next
