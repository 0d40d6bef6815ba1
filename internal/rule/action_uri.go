package rule

import (
	"bytes"
	"sort"

	"evenkeel/internal/message"
	"evenkeel/internal/model"
)

// targetEdit compiles an edit of the request target: build appends the new one.
func targetEdit(build func(dst []byte, h *message.Head, tx *Tx) ([]byte, bool)) action {
	return func(tx *Tx) Verdict {
		h := tx.Req
		if h == nil || len(h.Target) == 0 {
			return Next
		}
		out, ok := build(tx.buf[:0], h, tx)
		tx.buf = out[:0]
		// A target with blanks or control characters would be another request.
		if ok && len(out) > 0 && !hasControl(out) {
			h.Target = h.Keep(out)
		}
		return Next
	}
}

// hasPath says whether a target is of a form that holds a path.
func hasPath(t []byte) bool {
	return t[0] == '/' || bytes.Contains(t, []byte("://"))
}

func hasControl(b []byte) bool {
	for _, c := range b {
		if c <= ' ' || c == 0x7f {
			return true
		}
	}
	return false
}

func init() {
	request := func(name, args, help string) Keyword {
		return Keyword{Name: name, Args: args, Phases: PhaseHTTPRequest, Help: help}
	}
	addAction(request("set-method", "FORMAT", "replaces the method"), func(c *Compiler, a *model.ActionSetMethod, r *model.Rule, phase Phase) action {
		f := c.Format(a.Value, phase)
		return func(tx *Tx) Verdict {
			if tx.Req == nil {
				return Next
			}
			tx.buf = f.append(tx.buf[:0], tx)
			if len(tx.buf) > 0 && !hasControl(tx.buf) {
				tx.Req.Method = tx.Req.Keep(tx.buf)
				tx.Req.MethodID = message.IdentifyMethod(tx.buf)
			}
			return Next
		}
	})
	addAction(request("set-path", "FORMAT", "replaces the path, keeps the query"), func(c *Compiler, a *model.ActionSetPath, r *model.Rule, phase Phase) action {
		f := c.Format(a.Value, phase)
		return targetEdit(func(dst []byte, h *message.Head, tx *Tx) ([]byte, bool) {
			authority, _, query := splitTarget(h.Target)
			return append(f.append(append(dst, authority...), tx), query...), hasPath(h.Target)
		})
	})
	addAction(request("set-pathq", "FORMAT", "replaces path and query"), func(c *Compiler, a *model.ActionSetPathQ, r *model.Rule, phase Phase) action {
		f := c.Format(a.Value, phase)
		return targetEdit(func(dst []byte, h *message.Head, tx *Tx) ([]byte, bool) {
			authority, _, _ := splitTarget(h.Target)
			return f.append(append(dst, authority...), tx), hasPath(h.Target)
		})
	})
	addAction(request("set-query", "FORMAT", "replaces the query; without a question mark"), func(c *Compiler, a *model.ActionSetQuery, r *model.Rule, phase Phase) action {
		f := c.Format(a.Value, phase)
		return targetEdit(func(dst []byte, h *message.Head, tx *Tx) ([]byte, bool) {
			authority, path, _ := splitTarget(h.Target)
			dst = append(append(dst, authority...), path...)
			n := len(dst)
			dst = append(dst, '?')
			if dst = f.append(dst, tx); len(dst) == n+1 {
				dst = dst[:n]
			}
			return dst, hasPath(h.Target)
		})
	})
	addAction(request("set-uri", "FORMAT", "replaces the whole request target"), func(c *Compiler, a *model.ActionSetURI, r *model.Rule, phase Phase) action {
		f := c.Format(a.Value, phase)
		return targetEdit(func(dst []byte, h *message.Head, tx *Tx) ([]byte, bool) { return f.append(dst, tx), true })
	})
	addAction(request("replace-path, replace-pathq, replace-uri", "REGEX FORMAT", "rewrites a part of the target that a regular expression matches"), (*Compiler).replacePart)
	addAction(request("normalize-uri", "NORMALIZER", "brings the target into one of its equivalent forms"), (*Compiler).normalizeURI)
	addAction(Keyword{Name: "set-status", Args: "STATUS [reason TEXT]", Phases: PhaseHTTPResponse | PhaseHTTPAfterResponse, Help: "replaces the status"},
		func(c *Compiler, a *model.ActionSetStatus, r *model.Rule, phase Phase) action {
			if a.Status < 100 || a.Status > 999 {
				c.Diagnostics.Errorf(r.Pos, "'%d' is not a status: it must be between 100 and 999", a.Status)
				return nil
			}
			reason := []byte(a.Reason)
			if a.Reason == "" {
				reason = []byte(ReasonOf(a.Status))
			}
			return func(tx *Tx) Verdict {
				if tx.Res != nil {
					tx.Res.Status, tx.Res.Reason = a.Status, reason
				}
				return Next
			}
		})
}

