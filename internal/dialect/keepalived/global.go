package keepalived

import (
	"math"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"evenkeel/internal/model"
)

// globalDraft is what global_defs says of instances: their defaults.
type globalDraft struct {
	version    int
	group4     netip.Addr
	syncPos    model.Pos // of lvs_sync_daemon
	group6     netip.Addr
	strict     bool
	strictNode *node
	checkSrc   bool
	skipCheck  bool
	lowerNo    *bool
	higherSend *bool
	downTimer  *int

	minGARP                                           bool
	garpDelay, garpRefresh, garpLowerDelay, garpExtra *time.Duration
	garpRepeat, garpRefreshRepeat, garpLowerRepeat    *int
	garpExtraAll                                      bool
	garpInterval, naInterval                          *time.Duration

	priorityChanges bool
	smtpTimeout     *time.Duration
}

func newFailover() *model.Failover {
	return &model.Failover{
		Mail:           model.Mail{Port: 25, ConnectTimeout: 30 * time.Second},
		ChildWait:      5 * time.Second,
		StartupTimeout: 10 * time.Second, ShutdownTimeout: 10 * time.Second,
		LVS: model.LVSGlobal{},
	}
}

// failover and globals give what is being read, for the entries of the table.
func failover[T any](f func(f *model.Failover) *T) func(*parser) *T {
	return func(p *parser) *T { return f(p.f) }
}

func globals[T any](f func(g *globalDraft) *T) func(*parser) *T {
	return func(p *parser) *T { return f(&p.global) }
}

func readGlobal(p *parser, n *node) { p.dispatch(n.body, placeGlobal) }

func readMailTo(p *parser, n *node) {
	for _, w := range p.words(n) {
		at := strings.LastIndexByte(w.Text, '@')
		if at == 0 || at == len(w.Text)-1 || strings.ContainsAny(w.Text, "<>,;\r\n") {
			pos := n.pos(0)
			p.warnf(pos, "write NAME@DOMAIN, or the name of a user of the mail server", "'%s' in notification_email is no mail address", w.Text)
			if strings.ContainsAny(w.Text, "\r\n") {
				continue
			}
		}
		p.f.Mail.To = append(p.f.Mail.To, w.Text)
	}
	if len(p.f.Mail.To) == 0 {
		p.warnf(n.pos(0), "list the addresses, or take the block out", "notification_email is empty: nobody gets mail")
	}
}

func readMailServer(p *parser, n *node) {
	if !p.want(n, 1, 2) {
		return
	}
	p.f.Mail.Server = n.arg(1)
	if len(n.words) > 2 {
		if v, ok := p.number(n, 2, 1, 65535, "25 is used"); ok {
			p.f.Mail.Port = int(v)
		}
		return
	}
	host, port, err := net.SplitHostPort(n.arg(1))
	if err == nil {
		if v, ok := wholeNumber(port); ok && v > 0 && v < 65536 {
			p.warnf(n.pos(1), "write 'smtp_server "+host+" "+port+"'", "the port of the mail server stands behind a blank")
			p.f.Mail.Server, p.f.Mail.Port = host, int(v)
		}
	}
}

func readMailTimeout(p *parser, n *node) {
	v, ok := p.timer(n, 1, 0, maxTimer, "30 is used")
	if ok && v == 0 {
		p.warnf(n.pos(1), "write 1 or more", "a mail server needs some time: 1 second is used")
		v = time.Second
	}
	if ok {
		p.f.Mail.ConnectTimeout = v
	}
}

func readMulticast(want int) func(*parser, *node) {
	return func(p *parser, n *node) {
		a, ok := p.address(n, 1)
		if !ok {
			return
		}
		if !a.IsMulticast() || family(a) != want {
			p.warnf(n.pos(1), "", "'%s' is not an IPv%d multicast address: the line is not used", a, want)
			return
		}
		if want == 4 {
			p.global.group4 = a
			return
		}
		if !a.IsLinkLocalMulticast() {
			p.warnf(n.pos(1), "use one that begins with ff02 or ff12", "'%s' should be a link-local multicast address", a)
		}
		p.global.group6 = a
	}
}

// readStrict says once what the mode forbids: it is the setting that surprises
// most people.
func readStrict(p *parser, n *node) {
	p.global.strict, p.global.strictNode = true, n
	p.want(n, 0, 0)
}

