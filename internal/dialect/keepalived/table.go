package keepalived

import (
	"slices"
	"strings"
	"sync"
)

// place is a bit for each kind of block.
type place uint64

const (
	placeTop place = 1 << iota
	placeGlobal
	placeTrackGroup
	placeInstance
	placeAuth
	placeSyncGroup
	placeScript
	placeProcess
	placeFile
	placeBFD
	placeGARPGroup
	placeServerGroup
	placeVirtualServer
	placeRealServer
	placeHTTP
	placeSSLGet
	placeTCP
	placeSMTP
	placeSMTPHost
	placeMISC
	placeDNS
	placeUDP
	placePing
	placeFileCheck
	placeBFDCheck
	placeURL
	placeSSL
	placeWebhook
	placeLast

	placeWeb = placeHTTP | placeSSLGet
	// placeConnect are the checkers that connect somewhere.
	placeConnect = placeWeb | placeTCP | placeSMTP | placeDNS | placeUDP | placePing
	placeTimed   = placeConnect | placeMISC
)

var placeNames = []string{
	"the outermost level", "global_defs", "track_group", "vrrp_instance", "authentication", "vrrp_sync_group",
	"vrrp_script", "vrrp_track_process", "track_file", "bfd_instance", "garp_group", "virtual_server_group",
	"virtual_server", "real_server", "HTTP_GET", "SSL_GET", "TCP_CHECK", "SMTP_CHECK", "SMTP_CHECK host", "MISC_CHECK",
	"DNS_CHECK", "UDP_CHECK", "PING_CHECK", "FILE_CHECK", "BFD_CHECK", "url", "SSL", "webhook",
}

// names lists the places of a set, in the manual's order.
func (p place) names() []string {
	var out []string
	for i, name := range placeNames {
		if p&(1<<i) != 0 {
			out = append(out, name)
		}
	}
	return out
}

func (p place) String() string { return strings.Join(p.names(), ", ") }

// status says what becomes of a keyword.
type status uint8

const (
	// statusOK is honoured.
	statusOK status = iota
	// statusDeprecated is honoured, and its Parse warns with the modern word.
	statusDeprecated
	// statusHarmless is accepted without effect: the reader of the table
	// warns, once for each keyword, with the entry's Cure.
	statusHarmless
	// statusLater is refused: it is not built yet.
	statusLater
	// statusOurs is honoured; keepalived does not know it.
	statusOurs
)

func (s status) String() string {
	return [...]string{"supported", "deprecated", "no effect", "not yet", "evenkeel's own"}[s]
}

// keyword is one entry of the language.
type keyword struct {
	Name   string
	Args   string
	In     place
	Help   string
	Status status
	Cure   string
	// Block says that a block in braces follows.
	Block bool
	// Opens is the place that the block's lines stand in; 0: they are values.
	Opens place
	// Parse reads the statement. It reads the block too, where there is one.
	Parse func(p *parser, n *node)
}

// keywordTable is all entries, by name.
type keywordTable struct {
	all    []*keyword
	byName map[string][]*keyword
}

// table gives it; its entries refer to it, so that it is set when the program
// starts.
var table func() *keywordTable

func init() { table = sync.OnceValue(newTable) }

func newTable() *keywordTable {
	t := &keywordTable{byName: map[string][]*keyword{}}
	for _, list := range keywordLists() {
		for i := range list {
			k := &list[i]
			t.all = append(t.all, k)
			t.byName[k.Name] = append(t.byName[k.Name], k)
		}
	}
	return t
}

func (t *keywordTable) find(name string, in place) *keyword {
	for _, k := range t.byName[name] {
		if k.In&in != 0 {
			return k
		}
	}
	return nil
}

// places is where a word may stand.
func (t *keywordTable) places(name string) place {
	var p place
	for _, k := range t.byName[name] {
		p |= k.In
	}
	return p
}

// namesIn lists the keywords of a place.
func (t *keywordTable) namesIn(in place) []string {
	var names []string
	for _, k := range t.all {
		if k.In&in != 0 {
			names = append(names, k.Name)
		}
	}
	return names
}

