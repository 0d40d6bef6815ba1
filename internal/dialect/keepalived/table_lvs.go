package keepalived

import (
	"math"
	"slices"
	"strings"
	"time"

	"evenkeel/internal/model"
)

// schedulers are those that the kernel may have.
var schedulers = []string{"rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq", "fo", "ovf", "twos"}

func virtualKeywords() []keyword {
	type V = model.VirtualServer
	v := func(f func(v *V) *string) func(*parser) *string {
		return func(p *parser) *string { return f(p.lvs.virtual) }
	}
	yes := func(f func(v *V) *bool) func(*parser) *bool {
		return func(p *parser) *bool { return f(p.lvs.virtual) }
	}
	command := func(f func(v *V) **model.Command) func(*parser, *node) {
		return serverScript(func(p *parser) **model.Command { return f(p.lvs.virtual) })
	}
	list := []keyword{
		{Name: "virtual_server_group", Args: "NAME", In: placeTop, Block: true, Help: "addresses and marks for one virtual server: ADDRESS [PORT], FIRST-LAST [PORT], fwmark NUMBER; PORT may be FIRST-LAST, too", Parse: readServerGroup},
		{Name: "virtual_server", Args: "ADDRESS [PORT] | fwmark NUMBER | group NAME", In: placeTop, Block: true, Opens: placeVirtualServer, Help: "a service whose packets are forwarded", Parse: readVirtualServer},
		{Name: "SSL", In: placeTop, Block: true, Opens: placeSSL, Help: "what SSL_GET shows of itself", Parse: readSSL},
		{Name: "password", Args: "WORD", In: placeSSL, Help: "of the key", Parse: func(p *parser, n *node) {
			if p.want(n, 1, 1) {
				p.f.SSL.Password = model.Secret(n.arg(1))
			}
		}},
		{Name: "ca", Status: statusHarmless, Cure: "take it out: a check does not judge a server's certificate, here as in keepalived", Args: "PATH", In: placeSSL, Help: "authorities", Parse: text1(func(p *parser) *string { return &p.f.SSL.CA })},
		{Name: "certificate", Args: "PATH", In: placeSSL, Help: "certificate", Parse: text1(func(p *parser) *string { return &p.f.SSL.Certificate })},
		{Name: "key", Args: "PATH", In: placeSSL, Help: "its key", Parse: text1(func(p *parser) *string { return &p.f.SSL.Key })},

		{Name: "real_server", Args: "ADDRESS [PORT]", In: placeVirtualServer, Block: true, Opens: placeRealServer, Help: "a server of the service", Parse: readReal},
		{Name: "ip_family", Args: "inet|inet6", In: placeVirtualServer, Help: "of a fwmark", Parse: readIPFamily},
		{Name: "protocol", Args: "TCP|UDP|SCTP", In: placeVirtualServer, Help: "of the service", Parse: readProtocol},
		{Name: "lvs_sched", Args: strings.Join(schedulers, "|"), In: placeVirtualServer, Help: "how a server is chosen (wlc)", Parse: readScheduler},
		{Name: "lb_algo", Args: strings.Join(schedulers, "|"), In: placeVirtualServer, Help: "lvs_sched", Parse: readScheduler},
		{Name: "persistence_engine", Args: "NAME", In: placeVirtualServer, Help: "how clients are told apart: sip", Parse: text1(v(func(v *V) *string { return &v.PersistenceEngine }))},
		{Name: "persistence_timeout", Args: "[SECONDS]", In: placeVirtualServer, Help: "how long a client stays with its server (360)", Parse: readPersistence},
		{Name: "persistence_granularity", Args: "MASK", In: placeVirtualServer, Help: "clients of one network stay together", Parse: granularity},
		{Name: "ops", In: placeVirtualServer, Help: "each UDP packet is scheduled anew", Parse: set(yes(func(v *V) *bool { return &v.OnePacket }))},
		{Name: "ha_suspend", In: placeVirtualServer, Help: "no checks while this node does not have the address", Parse: set(yes(func(v *V) *bool { return &v.HASuspend }))},
		{Name: "omega", In: placeVirtualServer, Help: "notify scripts run at the end too", Parse: set(yes(func(v *V) *bool { return &v.Omega }))},
		{Name: "quorum", Args: "WEIGHT", In: placeVirtualServer, Help: "the weight that must be up (1)", Parse: counted(1, math.MaxInt32, func(p *parser) *int { return &p.lvs.virtual.Quorum })},
		{Name: "hysteresis", Args: "WEIGHT", In: placeVirtualServer, Help: "how much more or less than the quorum changes it (0)", Parse: counted(0, math.MaxInt32, func(p *parser) *int { return &p.lvs.virtual.Hysteresis })},
		{Name: "quorum_up", Args: "COMMAND [USER [GROUP]]", In: placeVirtualServer, Help: "run when the quorum is there", Parse: command(func(v *V) **model.Command { return &v.QuorumUp })},
		{Name: "quorum_down", Args: "COMMAND [USER [GROUP]]", In: placeVirtualServer, Help: "run when it is lost", Parse: command(func(v *V) **model.Command { return &v.QuorumDown })},
		{Name: "sorry_server", Args: "ADDRESS [PORT]", In: placeVirtualServer, Help: "takes over without a quorum", Parse: readSorry},
		{Name: "sorry_server_inhibit", In: placeVirtualServer, Help: "inhibit_on_failure of it", Parse: func(p *parser, n *node) {
			if p.sorry(n) != nil {
				p.lvs.virtual.SorryInhibit = true
			}
		}},
		{Name: "weight", Args: "NUMBER", In: placeVirtualServer, Help: "of real servers that do not say (1)", Parse: counted(1, math.MaxInt32, func(p *parser) *int { return &p.lvs.virtual.Weight })},
	}
	for _, name := range []string{"sorry_server_lvs_method", "sorry_server_lb_kind"} {
		list = append(list, keyword{Name: name, Args: "NAT|DR|FULLNAT|TUN …", In: placeVirtualServer, Help: "forwarding to it", Parse: func(p *parser, n *node) {
			if s := p.sorry(n); s != nil {
				p.readMethod(n, &s.Method, &s.Tunnel)
			}
		}})
	}
	for _, f := range []string{"flag-1", "flag-2", "flag-3", "sh-port", "sh-fallback", "mh-port", "mh-fallback"} {
		list = append(list, keyword{Name: f, In: placeVirtualServer, Help: "a switch of the scheduler", Parse: readSchedulerFlag})
	}
	return list
}