func (c *Compiler) replacePart(a *model.ActionReplacePart, r *model.Rule, phase Phase) action {
	re := c.regex(r.Pos, a.Regex, false)
	if re == nil {
		return nil
	}
	format := c.Format(a.Value, phase)
	return targetEdit(func(dst []byte, h *message.Head, tx *Tx) ([]byte, bool) {
		authority, path, query := splitTarget(h.Target)
		part, after := path, query
		switch a.Part {
		case "uri":
			authority, part, after = nil, h.Target, nil
		case "pathq":
			part, after = h.Target[len(authority):], nil
		}
		loc := re.find(part)
		if loc == nil || a.Part != "uri" && !hasPath(h.Target) {
			return dst, false
		}
		template := format.append(nil, tx)
		dst = expand(append(dst, authority...), template, part, loc)
		return append(dst, after...), true
	})
}

// normalizers change path and query; ok is false if the target is malformed
// and strict asks to refuse it.
var normalizers = map[string]func(path, query []byte, strict bool) (p, q []byte, ok bool){
	"path-merge-slashes": func(path, query []byte, _ bool) ([]byte, []byte, bool) {
		var out []byte
		for i, c := range path {
			if c != '/' || i == 0 || path[i-1] != '/' {
				out = append(out, c)
			}
		}
		return out, query, true
	},
	"path-strip-dot": func(path, query []byte, _ bool) ([]byte, []byte, bool) {
		return stripDots(path, false, false), query, true
	},
	"path-strip-dotdot": func(path, query []byte, full bool) ([]byte, []byte, bool) {
		return stripDots(path, true, full), query, true
	},
	"percent-decode-unreserved": func(path, query []byte, strict bool) ([]byte, []byte, bool) {
		p, ok := percent(path, true)
		q, ok2 := percent(query, true)
		return p, q, ok && ok2 || !strict
	},
	"percent-to-uppercase": func(path, query []byte, strict bool) ([]byte, []byte, bool) {
		p, ok := percent(path, false)
		q, ok2 := percent(query, false)
		return p, q, ok && ok2 || !strict
	},
	"query-sort-by-name": func(path, query []byte, _ bool) ([]byte, []byte, bool) {
		if len(query) < 2 {
			return path, query, true
		}
		parts := bytes.Split(query[1:], []byte("&"))
		name := func(b []byte) []byte { n, _, _ := bytes.Cut(b, []byte("=")); return n }
		sort.SliceStable(parts, func(i, j int) bool { return bytes.Compare(name(parts[i]), name(parts[j])) < 0 })
		return path, append([]byte("?"), bytes.Join(parts, []byte("&"))...), true
	},
	"fragment-strip": func(path, query []byte, _ bool) ([]byte, []byte, bool) {
		if i := bytes.IndexByte(path, '#'); i >= 0 {
			return path[:i], nil, true
		}
		if i := bytes.IndexByte(query, '#'); i >= 0 {
			query = query[:i]
		}
		return path, query, true
	},
	"fragment-encode": func(path, query []byte, _ bool) ([]byte, []byte, bool) {
		return bytes.ReplaceAll(path, []byte("#"), []byte("%23")), bytes.ReplaceAll(query, []byte("#"), []byte("%23")), true
	},
}

func (c *Compiler) normalizeURI(a *model.ActionNormalizeURI, r *model.Rule, phase Phase) action {
	f := normalizers[a.Normalizer]
	if f == nil {
		var names []string
		for n := range normalizers {
			names = append(names, n)
		}
		c.unknown(r.Pos, "URI normalizer", a.Normalizer, names)
		return nil
	}
	return func(tx *Tx) Verdict {
		if tx.Req == nil {
			return Next
		}
		authority, path, query := splitTarget(tx.Req.Target)
		p, q, ok := f(path, query, a.Strict)
		if !ok {
			return tx.errorPage(400, Deny)
		}
		out := append(append(append([]byte(nil), authority...), p...), q...)
		if len(out) > 0 && !bytes.Equal(out, tx.Req.Target) {
			tx.Req.Target = tx.Req.Keep(out)
		}
		return Next
	}
}

// stripDots removes "." segments, or ".." segments with what stands before
// them; full also removes those at the root.
func stripDots(path []byte, double, full bool) []byte {
	var out [][]byte
	segs := bytes.Split(path, []byte("/"))
	for i, s := range segs {
		last := i == len(segs)-1
		switch {
		case !double && string(s) == ".":
			if last {
				out = append(out, nil)
			}
		case double && string(s) == ".." && len(out) > 1 && string(out[len(out)-1]) != "..":
			out = out[:len(out)-1]
			if last {
				out = append(out, nil)
			}
		case double && string(s) == ".." && full && len(out) <= 1:
			if last {
				out = append(out, nil)
			}
		default:
			out = append(out, s)
		}
	}
	return bytes.Join(out, []byte("/"))
}

// percent rewrites %xx: unreserved characters are decoded, or hexadecimal
// digits become capitals.
func percent(b []byte, decode bool) ([]byte, bool) {
	var out []byte
	ok := true
	for i := 0; i < len(b); i++ {
		if b[i] != '%' {
			out = append(out, b[i])
			continue
		}
		if i+2 >= len(b) || hexDigit(b[i+1]) < 0 || hexDigit(b[i+2]) < 0 {
			out, ok = append(out, '%'), false
			continue
		}
		c := byte(hexDigit(b[i+1])<<4 | hexDigit(b[i+2]))
		unreserved := c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
		switch {
		case decode && unreserved:
			out = append(out, c)
		case decode:
			out = append(out, b[i:i+3]...)
		default:
			out = append(out, '%', upperHex[c>>4], upperHex[c&15])
		}
		i += 2
	}
	return out, ok
}
