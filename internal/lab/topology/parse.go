package topology

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds that keep a typing error from making a machine unusable.
const (
	maxNodes    = 64
	maxNetworks = 8
	maxVIPs     = 256
	maxName     = 12 // an interface's name, at most 15 letters, holds a node's and its number
	maxText     = 1 << 20
)

// word is one word of a line, with its column.
type word struct {
	text   string
	column int
}

// statement is one keyword of the language.
type statement struct {
	name string
	form string // what the line looks like, for messages
	read func(p *parser, args []word) error
}

// statements is the whole language.
func statements() []statement {
	return []statement{
		{"lab", "lab NAME", (*parser).lab},
		{"network", "network NAME ADDRESS/LENGTH [ADDRESS/LENGTH]", (*parser).network},
		{"client", "client ADDRESS...", (*parser).client},
		{"director", "director NAME ADDRESS... [KEY=VALUE...]", (*parser).director},
		{"origin", "origin NAME ADDRESS[:PORT] [nginx|embedded]", (*parser).origin},
		{"vip", "vip ADDRESS[:PORT] [DIRECTOR]", (*parser).vip},
		{"haproxy", "haproxy FILE", func(p *parser, a []word) error { return p.file(&p.t.Haproxy, a) }},
		{"keepalived", "keepalived FILE", func(p *parser, a []word) error { return p.file(&p.t.Keepalived, a) }},
		{"file", "file FILE [MODE]", (*parser).further},
	}
}

type parser struct {
	source  string
	line    int
	form    string // of the present statement
	t       *Topology
	names   map[string]int     // of nodes, with the line
	taken   map[netip.Addr]int // addresses, with the line
	masters []master
}

// master is a VIP's director, looked up when all are known.
type master struct {
	line int
	w    word
}

// at makes an error at a word.
func (p *parser) at(w word, format string, args ...any) error {
	return &Error{p.source, p.line, w.column, fmt.Sprintf(format, args...)}
}

// Parse reads a topology; name is the file's name in messages.
func Parse(name string, text string) (*Topology, error) {
	p := &parser{source: name, t: &Topology{}, names: map[string]int{}, taken: map[netip.Addr]int{}}
	if len(text) > maxText {
		return nil, &Error{name, 1, 1, "this is larger than any topology"}
	}
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return nil, &Error{name, 1, 1, "this is no text"}
	}
	all := statements()
	head := true
	for line := range strings.Lines(text) {
		p.line++
		line = strings.TrimRight(line, "\r\n")
		words := split(line)
		if len(words) == 0 {
			if comment, ok := strings.CutPrefix(strings.TrimSpace(line), "#"); ok && head {
				p.t.Description = strings.TrimSpace(p.t.Description + " " + strings.TrimSpace(comment))
			} else {
				head = head && p.t.Description == ""
			}
			continue
		}
		head = false
		i := slices.IndexFunc(all, func(s statement) bool { return s.name == words[0].text })
		if i < 0 {
			return nil, p.at(words[0], "there is no %q here; a line begins with one of %s", words[0].text, keywords(all))
		}
		p.form = all[i].form
		if len(words) == 1 {
			return nil, p.at(words[0], "%s what? the line reads: %s", words[0].text, p.form)
		}
		if err := all[i].read(p, words[1:]); err != nil {
			return nil, err
		}
	}
	if err := p.complete(); err != nil {
		return nil, err
	}
	return p.t, nil
}

func keywords(all []statement) string {
	names := make([]string, 0, len(all))
	for _, s := range all {
		names = append(names, s.name)
	}
	return strings.Join(names, ", ")
}

// split cuts a line into words; # begins a comment where a word could begin.
func split(line string) (words []word) {
	for i := 0; i < len(line); {
		switch {
		case line[i] == ' ' || line[i] == '\t':
			i++
		case line[i] == '#':
			return words
		default:
			start := i
			for i < len(line) && line[i] != ' ' && line[i] != '\t' {
				i++
			}
			words = append(words, word{line[start:i], start + 1})
		}
	}
	return words
}

