package topology

import (
	"net/netip"
	"strings"
	"testing"
)

const whole = `# A pair
# for the tests.

lab pair
network front 10.77.0.0/24
network back  10.78.0.0/24 # behind
client 10.77.0.100
director amber 10.77.0.11 10.78.0.11 state=MASTER priority=150
director birch 10.77.0.12 10.78.0.12 priority=100 state=BACKUP
origin cedar 10.78.0.21:8080 embedded
origin dune  10.78.0.22
vip 10.77.0.10:81 amber
vip 10.77.0.20
haproxy    haproxy.cfg
keepalived keepalived.conf
file check.sh 755
`

func TestParse(t *testing.T) {
	got, err := Parse("lab.conf", whole)
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != "pair" || got.Description != "A pair for the tests." || len(got.Networks) != 2 || len(got.Directors) != 2 || len(got.Origins) != 2 {
		t.Errorf("got %+v", got)
	}
	amber, ok := got.Director("amber")
	if !ok || amber.Address() != netip.MustParseAddr("10.77.0.11") || amber.Vars["priority"] != "150" || len(amber.Interfaces) != 2 ||
		amber.Interfaces[1].Name != "eth1" || amber.Interfaces[1].Network != 1 || amber.Interfaces[1].Address() != netip.MustParsePrefix("10.78.0.11/24") {
		t.Errorf("amber: %+v", amber)
	}
	if o := got.Origins; o[0].Port != 8080 || o[0].Server != Embedded || o[1].Port != 80 || o[1].Server != Auto {
		t.Errorf("origins: %+v", o)
	}
	want := []VIP{{netip.MustParseAddr("10.77.0.10"), 81, "amber"}, {netip.MustParseAddr("10.77.0.20"), 80, ""}}
	if got.VIPs[0] != want[0] || got.VIPs[1] != want[1] {
		t.Errorf("vips: %+v", got.VIPs)
	}
	if got.Haproxy != "haproxy.cfg" || got.Keepalived != "keepalived.conf" || len(got.Files) != 1 || got.Files[0] != (File{"check.sh", 0o755}) {
		t.Errorf("files: %+v", got)
	}
}

// A network of both families gives one interface with two addresses.
func TestBothFamilies(t *testing.T) {
	text := strings.NewReplacer("10.77.0.0/24", "10.77.0.0/24 fd77::/64", "client 10.77.0.100", "client 10.77.0.100 fd77::100",
		"10.77.0.11 10.78.0.11", "10.77.0.11 fd77::11 10.78.0.11 software=keepalived", "10.77.0.12 10.78.0.12", "fd77::12 10.78.0.12 10.77.0.12",
		"vip 10.77.0.20", "vip fd77::20 birch\nvip [fd77::21]:8080").Replace(whole)
	got, err := Parse("lab.conf", text)
	if err != nil {
		t.Fatal(err)
	}
	amber, birch := got.Directors[0], got.Directors[1]
	if len(amber.Interfaces) != 2 || len(amber.Interfaces[0].Addresses) != 2 || amber.Address6() != netip.MustParseAddr("fd77::11") || amber.Software != "keepalived" || amber.Vars["software"] != "" {
		t.Errorf("amber: %+v", amber)
	}
	if a := birch.Interfaces[0].Addresses; len(a) != 2 || a[0] != netip.MustParsePrefix("fd77::12/64") || a[1] != netip.MustParsePrefix("10.77.0.12/24") || birch.Software != "" {
		t.Errorf("birch: %+v", birch)
	}
	if v := got.VIPs; len(v) != 3 || v[1] != (VIP{netip.MustParseAddr("fd77::20"), 80, "birch"}) || v[2] != (VIP{netip.MustParseAddr("fd77::21"), 8080, ""}) || !v[1].Is6() || v[0].Is6() {
		t.Errorf("vips: %+v", v)
	}
	if got.Networks[0].String() != "front 10.77.0.0/24 fd77::/64" {
		t.Error(got.Networks[0])
	}
	if text, err := got.View(1, "", "evenkeel", false).Render("f", "{{.Addr}} {{.Addr6}}{{range .VIPs}} {{.Is6}}{{end}}{{range .Legs}} {{.Address}}{{end}}"); err != nil ||
		text != "fd77::12 fd77::12 false true true fd77::12/64 10.78.0.12/24" {
		t.Errorf("%q, %v", text, err)
	}
}

