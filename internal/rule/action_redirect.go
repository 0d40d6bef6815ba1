package rule

import (
	"evenkeel/internal/message"
	"evenkeel/internal/model"
)

// redirect compiles the three types; location is what the header will hold.
func (c *Compiler) redirect(a *model.ActionRedirect, r *model.Rule, phase Phase) action {
	code := a.Code
	if code == 0 {
		code = 302
	}
	switch code {
	case 301, 302, 303, 307, 308:
	default:
		c.Diagnostics.Errorf(r.Pos, "the redirect code must be 301, 302, 303, 307 or 308, found %d", code)
		return nil
	}
	target := c.Format(a.Target, phase)
	var build func(dst []byte, tx *Tx) []byte
	switch a.Type {
	case "location":
		build = target.append
	case "prefix":
		lit, plain := target.Literal()
		root := plain && lit == "/"
		build = func(dst []byte, tx *Tx) []byte {
			// The prefix "/" stands for none: a redirection to the same place.
			if !root {
				dst = target.append(dst, tx)
			}
			return appendRedirectPath(a, dst, tx)
		}
	case "scheme":
		build = func(dst []byte, tx *Tx) []byte {
			dst = append(target.append(dst, tx), "://"...)
			if tx.Req != nil {
				host, _ := tx.Req.Get(message.FieldHost)
				dst = append(dst, host...)
			}
			return appendRedirectPath(a, dst, tx)
		}
	default:
		c.Diagnostics.Errorf(r.Pos, "the type of a redirect must be location, prefix or scheme, found '%s'", a.Type)
		return nil
	}
	var cookie []byte
	if a.SetCookie != "" {
		cookie = []byte(a.SetCookie + "; path=/;")
	} else if a.ClearCookie != "" {
		cookie = []byte(a.ClearCookie + "; path=/; Max-Age=0;")
	}
	return func(tx *Tx) Verdict {
		tx.buf = cleanValue(build(tx.buf[:0], tx))
		if a.IgnoreEmpty && len(tx.buf) == 0 {
			return Next
		}
		p := tx.newReply(code)
		p.add(message.FieldContentLength, nameContentLength, valueZero)
		p.add(message.FieldLocation, nameLocation, append([]byte(nil), tx.buf...))
		if code == 302 || code == 303 || code == 307 {
			p.add(message.FieldCacheControl, nameCacheControl, valueNoCache)
		}
		if cookie != nil {
			p.add(message.FieldSetCookie, nameSetCookie, cookie)
		}
		return Return
	}
}

// appendRedirectPath appends the request's path and query as the options ask.
func appendRedirectPath(a *model.ActionRedirect, dst []byte, tx *Tx) []byte {
	var path, query []byte
	if tx.Req != nil {
		_, path, query = splitTarget(tx.Req.Target)
	}
	if len(path) == 0 {
		path = []byte("/")
	}
	dst = append(dst, path...)
	if !a.DropQuery {
		dst = append(dst, query...)
	}
	if a.AppendSlash && len(dst) > 0 && dst[len(dst)-1] != '/' {
		dst = append(dst, '/')
	}
	return dst
}
