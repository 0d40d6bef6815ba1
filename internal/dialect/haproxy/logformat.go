package haproxy

import (
	"fmt"
	"slices"
	"strings"

	"evenkeel/internal/model"
	"evenkeel/internal/rule"
)

// formatContext says where a format will be evaluated.
type formatContext uint8

const (
	// formatLog: log lines. Runs of spaces are one, and what is missing is
	// written as "-".
	formatLog formatContext = iota
	// formatRequest, formatResponse: parts of HTTP messages. Control
	// characters of samples are percent-encoded.
	formatRequest
	formatResponse
	formatCheck
	// formatPlain: names and variables outside of a message.
	formatPlain
)

// formatReader takes a log-format string apart.
type formatReader struct {
	w     word
	ctx   formatContext
	off   int
	f     *model.Format
	flags formatFlags // of %{…}o: those of all parts that follow
	// noHTTP: the proxy is in TCP mode, and the format will not wait for the
	// end of its section to be judged.
	noHTTP bool
	warn   func(pos model.Pos, cure, format string, args ...any)

	literal   []byte
	literalAt int
	wasSpace  bool // the last literal byte was a space, or nothing came yet
}

type formatFlags struct{ quote, escape, hex bool }

// parseFormat reads a log-format string.
func parseFormat(p *parser, w word, ctx formatContext) (*model.Format, error) {
	r := &formatReader{w: w, ctx: ctx, f: &model.Format{Pos: w.Pos, Text: w.Text}, warn: p.warnf, wasSpace: true}
	r.noHTTP = ctx != formatLog && p.proxy != nil && p.proxy.Mode == model.ModeTCP && !p.inDefaults()
	for r.off < len(w.Text) {
		var err error
		switch {
		case w.Text[r.off] != '%':
			r.text(w.Text[r.off], 1)
		case r.byteAt(1) == '%':
			r.text('%', 2)
		default:
			err = r.variable()
		}
		if err != nil {
			return nil, err
		}
	}
	r.flush()
	return r.f, nil
}

func (r *formatReader) byteAt(n int) byte {
	if r.off+n < len(r.w.Text) {
		return r.w.Text[r.off+n]
	}
	return 0
}

// text takes one byte of literal text, written with n bytes.
func (r *formatReader) text(c byte, n int) {
	space := c == ' '
	if !space || !r.wasSpace || r.ctx != formatLog {
		if len(r.literal) == 0 {
			r.literalAt = r.off
		}
		r.literal = append(r.literal, c)
	}
	r.wasSpace = space
	r.off += n
}

func (r *formatReader) flush() {
	if len(r.literal) > 0 {
		r.f.Parts = append(r.f.Parts, model.FormatPart{Pos: r.w.at(r.literalAt), Literal: string(r.literal)})
		r.literal = r.literal[:0]
	}
}

const percentCure = "to emit the '%' character itself, write '%%'"

// variable reads what follows a percent sign: (name:type), {flags}, and
// either an alias or an expression between brackets.
func (r *formatReader) variable() error {
	start := r.off
	r.off++
	if r.byteAt(0) == '(' {
		end := strings.IndexByte(r.w.Text[r.off:], ')')
		if end < 0 {
			return wrong(r.w.at(r.off), "write the ')'", "truncated line after '%s'", r.w.Text[r.off:])
		}
		r.off += end + 1
	}
	part := model.FormatPart{Pos: r.w.at(start)}
	flags, hadFlags := r.flags, false
	if r.byteAt(0) == '{' {
		hadFlags = true
		end := strings.IndexByte(r.w.Text[r.off:], '}')
		if end < 0 {
			return wrong(r.w.at(r.off), "write the '}' behind the flags", "truncated line after '%s'", r.w.Text[r.off+1:])
		}
		arg, err := r.readFlags(r.w.from(r.off+1), end-1, &flags)
		if err != nil {
			return err
		}
		part.Arg = arg
		r.off += end + 1
	}
	switch c := r.byteAt(0); {
	case c == '[':
		e, end, err := parseExprIn(r.w, r.off+1, ']')
		if err != nil {
			return err
		}
		part.Expr = e
		r.off = end + 1
	case isAlpha(c) || isDigit(c):
		if err := r.alias(&part); err != nil {
			return err
		}
		if part.Alias == "o" {
			r.flags = flags
			return nil
		}
	case r.off == len(r.w.Text) && hadFlags:
		return wrong(r.w.at(start), "write an alias such as ci, or [EXPRESSION], behind the flags",
			"parse argument modifier without variable name near '%s'", r.w.Text[start:])
	case r.off == len(r.w.Text):
		return wrong(r.w.at(start), percentCure, "truncated line after '%%'")
	default:
		return wrong(r.w.at(r.off), percentCure, "unexpected variable name near '%c' at position %d line : '%s'", c, r.off, r.w.Text)
	}
	r.flush()
	part.Quote, part.Escape, part.Hex = flags.quote, flags.escape, flags.hex
	part.Mandatory = r.ctx == formatLog
	part.HTTPEncode = r.ctx == formatRequest || r.ctx == formatResponse
	r.f.Parts = append(r.f.Parts, part)
	r.wasSpace = false
	return nil
}

