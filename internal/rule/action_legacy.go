package rule

import (
	"bytes"

	"evenkeel/internal/message"
	"evenkeel/internal/model"
)

// The reqrep family of old files works on the text of a head: the start line,
// then "Name: value" lines.
func init() {
	addAction(Keyword{Name: "reqrep, rsprep", Args: "REGEX REPLACEMENT", Phases: phaseHTTP, Help: "rewrites start line and header lines (old)"}, (*Compiler).legacyReplace)
	addAction(Keyword{Name: "reqdel, rspdel", Args: "REGEX", Phases: phaseHTTP, Help: "deletes header lines (old)"}, (*Compiler).legacyDelete)
	addAction(Keyword{Name: "reqdeny, reqallow, reqpass, reqtarpit, rspdeny", Args: "REGEX", Phases: phaseHTTP, Help: "ends the evaluation by any line (old)"}, (*Compiler).legacyVerdict)
}

// startLine writes the start line as text.
func startLine(dst []byte, h *message.Head) []byte {
	version := func(dst []byte) []byte { return append(append(dst, "HTTP/"...), versionText(h.Version)...) }
	if h.Response {
		dst = append(version(dst), ' ', '0'+byte(h.Status/100%10), '0'+byte(h.Status/10%10), '0'+byte(h.Status%10), ' ')
		return append(dst, h.Reason...)
	}
	dst = append(append(append(append(dst, h.Method...), ' '), h.Target...), ' ')
	return version(dst)
}

func fieldLine(dst []byte, f *message.Field) []byte {
	return append(append(append(dst, f.Name...), ": "...), f.Value...)
}

// setStartLine takes a rewritten start line back; one that is none changes
// nothing.
func setStartLine(h *message.Head, line []byte) {
	a := bytes.IndexByte(line, ' ')
	if a <= 0 {
		return
	}
	if h.Response {
		rest := line[a+1:]
		status, reason := readInt(rest)
		if status >= 100 && status <= 999 {
			h.Status, h.Reason = int(status), h.Keep(bytes.TrimLeft(reason, " "))
		}
		return
	}
	b := bytes.LastIndexByte(line, ' ')
	if b <= a || hasControl(line[a+1:b]) {
		return
	}
	h.Method = h.Keep(line[:a])
	h.MethodID = message.IdentifyMethod(line[:a])
	h.Target = h.Keep(line[a+1 : b])
	if string(line[b+1:]) == "HTTP/1.0" {
		h.Version = message.HTTP10
	} else if string(line[b+1:]) == "HTTP/1.1" {
		h.Version = message.HTTP11
	}
}

func setFieldLine(h *message.Head, f *message.Field, line []byte) {
	i := bytes.IndexByte(line, ':')
	if i <= 0 || bytes.ContainsAny(line[:i], " \t\r\n") {
		f.Name = nil
		return
	}
	name := h.Keep(line[:i])
	f.Name, f.Value, f.ID = name, h.Keep(cleanValue(trimSpace(line[i+1:]))), message.Identify(name)
}

func (c *Compiler) legacyReplace(a *model.ActionLegacyReplace, r *model.Rule, phase Phase) action {
	re := c.regex(r.Pos, a.Regex, a.IgnoreCase)
	if re == nil {
		return nil
	}
	res, template := phase&phaseResponse != 0, []byte(a.Replacement)
	return func(tx *Tx) Verdict {
		h := tx.edited(res)
		if h == nil {
			return Next
		}
		tx.buf = startLine(tx.buf[:0], h)
		if loc := re.find(tx.buf); loc != nil {
			setStartLine(h, expand(nil, template, tx.buf, loc))
		}
		for i := range h.Fields {
			f := &h.Fields[i]
			if f.Name == nil {
				continue
			}
			tx.buf = fieldLine(tx.buf[:0], f)
			if loc := re.find(tx.buf); loc != nil {
				setFieldLine(h, f, expand(nil, template, tx.buf, loc))
			}
		}
		return Next
	}
}

func (c *Compiler) legacyDelete(a *model.ActionLegacyDelete, r *model.Rule, phase Phase) action {
	re := c.regex(r.Pos, a.Regex, a.IgnoreCase)
	if re == nil {
		return nil
	}
	res := phase&phaseResponse != 0
	return func(tx *Tx) Verdict {
		h := tx.edited(res)
		if h == nil {
			return Next
		}
		for i := range h.Fields {
			f := &h.Fields[i]
			if f.Name == nil {
				continue
			}
			if tx.buf = fieldLine(tx.buf[:0], f); re.Match(tx.buf) {
				f.Name = nil
			}
		}
		return Next
	}
}

func (c *Compiler) legacyVerdict(a *model.ActionLegacyVerdict, r *model.Rule, phase Phase) action {
	re := c.regex(r.Pos, a.Regex, a.IgnoreCase)
	if re == nil {
		return nil
	}
	res := phase&phaseResponse != 0
	var end action
	switch a.Verdict {
	case "deny":
		status := 403
		if res {
			status = 502
		}
		end = c.ending(nil, r.Pos, status, Deny, phase)
	case "tarpit":
		end = c.ending(nil, r.Pos, 500, Tarpit, phase)
	case "allow", "pass":
		end = func(*Tx) Verdict { return Stop }
	default:
		c.Diagnostics.Errorf(r.Pos, "'%s' is not a verdict", a.Verdict)
		return nil
	}
	return func(tx *Tx) Verdict {
		h := tx.edited(res)
		if h == nil {
			return Next
		}
		if tx.buf = startLine(tx.buf[:0], h); re.Match(tx.buf) {
			return end(tx)
		}
		for i := range h.Fields {
			f := &h.Fields[i]
			if f.Name == nil {
				continue
			}
			if tx.buf = fieldLine(tx.buf[:0], f); re.Match(tx.buf) {
				return end(tx)
			}
		}
		return Next
	}
}