func readVRRPVersion(p *parser, n *node) {
	if v, ok := p.number(n, 1, 2, 3, "2 is used"); ok {
		p.global.version = int(v)
	}
}

func readMinGARP(p *parser, n *node) {
	if v, ok := p.boolean(n, 1); ok {
		p.global.minGARP = v
	}
}

// readInterval reads the time between two frames on an interface.
func readInterval(at func(p *parser) **time.Duration) func(*parser, *node) {
	return func(p *parser, n *node) {
		v, ok := p.timer(n, 1, 0, maxTimer, "the line is not used")
		if !ok {
			return
		}
		if v >= time.Second {
			p.warnf(n.pos(1), "it is in seconds: 0.001 is a millisecond", "'%s %s' is very long: with many addresses a takeover takes that long for each", n.name(), n.arg(1))
		}
		*at(p) = &v
	}
}

func readScriptUserDefault(p *parser, n *node) {
	if p.want(n, 1, 2) {
		p.f.ScriptUser = p.credential(n, 1)
	}
}

// readFIFO reads PATH [USER [GROUP]].
func readFIFO(path func(f *model.NotifyFIFO) *string, user func(f *model.NotifyFIFO) **model.Credential) func(*parser, *node) {
	return func(p *parser, n *node) {
		if !p.want(n, 1, 3) {
			return
		}
		if *path(&p.f.Notify) != "" {
			p.warnf(n.pos(0), "take one of them out", "'%s' stands twice: the first is used", n.name())
			return
		}
		if !strings.HasPrefix(n.arg(1), "/") {
			p.warnf(n.pos(1), "write the whole path", "'%s' of '%s' is not an absolute path", n.arg(1), n.name())
		}
		*path(&p.f.Notify) = n.arg(1)
		*user(&p.f.Notify) = p.credential(n, 2)
	}
}

func readFIFOScript(at func(f *model.NotifyFIFO) **model.Command) func(*parser, *node) {
	return func(p *parser, n *node) {
		if *at(&p.f.Notify) != nil {
			p.warnf(n.pos(0), "take one of them out", "'%s' stands twice: the first is used", n.name())
			return
		}
		if c := p.command(n, 1, true); c != nil {
			p.checkExists(c)
			*at(&p.f.Notify) = c
		}
	}
}

// readHostScript reads startup_script and shutdown_script.
func readHostScript(at func(f *model.Failover) **model.Command) func(*parser, *node) {
	return func(p *parser, n *node) {
		if *at(p.f) != nil {
			p.warnf(n.pos(0), "take one of them out", "'%s' stands twice: the first is used", n.name())
			return
		}
		if c := p.command(n, 1, true); c != nil {
			p.checkExists(c)
			*at(p.f) = c
		}
	}
}

func readDynamic(p *parser, n *node) {
	p.f.DynamicInterfaces = true
	if a := n.arg(1); a != "" && a != "allow_if_changes" {
		p.warnf(n.pos(1), closest(a, []string{"allow_if_changes"}), "unknown word '%s' behind dynamic_interfaces: it is not used", a)
	}
}

// readSyncDaemon reads lvs_sync_daemon INTERFACE [[inst] INSTANCE] [id N] …
func readSyncDaemon(p *parser, n *node) {
	lvs := &p.f.LVS
	if lvs.SyncInterface != "" {
		p.warnf(n.pos(0), "take one of them out", "'lvs_sync_daemon' stands twice: the first is used")
		return
	}
	name, ok := p.interfaceName(n, 1)
	if !ok {
		return
	}
	p.global.syncPos = n.pos(0)
	lvs.SyncInterface, lvs.SyncID, lvs.SyncPort = name, -1, 8848
	numbers := map[string]struct {
		low, high int64
		at        *int
	}{"id": {0, 255, &lvs.SyncID}, "maxlen": {1, 65507, &lvs.SyncMaxLen}, "port": {1, 65535, &lvs.SyncPort}, "ttl": {1, 255, &lvs.SyncTTL}}
	for i := 2; i < len(n.words); i++ {
		word := n.arg(i)
		if x, ok := numbers[word]; ok {
			i++
			if v, ok := p.number(n, i, x.low, x.high, "it is not used"); ok {
				*x.at = int(v)
			}
			continue
		}
		switch word {
		case "inst":
			i++
			lvs.SyncInstance = n.arg(i)
		case "group":
			i++
			a, ok := p.address(n, i)
			if ok && !a.IsMulticast() {
				p.warnf(n.pos(i), "", "'%s' is not a multicast address: it is not used", a)
			} else if ok {
				lvs.SyncGroup = a
			}
		default:
			if i == 2 {
				lvs.SyncInstance = word
				continue
			}
			if _, isNumber := wholeNumber(word); isNumber {
				p.warnf(n.pos(i), "write 'id "+word+"'", "a number behind lvs_sync_daemon: it is taken as the id")
				v, _ := wholeNumber(word)
				lvs.SyncID = int(min(v, 255))
				continue
			}
			p.warnf(n.pos(i), closest(word, []string{"inst", "id", "maxlen", "port", "ttl", "group"}), "unknown word '%s' behind lvs_sync_daemon: it is not used", word)
		}
	}
}

