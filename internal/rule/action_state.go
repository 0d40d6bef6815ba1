package rule

import (
	"net/netip"
	"time"

	"evenkeel/internal/model"
)

func init() {
	addAction(Keyword{Name: "set-var, set-var-fmt", Args: "(SCOPE.NAME[,CONDITION...]) EXPRESSION", Phases: phaseAny, Help: "stores a sample or a text in a variable"}, (*Compiler).setVar)
	addAction(Keyword{Name: "unset-var", Args: "(SCOPE.NAME)", Phases: phaseAny, Help: "unsets a variable"},
		func(c *Compiler, a *model.ActionUnsetVar, r *model.Rule, phase Phase) action {
			x, err := c.variable(a.Scope + "." + a.Name)
			if err != nil {
				c.Diagnostics.Errorf(r.Pos, "%v", err)
				return nil
			}
			return func(tx *Tx) Verdict { x.unset(tx); return Next }
		})
	addAction(Keyword{Name: "set-log-level", Args: "LEVEL", Phases: phaseStream, Help: "changes the severity of the log line; silent: none"},
		func(c *Compiler, a *model.ActionSetLogLevel, r *model.Rule, phase Phase) action {
			for i, n := range []string{"silent", "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"} {
				if n == a.Level {
					level := LogLevelSilent + LogLevel(i)
					return func(tx *Tx) Verdict { tx.LogLevel = level; return Next }
				}
			}
			c.Diagnostics.Errorf(r.Pos, "invalid log level '%s'", a.Level)
			return nil
		})
	addAction(Keyword{Name: "set-src", Args: "EXPRESSION", Phases: phaseClient, Help: "changes the client's address as rules and servers see it"},
		func(c *Compiler, a *model.ActionSetSrc, r *model.Rule, phase Phase) action {
			return c.setAddr(a.Expr, phase, true)
		})
	addAction(Keyword{Name: "set-dst", Args: "EXPRESSION", Phases: phaseClient, Help: "changes the destination address"},
		func(c *Compiler, a *model.ActionSetDst, r *model.Rule, phase Phase) action {
			return c.setAddr(a.Expr, phase, false)
		})
	addAction(Keyword{Name: "set-src-port", Args: "EXPRESSION", Phases: phaseClient, Help: "changes the client's port"},
		func(c *Compiler, a *model.ActionSetSrcPort, r *model.Rule, phase Phase) action {
			return c.setPort(a.Expr, phase, true)
		})
	addAction(Keyword{Name: "set-dst-port", Args: "EXPRESSION", Phases: phaseClient, Help: "changes the destination port"},
		func(c *Compiler, a *model.ActionSetDstPort, r *model.Rule, phase Phase) action {
			return c.setPort(a.Expr, phase, false)
		})
	addAction(Keyword{Name: "set-mark", Args: "MARK", Phases: phaseClient, Help: "marks the client connection's packets"},
		func(c *Compiler, a *model.ActionSetMark, r *model.Rule, phase Phase) action {
			return func(tx *Tx) Verdict { tx.Mark, tx.HasMark = a.Mark, true; return Next }
		})
	addAction(Keyword{Name: "set-tos", Args: "TOS", Phases: phaseClient, Help: "sets the type of service of the client connection's packets"},
		func(c *Compiler, a *model.ActionSetTOS, r *model.Rule, phase Phase) action {
			return func(tx *Tx) Verdict { tx.TOS, tx.HasTOS = a.TOS, true; return Next }
		})
	addAction(Keyword{Name: "set-nice", Args: "NICE", Phases: phaseStream, Help: "changes the priority of the work for this request"},
		func(c *Compiler, a *model.ActionSetNice, r *model.Rule, phase Phase) action {
			return func(tx *Tx) Verdict { tx.Nice, tx.HasNice = min(max(a.Nice, -1024), 1024), true; return Next }
		})
	addAction(Keyword{Name: "set-priority-class", Args: "EXPRESSION", Phases: phaseRequest, Help: "place in queues: lower classes go first"},
		func(c *Compiler, a *model.ActionSetPriorityClass, r *model.Rule, phase Phase) action {
			return c.setInt(a.Expr, phase, func(tx *Tx, n int64) { tx.PriorityClass = int(min(max(n, -2047), 2047)) })
		})
	addAction(Keyword{Name: "set-priority-offset", Args: "EXPRESSION", Phases: phaseRequest, Help: "place in queues, in milliseconds"},
		func(c *Compiler, a *model.ActionSetPriorityOffset, r *model.Rule, phase Phase) action {
			return c.setInt(a.Expr, phase, func(tx *Tx, n int64) { tx.PriorityOffset = int(min(max(n, -524287), 524287)) })
		})
	addAction(Keyword{Name: "set-timeout", Args: "client|server|tunnel TIME|EXPRESSION", Phases: phaseStream, Help: "changes a timeout of this stream"}, (*Compiler).setTimeout)
	addAction(Keyword{Name: "capture", Args: "EXPRESSION len LENGTH|id SLOT", Phases: phaseStream, Help: "stores a sample for the log line"}, (*Compiler).captureAction)
	addAction(Keyword{Name: "wait-for-body", Args: "time TIME [at-least BYTES]", Phases: phaseHTTP, Help: "waits for the body, or a part of it"}, (*Compiler).waitForBody)
	addAction(Keyword{Name: "wait-for-handshake", Phases: PhaseHTTPRequest, Help: "waits for the end of the TLS handshake"},
		func(c *Compiler, a *model.ActionWaitForHandshake, r *model.Rule, phase Phase) action {
			// Early data is never accepted: a request is there after the
			// handshake only.
			return func(*Tx) Verdict { return Next }
		})
	addAction(Keyword{Name: "expect-proxy", Args: "layer4", Phases: PhaseTCPConnection, Help: "a PROXY protocol header must come first"},
		func(c *Compiler, a *model.ActionExpectProxy, r *model.Rule, phase Phase) action {
			return func(tx *Tx) Verdict { tx.ExpectProxy = true; return Next }
		})
	addAction(Keyword{Name: "strict-mode", Args: "on|off", Phases: phaseHTTP, Help: "whether a rewrite that fails is an error"},
		func(c *Compiler, a *model.ActionStrictMode, r *model.Rule, phase Phase) action {
			// Rewrites have no size to exceed here.
			return func(*Tx) Verdict { return Next }
		})
	addAction(Keyword{Name: "disable-l7-retry", Phases: PhaseHTTPRequest, Help: "the request is not sent again after a failure"},
		func(c *Compiler, a *model.ActionDisableL7Retry, r *model.Rule, phase Phase) action {
			return func(tx *Tx) Verdict { tx.DisableL7Retry = true; return Next }
		})
	addAction(Keyword{Name: "do-nothing", Phases: phaseAny, Help: "nothing"},
		func(c *Compiler, a *model.ActionDoNothing, r *model.Rule, phase Phase) action { return nil })
	addAction(Keyword{Name: "add-acl, del-acl, set-map, del-map", Args: "(FILE) KEY [VALUE]", Phases: phaseStream, Help: "edits a pattern file or map in memory"}, (*Compiler).editPattern)
}

