package http1

import (
	"bytes"
	"testing"

	"evenkeel/internal/message"
)

func seedRequests(f *testing.F) {
	for _, v := range requestVerdicts {
		f.Add([]byte(v.raw))
	}
	f.Add([]byte(browserRequest))
}

// write serialises a head as a proxy would.
func write(h *message.Head) []byte {
	var out []byte
	if h.Response {
		out = AppendStatusLine(out, h)
	} else {
		out = AppendRequestLine(out, h)
	}
	return append(AppendFields(out, h), '\r', '\n')
}

// naiveHead is what a careless server behind us sees: lines end at LF, CR or not,
// names end at the first colon.
func naiveHead(head []byte) (lengths, codings [][]byte) {
	for i, line := range bytes.Split(head, []byte("\n")) {
		name, value, ok := bytes.Cut(bytes.TrimRight(line, "\r"), []byte(":"))
		if i == 0 || !ok {
			continue
		}
		switch string(bytes.ToLower(bytes.TrimSpace(name))) {
		case "content-length":
			lengths = append(lengths, bytes.TrimSpace(value))
		case "transfer-encoding":
			codings = append(codings, bytes.TrimSpace(value))
		}
	}
	return lengths, codings
}

// checkWritten parses what we would send on, and compares its framing, also as
// a careless reader would see it.
func checkWritten(t *testing.T, h *message.Head, method message.Method, want Framing) {
	wire := write(h)
	var again message.Head
	var n int
	var err error
	var got Framing
	if h.Response {
		if n, err = ParseResponse(wire, &again, nil); err == nil {
			got, err = ResponseFraming(&again, method)
		}
	} else if n, err = ParseRequest(wire, &again, nil); err == nil {
		got, err = RequestFraming(&again)
	}
	if err != nil || n != len(wire) {
		t.Fatalf("%q: what we wrote is refused: %v, %d of %d", wire, err, n, len(wire))
	}
	if got.Kind != want.Kind || got.Length != want.Length {
		t.Fatalf("%q: framing %+v became %+v", wire, want, got)
	}
	if string(write(&again)) != string(wire) {
		t.Fatalf("%q: not stable", wire)
	}
	lengths, codings := naiveHead(wire)
	if len(lengths)+len(codings) > 1 {
		t.Fatalf("%q: more than one framing field", wire)
	}
	switch want.Kind {
	case FramingChunked:
		if len(codings) != 1 || string(codings[0]) != "chunked" {
			t.Fatalf("%q: chunked is not plain to see", wire)
		}
	case FramingLength:
		if len(lengths) != 1 {
			t.Fatalf("%q: no length", wire)
		}
	}
}

func FuzzParseRequest(f *testing.F) {
	seedRequests(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		var h, inc message.Head
		n, err := ParseRequest(data, &h, nil)
		// In pieces, the result is the same: refused earlier at most.
		var p Parser
		incErr, incN := error(ErrMore), 0
		for k := 0; k <= len(data) && incErr == ErrMore; k++ {
			incN, incErr = p.Request(data[:k], &inc, nil)
		}
		if (err == nil) != (incErr == nil) || err == ErrMore && incErr != ErrMore || err == nil && (incN != n || string(write(&inc)) != string(write(&h))) {
			t.Fatalf("whole %d %v, in pieces %d %v", n, err, incN, incErr)
		}
		if err != nil {
			return
		}
		for _, fd := range h.Fields {
			if message.Identify(fd.Name) != fd.ID && fd.Name != nil {
				t.Fatalf("%q has ID %d", fd.Name, fd.ID)
			}
		}
		fr, err := RequestFraming(&h)
		if err != nil {
			return
		}
		checkWritten(t, &h, 0, fr)
		ConnectionTokens(&h)
	})
}

func FuzzParseResponse(f *testing.F) {
	for _, v := range responseVerdicts {
		f.Add([]byte(v.raw), byte(message.MethodGet))
	}
	f.Add([]byte(nginxResponse), byte(message.MethodHead))
	f.Fuzz(func(t *testing.T, data []byte, m byte) {
		method := message.Method(m % 10)
		var h, inc message.Head
		n, err := ParseResponse(data, &h, nil)
		var p Parser
		incErr, incN := error(ErrMore), 0
		for k := 0; k <= len(data) && incErr == ErrMore; k++ {
			incN, incErr = p.Response(data[:k], &inc, nil)
		}
		if (err == nil) != (incErr == nil) || err == ErrMore && incErr != ErrMore || err == nil && (incN != n || string(write(&inc)) != string(write(&h))) {
			t.Fatalf("whole %d %v, in pieces %d %v", n, err, incN, incErr)
		}
		if err != nil {
			return
		}
		fr, err := ResponseFraming(&h, method)
		if err != nil {
			return
		}
		checkWritten(t, &h, method, fr)
	})
}

