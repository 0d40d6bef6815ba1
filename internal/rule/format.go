package rule

import (
	"strings"

	"evenkeel/internal/model"
)

// Format is a compiled log-format string.
type Format struct {
	parts   []formatPart
	literal []byte // all of it, where it is plain text
	plain   bool
}

type formatPart func(dst []byte, tx *Tx) []byte

// Append writes the formatted line to dst.
func (f *Format) Append(dst []byte, tx *Tx) []byte {
	tx.scratch = tx.scratch[:0]
	return f.append(dst, tx)
}

// append is Append inside of a rule, where scratch memory is in use.
func (f *Format) append(dst []byte, tx *Tx) []byte {
	if f == nil {
		return dst
	}
	if f.plain {
		return append(dst, f.literal...)
	}
	for _, p := range f.parts {
		dst = p(dst, tx)
	}
	return dst
}

// Literal gives the text where the format is plain text.
func (f *Format) Literal() (string, bool) {
	if f == nil {
		return "", true
	}
	return string(f.literal), f.plain
}

// Format compiles a log-format string. nil gives nil, which writes nothing.
func (c *Compiler) Format(f *model.Format, phase Phase) *Format {
	if f == nil {
		return nil
	}
	if s, ok := f.IsLiteral(); ok {
		return &Format{literal: []byte(s), plain: true}
	}
	out := &Format{}
	spaced, trim := true, false // what came before ends in a space; the next space is taken
	for i := range f.Parts {
		p := &f.Parts[i]
		if p.Literal != "" && trim {
			rest := *p
			rest.Literal = p.Literal[1:]
			p, trim = &rest, false
			if rest.Literal == "" {
				continue // spaced is still true
			}
		}
		switch {
		case spaced && capturing[p.Alias] && i+1 < len(f.Parts) && strings.HasPrefix(f.Parts[i+1].Literal, " "):
			out.parts = append(out.parts, beforeSpace(c.formatAlias(p, phase)))
			trim = true
			continue
		case p.Expr != nil:
			out.parts = append(out.parts, c.formatExpr(p, phase))
		case p.Alias != "":
			if fn := c.formatAlias(p, phase); fn != nil {
				out.parts = append(out.parts, fn)
			}
		case p.Literal != "":
			text := p.Literal
			out.parts = append(out.parts, func(dst []byte, _ *Tx) []byte { return append(dst, text...) })
		}
		spaced = strings.HasSuffix(p.Literal, " ")
	}
	return out
}

// capturing are the aliases that write nothing at all where nothing is
// captured: the spaces on both of their sides are one then.
var capturing = map[string]bool{"hr": true, "hs": true, "hrl": true, "hsl": true}

// beforeSpace writes what p writes and the space behind it, or nothing.
func beforeSpace(p formatPart) formatPart {
	return func(dst []byte, tx *Tx) []byte {
		n := len(dst)
		if dst = p(dst, tx); len(dst) > n {
			dst = append(dst, ' ')
		}
		return dst
	}
}
