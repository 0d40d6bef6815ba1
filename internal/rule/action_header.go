package rule

import (
	"bytes"

	"evenkeel/internal/message"
	"evenkeel/internal/model"
)

const phaseHeaderEdit = phaseHTTP

func init() {
	addAction(Keyword{Name: "set-header", Args: "NAME FORMAT", Phases: phaseHeaderEdit, Help: "replaces all headers of a name"},
		func(c *Compiler, a *model.ActionSetHeader, r *model.Rule, phase Phase) action {
			return c.headerEdit(a.Name, a.Value, phase, true)
		})
	addAction(Keyword{Name: "add-header", Args: "NAME FORMAT", Phases: phaseHeaderEdit, Help: "adds a header"},
		func(c *Compiler, a *model.ActionAddHeader, r *model.Rule, phase Phase) action {
			return c.headerEdit(a.Name, a.Value, phase, false)
		})
	addAction(Keyword{Name: "del-header", Args: "NAME [-m METHOD]", Phases: phaseHeaderEdit, Help: "deletes headers by name"}, (*Compiler).delHeader)
	addAction(Keyword{Name: "replace-header", Args: "NAME REGEX FORMAT", Phases: phaseHeaderEdit, Help: "rewrites header lines that a regular expression matches"},
		func(c *Compiler, a *model.ActionReplaceHeader, r *model.Rule, phase Phase) action {
			return c.replaceHeader(r, a.Name, a.Regex, a.IgnoreCase, a.Value, phase, false)
		})
	addAction(Keyword{Name: "replace-value", Args: "NAME REGEX FORMAT", Phases: phaseHeaderEdit, Help: "rewrites values between commas that a regular expression matches"},
		func(c *Compiler, a *model.ActionReplaceValue, r *model.Rule, phase Phase) action {
			return c.replaceHeader(r, a.Name, a.Regex, false, a.Value, phase, true)
		})
	addAction(Keyword{Name: "early-hint", Args: "NAME FORMAT", Phases: PhaseHTTPRequest, Help: "adds a header to a 103 response"},
		func(c *Compiler, a *model.ActionEarlyHint, r *model.Rule, phase Phase) action {
			name, value := c.Format(a.Name, phase), c.Format(a.Value, phase)
			return func(tx *Tx) Verdict {
				if tx.Req == nil {
					return Next
				}
				tx.buf = name.append(tx.buf[:0], tx)
				n := tx.Req.Keep(tx.buf)
				tx.buf = value.append(tx.buf[:0], tx)
				tx.EarlyHints = append(tx.EarlyHints, message.Field{Name: n, Value: tx.Req.Keep(cleanValue(tx.buf)), ID: message.Identify(n)})
				return Next
			}
		})
}

// edited gives the head that rules of a phase edit.
func (tx *Tx) edited(res bool) *message.Head {
	if res {
		return tx.Res
	}
	return tx.Req
}

// cleanValue puts blanks in place of bytes that would end a header line: a
// sample can hold anything that a client managed to encode.
func cleanValue(b []byte) []byte {
	for i, c := range b {
		if c < ' ' && (c == '\r' || c == '\n' || c == 0) {
			b[i] = ' '
		}
	}
	return b
}

// headerEdit compiles set-header (replace) and add-header.
func (c *Compiler) headerEdit(nameFormat, valueFormat *model.Format, phase Phase, replace bool) action {
	res := phase&phaseResponse != 0
	name, value := c.Format(nameFormat, phase), c.Format(valueFormat, phase)
	text, fixed := name.Literal()
	if !fixed {
		return func(tx *Tx) Verdict {
			h := tx.edited(res)
			if h == nil {
				return Next
			}
			tx.buf = name.append(tx.buf[:0], tx)
			if len(tx.buf) == 0 || bytes.ContainsAny(tx.buf, "\r\n\x00 :") {
				return Next
			}
			n := h.Keep(tx.buf)
			l := asciiLower(string(n))
			tx.buf = cleanValue(value.append(tx.buf[:0], tx))
			id := message.Lookup(l)
			if replace {
				h.Del(id, l)
			}
			h.Add(id, n, h.Keep(tx.buf))
			return Next
		}
	}
	lower := asciiLower(text)
	n := headerName{lower, message.Lookup(lower)}
	wire := []byte(text)
	if lit, ok := value.Literal(); ok {
		val := []byte(lit)
		return func(tx *Tx) Verdict {
			h := tx.edited(res)
			if h == nil {
				return Next
			}
			if replace {
				n.del(h)
			}
			h.Fields = append(h.Fields, message.Field{Name: wire, Value: val, ID: n.id})
			return Next
		}
	}
	return func(tx *Tx) Verdict {
		h := tx.edited(res)
		if h == nil {
			return Next
		}
		// The value may be made from the header that it replaces.
		tx.buf = cleanValue(value.append(tx.buf[:0], tx))
		if replace {
			n.del(h)
		}
		h.Fields = append(h.Fields, message.Field{Name: wire, Value: h.Keep(tx.buf), ID: n.id})
		return Next
	}
}

