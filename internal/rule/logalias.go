package rule

import (
	"encoding/binary"
	"net/netip"
	"os"
	"strconv"
	"time"

	"evenkeel/internal/model"
)

// encoding is which bytes of a text are written as an escape and two digits.
type encoding struct {
	escape byte // '#' or '%'; 0: nothing is encoded
	set    [256]bool
}

func newEncoding(escape byte, special string, tabOK, highOK bool) *encoding {
	e := &encoding{escape: escape}
	for c := range 256 {
		e.set[c] = c < 0x20 && !(tabOK && c == '\t') || c == 0x7f || c > 0x7f && !highOK
	}
	for i := range len(special) {
		e.set[special[i]] = true
	}
	return e
}

var (
	// plainText writes text as it is.
	plainText = &encoding{}
	// urlText is for request lines, captureText for captured headers.
	urlText     = newEncoding('#', "\"#", false, false)
	captureText = newEncoding('#', "\"#{|}", false, false)
	// headerText is for samples in messages: what a header cannot hold.
	headerText = newEncoding('%', "", true, true)
)

// apply writes dst[start:] anew with the bytes of the set encoded; with
// backslash, also those that RFC 5424 has escaped. Nothing is copied where
// there is nothing to do.
func (e *encoding) apply(dst []byte, start int, backslash bool) []byte {
	i := start
	for i < len(dst) && !e.set[dst[i]] && !(backslash && isRFC5424(dst[i])) {
		i++
	}
	if i == len(dst) {
		return dst
	}
	raw := append([]byte(nil), dst[i:]...)
	dst = dst[:i]
	for _, c := range raw {
		switch {
		case e.set[c]:
			dst = append(dst, e.escape, upperHex[c>>4], upperHex[c&15])
		case backslash && isRFC5424(c):
			dst = append(dst, '\\', c)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

func isRFC5424(c byte) bool { return c == '"' || c == '\\' || c == ']' }

// aliasText adds an alias that prints text; "-" where it is empty.
func aliasText(name, help string, enc *encoding, f func(dst []byte, tx *Tx) []byte) {
	aliasIndex[name] = &aliasSpec{Keyword{Name: name, Phases: phaseStream, Out: "string", Help: help, Section: "log-format"},
		func(c *Compiler, p *model.FormatPart, phase Phase) formatPart { return textPart(p, phase, enc, f) }}
}

// textPart applies the flags of a part to what f appends.
func textPart(p *model.FormatPart, phase Phase, enc *encoding, f func(dst []byte, tx *Tx) []byte) formatPart {
	quote, backslash, mandatory := p.Quote, p.Escape, p.Mandatory || phase == PhaseLog
	if p.HTTPEncode {
		enc = headerText
	}
	return func(dst []byte, tx *Tx) []byte {
		if quote {
			dst = append(dst, '"')
		}
		start := len(dst)
		dst = f(dst, tx)
		if len(dst) > start {
			dst = enc.apply(dst, start, backslash)
		} else if mandatory && !quote {
			dst = append(dst, '-')
		}
		if quote {
			dst = append(dst, '"')
		}
		return dst
	}
}

// aliasInt adds an alias that prints a number.
func aliasInt(name, help string, f func(tx *Tx) int64) {
	aliasIndex[name] = &aliasSpec{Keyword{Name: name, Phases: phaseStream, Out: "integer", Help: help, Section: "log-format"},
		func(c *Compiler, p *model.FormatPart, phase Phase) formatPart {
			return func(dst []byte, tx *Tx) []byte { return strconv.AppendInt(dst, f(tx), 10) }
		}}
}

// aliasGrowing is aliasInt for what still grows when logasap prints it.
func aliasGrowing(name, help string, f func(tx *Tx) int64) {
	aliasIndex[name] = &aliasSpec{Keyword{Name: name, Phases: phaseStream, Out: "integer", Help: help, Section: "log-format"},
		func(c *Compiler, p *model.FormatPart, phase Phase) formatPart {
			return func(dst []byte, tx *Tx) []byte {
				if tx.Log.LogASAP {
					dst = append(dst, '+')
				}
				return strconv.AppendInt(dst, f(tx), 10)
			}
		}}
}

func aliasRaw(name, help string, f formatPart) {
	aliasIndex[name] = &aliasSpec{Keyword{Name: name, Phases: phaseStream, Out: "string", Help: help, Section: "log-format"},
		func(c *Compiler, p *model.FormatPart, phase Phase) formatPart { return f }}
}

// aliasAddr prints an address; with flag X in hexadecimal.
func aliasAddr(name, help string, of func(tx *Tx) netip.AddrPort, unix bool) {
	aliasIndex[name] = &aliasSpec{Keyword{Name: name, Phases: phaseStream, Out: "address", Help: help, Section: "log-format"},
		func(c *Compiler, p *model.FormatPart, phase Phase) formatPart {
			if p.Hex {
				return func(dst []byte, tx *Tx) []byte { return appendHex(dst, of(tx).Addr().Unmap().AsSlice()) }
			}
			return textPart(p, phase, plainText, func(dst []byte, tx *Tx) []byte {
				a := of(tx)
				if !a.IsValid() {
					if unix && tx.Conn != nil && tx.Conn.UnixSrc != "" {
						return append(dst, "unix"...)
					}
					return dst
				}
				return a.Addr().Unmap().AppendTo(dst)
			})
		}}
}

func aliasPort(name, help string, of func(tx *Tx) netip.AddrPort) {
	aliasIndex[name] = &aliasSpec{Keyword{Name: name, Phases: phaseStream, Out: "integer", Help: help, Section: "log-format"},
		func(c *Compiler, p *model.FormatPart, phase Phase) formatPart {
			return func(dst []byte, tx *Tx) []byte {
				a := of(tx)
				if !a.IsValid() {
					if tx.Conn != nil && tx.Conn.UnixSrc != "" {
						return strconv.AppendInt(dst, int64(tx.Conn.ListenerID), 10)
					}
					return append(dst, '-')
				}
				if p.Hex {
					return append(dst, upperHex[a.Port()>>12], upperHex[a.Port()>>8&15], upperHex[a.Port()>>4&15], upperHex[a.Port()&15])
				}
				return strconv.AppendInt(dst, int64(a.Port()), 10)
			}
		}}
}

// aliasHexInt prints a number; with flag X in hexadecimal.
func aliasHexInt(name, help string, f func(tx *Tx) uint32) {
	aliasIndex[name] = &aliasSpec{Keyword{Name: name, Phases: phaseStream, Out: "integer", Help: help, Section: "log-format"},
		func(c *Compiler, p *model.FormatPart, phase Phase) formatPart {
			if p.Hex {
				return func(dst []byte, tx *Tx) []byte {
					var b [4]byte
					binary.BigEndian.PutUint32(b[:], f(tx))
					if name == "rt" || name == "pid" {
						return appendHex(dst, b[2:])
					}
					return appendHex(dst, b[:])
				}
			}
			return func(dst []byte, tx *Tx) []byte { return strconv.AppendInt(dst, int64(f(tx)), 10) }
		}}
}

func appendHex(dst, b []byte) []byte {
	for _, c := range b {
		dst = append(dst, upperHex[c>>4], upperHex[c&15])
	}
	return dst
}

func init() {
	aliasAddr("ci", "client address", func(tx *Tx) netip.AddrPort { return tx.Src() }, true)
	aliasPort("cp", "client port", func(tx *Tx) netip.AddrPort { return tx.Src() })
	aliasAddr("fi", "frontend address", func(tx *Tx) netip.AddrPort { return tx.Dst() }, true)
	aliasPort("fp", "frontend port", func(tx *Tx) netip.AddrPort { return tx.Dst() })
	aliasAddr("bi", "source address towards the server", func(tx *Tx) netip.AddrPort { return tx.ServerSrc }, false)
	aliasPort("bp", "source port towards the server", func(tx *Tx) netip.AddrPort { return tx.ServerSrc })
	aliasAddr("si", "server address", func(tx *Tx) netip.AddrPort { return tx.ServerAddr }, false)
	aliasPort("sp", "server port", func(tx *Tx) netip.AddrPort { return tx.ServerAddr })

	host, _ := os.Hostname()
	aliasText("H", "name of this machine", plainText, func(dst []byte, tx *Tx) []byte { return append(dst, host...) })
	aliasHexInt("pid", "process number", func(tx *Tx) uint32 {
		if tx.Log.Pid != 0 {
			return uint32(tx.Log.Pid)
		}
		return uint32(os.Getpid())
	})
	aliasHexInt("rt", "number of the request", func(tx *Tx) uint32 { return tx.Log.RequestCounter })
	aliasInt("lc", "log counter", func(tx *Tx) int64 { return int64(tx.Log.RequestCounter) })
	aliasText("ID", "unique id", plainText, func(dst []byte, tx *Tx) []byte { return append(dst, tx.Log.UniqueID...) })
	aliasText("f", "frontend", plainText, func(dst []byte, tx *Tx) []byte { return append(dst, tx.frontendName()...) })
	aliasText("ft", "frontend, with ~ for TLS", plainText, func(dst []byte, tx *Tx) []byte {
		dst = append(dst, tx.frontendName()...)
		if clientTLS(tx) != nil {
			dst = append(dst, '~')
		}
		return dst
	})
	aliasText("b", "backend", plainText, func(dst []byte, tx *Tx) []byte {
		if tx.Backend != nil {
			return append(dst, tx.Backend.Name...)
		}
		return append(dst, tx.frontendName()...)
	})
	aliasText("s", "server", plainText, func(dst []byte, tx *Tx) []byte {
		if tx.Server != nil {
			return append(dst, tx.Server.Name...)
		}
		return append(dst, "<NOSRV>"...)
	})
	addHTTPAliases()
	addTLSAliases()
	addCounterAliases()
	addTimeAliases()
}

func (tx *Tx) frontendName() string {
	if tx.Frontend != nil {
		return tx.Frontend.Name
	}
	if tx.Conn != nil {
		return tx.Conn.FrontendName
	}
	return ""
}

func addHTTPAliases() {
	line := func(f func(m, u, v []byte) []byte) func(dst []byte, tx *Tx) []byte {
		return func(dst []byte, tx *Tx) []byte {
			if tx.Log.BadRequest != nil {
				return append(dst, tx.Log.BadRequest...)
			}
			m, u, v := tx.requestLine()
			if m == nil {
				return append(dst, "<BADREQ>"...)
			}
			return append(dst, f(m, u, v)...)
		}
	}
	aliasText("r", "request line", urlText, func(dst []byte, tx *Tx) []byte {
		if tx.Log.BadRequest != nil {
			return append(dst, tx.Log.BadRequest...)
		}
		m, u, v := tx.requestLine()
		if m == nil {
			return append(dst, "<BADREQ>"...)
		}
		dst = append(append(dst, m...), ' ')
		return append(append(append(dst, u...), ' '), v...)
	})
	aliasText("HM", "method", urlText, line(func(m, u, v []byte) []byte { return m }))
	aliasText("HU", "request target", urlText, line(func(m, u, v []byte) []byte { return u }))
	aliasText("HV", "HTTP version", urlText, line(func(m, u, v []byte) []byte { return v }))
	aliasText("HP", "path", urlText, line(func(m, u, v []byte) []byte { return pathOrTarget(u) }))
	aliasText("HPO", "path", urlText, line(func(m, u, v []byte) []byte { return pathOf(u) }))
	query := line(func(m, u, v []byte) []byte {
		_, _, q := splitTarget(u)
		return q
	})
	aliasIndex["HQ"] = &aliasSpec{Keyword{Name: "HQ", Phases: phaseStream, Out: "string", Help: "query, with its question mark; nothing where there is none", Section: "log-format"},
		func(c *Compiler, p *model.FormatPart, phase Phase) formatPart {
			return func(dst []byte, tx *Tx) []byte {
				dst = quoteIf(dst, p.Quote)
				start := len(dst)
				return quoteIf(urlText.apply(query(dst, tx), start, p.Escape), p.Quote)
			}
		}}
	aliasRaw("ST", "status", func(dst []byte, tx *Tx) []byte {
		if tx.Log.Status <= 0 {
			return append(dst, "-1"...)
		}
		return strconv.AppendInt(dst, int64(tx.Log.Status), 10)
	})
	aliasText("CC", "captured request cookie", plainText, func(dst []byte, tx *Tx) []byte { return append(dst, tx.Log.ReqCookie...) })
	aliasText("CS", "captured response cookie", plainText, func(dst []byte, tx *Tx) []byte { return append(dst, tx.Log.ResCookie...) })
	aliasIndex["hr"] = captureAlias("hr", "captured request headers in braces", false)
	aliasIndex["hs"] = captureAlias("hs", "captured response headers in braces", true)
	aliasIndex["hrl"] = captureListAlias("hrl", "captured request headers, one by one", false)
	aliasIndex["hsl"] = captureListAlias("hsl", "captured response headers, one by one", true)
}

func pathOrTarget(u []byte) []byte {
	if p := pathOf(u); p != nil {
		return p
	}
	return u
}

func (tx *Tx) captures(res bool) [][]byte {
	if res {
		return tx.ResCaptures
	}
	return tx.ReqCaptures
}

// captureAlias prints {value|value}, and nothing where no slot is declared.
func captureAlias(name, help string, res bool) *aliasSpec {
	return &aliasSpec{Keyword{Name: name, Phases: phaseStream, Out: "string", Help: help, Section: "log-format"},
		func(c *Compiler, p *model.FormatPart, phase Phase) formatPart {
			return func(dst []byte, tx *Tx) []byte {
				list := tx.captures(res)
				if len(list) == 0 {
					return dst
				}
				dst = append(quoteIf(dst, p.Quote), '{')
				for i, v := range list {
					if i > 0 {
						dst = append(dst, '|')
					}
					start := len(dst)
					dst = captureText.apply(append(dst, v...), start, p.Escape)
				}
				return quoteIf(append(dst, '}'), p.Quote)
			}
		}}
}

func quoteIf(dst []byte, quote bool) []byte {
	if quote {
		return append(dst, '"')
	}
	return dst
}

func captureListAlias(name, help string, res bool) *aliasSpec {
	return &aliasSpec{Keyword{Name: name, Phases: phaseStream, Out: "string list", Help: help, Section: "log-format"},
		func(c *Compiler, p *model.FormatPart, phase Phase) formatPart {
			return func(dst []byte, tx *Tx) []byte {
				for i, v := range tx.captures(res) {
					if i > 0 {
						dst = append(dst, ' ')
					}
					dst = quoteIf(dst, p.Quote)
					start := len(dst)
					if len(v) == 0 && !p.Quote {
						dst = append(dst, '-')
					} else {
						dst = captureText.apply(append(dst, v...), start, p.Escape)
					}
					dst = quoteIf(dst, p.Quote)
				}
				return dst
			}
		}}
}

func addTLSAliases() {
	aliasText("sslc", "TLS cipher", plainText, func(dst []byte, tx *Tx) []byte {
		if st := clientTLS(tx); st != nil {
			return append(dst, cipherName(st.CipherSuite)...)
		}
		return dst
	})
	aliasText("sslv", "TLS version", plainText, func(dst []byte, tx *Tx) []byte {
		if st := clientTLS(tx); st != nil {
			return append(dst, tlsVersionName(st.Version)...)
		}
		return dst
	})
}

func addCounterAliases() {
	aliasGrowing("B", "bytes sent to the client", func(tx *Tx) int64 { return tx.Log.BytesRead })
	aliasInt("U", "bytes uploaded", func(tx *Tx) int64 { return tx.Log.BytesUploaded })
	aliasInt("ac", "connections of the process", func(tx *Tx) int64 { return int64(tx.Log.ActConn) })
	aliasInt("fc", "connections of the frontend", func(tx *Tx) int64 { return int64(tx.Log.FeConn) })
	aliasInt("bc", "connections of the backend", func(tx *Tx) int64 { return int64(tx.Log.BeConn) })
	aliasInt("sc", "connections of the server", func(tx *Tx) int64 { return int64(tx.Log.SrvConn) })
	aliasInt("bq", "requests that were before this one in the backend's queue", func(tx *Tx) int64 { return int64(tx.Log.BeQueue) })
	aliasInt("sq", "requests that were before this one in the server's queue", func(tx *Tx) int64 { return int64(tx.Log.SrvQueue) })
	aliasRaw("rc", "retries, with + after a redispatch", func(dst []byte, tx *Tx) []byte {
		if tx.Log.Redispatched {
			dst = append(dst, '+')
		}
		return strconv.AppendInt(dst, int64(tx.Log.Retries), 10)
	})
	aliasRaw("ts", "termination state", func(dst []byte, tx *Tx) []byte { return append(dst, tx.termination(2)...) })
	aliasRaw("tsc", "termination state with cookie letters", func(dst []byte, tx *Tx) []byte { return append(dst, tx.termination(4)...) })
	aliasIndex["o"] = &aliasSpec{Keyword{Name: "o", Phases: phaseStream, Help: "sets flags for what follows", Section: "log-format"},
		func(c *Compiler, p *model.FormatPart, phase Phase) formatPart { return nil }}
}

func (tx *Tx) termination(n int) []byte {
	if tx.Log.TermState == [4]byte{} {
		return []byte("----")[:n]
	}
	return tx.Log.TermState[:n]
}

func addTimeAliases() {
	for _, t := range []struct {
		name, help string
		of         func(l *Log) int
	}{
		{"Tc", "time to connect to the server", func(l *Log) int { return l.Tc }},
		{"Td", "time of the response body", func(l *Log) int { return l.Td }},
		{"Th", "time of the handshakes", func(l *Log) int { return l.Th }},
		{"Ti", "idle time before the request", func(l *Log) int { return l.Ti }},
		{"Tq", "Th + Ti + TR", func(l *Log) int { return l.Tq }},
		{"TR", "time to receive the request", func(l *Log) int { return l.TR }},
		{"Tr", "time until the response head", func(l *Log) int { return l.Tr }},
		{"Tw", "time in queues", func(l *Log) int { return l.Tw }},
	} {
		of := t.of
		aliasInt(t.name, t.help, func(tx *Tx) int64 { return int64(of(&tx.Log)) })
	}
	aliasGrowing("Ta", "time of the transaction", func(tx *Tx) int64 { return int64(tx.Log.Ta) })
	aliasGrowing("Tt", "time of the session", func(tx *Tx) int64 { return int64(tx.Log.Tt) })
	aliasGrowing("Tu", "time as the user sees it", func(tx *Tx) int64 { return int64(tx.Log.Tu) })

	date := func(name, help string, of func(l *Log) time.Time, utc bool, layout string) {
		aliasRaw(name, help, func(dst []byte, tx *Tx) []byte {
			t := of(&tx.Log)
			if utc {
				t = t.UTC()
			} else {
				t = t.Local()
			}
			if layout == haproxyDate {
				return appendDate(dst, t)
			}
			return t.AppendFormat(dst, layout)
		})
	}
	accept, request := func(l *Log) time.Time { return l.Accept }, func(l *Log) time.Time { return l.Request }
	const clf = "02/Jan/2006:15:04:05 -0700"
	date("t", "date of accept", accept, false, haproxyDate)
	date("tr", "date of the request", request, false, haproxyDate)
	date("trg", "date of the request in UTC", request, true, "02/Jan/2006:15:04:05 +0000")
	date("trl", "local date of the request", request, false, clf)
	date("T", "date of accept in UTC", accept, true, "02/Jan/2006:15:04:05 +0000")
	date("Tl", "local date of accept", accept, false, clf)
	aliasInt("Ts", "seconds since 1970", func(tx *Tx) int64 { return tx.Log.Accept.Unix() })
	aliasRaw("ms", "milliseconds of the accept", func(dst []byte, tx *Tx) []byte { return append3(dst, tx.Log.Accept.Nanosecond()/1e6) })
}

// haproxyDate is 06/Feb/2009:12:14:14.655.
const haproxyDate = "02/Jan/2006:15:04:05.000"

const monthNames = "JanFebMarAprMayJunJulAugSepOctNovDec"

// appendDate writes haproxyDate; it runs for every line.
func appendDate(dst []byte, t time.Time) []byte {
	y, m, d := t.Date()
	hh, mm, ss := t.Clock()
	dst = append(append2(dst, d), '/')
	dst = append(append(dst, monthNames[3*(m-1):3*m]...), '/')
	dst = append(append2(append2(dst, y/100), y%100), ':')
	dst = append(append2(dst, hh), ':')
	dst = append(append2(dst, mm), ':')
	dst = append(append2(dst, ss), '.')
	return append3(dst, t.Nanosecond()/1e6)
}

func append2(dst []byte, n int) []byte { return append(dst, '0'+byte(n/10), '0'+byte(n%10)) }

func append3(dst []byte, n int) []byte { return append2(append(dst, '0'+byte(n/100)), n%100) }