func readIPFamily(p *parser, n *node) {
	want := map[string]int{"inet": 4, "inet6": 6}[n.arg(1)]
	v := p.lvs.virtual
	switch {
	case want == 0:
		p.warnf(n.pos(1), "write inet or inet6", "unknown family '%s': the line is not used", n.arg(1))
	case v.Family != 0 && v.Family != want:
		p.warnf(n.pos(1), "take it out", "the address of the virtual server is of the other family: the line is not used")
	default:
		v.Family = want
	}
}

func readProtocol(p *parser, n *node) {
	if !p.want(n, 1, 1) {
		return
	}
	t := strings.ToUpper(n.arg(1))
	if t != "TCP" && t != "UDP" && t != "SCTP" {
		p.errorf(n.pos(1), "write TCP, UDP or SCTP", "'%s' is not a protocol", n.arg(1))
		return
	}
	if p.lvs.virtual.FwMark != 0 {
		p.warnf(n.pos(0), "take it out", "a fwmark has every protocol: the line is not used")
		return
	}
	p.lvs.virtual.Protocol = t
}

func readScheduler(p *parser, n *node) {
	if !p.want(n, 1, 1) {
		return
	}
	if s := n.arg(1); slices.Contains(schedulers, s) {
		p.lvs.virtual.Scheduler = s
	} else {
		p.errorf(n.pos(1), closestOr(s, schedulers, "known are: "+strings.Join(schedulers, ", ")), "unknown scheduler '%s'", s)
	}
}

func readSchedulerFlag(p *parser, n *node) {
	v, f := p.lvs.virtual, n.name()
	if of, _, _ := strings.Cut(f, "-"); of != "flag" && v.Scheduler != of {
		p.warnf(n.pos(0), "write 'lvs_sched "+of+"' before it, or take it out", "'%s' is for the scheduler %s: it is not used", f, of)
		return
	}
	if !slices.Contains(v.SchedFlags, f) {
		v.SchedFlags = append(v.SchedFlags, f)
	}
}

func readPersistence(p *parser, n *node) {
	p.lvs.virtual.Persistence = defaultPersistence
	if len(n.words) == 1 {
		return
	}
	if v, ok := p.number(n, 1, 1, 31*86400, "360 is used"); ok {
		p.lvs.virtual.Persistence = time.Duration(v) * time.Second
	}
}

// serverScript reads a command that is run at events of servers.
func serverScript(at func(p *parser) **model.Command) func(*parser, *node) {
	return func(p *parser, n *node) {
		c := at(p)
		if *c != nil {
			p.warnf(n.pos(0), "take one of them out", "'%s' stands twice: the first is used", n.name())
			return
		}
		if *c = p.command(n, 1, true); *c != nil {
			p.checkExists(*c)
		}
	}
}

