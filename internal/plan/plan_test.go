package plan_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"evenkeel/internal/dialect/haproxy"
	"evenkeel/internal/model"
	"evenkeel/internal/plan"
)

// machine is a made-up host: its files, its users, the names it resolves.
func machine() plan.Options {
	files := map[string]string{"503.http": "HTTP/1.0 503 No\r\n\r\n", "empty": "", "junk": "hello", "a.pem": "x", "b.pem.rsa": "x", "ca.pem": "x"}
	id := func(name string) (int, error) {
		if name == "web" {
			return 33, nil
		}
		return 0, errors.New("unknown")
	}
	return plan.Options{
		ReadFile: func(name string) ([]byte, error) {
			if s, ok := files[name]; ok {
				return []byte(s), nil
			}
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		},
		Stat: func(name string) error {
			if _, ok := files[name]; ok {
				return nil
			}
			return &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
		},
		LookupUser: id, LookupGroup: id,
		Resolve: func(host string) error {
			if host == "known" {
				return nil
			}
			return errors.New("no such host")
		},
	}
}

const frame = "defaults\n timeout client 1s\n timeout connect 1s\n timeout server 1s\n"

func build(t *testing.T, text string) (*plan.Plan, model.Diagnostics) {
	t.Helper()
	cfg, d := haproxy.Parse([]haproxy.File{{Name: "f", Data: []byte(text)}}, haproxy.Options{})
	if d.HasErrors() {
		t.Fatalf("%s: %v", text, d)
	}
	return plan.BuildWith(cfg, machine())
}

// TestMessages: each text leads to a message that holds want, at that line.
func TestMessages(t *testing.T) {
	for _, c := range []struct {
		text     string
		line     int
		severity model.Severity
		want     string
	}{
		{"frontend a\n bind :1\n default_backend b", 7, model.Error, "unable to find required default_backend: 'b'; add a section 'backend b'"},
		{"frontend a\n bind :1\n default_backend B\nbackend b", 7, model.Error, "case sensitive: write 'b'"},
		{"frontend a\n bind :1\n default_backend a", 7, model.Error, "'a' is a frontend"},
		{"frontend a\n bind :1\n default_backend b\nbackend b\n disabled", 7, model.Error, "'b' is disabled"},
		{"listen a\n bind :1\n default_backend a", 7, model.Error, "loop detected"},
		{"frontend a\n mode http\n bind :1\n default_backend b\nbackend b", 8, model.Error, "incompatible tcp backend 'b'"},
		{"frontend a\n bind :1\n use_backend b if TRUE", 7, model.Error, "required use_backend: 'b'"},
		{"backend a\n server s :1\n use-server t if TRUE", 7, model.Error, "its servers are: s"},
		{"backend a\n server s :1\n server s :2", 7, model.Error, "another server named 's' was already defined at line 6"},
		{"backend a\n server s :1 id 3\n server t :2 id 3", 7, model.Error, "custom id 3 already used"},
		{"backend a\n id 9\nbackend b\n id 9", 7, model.Error, "reuses same custom id"},
		{"listen a\n bind :1 id 2\n bind :2 id 2", 7, model.Error, "custom id 2 already used"},
		{"backend a\n server s :1 track t\n server t :1", 6, model.Error, "does not have any check"},
		{"backend a\n server s :1 track t\n server t :1 track s", 6, model.Error, "looping back"},
		{"backend a\n server s :1 track x/t", 6, model.Error, "required proxy 'x'"},
		{"backend a\n server s :1 track t", 6, model.Error, "required server 't'"},
		{"backend a\n server s :1 ssl", 6, model.Error, "no CA file"},
		{"backend a\n server s :1 ssl ca-file nope", 6, model.Error, "'nope'"},
		{"backend a\n server s 1.2.3.4 check", 6, model.Error, "neither service port"},
		{"backend a\n server s :1 agent-check", 6, model.Error, "agent port"},
		{"backend a\n server s unknown:1", 6, model.Error, "could not resolve address 'unknown'"},
		{"backend a\n server s :1 redir x", 6, model.Error, "redirect prefix in non-HTTP mode"},
		{"backend a\n server s :1 cookie x", 6, model.Warning, "ignoring cookie for server 's'"},
		{"listen a\n bind :1 ssl", 6, model.Error, "no SSL certificate"},
		{"listen a\n bind :1 ssl crt nope", 6, model.Error, "'nope' : file does not exist"},
		{"listen a\n bind :1 ssl crt a.pem verify required", 6, model.Error, "no CA file"},
		{"listen a", 5, model.Warning, "has no 'bind' directive"},
		{"listen a\n bind :1\n cookie x", 7, model.Warning, "cookie will be ignored"},
		{"listen a\n bind :1\n balance uri", 7, model.Warning, "Falling back to round robin"},
		{"listen a\n bind :1\n http-request deny", 7, model.Warning, "require HTTP mode"},
		{"listen a\n bind :1\n option forwardfor", 7, model.Warning, "requires HTTP mode"},
		{"listen a\n bind :1\n option httplog", 5, model.Warning, "Falling back to 'option tcplog'"},
		{"listen a\n bind :1\n dispatch h:1\n server s :1", 7, model.Warning, "dispatch address will be ignored"},
		{"backend a\n http-check expect status 200", 6, model.Warning, "without 'option httpchk'"},
		{"listen a\n bind :1\n timeout client 0", 5, model.Warning, "missing timeouts for proxy 'a'"},
		{"listen a\n bind :1\n errorfile 503 nope", 7, model.Error, "error opening file 'nope'"},
		{"listen a\n bind :1\n errorfile 503 junk", 7, model.Error, "no HTTP/1 response"},
		{"listen a\n bind :1\n errorfiles nope", 7, model.Error, "unknown http-errors section"},
		{"global\n user nobody99", 5, model.Error, "cannot find user id"},
		{"userlist u\n user a insecure-password b groups g", 6, model.Error, "no such group 'g'"},
		{"userlist u\n group g users a", 6, model.Error, "no such user 'a'"},
		{"global\n zero-warning\nlisten a", 5, model.Error, "'zero-warning' makes them errors"},
	} {
		_, d := build(t, frame+c.text+"\n")
		found := false
		for _, x := range d {
			found = found || x.Severity == c.severity && x.Pos.Line == c.line && x.Pos.Col > 0 && strings.Contains(x.String(), c.want)
		}
		if !found {
			t.Errorf("%q: no %q at line %d in %v", c.text, c.want, c.line, d)
		}
	}
}

