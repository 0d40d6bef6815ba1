package rule

import (
	"fmt"
	"math/bits"
	"net"
	"net/netip"
	"sort"
	"strconv"
	"strings"
)

func init() {
	addMatches([]matchSpec{{Name: "ip", In: KindAddr, Help: "address or network", build: buildIP}})
}

// parsePrefixes reads an address, a network (ADDR/BITS or ADDR/MASK) or, if
// DNS may be asked, a host name.
func parsePrefixes(s string, o matchOptions) ([]netip.Prefix, error) {
	host, mask, hasMask := strings.Cut(s, "/")
	var addrs []netip.Addr
	if a, ok := parseAddr([]byte(host)); ok {
		addrs = []netip.Addr{a.Unmap()}
	} else if a, ok := shortIPv4(host); ok {
		addrs = []netip.Addr{a}
	} else if o.noDNS || o.c == nil || strings.ContainsAny(host, ":/ \t") || host == "" || strings.Trim(host, "0123456789.") == "" {
		return nil, fmt.Errorf("'%s' is not a valid IPv4 or IPv6 address", s)
	} else {
		var err error
		if addrs, err = o.c.resolve(host); err != nil {
			return nil, fmt.Errorf("'%s' is not an address, and its name cannot be resolved: %v", s, err)
		}
	}
	var out []netip.Prefix
	for _, a := range addrs {
		n := a.BitLen()
		if hasMask {
			var err error
			if n, err = maskBits(mask, a); err != nil {
				return nil, fmt.Errorf("'%s': %v", s, err)
			}
		}
		p, err := a.Prefix(n)
		if err != nil {
			return nil, fmt.Errorf("'%s': the mask is too long", s)
		}
		out = append(out, p)
	}
	return out, nil
}

func maskBits(mask string, a netip.Addr) (int, error) {
	if n, err := strconv.Atoi(mask); err == nil {
		if n < 0 || n > a.BitLen() {
			return 0, fmt.Errorf("the mask is not between 0 and %d", a.BitLen())
		}
		return n, nil
	}
	if m, ok := parseIPv4([]byte(mask)); ok && a.Is4() {
		b := m.As4()
		v := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
		if n := bits.LeadingZeros32(^v); v == ^uint32(0)<<(32-n) {
			return n, nil
		}
		return 0, fmt.Errorf("the mask '%s' has holes", mask)
	}
	return 0, fmt.Errorf("'%s' is not a mask", mask)
}

// shortIPv4 reads the forms of 127/8 with bytes left out at the end.
func shortIPv4(s string) (netip.Addr, bool) {
	for n := strings.Count(s, "."); n < 3; n++ {
		s += ".0"
	}
	return parseIPv4([]byte(s))
}

func (c *Compiler) resolve(host string) ([]netip.Addr, error) {
	if c.Resolve != nil {
		return c.Resolve(host)
	}
	ips, err := net.LookupIP(host)
	var out []netip.Addr
	for _, ip := range ips {
		if a, ok := netip.AddrFromSlice(ip); ok {
			out = append(out, a.Unmap())
		}
	}
	return out, err
}

type indexedPrefix struct {
	netip.Prefix
	index int
}

// buildIP compiles networks: a few are tried in turn; many are hashed by
// length, so that a lookup costs one probe a length that occurs.
func buildIP(keys []string, o matchOptions) (func(v Value) int, error) {
	var list []indexedPrefix
	for i, k := range keys {
		ps, err := parsePrefixes(k, o)
		if err != nil {
			return nil, &patternError{i, err}
		}
		for _, p := range ps {
			list = append(list, indexedPrefix{p, i})
		}
	}
	sort.SliceStable(list, func(a, b int) bool { return list[a].Bits() > list[b].Bits() })
	if len(list) <= 8 {
		return func(v Value) int {
			for i := range list {
				if list[i].Contains(v.Addr) {
					return list[i].index
				}
			}
			return -1
		}, nil
	}
	var lengths4, lengths6 []int
	m := map[netip.Prefix]int{}
	seen := map[[2]int]bool{}
	for _, p := range list {
		if _, dup := m[p.Prefix]; !dup {
			m[p.Prefix] = p.index
		}
		key := [2]int{p.Addr().BitLen(), p.Bits()}
		if seen[key] {
			continue
		}
		seen[key] = true
		if key[0] == 32 {
			lengths4 = append(lengths4, key[1])
		} else {
			lengths6 = append(lengths6, key[1])
		}
	}
	return func(v Value) int {
		lengths := lengths6
		if v.Addr.Is4() {
			lengths = lengths4
		}
		for _, n := range lengths {
			p, _ := v.Addr.Prefix(n)
			if i, ok := m[p]; ok {
				return i
			}
		}
		return -1
	}, nil
}