// del deletes all fields of the name.
func (n *headerName) del(h *message.Head) {
	if n.id != message.FieldOther {
		for i := range h.Fields {
			if h.Fields[i].ID == n.id {
				h.Fields[i].Name = nil
			}
		}
		return
	}
	size := len(n.lower)
	for i := range h.Fields {
		f := &h.Fields[i]
		if len(f.Name) == size && f.ID == message.FieldOther && n.is(f.Name) {
			f.Name = nil
		}
	}
}

func (c *Compiler) delHeader(a *model.ActionDelHeader, r *model.Rule, phase Phase) action {
	res := phase&phaseResponse != 0
	if a.Match == "" || a.Match == "str" {
		n := parseHeaderName([]string{a.Name})
		return func(tx *Tx) Verdict {
			if h := tx.edited(res); h != nil {
				n.del(h)
			}
			return Next
		}
	}
	spec := matchIndex[a.Match]
	if spec == nil || spec.In != KindString || spec.build == nil {
		c.Diagnostics.Errorf(r.Pos, "the matching method '%s' cannot be used with del-header: expects str, beg, end, sub or reg", a.Match)
		return nil
	}
	find, err := spec.build([]string{a.Name}, matchOptions{ignoreCase: true, c: c})
	if err != nil {
		c.Diagnostics.Errorf(r.Pos, "%v", err)
		return nil
	}
	return func(tx *Tx) Verdict {
		h := tx.edited(res)
		if h == nil {
			return Next
		}
		for i := range h.Fields {
			if f := &h.Fields[i]; f.Name != nil && find(Str(f.Name)) >= 0 {
				f.Name = nil
			}
		}
		return Next
	}
}

// regex compiles an expression of an action.
func (c *Compiler) regex(pos model.Pos, expr string, ignoreCase bool) *Regex {
	re, err := CompileRegex(expr, ignoreCase)
	if err != nil {
		c.Diagnostics.Errorf(pos, "%v", err)
		return nil
	}
	return re
}

// replaceHeader compiles replace-header (whole lines) and replace-value (each
// value). What the expression matches in decides; the replacement takes the
// place of the whole line or value.
func (c *Compiler) replaceHeader(r *model.Rule, name, expr string, fold bool, value *model.Format, phase Phase, values bool) action {
	res := phase&phaseResponse != 0
	re := c.regex(r.Pos, expr, fold)
	if re == nil {
		return nil
	}
	n, format := parseHeaderName([]string{name}), c.Format(value, phase)
	return func(tx *Tx) Verdict {
		h := tx.edited(res)
		if h == nil {
			return Next
		}
		for i := n.next(h, 0); i >= 0; i = n.next(h, i+1) {
			f := &h.Fields[i]
			if !values {
				if loc := re.find(f.Value); loc != nil {
					tx.buf = format.append(tx.buf[:0], tx)
					f.Value = h.Keep(cleanValue(expand(nil, tx.buf, f.Value, loc)))
				}
				continue
			}
			f.Value = replaceValues(tx, h, re, format, f.Value)
		}
		return Next
	}
}

func replaceValues(tx *Tx, h *message.Head, re *Regex, format *Format, v []byte) []byte {
	var out []byte
	changed := false
	for off := 0; off <= len(v); {
		start := off
		item, next := nextItem(v, off)
		off = next
		if start > 0 {
			out = append(out, ',')
		}
		loc := re.find(item)
		if loc == nil {
			out = append(out, v[start:min(next-1, len(v))]...)
			continue
		}
		changed = true
		tx.buf = format.append(tx.buf[:0], tx)
		out = cleanValue(expand(out, tx.buf, item, loc))
	}
	if !changed {
		return v
	}
	return h.Keep(out)
}
