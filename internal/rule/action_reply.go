package rule

import (
	"strconv"

	"evenkeel/internal/message"
	"evenkeel/internal/model"
)

// ReasonOf is the reason phrase of a status.
func ReasonOf(status int) string { return message.Reason(status) }

var (
	nameContentLength = []byte("content-length")
	nameContentType   = []byte("content-type")
	nameLocation      = []byte("location")
	nameCacheControl  = []byte("cache-control")
	nameSetCookie     = []byte("set-cookie")
	valueZero         = []byte("0")
	valueNoCache      = []byte("no-cache")
)

// newReply gives the transaction's reply, empty.
func (tx *Tx) newReply(status int) *Reply {
	tx.reply = Reply{Status: status, Reason: ReasonOf(status), Fields: tx.reply.Fields[:0]}
	tx.Reply = &tx.reply
	return tx.Reply
}

func (r *Reply) add(id message.FieldID, name, value []byte) {
	r.Fields = append(r.Fields, message.Field{Name: name, Value: value, ID: id})
}

// errorPage ends with the proxy's own page for a status.
func (tx *Tx) errorPage(status int, v Verdict) Verdict {
	tx.newReply(status).UseErrorPage = true
	return v
}

// ending compiles an action that ends with a reply.
func (c *Compiler) ending(r *model.Reply, pos model.Pos, status int, v Verdict, phase Phase) action {
	if r == nil {
		return func(tx *Tx) Verdict { return tx.errorPage(status, v) }
	}
	if r.Status != 0 {
		status = r.Status
	}
	if status < 100 || status > 999 {
		c.Diagnostics.Errorf(pos, "'%d' is not a status", status)
		return nil
	}
	if r.ErrorFiles != "" {
		return c.namedErrorFile(r, pos, status, v)
	}
	if r.Raw != nil {
		raw := r.Raw
		return func(tx *Tx) Verdict {
			p := tx.newReply(status)
			p.Raw, p.Silent = raw, len(raw) == 0
			return v
		}
	}
	hasContent := r.Body != nil || r.BodyBytes != nil || len(r.Headers) > 0
	if r.DefaultErrorFiles || !hasContent && v != Return {
		return func(tx *Tx) Verdict { return tx.errorPage(status, v) }
	}
	return c.builtReply(r, status, v, phase)
}

func (c *Compiler) namedErrorFile(r *model.Reply, pos model.Pos, status int, v Verdict) action {
	if c.Config != nil {
		for _, e := range c.Config.HTTPErrors {
			if e.Name != r.ErrorFiles {
				continue
			}
			f, ok := e.Files[status]
			if !ok {
				return func(tx *Tx) Verdict { return tx.errorPage(status, v) }
			}
			raw := f.Raw
			return func(tx *Tx) Verdict {
				p := tx.newReply(status)
				p.Raw, p.Silent = raw, len(raw) == 0
				return v
			}
		}
	}
	c.Diagnostics.Errorf(pos, "unable to find the http-errors section '%s'", r.ErrorFiles)
	return nil
}

type headerFormat struct {
	name  []byte
	value *Format
}

func (c *Compiler) builtReply(r *model.Reply, status int, v Verdict, phase Phase) action {
	var headers []headerFormat
	for _, h := range r.Headers {
		headers = append(headers, headerFormat{[]byte(h.Name), c.Format(h.Value, phase)})
	}
	body, fixed := c.Format(r.Body, phase), r.BodyBytes
	if lit, ok := body.Literal(); ok && body != nil {
		fixed, body = []byte(lit), nil
	}
	contentType := []byte(r.ContentType)
	return func(tx *Tx) Verdict {
		p := tx.newReply(status)
		p.ContentType = r.ContentType
		p.Body = fixed
		if body != nil {
			p.Body = body.append(nil, tx)
		}
		for _, h := range headers {
			p.add(message.Identify(h.name), h.name, cleanValue(h.value.append(nil, tx)))
		}
		p.add(message.FieldContentLength, nameContentLength, strconv.AppendInt(nil, int64(len(p.Body)), 10))
		if len(contentType) > 0 && len(p.Body) > 0 {
			p.add(message.FieldContentType, nameContentType, contentType)
		}
		return v
	}
}

