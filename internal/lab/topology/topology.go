package topology

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Topology is one cluster, as its file describes it. All names are unique and
// every address lies in one of the networks.
type Topology struct {
	Name        string
	Networks    []Network
	Client      []Interface // one a network that the client is on
	Directors   []Node
	Origins     []Node
	VIPs        []VIP
	Haproxy     string // template of the proxy's configuration, relative to the topology file; "": no proxy
	Keepalived  string // template of the failover configuration
	Files       []File // further files for each director
	Description string // the comment at the head of the file
}

// Network is one bridge.
type Network struct {
	Name     string
	Prefixes []netip.Prefix // one, or one of each family
}

// Contains says whether an address lies in the network.
func (n Network) Contains(a netip.Addr) bool {
	return slices.ContainsFunc(n.Prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

// String is the network as a drawing names it.
func (n Network) String() string {
	words := []string{n.Name}
	for _, p := range n.Prefixes {
		words = append(words, p.String())
	}
	return strings.Join(words, " ")
}

// Interface is a node's leg in a network: eth0 is the first.
type Interface struct {
	Name      string // as the node calls it
	Network   int    // index in Topology.Networks
	Addresses []netip.Prefix
}

// Address is the interface's first address.
func (i Interface) Address() netip.Prefix { return i.Addresses[0] }

// Node is a director or an origin.
type Node struct {
	Name       string
	Interfaces []Interface
	Port       int               // of an origin
	Server     Server            // of an origin
	Vars       map[string]string // of a director: its own words for the templates
	Software   string            // of a director: what it runs, whatever the others do; "": nothing is said
}

// Kinds are the words for Software.
var Kinds = []string{"evenkeel", "keepalived"}

// Address is the node's first address.
func (n Node) Address() netip.Addr { return n.Interfaces[0].Address().Addr() }

// Address6 is the node's first IPv6 address; the zero Addr where it has none.
func (n Node) Address6() netip.Addr {
	for _, i := range n.Interfaces {
		for _, p := range i.Addresses {
			if p.Addr().Is6() {
				return p.Addr()
			}
		}
	}
	return netip.Addr{}
}

// Addresses are all of the node's.
func (n Node) Addresses() (all []string) {
	for _, i := range n.Interfaces {
		for _, p := range i.Addresses {
			all = append(all, p.Addr().String())
		}
	}
	return all
}

// Server is what answers on an origin.
type Server string

// Servers. Auto is nginx where it is installed, and Embedded elsewhere.
const (
	Auto     Server = "auto"
	Nginx    Server = "nginx"
	Embedded Server = "embedded"
)

// VIP is an address that the lab watches, and asks for pages.
type VIP struct {
	Address netip.Addr
	Port    int
	Master  string // the director that has it when all is well; "": any one
}

// Is6 says whether the address is of IPv6, for templates.
func (v VIP) Is6() bool { return v.Address.Is6() }

// NetworkOf is the index of the network that an address lies in; -1: in none.
func (t *Topology) NetworkOf(a netip.Addr) int {
	return slices.IndexFunc(t.Networks, func(n Network) bool { return n.Contains(a) })
}

// File is a further file that every director gets, as a template.
type File struct {
	Path string
	Mode uint32
}

// Director finds a director by name.
func (t *Topology) Director(name string) (Node, bool) {
	for _, n := range t.Directors {
		if n.Name == name {
			return n, true
		}
	}
	return Node{}, false
}

// Error is what is wrong with a topology file, and where.
type Error struct {
	File         string
	Line, Column int
	Text         string // what is wrong and what would be right
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Text)
}
