package rule

import (
	"encoding/binary"
	"net/netip"
	"os"
	"strconv"
	"time"

	"evenkeel/internal/model"
)

// aliasText adds an alias that prints text; "-" where it is empty.
func aliasText(name, help string, phases Phase, f func(dst []byte, tx *Tx) []byte) {
	aliasIndex[name] = &aliasSpec{Keyword{Name: name, Phases: phases, Out: "string", Help: help, Section: "log-format"},
		func(c *Compiler, p *model.FormatPart, phase Phase) formatPart { return textPart(p, f) }}
}

// textPart applies the flags of a part to what f appends.
func textPart(p *model.FormatPart, f func(dst []byte, tx *Tx) []byte) formatPart {
	quote, escape, httpEncode, mandatory := p.Quote, p.Escape, p.HTTPEncode, p.Mandatory || !p.Quote
	return func(dst []byte, tx *Tx) []byte {
		if quote {
			dst = append(dst, '"')
		}
		start := len(dst)
		dst = f(dst, tx)
		if len(dst) == start {
			if mandatory && !quote {
				dst = append(dst, '-')
			}
		} else {
			dst = encodeLog(dst, start, escape, httpEncode, quote)
		}
		if quote {
			dst = append(dst, '"')
		}
		return dst
	}
}

// encodeLog makes dst[start:] safe for a log line: control characters, what
// is not ASCII and, as #XX, '"', '#', '{', '|', '}'. Nothing is copied while
// there is nothing to escape.
func encodeLog(dst []byte, start int, escape, httpEncode, quote bool) []byte {
	i := start
	for ; i < len(dst); i++ {
		if mustEncode(dst[i], escape, httpEncode, quote) {
			break
		}
	}
	if i == len(dst) {
		return dst
	}
	raw := append([]byte(nil), dst[i:]...)
	dst = dst[:i]
	for _, c := range raw {
		switch {
		case !mustEncode(c, escape, httpEncode, quote):
			dst = append(dst, c)
		case escape:
			if c == '"' || c == '\\' || c == ']' {
				dst = append(dst, '\\', c)
			} else {
				dst = append(dst, '#', upperHex[c>>4], upperHex[c&15])
			}
		case httpEncode:
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		default:
			dst = append(dst, '#', upperHex[c>>4], upperHex[c&15])
		}
	}
	return dst
}

func mustEncode(c byte, escape, httpEncode, quote bool) bool {
	if c < 0x20 || c >= 0x7f {
		return true
	}
	switch {
	case escape:
		return c == '"' || c == '\\' || c == ']'
	case httpEncode:
		return httpReserved[c]
	}
	return c == '"' || c == '#' || c == '{' || c == '|' || c == '}'
}

var httpReserved = func() (t [128]bool) {
	for _, c := range `"#{|}<>\^` + "`" {
		t[c] = true
	}
	return t
}()

// aliasInt adds an alias that prints a number.
func aliasInt(name, help string, f func(tx *Tx) int64) {
	aliasIndex[name] = &aliasSpec{Keyword{Name: name, Phases: phaseStream, Out: "integer", Help: help, Section: "log-format"},
		func(c *Compiler, p *model.FormatPart, phase Phase) formatPart {
			return quoted(p, func(dst []byte, tx *Tx) []byte { return strconv.AppendInt(dst, f(tx), 10) })
		}}
}

// aliasGrowing is aliasInt for what still grows when logasap prints it.
func aliasGrowing(name, help string, f func(tx *Tx) int64) {
	aliasIndex[name] = &aliasSpec{Keyword{Name: name, Phases: phaseStream, Out: "integer", Help: help, Section: "log-format"},
		func(c *Compiler, p *model.FormatPart, phase Phase) formatPart {
			return quoted(p, func(dst []byte, tx *Tx) []byte {
				if tx.Log.LogASAP {
					dst = append(dst, '+')
				}
				return strconv.AppendInt(dst, f(tx), 10)
			})
		}}
}

// quoted adds the quotes of flag Q to what cannot hold any itself.
func quoted(p *model.FormatPart, f formatPart) formatPart {
	if !p.Quote {
		return f
	}
	return func(dst []byte, tx *Tx) []byte { return append(f(append(dst, '"'), tx), '"') }
}

func aliasRaw(name, help string, f formatPart) {
	aliasIndex[name] = &aliasSpec{Keyword{Name: name, Phases: phaseStream, Out: "string", Help: help, Section: "log-format"},
		func(c *Compiler, p *model.FormatPart, phase Phase) formatPart { return quoted(p, f) }}
}