func TestPlan(t *testing.T) {
	p, d := build(t, "global\n user web\n"+frame+`frontend a
 mode http
 bind :1 ssl crt a.pem crt b.pem id 1
 bind :2
 errorfiles e
 errorfile 500 empty
 use_backend c if TRUE
 use_backend %[hdr(host)]
 default_backend b
backend b
 mode http
 server s :1 id 1
 server t known:2 check
 server u :3 track c/s
 use-server t if TRUE
 use-server %[hdr(x)] if TRUE
backend c
 mode http
 id 2
 server s :1 check minconn 5
listen l
 bind :3
frontend off
 disabled
 default_backend nope
userlist u
 user x insecure-password y
 group g users x
http-errors e
 errorfile 503 503.http
`)
	if d.HasErrors() {
		t.Fatal(d)
	}
	a, b, c, l := p.Frontends["a"], p.Backends["b"], p.Backends["c"], p.Frontends["l"]
	if p.DefaultBackend(a) != b || p.DefaultBackend(l) != l || p.UseBackend(a, 0) != c || p.UseBackend(a, 1) != nil {
		t.Error("backends")
	}
	if p.UseServer(b, 0) != b.Backend.Servers[1] || p.UseServer(b, 1) != nil {
		t.Error("use-server")
	}
	if tr, ok := p.Track(b.Backend.Servers[2]); !ok || tr.Backend != c || tr.Server != c.Backend.Servers[0] {
		t.Error("track")
	}
	if p.Frontends["off"] != nil || !p.HasListener() {
		t.Error("a disabled frontend, or no listener")
	}
	if a.ID != 3 || b.ID != 4 || c.ID != 2 || l.ID != 6 {
		t.Errorf("ids %d %d %d %d", a.ID, b.ID, c.ID, l.ID)
	}
	if s := b.Backend.Servers; s[0].ID != 1 || s[1].ID != 2 || s[2].ID != 3 || a.Frontend.Binds[1].ID != 2 {
		t.Error("ids of servers or binds")
	}
	if g := p.Config.Global; g.UID == nil || *g.UID != 33 {
		t.Error("user")
	}
	if string(a.Errors[503].Raw[:8]) != "HTTP/1.0" || a.Errors[500].Raw == nil || len(a.Errors[500].Raw) != 0 || len(a.Errors) != 2 {
		t.Errorf("errors %v", a.Errors)
	}
	if u := p.Config.Userlists[0].Users[0]; len(u.Groups) != 1 || u.Groups[0] != "g" {
		t.Errorf("groups %v", u.Groups)
	}
	if m := c.Backend.Servers[0]; m.MaxConn != 5 {
		t.Errorf("maxconn %d", m.MaxConn)
	}
	var files []string
	for _, f := range p.Files {
		files = append(files, f.Path)
	}
	if got := strings.Join(files, " "); got != "a.pem b.pem 503.http empty" {
		t.Errorf("files: %s", got)
	}
}