func TestMessages(t *testing.T) {
	// Each row is put in the place of a line of the whole file.
	for _, c := range []struct{ old, new, want string }{
		{"lab pair", "laboratory pair", `lab.conf:4:1: there is no "laboratory" here; a line begins with one of lab, network`},
		{"lab pair", "lab", "lab.conf:4:1: lab what? the line reads: lab NAME"},
		{"lab pair", "lab Pair", `lab.conf:4:5: the name "Pair" may have small letters, digits and _ only`},
		{"lab pair", "lab averylonglongname", "is longer than 12 letters"},
		{"lab pair", "lab a b", `lab.conf:4:7: "b" is one word too many; the line reads: lab NAME`},
		{"lab pair", "", "the lab has no name: add a line `lab NAME`"},
		{"network front 10.77.0.0/24", "network front 10.77.0.1/24", "lab.conf:5:15: 10.77.0.1/24 is an address in the network 10.77.0.0/24; write the network"},
		{"network front 10.77.0.0/24", "network front 10.77.0.0/31", "has no room for a cluster"},
		{"network front 10.77.0.0/24", "network front ten", `"ten" is no network; write it like 10.77.0.0/24`},
		{"network front 10.77.0.0/24", "network front 10.77.0.0/24 10.79.0.0/24", "lab.conf:5:28: a network has one range of IPv4 addresses and one of IPv6; make 10.79.0.0/24 another network"},
		{"network front 10.77.0.0/24", "network front 10.77.0.0/24 fe80::/64", "every interface has an address in fe80::/64 by itself"},
		{"priority=100 state=BACKUP", "priority=100 state=BACKUP software=haproxy", `directors cannot run "haproxy"; they run one of evenkeel, keepalived`},
		{"priority=100 state=BACKUP", "priority=100 state=BACKUP software=evenkeel software=evenkeel", "software is set twice"},
		{"vip 10.77.0.20", "vip fd77::20", "fd77::20 lies in no network; declare one above (network NAME fd77::/64)"},
		{"network front 10.77.0.0/24", "network back 10.77.0.0/24", "there is a network back already"},
		{"network back  10.78.0.0/24", "network back 10.77.0.0/16", "overlaps network front (10.77.0.0/24)"},
		{"client 10.77.0.100", "client 10.99.0.100", "lab.conf:7:8: 10.99.0.100 lies in no network; declare one above (network NAME 10.99.0.0/24)"},
		{"client 10.77.0.100", "client 10.78.0.100", "the client is on no network with 10.77.0.10"},
		{"client 10.77.0.100", "", "there is no client: add a line `client ADDRESS`"},
		{"director birch 10.77.0.12", "director amber 10.77.0.12", "lab.conf:9:10: line 8 has a node amber already"},
		{"director birch 10.77.0.12", "director birch 10.77.0.11", "lab.conf:9:16: line 8 has 10.77.0.11 already"},
		{"director birch 10.77.0.12", "director birch 10.77.0.12 10.77.0.13", "it has an address in network front already"},
		{"director birch 10.77.0.12", "director client 10.77.0.12", "every lab has a client of its own"},
		{"priority=100 state=BACKUP", "priority=100", `amber has "priority state" and birch has "priority"`},
		{"priority=100 state=BACKUP", "priority= state=BACKUP", `"priority=": write KEY=VALUE`},
		{"priority=100 state=BACKUP", "priority=1 priority=2 state=BACKUP", "priority is set twice"},
		{"priority=100 state=BACKUP", "priority=100 state=BACKUP 10.78.0.13", "addresses stand before the KEY=VALUE words"},
		{"director birch 10.77.0.12 10.78.0.12", "director birch", "director birch has no address"},
		{":8080 embedded", ":8080 apache", `an origin is nginx or embedded, not "apache"`},
		{":8080 embedded", ":0", "is no address, with or without port"},
		{"vip 10.77.0.10:81 amber", "vip 10.77.0.10:81 ambre", `lab.conf:12:19: no director is called "ambre"; there are amber, birch`},
		{"vip 10.77.0.20", "vip 10.78.0.20", "lie in different networks"},
		{"vip 10.77.0.20", "vip 10.77.0.11", "line 8 has 10.77.0.11 already"},
		{"haproxy    haproxy.cfg", "haproxy /etc/haproxy.cfg", "must lie beside the topology file or below it"},
		{"haproxy    haproxy.cfg", "haproxy ../haproxy.cfg", "must lie beside the topology file or below it"},
		{"haproxy    haproxy.cfg", "haproxy a\nhaproxy b", "there is a already; further files come with `file`"},
		{"check.sh 755", "check.sh 999", `"999" is no file mode; write it like 755`},
	} {
		if !strings.Contains(whole, c.old) {
			t.Fatalf("the file has no %q", c.old)
		}
		_, err := Parse("lab.conf", strings.Replace(whole, c.old, c.new, 1))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q:\n got %v\nwant %s", c.new, err, c.want)
		}
	}
	for text, want := range map[string]string{
		"":     "lab.conf:1:1: the lab has no name",
		"\x00": "this is no text",
		"lab x\nnetwork n fd77::/64 10.7.0.0/24\nclient 10.7.0.1\ndirector d fd77::2\nvip fd77::3\nkeepalived k": "the client is on no network with fd77::3",
	} {
		if _, err := Parse("lab.conf", text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

func TestRender(t *testing.T) {
	topology, err := Parse("lab.conf", whole)
	if err != nil {
		t.Fatal(err)
	}
	v := topology.View(1, "/dir", "keepalived", true)
	for _, c := range []struct{ text, want, bad string }{
		{"{{.Name}} {{.Addr}} {{.Interface}} {{.Var.priority}} {{.Dir}} {{.Software}} {{.Index}}", "birch 10.77.0.12 eth0 100 /dir keepalived 1", ""},
		{"{{range .Peers}}{{.Name}} {{.Address}}{{end}}", "amber 10.77.0.11", ""},
		{"{{range .Origins}}{{.Address}}:{{.Port}} {{end}}", "10.78.0.21:8080 10.78.0.22:80 ", ""},
		{"{{range .VIPs}}{{.Address}} {{end}}{{if .Changed}}changed{{end}}", "10.77.0.10 10.77.0.20 changed", ""},
		{"{{range $i := 3}}{{add $i 1}}{{end}}", "123", ""},
		{"a\n{{.Var.nothing}}", "", "f.conf:2:"},
		{"{{if}}", "", "f.conf:1:"},
		{"{{.Nothing}}", "", "f.conf:1:"},
	} {
		got, err := v.Render("f.conf", c.text)
		if got != c.want || (err == nil) != (c.bad == "") || (err != nil && !strings.Contains(err.Error(), c.bad)) {
			t.Errorf("%q: got %q, %v; want %q, %q", c.text, got, err, c.want, c.bad)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(whole)
	f.Add("lab x # y")
	f.Fuzz(func(t *testing.T, text string) {
		top, err := Parse("f", text)
		if err != nil {
			if top != nil && !strings.HasPrefix(err.Error(), "f:") {
				t.Fatalf("an error without its place: %v", err)
			}
			return
		}
		if top.Name == "" || len(top.Directors) == 0 || len(top.VIPs) == 0 || len(top.Directors)+len(top.Origins) > maxNodes {
			t.Fatalf("taken, though not whole: %+v", top)
		}
		for _, n := range append(top.Directors, top.Origins...) {
			for _, leg := range n.Interfaces {
				for _, a := range leg.Addresses {
					if !top.Networks[leg.Network].Contains(a.Addr()) {
						t.Fatalf("%s is not in its network", a)
					}
				}
			}
		}
	})
}