// complete checks what only the whole file shows.
func (p *parser) complete() error {
	t := p.t
	missing := func(text string) error { return &Error{p.source, max(p.line, 1), 1, text} }
	switch {
	case t.Name == "":
		return missing("the lab has no name: add a line `lab NAME`")
	case len(t.Networks) == 0:
		return missing("there is no network: add a line `network front 10.77.0.0/24`")
	case len(t.Client) == 0:
		return missing("there is no client: add a line `client ADDRESS`")
	case len(t.VIPs) == 0:
		return missing("there is nothing to watch: add a line `vip ADDRESS` for each address that moves between the directors")
	case len(t.Directors) == 0:
		return missing("there is no director: add lines `director NAME ADDRESS`")
	case t.Haproxy == "" && t.Keepalived == "":
		return missing("the directors have nothing to run: add `haproxy FILE`, `keepalived FILE` or both")
	}
	for i, m := range p.masters {
		if m.w.text == "" {
			continue
		}
		if _, ok := t.Director(m.w.text); !ok {
			p.line = m.line
			return p.at(m.w, "no director is called %q; there %s", m.w.text, directors(t))
		}
		t.VIPs[i].Master = m.w.text
	}
	for _, v := range t.VIPs {
		if n := t.NetworkOf(v.Address); n != t.NetworkOf(t.VIPs[0].Address) {
			return missing(fmt.Sprintf("%s and %s lie in different networks; the lab watches those of one network", t.VIPs[0].Address, v.Address))
		}
		if !slices.ContainsFunc(t.Client, func(i Interface) bool {
			return slices.ContainsFunc(i.Addresses, func(a netip.Prefix) bool { return a.Masked().Contains(v.Address) })
		}) {
			return missing(fmt.Sprintf("the client is on no network with %s, so it cannot ask there; give it an address in that network", v.Address))
		}
	}
	return nil
}

func directors(t *Topology) string {
	var names []string
	for _, n := range t.Directors {
		names = append(names, n.Name)
	}
	if len(names) == 1 {
		return "is only " + names[0]
	}
	return "are " + strings.Join(names, ", ")
}

// exactly complains about too few or too many words.
func (p *parser) exactly(args []word, least, most int) error {
	last := args[len(args)-1]
	switch {
	case len(args) < least:
		return p.at(last, "something is missing after %q; the line reads: %s", last.text, p.form)
	case len(args) > most:
		return p.at(args[most], "%q is one word too many; the line reads: %s", args[most].text, p.form)
	}
	return nil
}

// name reads the name of a lab, network or node.
func (p *parser) name(w word) (string, error) {
	for _, c := range []byte(w.text) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return "", p.at(w, "the name %q may have small letters, digits and _ only", w.text)
		}
	}
	if len(w.text) > maxName {
		return "", p.at(w, "the name %q is longer than %d letters", w.text, maxName)
	}
	return w.text, nil
}

// nodeName reads a name that no other node has.
func (p *parser) nodeName(w word) (string, error) {
	name, err := p.name(w)
	if err != nil {
		return "", err
	}
	if name == "client" || name == "bridge" {
		return "", p.at(w, "every lab has a %s of its own: call this node something else", name)
	}
	if line, ok := p.names[name]; ok {
		return "", p.at(w, "line %d has a node %s already", line, name)
	}
	if len(p.names) == maxNodes {
		return "", p.at(w, "a lab has at most %d nodes", maxNodes)
	}
	p.names[name] = p.line
	return name, nil
}

// address reads an address in one of the networks that nobody else has.
func (p *parser) address(w word, text string) (netip.Addr, int, error) {
	a, err := netip.ParseAddr(text)
	if err != nil {
		return a, 0, p.at(w, "%q is no address; the line reads: %s", text, p.form)
	}
	network := p.t.NetworkOf(a)
	if network < 0 {
		return a, 0, p.at(w, "%s lies in no network; declare one above (network NAME %s)", a, around(a))
	}
	if line, ok := p.taken[a]; ok {
		return a, 0, p.at(w, "line %d has %s already", line, a)
	}
	p.taken[a] = p.line
	return a, network, nil
}

// around is the network that a user probably means.
func around(a netip.Addr) netip.Prefix {
	bits := 24
	if a.Is6() {
		bits = 64
	}
	prefix, _ := a.WithZone("").Prefix(bits)
	return prefix
}

