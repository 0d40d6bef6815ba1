package director

import (
	"fmt"
	"strings"

	"evenkeel/internal/l4"
)

// Backend is one way to forward packets on this host.
type Backend struct {
	Name     string             // the word of lvs_backend: "ebpf", "ipvs"
	Features func() l4.Features // where nothing is missing
	// Probe says what is missing here, each in words with what would help;
	// nothing: it works.
	Probe func() []string
	// Advice says what a host that works should have besides for forwarding by
	// these methods of each family; nil: nothing.
	Advice func(four, six []l4.Method) []string
	// Marks says what is missing here for marks of nftables and iptables to be
	// seen on packets of a family to this host's own addresses, in words with what
	// would help; nil: nothing ever is.
	Marks func(l4.Family) []string
	// Open makes the plane, or takes over what one before it left. flush: what
	// others have set there is removed with the first Set (lvs_flush).
	Open func(flush bool) (l4.Plane, error)
	// Remove takes away what a closed plane without services leaves on the host;
	// nil: nothing is.
	Remove func() error
	// Flush removes all services of the closed plane, whoever made them
	// (lvs_flush_on_stop); nil: they have gone with ours.
	Flush func() error
}

// choice is the backend that is used, or would be.
type choice struct {
	*Backend
	missing []string // it does not work here
	note    string   // why it is not the one that was asked for; "": it is
}

// choose finds the backend that a configuration asks for, or the first one that
// works. When none does, it is the one that would have been used.
func choose(want string, all []Backend) (choice, error) {
	if len(all) == 0 {
		return choice{}, fmt.Errorf("this build has nothing to forward packets with")
	}
	if want != "" {
		for i := range all {
			if all[i].Name == want {
				return choice{Backend: &all[i], missing: all[i].Probe()}, nil
			}
		}
		return choice{}, fmt.Errorf("there is no lvs_backend '%s': write %s", want, strings.Join(names(all), " or "))
	}
	first := choice{Backend: &all[0], missing: all[0].Probe()}
	if len(first.missing) == 0 {
		return first, nil
	}
	for i := 1; i < len(all); i++ {
		if len(all[i].Probe()) == 0 {
			return choice{Backend: &all[i], note: fmt.Sprintf("%s is used to forward packets, because %s does not work here: %s",
				all[i].Name, first.Name, strings.Join(first.missing, "; "))}, nil
		}
	}
	return first, nil
}

func names(all []Backend) (list []string) {
	for i := range all {
		list = append(list, all[i].Name)
	}
	return list
}

// lacking says what is missing of every backend, and what works.
func lacking(all []Backend) string {
	var b strings.Builder
	for i := range all {
		if i > 0 {
			b.WriteString(". ")
		}
		if missing := all[i].Probe(); len(missing) > 0 {
			fmt.Fprintf(&b, "%s: %s", all[i].Name, strings.Join(missing, "; "))
		} else {
			fmt.Fprintf(&b, "%s works here: write 'lvs_backend %s' in global_defs", all[i].Name, all[i].Name)
		}
	}
	return b.String()
}

// others are the features of all backends but one.
func others(all []Backend, name string) (list []l4.Features) {
	for i := range all {
		if all[i].Name != name {
			list = append(list, all[i].Features())
		}
	}
	return list
}
