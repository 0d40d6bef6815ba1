package ipvsadm

import (
	"bytes"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// names are those of the machine that the recordings are from.
type names map[string]string

var recordedNames = names{"web": "10.0.0.1", "real1": "10.1.0.1", "10.0.0.1": "web.example.org", "10.1.0.1": "real1.example.org",
	"2001:db8::1": "web6.example.org", "http/tcp": "80", "https/tcp": "443", "https/udp": "443", "domain/tcp": "53", "domain/udp": "53",
	"80/tcp": "http", "443/tcp": "https", "443/udp": "https", "53/udp": "domain", "53/tcp": "domain", "8080/tcp": "http-alt"}

func (n names) HostName(a netip.Addr) string { return n[a.String()] }

func (n names) Host(name string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(n[name])
	return a, err == nil
}

func (n names) PortName(port uint16, protocol string) string {
	return n[netip.AddrPortFrom(netip.IPv4Unspecified(), port).String()[len("0.0.0.0:"):]+"/"+protocol]
}

func (n names) Port(service, protocol string) (uint16, bool) {
	a, err := netip.ParseAddrPort("0.0.0.0:" + n[service+"/"+protocol])
	return a.Port(), err == nil
}

// differs are command lines that are knowingly not treated as ipvsadm 1.31
// does, and why.
var differs = map[string]string{
	"-A -t [2001:db8::9] -p":                          "brackets without a port are what its man page describes",
	"-a -t 10.0.0.1:80 -r [2001:db8::9]":              "the same",
	"-a -t 10.0.0.1:80 -r [2001:db8::9] -i":           "the same",
	"-a -t 10.0.0.1:80 -r [2001:db8::9] -m":           "the same",
	"-a -t [2001:db8::1]:80 -r [2001:db8::9]":         "the same",
	"-a -f 4 -6 -r [2001:db8::9]":                     "the same",
	"-a -f 4 -r [2001:db8::9]":                        "the same",
	"-A -t [10.0.0.9]:80":                             "brackets are for IPv6; it takes the port for missing",
	"-A -f 4294967295":                                "-S shows the mark as -1, which -R does not take",
	"-A -t 10.0.0.9:80 -p 10 -M 24":                   "means 0.0.0.24 to it, and /24 to whoever writes it",
	"-A -t 10.0.0.9:80 -p 10 -M 255.0.255.0":          "a mask with holes",
	"-A -t 10.0.0.9:80 -p 10 -M 0.0.0.0":              "all clients of the world as one",
	"-a -m -r 10.1.0.9 -t 10.0.0.1:80":                "the server gets port 0 where its options come first",
	"-A -t 10.0.0.9:80 -s sh -b flag-3":               "-S writes -b without a flag, which -R does not take",
	"-A -t 10.0.0.9:80 -s mh -b flag-1,flag-2,flag-3": "-S forgets flag-3",
}

// thresholds are in our -S and not in ipvsadm's, so that -R brings them back.
var thresholds = regexp.MustCompile(`( -x \d+)?( -y \d+)?\n`)

type recording struct {
	line                         string
	stdout, stderr               string
	code                         string
	gone, come, daemon, timeouts []string
}

func readRecordings(t *testing.T) (base []string, list []*recording) {
	t.Helper()
	text, err := os.ReadFile("testdata/recorded.txt")
	if err != nil {
		t.Fatal(err)
	}
	var r *recording
	for line := range strings.SplitSeq(strings.TrimSuffix(string(text), "\n"), "\n") {
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, ": "):
			base = append(base, line[2:])
		case strings.HasPrefix(line, "$ "):
			r = &recording{line: line[2:]}
			list = append(list, r)
		case strings.HasPrefix(line, "  "):
			r.stdout += line[2:] + "\n"
		case strings.HasPrefix(line, "! "):
			r.stderr += line[2:] + "\n"
		case strings.HasPrefix(line, "= "):
			r.code = line[2:]
		case strings.HasPrefix(line, "+"):
			r.come = append(r.come, line[1:])
		case strings.HasPrefix(line, "-"):
			r.gone = append(r.gone, line[1:])
		case strings.HasPrefix(line, "d "):
			r.daemon = append(r.daemon, line[2:])
		case strings.HasPrefix(line, "t "):
			r.timeouts = append(r.timeouts, line[2:])
		default:
			t.Fatalf("what is %q?", line)
		}
	}
	return base, list
}

// ask runs one command line.
func ask(table Table, line string, stdin string) (stdout, stderr string, code int) {
	var out, errs bytes.Buffer
	s := Shell{Table: table, Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs, Resolver: recordedNames, Names: recordedNames}
	args := strings.Fields(line)
	for i, a := range args {
		if a == "''" {
			args[i] = ""
		}
	}
	code = s.Main(args)
	return out.String(), errs.String(), code
}

func lines(s string) []string { return strings.Split(strings.TrimSuffix(s, "\n"), "\n") }

func without(a, b []string) (out []string) {
	for _, x := range a {
		if !slices.Contains(b, x) {
			out = append(out, x)
		}
	}
	return out
}

func saved(table Table) []string {
	out, _, _ := ask(table, "-Sn", "")
	return lines(thresholds.ReplaceAllString(out, "\n"))
}

// What ipvsadm was seen to do is what we do: output, messages, exit codes and
// the table afterwards.
func TestRecorded(t *testing.T) {
	base, list := readRecordings(t)
	if len(list) < 500 {
		t.Fatalf("only %d recordings", len(list))
	}
	rules := strings.Join(base, "\n")
	seen := 0
	for _, r := range list {
		table := newMemory()
		if _, stderr, code := ask(table, "-R", rules); code != 0 {
			t.Fatalf("the base: %s", stderr)
		}
		before := saved(table)
		stdout, stderr, code := ask(table, r.line, "")
		if strings.HasPrefix(r.line, "-S") || strings.HasPrefix(r.line, "--save") {
			stdout = thresholds.ReplaceAllString(stdout, "\n")
		}
		after := saved(table)
		if strings.Contains(r.line, "--nosort") {
			// The kernel's order of services is that of its hash.
			stdout, r.stdout = inOrder(stdout), inOrder(r.stdout)
		}
		if r.line == "-C" || r.line == "--clear" {
			after = nil
		}
		daemon, _, _ := ask(table, "-L --daemon", "")
		timeouts, _, _ := ask(table, "-L --timeout", "")
		agree := stdout == r.stdout && strings.TrimRight(stderr, "\n") == strings.TrimRight(r.stderr, "\n") &&
			r.code == strconv.Itoa(code) && slices.Equal(without(before, after), r.gone) && slices.Equal(without(after, before), r.come) &&
			(r.timeouts == nil || slices.Equal(lines(timeouts), r.timeouts)) && (r.daemon == nil || slices.Equal(lines(daemon), r.daemon))
		if why, known := differs[r.line]; known {
			seen++
			if agree {
				t.Errorf("ipvsadm %s: no longer differs (%s)", r.line, why)
			}
			continue
		}
		if !agree {
			t.Errorf("ipvsadm %s\n got %q %q %d gone %q come %q\nwant %q %q %s gone %q come %q\n%s%s%q", r.line, stdout, stderr, code,
				without(before, after), without(after, before), r.stdout, r.stderr, r.code, r.gone, r.come, daemon, timeouts, r.daemon)
		}
	}
	if seen != len(differs) {
		t.Errorf("%d of %d differences were recorded", seen, len(differs))
	}
}

func inOrder(s string) string {
	list := lines(s)
	slices.Sort(list)
	return strings.Join(list, "\n")
}
