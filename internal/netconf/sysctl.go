package netconf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// setting is a sysctl that owners want.
type setting struct {
	value  string
	former string
	owners []string
}

// String is the sysctl as sysctl.conf has it.
func (s Sysctl) String() string { return "sysctl " + s.Name + " = " + s.Value }

// path is the name with slashes, below proc.
func (s *Sysctl) path(proc string) (string, error) {
	name := s.Name
	if !strings.Contains(name, "/") {
		name = strings.ReplaceAll(name, ".", "/")
	}
	if name == "" || strings.ContainsAny(name, "\x00\n") || filepath.Clean("/"+name) != "/"+name {
		return "", fmt.Errorf("%q cannot be the name of a sysctl", s.Name)
	}
	return filepath.Join(proc, name), nil
}

func (h *Host) readSysctl(name string) string {
	b, err := os.ReadFile(h.sysctlPath(name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// writeSysctl writes unless it is so already.
func (h *Host) writeSysctl(name, value string) error {
	if h.readSysctl(name) == value {
		return nil
	}
	err := os.WriteFile(h.sysctlPath(name), []byte(value+"\n"), 0)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("this kernel or device has no %s: %w", name, fs.ErrNotExist)
	}
	return err
}

// writeSysctls sets what the owner wants, and marks what it does not want any
// more: that is restored when the rest has been done.
func (h *Host) writeSysctls(owner string, c *Config) (errs []error) {
	wanted := slices.Clone(c.Sysctls)
	for i := range c.Links {
		wanted = append(wanted, h.baseSysctls(&c.Links[i])...)
	}
	for _, s := range h.sysctls {
		s.owners = slices.DeleteFunc(s.owners, func(o string) bool { return o == owner })
	}
	for i := range wanted {
		if err := h.want(owner, &wanted[i]); err != nil {
			errs = append(errs, failure(owner, wanted[i].String(), err))
		}
	}
	return errs
}

func (h *Host) want(owner string, s *Sysctl) error {
	name, err := s.path("")
	if err != nil {
		return err
	}
	known := h.sysctls[name]
	switch {
	case known == nil:
		known = &setting{value: s.Value, former: h.readSysctl(name)}
	case slices.Contains(known.owners, owner):
		return nil
	case len(known.owners) > 0 && known.value != s.Value:
		return fmt.Errorf("wanted as %s by %s", known.value, known.owners[0])
	}
	if err := h.writeSysctl(name, s.Value); err != nil {
		return err
	}
	known.value = s.Value
	known.owners = append(known.owners, owner)
	h.sysctls[name] = known
	return nil
}

// restoreSysctls puts back what nobody wants any more. A value that is not the
// one that we wrote is somebody else's.
func (h *Host) restoreSysctls(owner string) (errs []error) {
	for name, s := range h.sysctls {
		if len(s.owners) > 0 {
			continue
		}
		delete(h.sysctls, name)
		if h.readSysctl(name) != s.value {
			continue
		}
		if err := h.writeSysctl(name, s.former); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, failure(owner, "sysctl "+name, err))
		}
	}
	return errs
}

// linkSysctls are what a link for a virtual router needs: it hears this host's
// own advertisements, answers for its own addresses only, and receives while it
// has none.
func linkSysctls(l *Link) []Sysctl {
	if l.Family != 4 {
		return nil
	}
	conf := "net/ipv4/conf/" + l.Name + "/"
	s := []Sysctl{{conf + "arp_ignore", "1"}, {conf + "accept_local", "1"}, {conf + "rp_filter", "0"}, {conf + "promote_secondaries", "1"}}
	if !l.KeepIPv6 {
		s = append(s, Sysctl{"net/ipv6/conf/" + l.Name + "/disable_ipv6", "1"})
	}
	return s
}

const allFilter = "net/ipv4/conf/all/rp_filter"

// baseSysctls are what the other links need: the one below must not answer for
// the virtual router's addresses, and a reverse path filter for all links would
// overrule that of the virtual router's, so it moves to each of them.
func (h *Host) baseSysctls(l *Link) []Sysctl {
	if l.Family != 4 {
		return nil
	}
	conf := "net/ipv4/conf/" + l.Base + "/"
	s := []Sysctl{{conf + "arp_ignore", "1"}, {conf + "arp_filter", "1"}}
	if known := h.sysctls[allFilter]; known != nil {
		for name, k := range h.sysctls {
			if strings.HasPrefix(name, "net/ipv4/conf/") && strings.HasSuffix(name, "/rp_filter") && name != allFilter {
				s = append(s, Sysctl{name, k.value})
			}
		}
		return append(s, Sysctl{allFilter, "0"})
	}
	all, err := strconv.Atoi(h.readSysctl(allFilter))
	if err != nil || all == 0 {
		return s
	}
	files, _ := filepath.Glob(h.sysctlPath("net/ipv4/conf/*/rp_filter"))
	for _, f := range files {
		device := filepath.Base(filepath.Dir(f))
		name := "net/ipv4/conf/" + device + "/rp_filter"
		own, err := strconv.Atoi(h.readSysctl(name))
		if device == "all" || device == l.Name || h.links[device] != nil || err != nil || own >= all {
			continue
		}
		s = append(s, Sysctl{name, strconv.Itoa(all)})
	}
	return append(s, Sysctl{allFilter, "0"})
}

// Forwarding says whether the host forwards packets of a family (4 or 6) that
// come in on a device: what a neighbour advertisement says of it.
func (h *Host) Forwarding(family int, device string) bool {
	return h.readSysctl(fmt.Sprintf("net/ipv%d/conf/%s/forwarding", family, device)) == "1"
}