// However the input is cut, the payload, what follows and the verdict are the
// same; and what was decoded survives being encoded again.
func FuzzChunkReader(f *testing.F) {
	for _, c := range chunkCases {
		f.Add([]byte(c.body+"NEXT"), uint8(3))
	}
	f.Fuzz(func(t *testing.T, data []byte, step uint8) {
		var whole, cut ChunkReader
		payload, rest, done, err := decodeAll(&whole, data, max(1, len(data)))
		p2, r2, d2, e2 := decodeAll(&cut, data, int(step)+1)
		if done != d2 || (err == nil) != (e2 == nil) || err == nil && (string(payload) != string(p2) || string(rest) != string(r2) || string(whole.Trailers) != string(cut.Trailers)) {
			t.Fatalf("whole %q %q %v %v, cut %q %q %v %v", payload, rest, done, err, p2, r2, d2, e2)
		}
		if !done {
			return
		}
		body := AppendLastChunk(AppendChunk(nil, payload), whole.Trailers)
		trailers := string(whole.Trailers)
		whole.Reset()
		again, rest, done, err := decodeAll(&whole, body, len(body))
		if err != nil || !done || len(rest) != 0 || string(again) != string(payload) || string(whole.Trailers) != trailers {
			t.Fatalf("encoded again: %q %q %v %v", again, rest, done, err)
		}
	})
}

func FuzzCookies(f *testing.F) {
	for _, s := range []string{"a=1; b=2", "b=2 ; a=1", `a="x;y",b`, "a=1;;a=2", "=;a"} {
		f.Add([]byte(s), "a")
	}
	f.Fuzz(func(t *testing.T, v []byte, name string) {
		val, start, end, ok := FindCookie(v, name)
		if ok && string(v[start:end]) != string(val) {
			t.Fatal("offsets")
		}
		first := map[string]string{}
		for rest := v; ; {
			var n, val []byte
			if n, val, rest = NextCookie(rest); n == nil {
				break
			}
			if _, seen := first[string(n)]; !seen {
				first[string(n)] = string(val)
			}
		}
		if name != "" {
			if want, seen := first[name]; seen != ok || want != string(val) {
				t.Fatalf("FindCookie %q %v, NextCookie %q %v", val, ok, want, seen)
			}
		}
		FindSetCookie(v, name)
		rest, removed := RemoveCookie(bytes.Clone(v), name)
		if removed != ok {
			t.Fatalf("removed %v, found %v", removed, ok)
		}
		if _, _, _, still := FindCookie(rest, name); still {
			t.Fatalf("%q still there in %q", name, rest)
		}
		for n, want := range first {
			if got, _, _, ok := FindCookie(rest, n); n != name && (!ok || string(got) != want) {
				t.Fatalf("%q lost %q: %q", v, n, rest)
			}
		}
	})
}

func FuzzTargets(f *testing.F) {
	for _, s := range []string{"/p?q", "http://u@h:1/p;x=1?q#f", "*", "h:1", "[::1]:2", "://", ":", "?", "?&=;"} {
		f.Add([]byte(s), byte('&'))
	}
	f.Fuzz(func(t *testing.T, target []byte, delim byte) {
		if !bytes.Contains(target, Scheme(target)) || !bytes.HasPrefix(PathQuery(target), Path(target)) {
			t.Fatal("parts that are no parts")
		}
		host, port := SplitHostPort(Authority(target))
		if len(host)+len(port) > len(target) {
			t.Fatal("longer than the whole")
		}
		Query(target)
		for rest := Params(target, delim); len(rest) > 0; {
			before := len(rest)
			if _, _, rest = NextParam(rest, delim); len(rest) >= before {
				t.Fatal("no progress")
			}
		}
		for rest := target; len(rest) > 0; {
			before := len(rest)
			var tok []byte
			if tok, rest = NextToken(rest); len(rest) >= before || len(rest) > 0 && len(tok) == 0 {
				t.Fatal("no progress")
			}
		}
	})
}