func init() {
	addAction(Keyword{Name: "allow", Phases: phaseHTTP, Help: "ends the evaluation"},
		func(c *Compiler, a *model.ActionAllow, r *model.Rule, phase Phase) action {
			return func(*Tx) Verdict { return Stop }
		})
	addAction(Keyword{Name: "accept", Phases: phaseAny, Help: "ends the evaluation, the connection goes on"},
		func(c *Compiler, a *model.ActionAccept, r *model.Rule, phase Phase) action {
			return func(*Tx) Verdict { return Stop }
		})
	addAction(Keyword{Name: "reject", Phases: phaseAny, Help: "closes the connection"},
		func(c *Compiler, a *model.ActionReject, r *model.Rule, phase Phase) action {
			return func(*Tx) Verdict { return Reject }
		})
	addAction(Keyword{Name: "close", Phases: PhaseTCPResponse, Help: "closes the connection to the server"},
		func(c *Compiler, a *model.ActionClose, r *model.Rule, phase Phase) action {
			return func(*Tx) Verdict { return Reject }
		})
	addAction(Keyword{Name: "silent-drop", Phases: phaseAny, Help: "forgets the connection without telling the client"},
		func(c *Compiler, a *model.ActionSilentDrop, r *model.Rule, phase Phase) action {
			return func(*Tx) Verdict { return SilentDrop }
		})
	addAction(Keyword{Name: "deny", Args: "[status STATUS] [content-type TYPE] [BODY] [hdr NAME FORMAT]...", Phases: phaseHTTP, Help: "answers with an error"},
		func(c *Compiler, a *model.ActionDeny, r *model.Rule, phase Phase) action {
			status := 403
			if phase&phaseResponse != 0 {
				status = 502
			}
			return c.ending(a.Reply, r.Pos, status, Deny, phase)
		})
	addAction(Keyword{Name: "tarpit", Args: "[status STATUS]", Phases: PhaseHTTPRequest, Help: "answers with an error after timeout tarpit"},
		func(c *Compiler, a *model.ActionTarpit, r *model.Rule, phase Phase) action {
			return c.ending(a.Reply, r.Pos, 500, Tarpit, phase)
		})
	addAction(Keyword{Name: "return", Args: "[status STATUS] [content-type TYPE] [BODY] [hdr NAME FORMAT]...", Phases: phaseHTTP, Help: "answers with a given response"},
		func(c *Compiler, a *model.ActionReturn, r *model.Rule, phase Phase) action {
			reply := a.Reply
			if reply == nil {
				reply = &model.Reply{}
			}
			return c.ending(reply, r.Pos, 200, Return, phase)
		})
	addAction(Keyword{Name: "auth", Args: "[realm TEXT]", Phases: PhaseHTTPRequest, Help: "asks for user and password"}, (*Compiler).askAuth)
	addAction(Keyword{Name: "redirect", Args: "location|prefix|scheme FORMAT [code CODE] [OPTION]...", Phases: PhaseHTTPRequest | PhaseHTTPResponse, Help: "sends the client elsewhere"}, (*Compiler).redirect)
}

func (c *Compiler) askAuth(a *model.ActionAuth, r *model.Rule, phase Phase) action {
	realm := a.Realm
	if realm == "" && c.Proxy != nil {
		realm = c.Proxy.Name
	}
	challenge := []byte(`Basic realm="` + realm + `"`)
	return func(tx *Tx) Verdict {
		status, name := 401, "www-authenticate"
		if t := tx.Req; t != nil && len(t.Target) > 0 && t.Target[0] != '/' && t.Target[0] != '*' {
			status, name = 407, "proxy-authenticate"
		}
		p := tx.newReply(status)
		p.UseErrorPage = true
		p.add(message.FieldOther, []byte(name), challenge)
		tx.AuthRealm = realm
		return Return
	}
}