// leg adds an interface with an address, or to the interface in the address's
// network one of the other family.
func (p *parser) leg(list []Interface, w word, text string) ([]Interface, error) {
	a, network, err := p.address(w, text)
	if err != nil {
		return nil, err
	}
	n := p.t.Networks[network]
	of := n.Prefixes[slices.IndexFunc(n.Prefixes, func(x netip.Prefix) bool { return x.Contains(a) })]
	prefix := netip.PrefixFrom(a, of.Bits())
	i := slices.IndexFunc(list, func(i Interface) bool { return i.Network == network })
	if i < 0 {
		return append(list, Interface{"eth" + strconv.Itoa(len(list)), network, []netip.Prefix{prefix}}), nil
	}
	if slices.ContainsFunc(list[i].Addresses, func(x netip.Prefix) bool { return x.Addr().Is4() == a.Is4() }) {
		return nil, p.at(w, "it has an address in network %s already, and gets one interface a network", n.Name)
	}
	list[i].Addresses = append(list[i].Addresses, prefix)
	return list, nil
}

func (p *parser) lab(args []word) (err error) {
	if err := p.exactly(args, 1, 1); err != nil {
		return err
	}
	if p.t.Name != "" {
		return p.at(args[0], "the lab is called %s already: one file, one lab", p.t.Name)
	}
	p.t.Name, err = p.name(args[0])
	return err
}

func (p *parser) network(args []word) error {
	if err := p.exactly(args, 2, 3); err != nil {
		return err
	}
	name, err := p.name(args[0])
	if err != nil {
		return err
	}
	if slices.ContainsFunc(p.t.Networks, func(n Network) bool { return n.Name == name }) {
		return p.at(args[0], "there is a network %s already", name)
	}
	n := Network{Name: name}
	for _, w := range args[1:] {
		prefix, err := p.prefix(w)
		if err != nil {
			return err
		}
		if len(n.Prefixes) > 0 && n.Prefixes[0].Addr().Is4() == prefix.Addr().Is4() {
			return p.at(w, "a network has one range of IPv4 addresses and one of IPv6; make %s another network", prefix)
		}
		n.Prefixes = append(n.Prefixes, prefix)
	}
	if len(p.t.Networks) == maxNetworks {
		return p.at(args[0], "a lab has at most %d networks", maxNetworks)
	}
	p.t.Networks = append(p.t.Networks, n)
	return nil
}

// prefix reads a range of addresses that no network has.
func (p *parser) prefix(w word) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(w.text)
	if err != nil {
		return prefix, p.at(w, "%q is no network; write it like 10.77.0.0/24 or fd77::/64", w.text)
	}
	if prefix != prefix.Masked() {
		return prefix, p.at(w, "%s is an address in the network %s; write the network", prefix, prefix.Masked())
	}
	if prefix.Addr().BitLen()-prefix.Bits() < 3 {
		return prefix, p.at(w, "%s has no room for a cluster", prefix)
	}
	if prefix.Addr().IsLinkLocalUnicast() && prefix.Addr().Is6() {
		return prefix, p.at(w, "every interface has an address in %s by itself; write a network such as fd77::/64", prefix)
	}
	for _, n := range p.t.Networks {
		for _, other := range n.Prefixes {
			if other.Overlaps(prefix) {
				return prefix, p.at(w, "%s overlaps network %s (%s)", prefix, n.Name, other)
			}
		}
	}
	return prefix, nil
}