// readFlags reads n bytes of comma-separated flags; what has no sign is the
// alias's argument.
func (r *formatReader) readFlags(w word, n int, flags *formatFlags) (string, error) {
	arg := ""
	for off := 0; off <= n; {
		end := strings.IndexByte(w.Text[off:n], ',')
		if end < 0 {
			end = n - off
		}
		flag := w.Text[off : off+end]
		if err := r.setFlag(flag, w.at(off), flags, &arg); err != nil {
			return "", err
		}
		off += end + 1
	}
	return arg, nil
}

func (r *formatReader) setFlag(flag string, pos model.Pos, flags *formatFlags, arg *string) error {
	if flag == "" || flag[0] != '+' && flag[0] != '-' {
		if *arg != "" {
			*arg += ","
		}
		*arg += flag
		return nil
	}
	on := flag[0] == '+'
	switch flag[1:] {
	case "Q":
		flags.quote = on
	case "E":
		flags.escape = on
	case "X":
		flags.hex = on
	case "json", "cbor", "bin":
		return wrong(pos, "take it out, and write the line's structure as text, with {+E} on the values", "the encoding '%s' of log formats is not supported yet", flag)
	default:
		r.warn(pos, "the flags are Q (quote), X (hexadecimal) and E (escape), with + or - before them", "the flag '%s' is not known and has no effect", flag)
	}
	return nil
}

// httpAliases are those that mean something in HTTP mode only (section 8.2.6
// of HAProxy's manual, restriction H).
var httpAliases = []string{
	"CC", "CS", "HM", "HP", "HPO", "HQ", "HU", "HV", "Ta", "Ti", "Tq", "TR", "Tr", "r", "tr", "trg", "trl",
}

// oldAliases are the names of HAProxy 1.5's first versions.
var oldAliases = map[string]string{
	"Bi": "bi", "Bp": "bp", "Ci": "ci", "Cp": "cp", "Fi": "fi", "Fp": "fp", "Sf": "f", "Si": "si", "Sp": "sp",
	"cc": "CC", "cs": "CS", "st": "ST", "p": "pid",
}

// alias reads the name of an alias: as many letters and digits as there are.
func (r *formatReader) alias(part *model.FormatPart) error {
	start := r.off
	for isAlpha(r.byteAt(0)) || isDigit(r.byteAt(0)) {
		r.off++
	}
	name := r.w.Text[start:r.off]
	if modern, old := oldAliases[name]; old {
		r.warn(part.Pos, "write %"+modern, "the format variable '%s' is an old name", name)
		name = modern
	}
	part.Alias = name
	if _, ok := rule.LookupAlias(name); ok {
		if r.noHTTP && slices.Contains(httpAliases, name) {
			return reservedAlias(part)
		}
		return nil
	}
	var names []string
	for _, k := range rule.Aliases() {
		names = append(names, k.Name)
	}
	cure := percentCure
	if best := closest(name, names); best != "" {
		cure = fmt.Sprintf("%s %s", best, percentCure)
	}
	return wrong(part.Pos, cure, "no such format variable '%s'", name)
}

func reservedAlias(part *model.FormatPart) error {
	return wrong(part.Pos, "write 'mode http' in the section, above this line, or take %"+part.Alias+" out",
		"format variable '%s' is reserved for HTTP mode", part.Alias)
}

// checkLogFormats looks at the log formats of a proxy once its mode is known.
func (p *parser) checkLogFormats() {
	x := p.proxy
	if x == nil || p.inDefaults() || x.Mode != model.ModeTCP || x.Kind&model.KindFrontend == 0 {
		return
	}
	for _, f := range []*model.Format{x.LogFormat, x.LogFormatSD, x.ErrorLogFormat} {
		if f == nil {
			continue
		}
		for i := range f.Parts {
			if slices.Contains(httpAliases, f.Parts[i].Alias) {
				p.report(f.Pos, reservedAlias(&f.Parts[i]))
			}
		}
	}
}
