package rule

import (
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
	for i := range f.Parts {
		p := &f.Parts[i]
		switch {
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
	}
	return out
}