// Keywords lists the language for people.
func Keywords() []Keyword {
	var out []Keyword
	for _, k := range table().all {
		args := k.Args
		if k.Block {
			args = strings.TrimSpace(args + " { … }")
		}
		out = append(out, Keyword{Name: k.Name, Args: args, Sections: k.In.names(), Help: k.Help, Status: k.Status.String(), Cure: k.Cure})
	}
	for _, x := range sourceForms {
		out = append(out, x)
	}
	return out
}

// sourceForms are what is understood before there are keywords.
var sourceForms = []Keyword{
	{Name: "include", Args: "FILE", Help: "reads files in the place of the line; relative to the file that names them; with * ? [ ] and {a,b}", Status: "supported"},
	{Name: "includer", Args: "FILE", Help: "include; a file that cannot be read is an error", Status: "supported"},
	{Name: "includem", Args: "FILE", Help: "include; there must be such a file, unless the name has wildcards", Status: "supported"},
	{Name: "includew", Args: "FILE", Help: "include; there must be such a file, wildcards or not", Status: "supported"},
	{Name: "includeb", Args: "FILE", Help: "include; each alternative in braces must be there", Status: "supported"},
	{Name: "includea", Args: "FILE", Help: "include with all these checks", Status: "supported"},
	{Name: "@ID", Args: "LINE", Help: "the line is read only where the configuration's id (-i; the host's name) is ID", Status: "supported"},
	{Name: "@^ID", Args: "LINE", Help: "the line is read only where it is not", Status: "supported"},
	{Name: "$NAME=VALUE", Help: `defines a parameter, for $NAME and ${NAME}; several lines with '\' at their ends`, Status: "supported"},
	{Name: "${_PWD}", Help: "the directory of the file being read", Status: "supported"},
	{Name: "${_INSTANCE}", Help: "the configuration's id", Status: "supported"},
	{Name: "${_RANDOM MIN MAX}", Help: "a number; it depends on the host and its order in the file, so that a reload does not change it", Status: "supported"},
	{Name: "${_HASH}", Help: "#", Status: "supported"},
	{Name: "${_BANG}", Help: "!", Status: "supported"},
	{Name: "~SEQ", Args: "(NAME, START, STEP, END) LINE", Help: "reads the line for each number", Status: "supported"},
	{Name: "~SEQx", Args: "(NAME, START, STEP, END) LINE", Help: "the same in hexadecimal", Status: "supported"},
	{Name: "~LST", Args: "(NAME, VALUE, …) LINE", Help: "reads the line for each value", Status: "supported"},
}

// dispatch reads the statements of a block.
func (p *parser) dispatch(list []*node, in place) {
	for _, n := range list {
		if len(n.words) == 0 {
			continue
		}
		k := table().find(n.name(), in)
		if k == nil {
			p.unknown(n, in)
			continue
		}
		p.apply(k, n)
	}
}

// apply lets one entry read its statement.
func (p *parser) apply(k *keyword, n *node) {
	switch {
	case k.Block && !n.block:
		p.errorf(n.pos(len(n.words)), "write '{' behind it, its lines, and '}'", "'%s' needs a block", k.Name)
		return
	case !k.Block && n.block:
		p.errorf(n.open, "take the braces out; what stands between them belongs to the block around", "'%s' has no block", k.Name)
		return
	}
	switch k.Status {
	case statusLater:
		p.errorf(n.pos(0), k.Cure, "'%s' is not supported yet", k.Name)
	case statusHarmless:
		p.once(k.Name, n.pos(0), k.Cure, "'%s' is accepted and has no effect here", k.Name)
		if k.Parse != nil {
			k.Parse(p, n)
		}
	default:
		before := len(p.diags)
		k.Parse(p, n)
		p.unread(k, n, before)
	}
}