func (c *Compiler) setVar(a *model.ActionSetVar, r *model.Rule, phase Phase) action {
	x, err := c.variable(a.Scope + "." + a.Name)
	if err == nil {
		var only storeOnly
		if only, err = onlyIf(a.OnlyIf); err == nil {
			return c.storeVar(a, x, only, phase)
		}
	}
	c.Diagnostics.Errorf(r.Pos, "%v", err)
	return nil
}

func (c *Compiler) storeVar(a *model.ActionSetVar, x variable, only storeOnly, phase Phase) action {
	if a.Format != nil {
		f := c.Format(a.Format, phase)
		return func(tx *Tx) Verdict {
			tx.buf = f.append(tx.buf[:0], tx)
			if v := Str(tx.buf); only.allows(tx, &x, v) {
				x.set(tx, v)
			}
			return Next
		}
	}
	e := c.Expr(a.Expr, phase)
	return func(tx *Tx) Verdict {
		if v, ok := e.eval(tx); ok && only.allows(tx, &x, v) {
			x.set(tx, v)
		}
		return Next
	}
}

func (c *Compiler) setAddr(expr *model.Expr, phase Phase, src bool) action {
	e := c.Expr(expr, phase)
	return func(tx *Tx) Verdict {
		v, ok := e.eval(tx)
		if ok {
			v, ok = cast(tx, v, KindAddr)
		}
		if ok {
			tx.setEnd(src, func(old netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(v.Addr, old.Port()) })
		}
		return Next
	}
}

func (c *Compiler) setPort(expr *model.Expr, phase Phase, src bool) action {
	return c.setInt(expr, phase, func(tx *Tx, n int64) {
		tx.setEnd(src, func(old netip.AddrPort) netip.AddrPort {
			a := old.Addr()
			if !a.IsValid() {
				a = netip.IPv4Unspecified()
			}
			return netip.AddrPortFrom(a, uint16(n))
		})
	})
}

