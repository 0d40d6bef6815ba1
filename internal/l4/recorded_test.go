package l4_test

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"evenkeel/internal/l4"
	"evenkeel/internal/l4/maglev"
)

// choice is one connection of a recording.
type choice struct {
	client netip.AddrPort
	server string // address; "none"
}

// still is a stretch of a recording in which nothing of the service changes.
type still struct {
	name    string
	vip     netip.AddrPort
	flags   l4.Flags
	servers []l4.Server
	choices []choice
}

// recordings are the stretches of a scheduler's file up to the first change of
// a weight or a server. What connections do does not matter to tables.
func recordings(t *testing.T, scheduler string) []still {
	t.Helper()
	text, err := os.ReadFile("testdata/schedulers/" + scheduler + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	var list []still
	var name string
	open := false
	for line := range strings.SplitSeq(string(text), "\n") {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if words[0] == "scenario" {
			name = strings.Join(words[1:], " ")
			continue
		}
		if words[0] == "service" {
			s := still{name: name, vip: netip.MustParseAddrPort(words[1])}
			fmt.Sscan(words[3], &s.flags)
			list, open = append(list, s), true
			continue
		}
		s := &list[len(list)-1]
		switch {
		case !open:
		case words[0] == "server" && len(s.choices) == 0:
			r := l4.Server{Addr: netip.MustParseAddr(words[1]), Port: 80}
			fmt.Sscan(words[2]+" "+words[3]+" "+words[4], &r.Weight, &r.Upper, &r.Lower)
			s.servers = append(s.servers, r)
		case words[0] == "syn":
			s.choices = append(s.choices, choice{netip.MustParseAddrPort(words[1]), words[2]})
		case words[0] == "server" || words[0] == "weight" || words[0] == "remove":
			open = false
		}
	}
	return list
}

// Turns of rr and wrr are those of the kernel's IPVS. Where in its table a
// plane begins is its own affair: IPVS's wrr begins with the lowest level.
func TestTurnsAreRecorded(t *testing.T) {
	for _, scheduler := range []string{"rr", "wrr"} {
		for _, s := range recordings(t, scheduler) {
			if s.servers[0].Upper > 0 {
				continue // overload is not the table's affair
			}
			table := l4.Table(scheduler, s.servers)
			starts := 1
			if scheduler == "wrr" {
				starts = len(table)
			}
			best := -1
			for start := 0; start < starts && best < len(s.choices); start++ {
				n := 0
				for n < len(s.choices) && s.servers[table[(start+n)%len(table)]].Addr.String() == s.choices[n].server {
					n++
				}
				best = max(best, n)
			}
			if best < len(s.choices) {
				t.Errorf("%s, %s: %d of %d turns are the table's", scheduler, s.name, best, len(s.choices))
			}
		}
	}
}

// golden32 is the factor of the kernel's hash_32.
const golden32 = 0x61C88647

func number(a netip.Addr) uint32 {
	b := a.As4()
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

// Places in the tables of sh, dh and mh are the kernel's.
func TestHashesAreRecorded(t *testing.T) {
	for _, scheduler := range []string{"sh", "dh", "mh"} {
		compared := 0
		for _, s := range recordings(t, scheduler) {
			if s.flags&l4.HashFallback != 0 {
				continue
			}
			table := l4.Table(scheduler, s.servers)
			for _, c := range s.choices {
				var port uint16
				if s.flags&l4.HashPort != 0 {
					port = c.client.Port()
				}
				var at int
				switch scheduler {
				case "sh":
					at = int((number(c.client.Addr()) + uint32(port)) * golden32 >> 24)
				case "dh":
					at = int(number(s.vip.Addr()) * golden32 >> 24)
				case "mh":
					at = maglev.Place(c.client.Addr(), port, len(table))
				}
				compared++
				want := "none" // IPVS refuses who comes to a server of weight 0
				if s.servers[table[at]].Weight > 0 {
					want = s.servers[table[at]].Addr.String()
				}
				if c.server != want {
					t.Errorf("%s, %s: %v went to %s, the table says %s", scheduler, s.name, c.client, c.server, want)
					break
				}
			}
		}
		if compared < 300 {
			t.Errorf("%s: only %d choices compared", scheduler, compared)
		}
	}
}
