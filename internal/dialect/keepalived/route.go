package keepalived

import (
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"evenkeel/internal/model"
)

func staticRoutes(p *parser, n *node) {
	for _, r := range p.routes(n, true) {
		p.f.StaticRoutes = append(p.f.StaticRoutes, r)
	}
}

func virtualRoutes(p *parser, n *node) {
	p.instance.Routes = append(p.instance.Routes, p.routes(n, false)...)
}

func (p *parser) routes(n *node, static bool) []*model.IPRoute {
	var out []*model.IPRoute
	for _, line := range n.body {
		if !p.value(line) {
			continue
		}
		r := &routeReader{p: p, n: line, static: static, r: &model.IPRoute{Pos: line.pos(0), Options: map[string]string{}}}
		if r.read() {
			out = append(out, r.r)
		}
	}
	return out
}

// routeReader reads one route in the words of ip route. What is wrong with it
// leaves the whole route out, as in keepalived: half a route is another route.
type routeReader struct {
	p       *parser
	n       *node
	i       int
	static  bool
	r       *model.IPRoute
	hasDst  bool
	bad     bool
	trailed bool
}

// routeTypes are the words that may stand before the destination.
var routeTypes = []string{"unicast", "local", "broadcast", "multicast", "anycast", "unreachable", "prohibit", "blackhole", "throw", "nat", "xresolve"}

// routeNumbers are the options with a number, with their bounds; lockable ones
// may have `lock` before it.
var routeNumbers = map[string]struct {
	high     int64
	lockable bool
}{
	"mtu": {math.MaxUint32, true}, "hoplimit": {255, false}, "advmss": {math.MaxUint32, true}, "reordering": {math.MaxUint32, true},
	"window": {math.MaxUint32, false}, "cwnd": {math.MaxUint32, true}, "ssthresh": {math.MaxUint32, true},
	"initcwnd": {math.MaxUint32, false}, "initrwnd": {math.MaxUint32, false}, "quickack": {1, false}, "expires": {math.MaxInt32, false},
	"fastopen_no_cookie": {1, false},
}

// routeWords are the options whose value is kept as written.
var routeWords = []string{"rtt", "rttvar", "rto_min", "realms", "congctl", "features", "pref", "ttl-propagate"}

func (r *routeReader) fail(i int, cure, format string, args ...any) {
	r.bad = true
	r.p.warnf(r.n.pos(i), cure, format+": the route is left out", args...)
}

// next takes the value of the option at i.
func (r *routeReader) next() (string, bool) {
	if r.i+1 >= len(r.n.words) {
		r.fail(len(r.n.words), "", "'%s' lacks its value", r.n.arg(r.i))
		return "", false
	}
	r.i++
	return r.n.arg(r.i), true
}

func (r *routeReader) read() bool {
	for ; r.i < len(r.n.words) && !r.bad; r.i++ {
		word := r.n.arg(r.i)
		if read := routeOptions[word]; read != nil {
			read(r)
			continue
		}
		if spec, ok := routeNumbers[word]; ok {
			r.number(word, spec.high, spec.lockable)
			continue
		}
		if slices.Contains(routeWords, word) {
			r.word(word)
			continue
		}
		if slices.Contains(routeTypes, word) && !r.hasDst {
			r.r.Type = word
			continue
		}
		if !r.hasDst {
			r.destination(word)
			continue
		}
		r.fail(r.i, closest(word, slices.Concat(keys(routeOptions), keys(routeNumbers), routeWords)), "unknown word '%s' in a route", word)
	}
	if r.bad {
		return false
	}
	return r.check()
}

func (r *routeReader) destination(word string) {
	r.hasDst = true
	if word == "default" || word == "default6" {
		if word == "default6" {
			r.p.warnf(r.n.pos(r.i), "write 'inet6 default'", "'default6' is deprecated")
			r.r.Family = 6
		}
		r.r.Default = true
		return
	}
	dst, err := parsePrefix(word)
	if err != nil {
		r.hasDst = false
		r.fail(r.i, closest(word, slices.Concat(keys(routeOptions), keys(routeNumbers))), "'%s' is not the destination of a route", word)
		return
	}
	if dst != dst.Masked() {
		r.p.noticef(r.n.pos(r.i), "write "+dst.Masked().String(), "'%s' has bits behind its length", word)
	}
	r.r.Dst = dst.Masked()
	r.of(r.i, dst.Addr())
}

// of settles the route's family by one of its addresses.
func (r *routeReader) of(i int, a netip.Addr) {
	f := family(a)
	if r.r.Family == 0 {
		r.r.Family = f
	} else if r.r.Family != f {
		r.fail(i, "", "'%s' and what stands before it are of different families", a)
	}
}

func parsePrefix(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		return netip.PrefixFrom(a, a.BitLen()), err
	}
	return netip.ParsePrefix(s)
}