func readLVSTimeouts(p *parser, n *node) {
	if !p.want(n, 1, -1) {
		return
	}
	to := map[string]*time.Duration{"tcp": &p.f.LVS.TimeoutTCP, "tcpfin": &p.f.LVS.TimeoutTCPFin, "udp": &p.f.LVS.TimeoutUDP}
	for i := 1; i < len(n.words); i += 2 {
		at := to[n.arg(i)]
		if at == nil {
			p.warnf(n.pos(i), closest(n.arg(i), keys(to)), "unknown word '%s' behind lvs_timeouts: it is not used", n.arg(i))
			i--
			continue
		}
		if v, ok := p.number(n, i+1, 0, math.MaxInt32/1000, "it is not used"); ok {
			*at = time.Duration(v) * time.Second
		}
	}
}

func readFlushOnStop(p *parser, n *node) {
	switch n.arg(1) {
	case "":
		p.f.LVS.FlushOnStop = "all"
	case "VS":
		p.f.LVS.FlushOnStop = "VS"
	default:
		p.warnf(n.pos(1), "write VS, or nothing", "unknown word '%s' behind lvs_flush_on_stop: it is not used", n.arg(1))
	}
}

func readCPUs(p *parser, n *node) {
	for i := 1; i < len(n.words); i++ {
		if v, ok := p.number(n, i, 0, 8191, "it is not used"); ok && !slices.Contains(p.f.CPUs, int(v)) {
			p.f.CPUs = append(p.f.CPUs, int(v))
		}
	}
	p.want(n, 1, -1)
}

// readNamespace reads net_namespace and instance names, which can be given
// once.
func onceText(at func(f *model.Failover) *string) func(*parser, *node) {
	return func(p *parser, n *node) {
		if !p.want(n, 1, 1) {
			return
		}
		if s := at(p.f); *s != "" {
			p.warnf(n.pos(0), "take one of them out", "'%s' stands twice: the first is used", n.name())
		} else {
			*s = n.arg(1)
		}
	}
}

func readWebhook(p *parser, n *node) {
	if len(n.words) != 2 {
		p.errorf(n.pos(min(len(n.words), 2)), "write 'webhook URL {'", "a webhook has one URL")
		return
	}
	url := n.arg(1)
	if !strings.HasPrefix(url, "http://") && !strings.HasPrefix(url, "https://") || len(url) < 10 {
		p.errorf(n.pos(1), "write http://HOST/PATH or https://HOST/PATH", "a webhook is told by HTTP")
		return
	}
	p.webhook = &model.Webhook{Pos: n.pos(0), URL: url, Timeout: 5 * time.Second}
	p.dispatch(n.body, placeWebhook)
	p.f.Webhook = append(p.f.Webhook, *p.webhook)
	p.webhook = nil
}

// readHeader reads `header NAME VALUE` or `header "NAME: VALUE"`; values may be
// secrets, and are never repeated.
func readHeader(p *parser, n *node) {
	if !p.want(n, 1, -1) {
		return
	}
	var all []string
	for _, w := range n.words[1:] {
		all = append(all, w.Text)
	}
	name, value, ok := strings.Cut(strings.Join(all, " "), ":")
	if !ok {
		name, value = n.arg(1), strings.Join(all[1:], " ")
	}
	name, value = strings.TrimSpace(name), strings.TrimSpace(value)
	if name == "" || strings.ContainsAny(name, " \t\r\n\"(),/:;<=>?@[\\]{}") || strings.ContainsAny(value, "\r\n\x00") {
		p.errorf(n.pos(1), `write header "NAME: VALUE"`, "that is not a header field")
		return
	}
	p.webhook.Headers = append(p.webhook.Headers, name+": "+value)
}
