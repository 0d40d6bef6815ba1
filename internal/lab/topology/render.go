package topology

import (
	"fmt"
	"net/netip"
	"strings"
	"text/template"
)

// View is what a director's templates see.
type View struct {
	Lab       string
	Name      string            // of this node
	Index     int               // of this node among the directors, from 0
	Addr      netip.Addr        // its first address
	Addr6     netip.Addr        // its first IPv6 address
	Interface string            // the interface of that
	Legs      []Interface       // all of its interfaces
	Var       map[string]string // its KEY=VALUE words
	Peers     []Node            // the other directors
	Directors []Node
	Origins   []Node
	VIPs      []VIP
	Dir       string // where its files are, as the node sees it
	Software  string // what it runs: evenkeel or keepalived
	Changed   bool   // true for the reload that changes something
}

// View makes what the templates of the director with that index see.
func (t *Topology) View(index int, dir, software string, changed bool) View {
	n := t.Directors[index]
	v := View{Lab: t.Name, Name: n.Name, Index: index, Addr: n.Address(), Addr6: n.Address6(), Interface: n.Interfaces[0].Name, Legs: n.Interfaces, Var: n.Vars,
		Directors: t.Directors, Origins: t.Origins, VIPs: t.VIPs, Dir: dir, Software: software, Changed: changed}
	for i, other := range t.Directors {
		if i != index {
			v.Peers = append(v.Peers, other)
		}
	}
	return v
}

// Render fills in one template; name is for messages.
func (v View) Render(name, text string) (string, error) {
	functions := template.FuncMap{"add": func(a, b int) int { return a + b }}
	t, err := template.New(name).Option("missingkey=error").Funcs(functions).Parse(text)
	if err != nil {
		return "", fmt.Errorf("%s", strings.TrimPrefix(err.Error(), "template: "))
	}
	var out strings.Builder
	if err := t.Execute(&out, v); err != nil {
		return "", fmt.Errorf("%s", strings.TrimPrefix(err.Error(), "template: "))
	}
	return out.String(), nil
}