func (r *routeReader) number(name string, high int64, lockable bool) {
	v, ok := r.next()
	if !ok {
		return
	}
	locked := ""
	if v == "lock" && lockable {
		if v, ok = r.next(); !ok {
			return
		}
		locked = "lock "
	}
	n, err := strconv.ParseInt(v, 0, 64)
	if err != nil || n < 0 || n > high {
		r.fail(r.i, "", "'%s' of '%s' is not a number from 0 to %d", v, name, high)
		return
	}
	r.r.Options[name] = locked + strconv.FormatInt(n, 10)
}

func (r *routeReader) word(name string) {
	v, ok := r.next()
	if !ok {
		return
	}
	if v == "lock" {
		if v, ok = r.next(); !ok {
			return
		}
		v = "lock " + v
	}
	switch {
	case name == "features" && v != "ecn":
		r.p.warnf(r.n.pos(r.i), "write ecn", "unknown feature '%s' of a route: it is not used", v)
		return
	case name == "pref" && !slices.Contains([]string{"low", "medium", "high"}, v):
		r.fail(r.i, "write low, medium or high", "'%s' is not a preference", v)
	}
	r.r.Options[name] = v
}

var routeOptions map[string]func(*routeReader)

func init() {
	routeOptions = map[string]func(*routeReader){
		"to":    (*routeReader).to,
		"src":   (*routeReader).source,
		"from":  (*routeReader).from,
		"via":   (*routeReader).via,
		"gw":    (*routeReader).gateway,
		"or":    (*routeReader).or,
		"dev":   func(r *routeReader) { r.device(&r.r.Device) },
		"oif":   func(r *routeReader) { r.device(&r.r.Device) },
		"table": func(r *routeReader) { r.text(&r.r.Table) },
		"vrf": func(r *routeReader) {
			r.p.errorf(r.n.pos(r.i), "write 'table NUMBER', with the number that 'ip vrf' shows", "'vrf' is not supported yet in a route")
			r.bad = true
		},
		"scope":   func(r *routeReader) { r.text(&r.r.Scope) },
		"proto":   func(r *routeReader) { r.text(&r.r.Protocol) },
		"metric":  (*routeReader).metric,
		"tos":     (*routeReader).tos,
		"dsfield": (*routeReader).tos,
		"onlink":  func(r *routeReader) { r.r.OnLink = true },
		"inet":    func(r *routeReader) { r.family(4) },
		"inet6":   func(r *routeReader) { r.family(6) },
		"add":     func(r *routeReader) { r.r.Mode = "add" },
		"append":  func(r *routeReader) { r.place("append") },
		"prepend": func(r *routeReader) { r.place("prepend") },
		"no_track": func(r *routeReader) {
			r.r.NoTrack = !r.static || noStatic(r.p, r.n.pos(r.i))
		},
		"track_group": func(r *routeReader) { r.text(&r.r.TrackGroup) },
		"nexthop":     (*routeReader).nextHops,
		"encap": func(r *routeReader) {
			r.p.errorf(r.n.pos(r.i), "make the route outside evenkeel", "'encap' is not supported yet in a route")
			r.bad = true
		},
		"as": func(r *routeReader) { r.fail(r.i, "", "'as' is for MPLS, which is not supported") },
	}
	for alias, name := range map[string]string{"preference": "metric", "priority": "metric", "protocol": "proto"} {
		routeOptions[alias] = routeOptions[name]
	}
}

// noStatic says that no_track means nothing in a static list; it gives what is
// set then.
func noStatic(p *parser, pos model.Pos) bool {
	p.warnf(pos, "take it out", "'no_track' is for virtual addresses, routes and rules: it is not used")
	return false
}

// place is where a route is to stand among others of the same destination.
func (r *routeReader) place(mode string) {
	r.r.Mode = mode
	r.p.once("route "+mode, r.n.pos(r.i), "tell them apart by their metric", "'%s' is accepted and has no effect here: of several routes of a destination, table and metric the first stays", mode)
}

func (r *routeReader) to() {
	v, ok := r.next()
	if ok && slices.Contains(routeTypes, v) {
		r.r.Type = v
		v, ok = r.next()
	}
	if ok {
		r.destination(v)
	}
}

