package haproxy

import (
	"time"

	"evenkeel/internal/model"
)

// tmo makes an entry of the timeout family.
func tmo(name string, where section, help string, field func(*model.Timeouts) *time.Duration) *keyword {
	return &keyword{Name: "timeout " + name, Args: "TIME", Sections: where, Help: help, Parse: func(p *parser, w []word) {
		full := "timeout " + name
		if len(w) < 3 {
			p.errorf(w[1].Pos, "write '"+full+" 30s'", "'%s' expects an integer value (in milliseconds)", full)
			return
		}
		if len(w) > 3 {
			p.errorf(w[3].Pos, "", "'%s' : unexpected extra argument '%s' after value '%s'", full, w[3].Text, w[2].Text)
			return
		}
		p.setTime(full, w[2], field(&p.proxy.Timeouts))
	}}
}

// oldTmo makes an entry for a name from before `timeout …`.
func oldTmo(name, modern string, where section, field func(*model.Timeouts) *time.Duration) *keyword {
	return &keyword{Name: name, Args: "TIME", Sections: where, Help: "the old name of " + modern, Status: statusDeprecated, Parse: func(p *parser, w []word) {
		last := w[len(w)-1]
		first, _ := cutAny(name, "timeout ")
		if last.Text == first {
			p.errorf(w[0].Pos, "write:  "+modern+" 30s", "'%s' expects an integer value (in milliseconds)", name)
			return
		}
		p.warnf(w[0].Pos, "write:  "+modern+" "+last.Text, "'%s' is an old form", name)
		p.setTime(name, last, field(&p.proxy.Timeouts))
	}}
}

var timeoutKeywords = []*keyword{
	tmo("connect", secBE, "for a connection to a server", func(t *model.Timeouts) *time.Duration { return &t.Connect }),
	tmo("client", secFE, "inactivity of a client", func(t *model.Timeouts) *time.Duration { return &t.Client }),
	tmo("server", secBE, "inactivity of a server", func(t *model.Timeouts) *time.Duration { return &t.Server }),
	tmo("client-fin", secFE, "inactivity of a client that has shut its side", func(t *model.Timeouts) *time.Duration { return &t.ClientFin }),
	tmo("server-fin", secBE, "inactivity of a server that has shut its side", func(t *model.Timeouts) *time.Duration { return &t.ServerFin }),
	tmo("tunnel", secBE, "inactivity of a tunnel", func(t *model.Timeouts) *time.Duration { return &t.Tunnel }),
	tmo("http-request", secAny, "for a whole request head", func(t *model.Timeouts) *time.Duration { return &t.HTTPRequest }),
	tmo("http-keep-alive", secAny, "for the next request", func(t *model.Timeouts) *time.Duration { return &t.HTTPKeepAlive }),
	tmo("queue", secBE, "for a free server", func(t *model.Timeouts) *time.Duration { return &t.Queue }),
	tmo("check", secBE, "for the answer to a check", func(t *model.Timeouts) *time.Duration { return &t.Check }),
	tmo("tarpit", secAny, "how long a tarpit holds", func(t *model.Timeouts) *time.Duration { return &t.Tarpit }),
	oldTmo("contimeout", "timeout connect", secBE, func(t *model.Timeouts) *time.Duration { return &t.Connect }),
	oldTmo("clitimeout", "timeout client", secFE, func(t *model.Timeouts) *time.Duration { return &t.Client }),
	oldTmo("srvtimeout", "timeout server", secBE, func(t *model.Timeouts) *time.Duration { return &t.Server }),
	oldTmo("timeout contimeout", "timeout connect", secBE, func(t *model.Timeouts) *time.Duration { return &t.Connect }),
	oldTmo("timeout clitimeout", "timeout client", secFE, func(t *model.Timeouts) *time.Duration { return &t.Client }),
	oldTmo("timeout srvtimeout", "timeout server", secBE, func(t *model.Timeouts) *time.Duration { return &t.Server }),
}
