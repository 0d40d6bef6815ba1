package e2e

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// scenario is one proxy with one server and one client that do something
// unusual, and what must come of it.
type scenario struct {
	name string
	// cfg is added to the proxy's section; {server} in it is the server's address.
	// Without a server line one is added.
	cfg    string
	server func(*oconn) // nil: nothing listens
	client func(*client)
	// log is what the log lines must say: status and flags of each. nil: anything.
	log []string
	// check looks at the server afterwards.
	check func(*testing.T, *origin)
	// differs is HAProxy 2.6's log where ours is another on purpose; why says
	// the reason. onlyOurs: HAProxy's client sees something else, too.
	differs  []string
	why      string
	onlyOurs bool
}

var serverLine = regexp.MustCompile(`(?m)^\s*(server|dispatch) `)

// play runs scenarios in parallel, all of a program in one process.
func play(t *testing.T, all []scenario) {
	for _, p := range programs() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			var cfg strings.Builder
			origins := make([]*origin, len(all))
			addrs := make([]string, len(all))
			for i, s := range all {
				addrs[i] = freeAddr(t)
				server := freeAddr(t)
				if s.server != nil {
					origins[i] = serve(t, s.server)
					server = origins[i].addr
				}
				fmt.Fprintf(&cfg, "listen s%d # %s\n    bind %s\n", i, s.name, addrs[i])
				lines := s.cfg
				if !serverLine.MatchString(lines) {
					lines += "\nserver s {server}"
				}
				lines = strings.ReplaceAll(lines, "{server}", server)
				for _, l := range strings.Split(lines, "\n") {
					fmt.Fprintf(&cfg, "    %s\n", strings.TrimSpace(l))
				}
			}
			d := start(t, p, cfg.String())
			t.Run("all", func(t *testing.T) {
				for i, s := range all {
					if p == peer && s.onlyOurs {
						continue
					}
					t.Run(s.name, func(t *testing.T) {
						t.Parallel()
						s.play(t, p, d, addrs[i], fmt.Sprintf("s%d", i), origins[i])
					})
				}
			})
		})
	}
}

func (s *scenario) play(t *testing.T, p program, d *director, addr, frontend string, o *origin) {
	c := dial(t, addr)
	c.origin = o
	s.client(c)
	want := s.log
	if p == peer && s.differs != nil {
		want = s.differs
	}
	// Lines of several connections may change places.
	got := slices.Sorted(slices.Values(d.logs.await(t, frontend, len(want))))
	if want != nil && !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		t.Errorf("log %.20q, want %q", got[:min(len(got), 10)], want)
	}
	if s.check != nil {
		s.check(t, o)
	}
}
