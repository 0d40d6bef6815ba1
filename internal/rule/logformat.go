package rule

import (
	"strconv"

	"evenkeel/internal/model"
)

// The built-in formats, in HAProxy's syntax.
const (
	HTTPLogFormat  = `%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r`
	HTTPSLogFormat = `%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r %[fc_err]/%[ssl_fc_err,hex]/%[ssl_c_err]/%[ssl_c_ca_err]/%[ssl_fc_is_resumed] %[ssl_fc_sni]/%sslv/%sslc`
	TCPLogFormat   = `%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts %ac/%fc/%bc/%sc/%rc %sq/%bq`
	CLFLogFormat   = `%{+Q}o %{-Q}ci - - [%trg] %r %ST %B "" "" %cp %ms %ft %b %s %TR %Tw %Tc %Tr %Ta %tsc %ac %fc %bc %sc %rc %sq %bq %CC %CS %hrl %hsl`
	// DefaultTCPLogFormat and DefaultHTTPLogFormat are the line of a proxy
	// without log-format, httplog or tcplog.
	DefaultTCPLogFormat  = `Connect from %ci:%cp to %fi:%fp (%f/TCP)`
	DefaultHTTPLogFormat = `Connect from %ci:%cp to %fi:%fp (%f/HTTP)`
	// ErrorLogFormat is used for connections that never became a request.
	ErrorLogFormat = `%ci:%cp [%tr] %ft: %[fc_err_str]`
)

// aliasSpec is one %alias.
type aliasSpec struct {
	Keyword
	build func(c *Compiler, p *model.FormatPart, phase Phase) formatPart
}

var aliasIndex = map[string]*aliasSpec{}

// Aliases lists the log-format aliases by name.
func Aliases() []Keyword {
	var out []Keyword
	for _, a := range aliasIndex {
		out = append(out, a.Keyword)
	}
	return sorted(out)
}

// LookupAlias says whether %name is a log-format alias.
func LookupAlias(name string) (Keyword, bool) {
	if a := aliasIndex[name]; a != nil {
		return a.Keyword, true
	}
	return Keyword{}, false
}

func (c *Compiler) formatAlias(p *model.FormatPart, phase Phase) formatPart {
	a := aliasIndex[p.Alias]
	if a == nil {
		var names []string
		for n := range aliasIndex {
			names = append(names, n)
		}
		c.unknown(p.Pos, "log-format alias", "%"+p.Alias, names)
		return nil
	}
	switch p.Alias {
	case "bi", "bp", "si", "sp":
		c.ServerAddrs = true
	}
	return a.build(c, p, phase)
}

// formatExpr compiles %[…]. In messages, a sample that does not exist prints
// nothing, and bytes that a header cannot hold are encoded; in log lines, it
// prints "-".
func (c *Compiler) formatExpr(p *model.FormatPart, phase Phase) formatPart {
	e := c.Expr(p.Expr, phase)
	if part := directPart(e, p, phase); part != nil {
		return part
	}
	fn := castTo(e.fn, e.out, KindString)
	enc := headerText
	if phase == PhaseLog {
		enc = plainText
	}
	sample := func(dst []byte, tx *Tx) []byte {
		tx.cur = cursor{}
		v, ok := fn(tx)
		if !ok {
			return dst
		}
		return append(dst, v.Bytes...)
	}
	if p.Quote || p.Escape || p.HTTPEncode || p.Mandatory || phase == PhaseLog {
		return textPart(p, phase, enc, sample)
	}
	return func(dst []byte, tx *Tx) []byte {
		start := len(dst)
		return headerText.apply(sample(dst, tx), start, false)
	}
}

// directPart prints numbers and addresses without making a string of them
// first; nothing in them needs encoding. nil if the sample is of another kind.
func directPart(e *Expr, p *model.FormatPart, phase Phase) formatPart {
	if p.Quote || p.Mandatory || phase == PhaseLog {
		return nil
	}
	fn := e.fn
	switch e.out {
	case KindBool, KindInt:
		return func(dst []byte, tx *Tx) []byte {
			tx.cur = cursor{}
			if v, ok := fn(tx); ok {
				return strconv.AppendInt(dst, v.Int, 10)
			}
			return dst
		}
	case KindAddr:
		return func(dst []byte, tx *Tx) []byte {
			tx.cur = cursor{}
			if v, ok := fn(tx); ok {
				return v.Addr.AppendTo(dst)
			}
			return dst
		}
	}
	return nil
}