func (p *parser) client(args []word) (err error) {
	for _, w := range args {
		if p.t.Client, err = p.leg(p.t.Client, w, w.text); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) director(args []word) error {
	if err := p.exactly(args, 2, maxNodes); err != nil {
		return err
	}
	name, err := p.nodeName(args[0])
	if err != nil {
		return err
	}
	n := Node{Name: name, Vars: map[string]string{}}
	for _, w := range args[1:] {
		if key, value, ok := strings.Cut(w.text, "="); ok {
			if key == "" || value == "" {
				return p.at(w, "%q: write KEY=VALUE", w.text)
			}
			if _, ok := n.Vars[key]; ok || key == softwareKey && n.Software != "" {
				return p.at(w, "%s is set twice", key)
			}
			if key != softwareKey {
				n.Vars[key] = value
			} else if n.Software = value; !slices.Contains(Kinds, value) {
				return p.at(w, "directors cannot run %q; they run one of %s", value, strings.Join(Kinds, ", "))
			}
			continue
		}
		if len(n.Vars) > 0 || n.Software != "" {
			return p.at(w, "%q: addresses stand before the KEY=VALUE words", w.text)
		}
		if n.Interfaces, err = p.leg(n.Interfaces, w, w.text); err != nil {
			return err
		}
	}
	if len(n.Interfaces) == 0 {
		return p.at(args[1], "director %s has no address; the line reads: %s", name, p.form)
	}
	for _, other := range p.t.Directors {
		if a, b := keys(other), keys(n); a != b {
			return p.at(args[0], "%s has %q and %s has %q: templates need the same keys from all directors", other.Name, a, name, b)
		}
	}
	p.t.Directors = append(p.t.Directors, n)
	return nil
}

// softwareKey is the word of a director's line that is not for its templates.
const softwareKey = "software"

// keys lists the words that a node sets for the templates.
func keys(n Node) string { return strings.Join(slices.Sorted(maps.Keys(n.Vars)), " ") }

// withPort reads ADDRESS or ADDRESS:PORT; IPv6 with a port is in brackets.
func (p *parser) withPort(w word, port int) (string, int, error) {
	if a, err := netip.ParseAddr(w.text); err == nil {
		return a.String(), port, nil
	}
	ap, err := netip.ParseAddrPort(w.text)
	if err != nil || ap.Port() == 0 {
		return "", 0, p.at(w, "%q is no address, with or without port; the line reads: %s", w.text, p.form)
	}
	return ap.Addr().String(), int(ap.Port()), nil
}

func (p *parser) origin(args []word) error {
	if err := p.exactly(args, 2, 3); err != nil {
		return err
	}
	name, err := p.nodeName(args[0])
	if err != nil {
		return err
	}
	address, port, err := p.withPort(args[1], 80)
	if err != nil {
		return err
	}
	n := Node{Name: name, Port: port, Server: Auto}
	if n.Interfaces, err = p.leg(nil, args[1], address); err != nil {
		return err
	}
	if len(args) == 3 {
		n.Server = Server(args[2].text)
		if n.Server != Nginx && n.Server != Embedded {
			return p.at(args[2], "an origin is nginx or embedded, not %q", args[2].text)
		}
	}
	p.t.Origins = append(p.t.Origins, n)
	return nil
}

func (p *parser) vip(args []word) error {
	if err := p.exactly(args, 1, 2); err != nil {
		return err
	}
	text, port, err := p.withPort(args[0], 80)
	if err != nil {
		return err
	}
	a, _, err := p.address(args[0], text)
	if err != nil {
		return err
	}
	if len(p.t.VIPs) == maxVIPs {
		return p.at(args[0], "a lab watches at most %d addresses", maxVIPs)
	}
	p.t.VIPs = append(p.t.VIPs, VIP{Address: a, Port: port})
	m := master{line: p.line}
	if len(args) == 2 {
		m.w = args[1]
	}
	p.masters = append(p.masters, m)
	return nil
}

// path reads the name of a file beside the topology.
func (p *parser) path(w word) (string, error) {
	if strings.HasPrefix(w.text, "/") || slices.Contains(strings.Split(w.text, "/"), "..") {
		return "", p.at(w, "%q must lie beside the topology file or below it", w.text)
	}
	return w.text, nil
}

func (p *parser) file(to *string, args []word) (err error) {
	if err := p.exactly(args, 1, 1); err != nil {
		return err
	}
	if *to != "" {
		return p.at(args[0], "there is %s already; further files come with `file`", *to)
	}
	*to, err = p.path(args[0])
	return err
}

func (p *parser) further(args []word) error {
	if err := p.exactly(args, 1, 2); err != nil {
		return err
	}
	path, err := p.path(args[0])
	if err != nil {
		return err
	}
	f := File{path, 0o644}
	if len(args) == 2 {
		mode, err := strconv.ParseUint(args[1].text, 8, 32)
		if err != nil || mode > 0o777 {
			return p.at(args[1], "%q is no file mode; write it like 755", args[1].text)
		}
		f.Mode = uint32(mode)
	}
	p.t.Files = append(p.t.Files, f)
	return nil
}