func (r *routeReader) addr() (netip.Addr, bool) {
	v, ok := r.next()
	if !ok {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(v)
	if err != nil || a.Zone() != "" {
		r.fail(r.i, "", "'%s' is not an IP address", v)
		return netip.Addr{}, false
	}
	return a, true
}

func (r *routeReader) source() {
	if a, ok := r.addr(); ok {
		r.r.Src = a
		r.of(r.i, a)
	}
}

func (r *routeReader) from() {
	v, ok := r.next()
	if !ok {
		return
	}
	f, err := parsePrefix(v)
	if err != nil || f.Addr().Is4() {
		r.fail(r.i, "'from' is for IPv6; a rule can choose a table by its source", "'%s' is not an IPv6 network", v)
		return
	}
	r.r.From = f
	r.of(r.i, f.Addr())
}

// via may have a family before its address, for a next hop of the other one.
func (r *routeReader) via() {
	other := false
	if next := r.n.arg(r.i + 1); next == "inet" || next == "inet6" {
		r.i++
		other = true
	}
	a, ok := r.addr()
	if !ok {
		return
	}
	r.r.Gateway = a
	if !other {
		r.of(r.i, a)
	}
}

func (r *routeReader) gateway() {
	r.p.warnf(r.n.pos(r.i), "write via", "'gw' in a route is deprecated")
	r.via()
}

// or is the old form of two next hops.
func (r *routeReader) or() {
	r.p.warnf(r.n.pos(r.i), "write nexthop via ADDRESS nexthop via ADDRESS", "'or' in a route is deprecated")
	a, ok := r.addr()
	if !ok {
		return
	}
	r.of(r.i, a)
	r.r.NextHops = append(r.r.NextHops, model.NextHop{Gateway: r.r.Gateway, Weight: 1}, model.NextHop{Gateway: a, Weight: 1})
	r.r.Gateway = netip.Addr{}
}

func (r *routeReader) device(at *string) {
	if _, ok := r.next(); !ok {
		return
	}
	name, ok := r.p.interfaceName(r.n, r.i)
	*at, r.bad = name, r.bad || !ok
}

func (r *routeReader) text(at *string) {
	if v, ok := r.next(); ok {
		*at = v
	}
}

func (r *routeReader) metric() {
	if v, ok := r.next(); ok {
		n, err := strconv.ParseUint(v, 0, 32)
		if err != nil {
			r.fail(r.i, "", "'%s' is not a metric", v)
			return
		}
		m := uint32(n)
		r.r.Metric = &m
	}
}

func (r *routeReader) tos() {
	if v, ok := r.next(); ok {
		n, err := strconv.ParseUint(v, 0, 8)
		if err != nil {
			r.fail(r.i, "write a number from 0 to 255", "'%s' is not a type of service", v)
			return
		}
		t := uint8(n)
		r.r.TOS = &t
	}
}

func (r *routeReader) family(f int) {
	if r.r.Family != 0 && r.r.Family != f {
		r.fail(r.i, "", "'%s' and the addresses of the route are of different families", r.n.arg(r.i))
	}
	r.r.Family = f
}

// nextHops reads the rest of the line: nexthop [via ADDRESS] [dev NAME]
// [weight N] [onlink] …
func (r *routeReader) nextHops() {
	for ; r.i < len(r.n.words) && !r.bad; r.i++ {
		word := r.n.arg(r.i)
		last := len(r.r.NextHops) - 1
		switch {
		case word == "nexthop":
			r.r.NextHops = append(r.r.NextHops, model.NextHop{Weight: 1})
		case word == "via":
			if next := r.n.arg(r.i + 1); next == "inet" || next == "inet6" {
				r.i++
			}
			if a, ok := r.addr(); ok {
				r.r.NextHops[last].Gateway = a
				r.of(r.i, a)
			}
		case word == "dev" || word == "oif":
			r.device(&r.r.NextHops[last].Device)
		case word == "onlink":
			r.r.NextHops[last].OnLink = true
		case word == "weight":
			v, ok := r.next()
			n, err := strconv.ParseUint(v, 0, 16)
			if ok && (err != nil || n < 1 || n > 256) {
				r.fail(r.i, "", "'%s' is not a weight from 1 to 256", v)
				return
			}
			r.r.NextHops[last].Weight = int(n)
		case word == "realms":
			r.p.once("nexthop realms", r.n.pos(r.i), "give the whole route realms, or mark the packets", "'realms' of a single next hop is accepted and has no effect here")
			r.text(new(string))
		case word == "track_group":
			r.text(&r.r.TrackGroup)
		case word == "no_track":
			r.r.NoTrack = !r.static || noStatic(r.p, r.n.pos(r.i))
		default:
			r.fail(r.i, closest(word, []string{"nexthop", "via", "dev", "weight", "onlink"}), "unknown word '%s' behind nexthop", word)
		}
	}
}

func (r *routeReader) check() bool {
	x := r.r
	if !r.hasDst {
		r.fail(0, "write DESTINATION via ADDRESS dev NAME", "the route has no destination")
		return false
	}
	if x.Family == 0 {
		x.Family = 4
	}
	if x.Default {
		x.Dst = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		if x.Family == 6 {
			x.Dst = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		}
	}
	if x.Gateway.IsValid() && len(x.NextHops) > 0 {
		r.fail(0, "write all of them with nexthop", "the route has 'via' and 'nexthop'")
		return false
	}
	if x.NoTrack && x.TrackGroup != "" {
		r.p.warnf(r.n.pos(0), "take one of them out", "'no_track' and 'track_group' exclude each other: the route is not tracked")
		x.TrackGroup = ""
	}
	if x.TrackGroup != "" && !r.static {
		r.p.warnf(r.n.pos(0), "take it out", "'track_group' is for static routes: it is not used")
		x.TrackGroup = ""
	}
	if len(x.Options) == 0 {
		x.Options = nil
	}
	return true
}