// unread tells of words that no value is left for, where what reads the line has
// not done so. A keyword among them, or a "no" behind what has no value, is more
// than too much: it does not do what stands there.
func (p *parser) unread(k *keyword, n *node, before int) {
	most := k.values()
	if most < 0 || len(n.words)-1 <= most {
		return
	}
	at := n.pos(most + 1)
	for _, d := range p.diags[min(before, len(p.diags)):] {
		if d.Pos == at {
			return
		}
	}
	word := n.arg(most + 1)
	switch {
	case table().find(word, k.In) != nil:
		p.warnf(at, "begin a line with it", "'%s' stands behind '%s' on one line: it is not read", word, k.Name)
	case k.Args == "" && !k.Block && slices.Contains([]string{"no", "off", "false"}, word):
		p.warnf(at, "take the line out to turn it off", "'%s' has no value: it is on wherever it stands", k.Name)
	default:
		p.noticef(at, "take it out", "what follows on the line of '%s' is not read", k.Name)
	}
}

// values is how many words a line may have behind the keyword at most; below
// zero: as many as it likes.
func (k *keyword) values() int {
	for _, many := range []string{"…", "COMMAND", `"`, " | "} {
		if strings.Contains(k.Args, many) {
			return -1
		}
	}
	return len(strings.Fields(k.Args))
}

// unknown reports a word that no table has for this place. A line is left out
// with a warning, as keepalived does; a block is too much to leave out.
func (p *parser) unknown(n *node, in place) {
	name := n.name()
	if p.lost > 0 {
		p.lost++ // nobody would read it: it is not worth looking for a neighbour
		return
	}
	report := p.warnf
	if n.block {
		report = p.errorf
	}
	if hint, ok := slips[name]; ok {
		report(n.pos(0), hint, "unknown keyword '%s' in %s", name, in)
		return
	}
	if elsewhere := table().places(name); elsewhere != 0 {
		cure := "it belongs to: " + elsewhere.String()
		if n.parent != nil && len(n.parent.words) > 0 {
			cure += "; the block around it is " + n.parent.title() + ", which began at line " + itoa(n.parent.open.Line)
		}
		report(n.pos(0), cure, "'%s' does not belong to %s", name, in)
		return
	}
	if r := smartQuote(name); r != "" {
		report(n.pos(0), "write plain quotes", "unknown keyword '%s': it has a typographic quote %s", name, r)
		return
	}
	if strings.ContainsAny(name, "\u00a0\u2003\u2002\u200b") {
		report(n.pos(0), "write a plain blank", "unknown keyword '%s': it has a blank in it that is not a plain one", name)
		return
	}
	otherwise := ""
	if in == placeSyncGroup || in == placeTrackGroup {
		otherwise = "names of instances stand in group { … }"
	}
	report(n.pos(0), closestOr(name, table().namesIn(in), otherwise), "unknown keyword '%s' in %s", name, in)
}

// slips are words that people write, with what they mean.
var slips = map[string]string{
	"nat_mask":    "take it out: keepalived has no such keyword any more; the persistence mask is 'persistence_granularity'",
	"interfaces":  "write 'interface NAME': an instance has one; more are tracked with 'track_interface { NAME }'",
	"vip":         "write 'virtual_ipaddress { ADDRESS/LENGTH }'",
	"vrid":        "write 'virtual_router_id NUMBER'",
	"no_preempt":  "write 'nopreempt'",
	"auth_passwd": "write 'auth_pass WORD'",
}

// closest gives "did you mean 'x'?" for the candidate that a misspelt word is
// nearest to, or "".
func closest(name string, candidates []string) string {
	best, bestDistance := "", 1+len(name)/3
	if len(name) > 64 {
		return ""
	}
	for _, c := range candidates {
		if d := distance(strings.ToLower(name), strings.ToLower(c), bestDistance); d <= bestDistance && (best == "" || d < bestDistance) {
			best, bestDistance = c, d
		}
	}
	if best == "" {
		return ""
	}
	return "did you mean '" + best + "'?"
}

// distance is the number of insertions, deletions, changes and swaps of
// neighbours between two words, or limit+1 if their lengths differ by more.
func distance(a, b string, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	before, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], before[j-2]+1)
			}
		}
		before, prev, cur = prev, cur, before
	}
	return prev[len(b)]
}

// sortedNames is for messages that list what is known.
func sortedNames(list []string) string {
	list = slices.Clone(list)
	slices.Sort(list)
	return strings.Join(slices.Compact(list), ", ")
}