// setEnd changes an end: for the connection in rules that run once a
// connection, else for this transaction.
func (tx *Tx) setEnd(src bool, f func(old netip.AddrPort) netip.AddrPort) {
	perConn := tx.Phase&(PhaseTCPConnection|PhaseTCPSession) != 0 && tx.Conn != nil
	switch {
	case src && perConn:
		if !tx.Conn.RealSrc.IsValid() {
			tx.Conn.RealSrc = tx.Conn.Src
		}
		tx.Conn.Src = f(tx.Conn.Src)
	case src:
		tx.src = f(tx.Src())
	case perConn:
		if !tx.Conn.RealDst.IsValid() {
			tx.Conn.RealDst = tx.Conn.Dst
		}
		tx.Conn.Dst = f(tx.Conn.Dst)
	default:
		tx.dst = f(tx.Dst())
	}
}

func (c *Compiler) setInt(expr *model.Expr, phase Phase, f func(tx *Tx, n int64)) action {
	e := c.Expr(expr, phase)
	return func(tx *Tx) Verdict {
		v, ok := e.eval(tx)
		if ok {
			v, ok = cast(tx, v, KindInt)
		}
		if ok {
			f(tx, v.Int)
		}
		return Next
	}
}

func (c *Compiler) setTimeout(a *model.ActionSetTimeout, r *model.Rule, phase Phase) action {
	var set func(tx *Tx, d time.Duration)
	switch a.Which {
	case "server":
		set = func(tx *Tx, d time.Duration) { tx.ServerTimeout = d }
	case "tunnel":
		set = func(tx *Tx, d time.Duration) { tx.TunnelTimeout = d }
	case "client":
		set = func(tx *Tx, d time.Duration) { tx.ClientTimeout = d }
	default:
		c.Diagnostics.Errorf(r.Pos, "'%s' is not a timeout that a rule can set: expects client, server or tunnel", a.Which)
		return nil
	}
	if a.Expr == nil {
		return func(tx *Tx) Verdict { set(tx, a.Value); return Next }
	}
	return c.setInt(a.Expr, phase, func(tx *Tx, n int64) {
		if n > 0 {
			set(tx, time.Duration(n)*time.Millisecond)
		}
	})
}

func (c *Compiler) captureAction(a *model.ActionCapture, r *model.Rule, phase Phase) action {
	limit := 0
	if p := c.Proxy; p != nil {
		slots := p.Frontend.RequestCaptures
		if a.Response {
			slots = p.Frontend.ResponseCaptures
		}
		if a.ID < len(slots) {
			limit = slots[a.ID].Len
		} else if p.Kind&model.KindFrontend != 0 {
			c.Diagnostics.Errorf(r.Pos, "unable to find the capture slot %d of '%s'", a.ID, p.Name)
			return nil
		}
	}
	e := c.Expr(a.Expr, phase)
	return func(tx *Tx) Verdict {
		v, ok := e.eval(tx)
		if ok {
			v, ok = cast(tx, v, KindString)
		}
		if ok {
			tx.capture(a.ID, a.Response, v.Bytes, limit)
		}
		return Next
	}
}

func (c *Compiler) waitForBody(a *model.ActionWaitForBody, r *model.Rule, phase Phase) action {
	res := phase&phaseResponse != 0
	return func(tx *Tx) Verdict {
		have, done := len(tx.ReqBody), tx.ReqBodyDone
		if res {
			have, done = len(tx.ResBody), tx.ResBodyDone
		}
		if done || tx.BodyWaitExpired || a.AtLeast > 0 && have >= a.AtLeast {
			return Next
		}
		tx.BodyWait = a.Time
		return Wait
	}
}

func (c *Compiler) editPattern(a *model.ActionPattern, r *model.Rule, phase Phase) action {
	isMap := a.Op == "set-map" || a.Op == "del-map"
	ref, err := c.Patterns.file(a.File, isMap, func() ([]PatternEntry, error) {
		data, err := c.Files(a.File)
		return parsePatternFile(data, isMap), err
	})
	if err != nil {
		c.Diagnostics.Errorf(r.Pos, "pattern file <%s> cannot be used: %v", a.File, err)
		return nil
	}
	c.Patterns.usedAt(ref, r.Pos)
	key, value := c.Format(a.Key, phase), c.Format(a.Value, phase)
	var edit func(k, v string)
	switch a.Op {
	case "add-acl":
		edit = func(k, _ string) {
			if !ref.Has(k) {
				ref.Add(k, "")
			}
		}
	case "del-acl", "del-map":
		edit = func(k, _ string) { ref.Del(k) }
	case "set-map":
		edit = func(k, v string) {
			if ref.Set(k, v) != nil {
				ref.Add(k, v)
			}
		}
	default:
		c.Diagnostics.Errorf(r.Pos, "'%s' is not an edit of patterns: expects add-acl, del-acl, set-map or del-map", a.Op)
		return nil
	}
	return func(tx *Tx) Verdict {
		tx.buf = key.append(tx.buf[:0], tx)
		k := string(tx.buf)
		tx.buf = value.append(tx.buf[:0], tx)
		edit(k, string(tx.buf))
		return Next
	}
}
