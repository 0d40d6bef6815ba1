package xdp

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"evenkeel/internal/l4"
)

// replay plays a recording of the kernel's IPVS (testdata/schedulers) to the
// programs: the same servers, packets and changes in the same order.
type replay struct {
	*bench
	t         *testing.T
	scheduler string
	scenario  string
	service   l4.Service
	servers   map[netip.AddrPort]netip.Addr // of each open connection
	compared  int
	refused   int // IPVS sent these to a server of weight 0, which is to say nowhere
	drained   int // servers whose weight became 0
	wrong     int
}

func TestChoicesAreIPVSs(t *testing.T) {
	b := newBench(t, Options{MaxFlows: 4096})
	ipHere(t, "route", "add", "10.0.0.0/8", "via", "10.0.0.11")
	ipHere(t, "route", "add", "default", "via", fixtureClient4)
	for _, s := range l4.Schedulers {
		if s.Random {
			continue // TestTwos
		}
		t.Run(s.Name, func(t *testing.T) {
			text, err := os.ReadFile("../testdata/schedulers/" + s.Name + ".txt")
			if err != nil {
				t.Fatal(err)
			}
			r := &replay{bench: b, t: t, scheduler: s.Name}
			for line := range strings.SplitSeq(string(text), "\n") {
				if words := strings.Fields(line); len(words) > 0 {
					r.play(words)
				}
			}
			if r.compared < 75 {
				t.Errorf("only %d choices compared", r.compared)
			}
			t.Logf("%d choices compared, %d not IPVS's on purpose", r.compared, r.refused)
		})
	}
}

func (r *replay) play(words []string) {
	switch words[0] {
	case "scenario":
		r.forget()
		r.scenario = strings.Join(words[1:], " ")
		r.servers, r.drained = make(map[netip.AddrPort]netip.Addr), 0
		return
	case "service":
		vip := netip.MustParseAddrPort(words[1])
		r.service = l4.Service{Key: l4.Key{Addr: vip.Addr(), Protocol: l4.TCP, Port: vip.Port()}, Scheduler: words[2]}
		fmt.Sscan(words[3], &r.service.Flags)
		r.set(l4.Config{})
		return
	case "server":
		s := l4.Server{Addr: netip.MustParseAddr(words[1]), Port: 80, Method: l4.NAT}
		fmt.Sscan(words[2]+" "+words[3]+" "+words[4], &s.Weight, &s.Upper, &s.Lower)
		r.service.Servers = append(r.service.Servers, s)
	case "weight":
		s := &r.service.Servers[r.find(words[1])]
		had := s.Weight > 0
		if fmt.Sscan(words[2], &s.Weight); had && s.Weight == 0 {
			r.drained++
		} else if !had && s.Weight > 0 {
			r.drained--
		}
	case "remove":
		i := r.find(words[1])
		r.service.Servers = append(r.service.Servers[:i:i], r.service.Servers[i+1:]...)
	default:
		r.send(words)
		return
	}
	r.set(l4.Config{Services: []l4.Service{r.service}})
}

func (r *replay) find(address string) int {
	for i := range r.service.Servers {
		if r.service.Servers[i].Addr.String() == address {
			return i
		}
	}
	r.t.Fatalf("%s: no server %s", r.scenario, address)
	return -1
}

// send plays what a client and its server do.
func (r *replay) send(words []string) {
	client := netip.MustParseAddrPort(words[1])
	from := packet{client: client.Addr(), sport: client.Port(), server: r.service.Addr, dport: r.service.Port}
	back := packet{client: r.servers[client], sport: 80, server: client.Addr(), dport: client.Port()}
	with := func(p packet, flags uint8) []byte { p.flags = flags; return p.frame() }
	switch words[0] {
	case "syn":
		r.choose(client, from.frame(), words[2])
	case "established":
		r.run(with(back, flagSYN|flagACK))
		r.run(with(from, flagACK))
	case "fin":
		r.run(with(from, flagFIN|flagACK))
		r.run(with(back, flagFIN|flagACK))
		r.run(with(from, flagACK))
	case "rst":
		r.run(with(from, flagRST))
	default:
		r.t.Fatalf("what is %q?", words)
	}
}

// choose compares one choice.
func (r *replay) choose(client netip.AddrPort, frame []byte, want string) {
	verdict, out := r.run(frame)
	got := "none"
	if verdict == tcRedirect && out[23] == uint8(l4.TCP) {
		server := netip.AddrFrom4([4]byte(out[30:34]))
		got, r.servers[client] = server.String(), server
	}
	r.compared++
	if got != want && got != "none" && r.better(got, want) {
		r.refused++
		return
	}
	if got == want {
		return
	}
	if r.wrong++; r.wrong < 10 {
		r.t.Errorf("%s: %v goes to %s, with IPVS to %s", r.scenario, client, got, want)
	}
}

// better is where a choice is not IPVS's on purpose, for it is to a server that
// takes connections:
//
//   - sh and dh give a server of weight 0 places in their tables, and IPVS
//     refuses who comes to them. Here they go to another server, and everybody
//     else where IPVS sends them.
//   - mh leaves a server out that was added with weight 0, but IPVS gives one
//     whose weight became 0 the places of its last weight, and again refuses who
//     comes to them, or with mh-fallback looks for others. Here the table says
//     nothing of what was before: directors that started at different times
//     have the same.
func (r *replay) better(got, want string) bool {
	if r.service.Servers[r.find(got)].Weight == 0 {
		return false
	}
	switch r.scheduler {
	case "sh", "dh":
		return want == "none" && slices.ContainsFunc(r.service.Servers, func(s l4.Server) bool { return s.Weight == 0 })
	case "mh":
		return r.drained > 0
	}
	return false
}