// sharedServerKeywords stand in virtual_server, real_server and, some of them,
// in checkers.
func sharedServerKeywords() []keyword {
	both := placeVirtualServer | placeRealServer
	all := both | placeTimed
	timing := func(f func(t *model.CheckTiming) *time.Duration) func(p *parser) *time.Duration {
		return func(p *parser) *time.Duration { return f(p.timingOf()) }
	}
	method := func(p *parser, n *node) {
		if r := p.lvs.real; r != nil {
			p.readMethod(n, &r.Method, &r.Tunnel)
		} else {
			p.readMethod(n, &p.lvs.virtual.Method, &p.lvs.virtual.Tunnel)
		}
	}
	return []keyword{
		{Name: "lvs_method", Args: "NAT|DR|FULLNAT|TUN [type ipip|gue port NUMBER|gre] [nocsum|csum|remcsum]", In: both, Help: "how packets get to the server (NAT)", Parse: method},
		{Name: "lb_kind", Args: "NAT|DR|FULLNAT|TUN …", In: both, Help: "lvs_method", Parse: method},
		{Name: "delay_loop", Args: "SECONDS", In: all, Help: "between two checks (60)", Parse: timed(time.Microsecond, maxTimer, timing(func(t *model.CheckTiming) *time.Duration { return &t.DelayLoop }))},
		{Name: "delay_before_retry", Args: "SECONDS", In: all, Help: "before a failed check is repeated", Parse: timedP(0, maxTimer, func(p *parser) **time.Duration { return &p.timingOf().DelayBeforeRetry })},
		{Name: "warmup", Args: "SECONDS", In: all, Help: "the first check comes within this time (delay_loop)", Parse: timedP(0, maxTimer, func(p *parser) **time.Duration { return &p.timingOf().Warmup })},
		{Name: "retry", Args: "COUNT", In: all, Help: "failures more before a server is down", Parse: readRetry},
		{Name: "nb_get_retry", Args: "COUNT", In: placeWeb, Status: statusDeprecated, Cure: "write retry", Help: "retry", Parse: readRetry},
		{Name: "connect_timeout", Args: "SECONDS", In: both | placeConnect, Help: "for a connection, and for each answer (5)", Parse: timed(time.Microsecond, maxTimer, timing(func(t *model.CheckTiming) *time.Duration { return &t.ConnectTimeout }))},
		{Name: "alpha", Args: "[on|off]", In: all, Help: "down until a check has succeeded", Parse: readAlpha},
		{Name: "log_all_failures", Args: "[on|off]", In: placeTimed, Help: "each failed check is logged", Parse: pointed(func(p *parser) **bool { return &p.lvs.check.log })},
		{Name: "inhibit_on_failure", Args: "[on|off]", In: placeRealServer, Help: "a server that is down stays, with weight 0", Parse: pointed(func(p *parser) **bool { return &p.lvs.real.Inhibit })},
		{Name: "inhibit_on_failure", Args: "[on|off]", In: placeVirtualServer, Help: "servers that are down stay, with weight 0", Parse: flag(func(p *parser) *bool { return &p.lvs.virtual.Inhibit })},
		{Name: "smtp_alert", Args: "[on|off]", In: both, Help: "mail when it goes up or down", Parse: pointed(func(p *parser) **bool {
			if p.lvs.real != nil {
				return &p.lvs.real.MailAlert
			}
			return &p.lvs.virtual.MailAlert
		})},
		{Name: "virtualhost", Args: "NAME", In: both | placeWeb | placeURL, Help: "Host of HTTP_GET and SSL_GET", Parse: text1(virtualHost)},
		{Name: "snmp_name", Args: "NAME", In: both, Status: statusHarmless, Cure: "there is no SNMP; metrics are at /metrics", Help: "name for SNMP"},
		{Name: "weight", Args: "NUMBER", In: placeRealServer, Help: "share of the clients (1)", Parse: counted(0, math.MaxInt32, func(p *parser) *int { return &p.lvs.real.Weight })},
		{Name: "uthreshold", Args: "COUNT", In: placeRealServer, Help: "connections that it takes", Parse: counted(0, math.MaxInt32, func(p *parser) *int { return &p.lvs.real.UpperConns })},
		{Name: "lthreshold", Args: "COUNT", In: placeRealServer, Help: "connections at which it takes more again", Parse: counted(0, math.MaxInt32, func(p *parser) *int { return &p.lvs.real.LowerConns })},
		{Name: "notify_up", Args: "COMMAND [USER [GROUP]]", In: placeRealServer, Help: "run when it goes up", Parse: serverScript(func(p *parser) **model.Command { return &p.lvs.real.NotifyUp })},
		{Name: "notify_down", Args: "COMMAND [USER [GROUP]]", In: placeRealServer, Help: "run when it goes down", Parse: serverScript(func(p *parser) **model.Command { return &p.lvs.real.NotifyDown })},
	}
}

func virtualHost(p *parser) *string {
	switch {
	case p.lvs.url != nil:
		return &p.lvs.url.VirtualHost
	case p.lvs.check != nil:
		return &p.lvs.check.HTTP.VirtualHost
	case p.lvs.real != nil:
		return &p.lvs.real.VirtualHost
	}
	return &p.lvs.virtual.VirtualHost
}