// aliasAddr prints an address; with flag X in hexadecimal.
func aliasAddr(name, help string, of func(tx *Tx) netip.AddrPort, unix bool) {
	aliasIndex[name] = &aliasSpec{Keyword{Name: name, Phases: phaseStream, Out: "address", Help: help, Section: "log-format"},
		func(c *Compiler, p *model.FormatPart, phase Phase) formatPart {
			if p.Hex {
				return func(dst []byte, tx *Tx) []byte { return appendHex(dst, of(tx).Addr().Unmap().AsSlice()) }
			}
			return textPart(p, func(dst []byte, tx *Tx) []byte {
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
			return quoted(p, func(dst []byte, tx *Tx) []byte {
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
			})
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
			return quoted(p, func(dst []byte, tx *Tx) []byte { return strconv.AppendInt(dst, int64(f(tx)), 10) })
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
	aliasText("H", "name of this machine", phaseStream, func(dst []byte, tx *Tx) []byte { return append(dst, host...) })
	aliasHexInt("pid", "process number", func(tx *Tx) uint32 {
		if tx.Log.Pid != 0 {
			return uint32(tx.Log.Pid)
		}
		return uint32(os.Getpid())
	})
	aliasHexInt("rt", "number of the request", func(tx *Tx) uint32 { return tx.Log.RequestCounter })
	aliasInt("lc", "log counter", func(tx *Tx) int64 { return int64(tx.Log.RequestCounter) })
	aliasText("ID", "unique id", phaseStream, func(dst []byte, tx *Tx) []byte { return append(dst, tx.Log.UniqueID...) })
	aliasText("f", "frontend", phaseStream, func(dst []byte, tx *Tx) []byte { return append(dst, tx.frontendName()...) })
	aliasText("ft", "frontend, with ~ for TLS", phaseStream, func(dst []byte, tx *Tx) []byte {
		dst = append(dst, tx.frontendName()...)
		if clientTLS(tx) != nil {
			dst = append(dst, '~')
		}
		return dst
	})
	aliasText("b", "backend", phaseStream, func(dst []byte, tx *Tx) []byte {
		if tx.Backend != nil {
			return append(dst, tx.Backend.Name...)
		}
		return append(dst, tx.frontendName()...)
	})
	aliasText("s", "server", phaseStream, func(dst []byte, tx *Tx) []byte {
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
	aliasText("r", "request line", phaseStream, func(dst []byte, tx *Tx) []byte {
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
	aliasText("HM", "method", phaseStream, line(func(m, u, v []byte) []byte { return m }))
	aliasText("HU", "request target", phaseStream, line(func(m, u, v []byte) []byte { return u }))
	aliasText("HV", "HTTP version", phaseStream, line(func(m, u, v []byte) []byte { return v }))
	aliasText("HP", "path", phaseStream, line(func(m, u, v []byte) []byte { return pathOrTarget(u) }))
	aliasText("HPO", "path", phaseStream, line(func(m, u, v []byte) []byte { return pathOf(u) }))
	aliasText("HQ", "query, with its question mark", phaseStream, line(func(m, u, v []byte) []byte {
		_, _, q := splitTarget(u)
		return q
	}))
	aliasRaw("ST", "status", func(dst []byte, tx *Tx) []byte {
		if tx.Log.Status <= 0 {
			return append(dst, "-1"...)
		}
		return strconv.AppendInt(dst, int64(tx.Log.Status), 10)
	})
	aliasText("CC", "captured request cookie", phaseStream, func(dst []byte, tx *Tx) []byte { return append(dst, tx.Log.ReqCookie...) })
	aliasText("CS", "captured response cookie", phaseStream, func(dst []byte, tx *Tx) []byte { return append(dst, tx.Log.ResCookie...) })
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
					dst = encodeLog(append(dst, v...), start, p.Escape, p.HTTPEncode, p.Quote)
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
						dst = encodeLog(append(dst, v...), start, p.Escape, p.HTTPEncode, p.Quote)
					}
					dst = quoteIf(dst, p.Quote)
				}
				return dst
			}
		}}
}

func addTLSAliases() {
	aliasText("sslc", "TLS cipher", phaseStream, func(dst []byte, tx *Tx) []byte {
		if st := clientTLS(tx); st != nil {
			return append(dst, cipherName(st.CipherSuite)...)
		}
		return dst
	})
	aliasText("sslv", "TLS version", phaseStream, func(dst []byte, tx *Tx) []byte {
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
