package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestRuntimeAPI(t *testing.T) { runAll(t, adminScenarios) }

var adminScenarios = []scenario{
	{name: "servers", config: "backend b\n cookie SRV insert\n server s1 {s1} weight 10 cookie c1\n server s2 {s2} disabled\n server s3 {s3} check inter 10s\n server s4 127.0.0.1:1 backup maxconn 5 agent-check agent-port 1 agent-inter 10s\nlisten l\n bind {fe1}\n bind {fe2} name second\n server x {s1}\n", steps: steps(
		step{name: "wait for a check", do: func(d *director) string { d.sleep(time.Second); return "" }}, cli("show servers state"), cli("show servers state b"), cli("show servers state nope"), cli("show servers conn b").not("connections of checks are not counted"), cli("show backend"),
		cli("get weight b/s1"), cli("set weight b/s1 50%"), cli("get weight b/s1"), cli("set weight b/s1 0"), cli("set weight b/s1 300"), cli("set weight b/s1 x").not(newline), cli("set weight nope/s1 1"), cli("set weight b/s1"), cli("get weight b/zz"), cli("get weight"),
		cli("set server b/s1 state drain"), cli("show servers state b"), cli("set server b/s1 state maint"), cli("show servers state b"), cli("set server b/s1 state ready"), cli("set server b/s1 state foo"), cli("set server b/s1 weight 5"),
		cli("set server b/s1 addr 127.0.0.2"), cli("set server b/s1 addr 127.0.0.2 port 81"), cli("set server b/s1 addr foo"), cli("set server b/s1 port 90"), cli("set server b/s1 addr 127.0.0.2 port 90"),
		cli("set server b/s3 health down"), cli("set server b/s3 health up"), cli("set server b/s3 health stopping"), cli("set server b/s1 health up"), cli("set server b/s3 check-port 8080"), cli("set server b/s1 fqdn x"), cli("set server b/s4 agent down"), cli("set server b/s4 agent-addr 127.0.0.1"), cli("set server b/s4 agent-send hello"),
		cli("set server b/s1 ssl on"), cli("set server b"), cli("set server b/s1"), cli("set server b/s1 foo"), cli("set server nope/s1 state ready"), cli("set server b/zz state ready"),
		cli("disable server b/s1"), cli("enable server b/s1"), cli("disable server b/zz"), cli("disable server"), cli("disable health b/s3"), cli("enable health b/s3"), cli("enable health b/s1"), cli("disable agent b/s4"), cli("enable agent b/s4"), cli("enable agent b/s1"),
		cli("set maxconn server b/s1 10"), cli("set maxconn server b/s1 x").not(newline), cli("set maxconn server b/s1"), cli("set maxconn frontend l 20"), cli("set maxconn frontend nope 20"), cli("set maxconn global 100"), cli("set maxconn foo").not(newPrompt),
		cli("disable frontend l"), cli("disable frontend l"), cli("enable frontend l"), cli("enable frontend l"), cli("disable frontend zz"), cli("shutdown frontend zz"),
		cli("disable dynamic-cookie backend b").not(later), cli("enable dynamic-cookie backend b").not(later), cli("set dynamic-cookie-key backend b k").not(later),
		cli("shutdown sessions server b/s1"), cli("shutdown session 0x1"), cli("shutdown session"), cli("set rate-limit connections global 10"), cli("set rate-limit foo"), cli("set timeout cli 10"), cli("set timeout cli x"),
		cli("show servers state b; get weight b/s1").not(checkAddr), cli("clear counters"), cli("clear counters all"), cli("clear foo").not(newPrompt), cli("foo bar").not(helpText), cli("show errors").not("the date"), cli("show sess 0x0").not(ownSession), cli("show sess all").not("its own session is not listed"), cli("set foo").not(more), cli("show foo").not(helpText), cli("show table"), cli("show table zz"), cli("show resolvers").not(resolvers), cli("show cli level"), cli("operator; show cli level"), cli("operator; set weight b/s1 2"), cli("user; show cli level"), cli("prompt").not(timeout), cli("show peers"), cli("show env testdir"), cli("show tls-keys").not(later), cli("show schema json").not("the description of fields is ours"), cli("show cache"), cli("show threads").not("debugging output"), cli("@1 show info").not(master), cli("expert-mode on"), cli("show cli sockets").not("the address of the socket"), cli("add server b/new 127.0.0.1:99").not(later), cli("del server b/s1").not(later), cli("help show").not(helpText),
	)},
	{name: "stat", config: "frontend f\n bind {fe1}\n http-request deny if { path /deny }\n default_backend b\nbackend b\n server s1 {s1} weight 10\n server s2 {s2} backup disabled\n", steps: steps(
		statStep("none"), get("/"), get("/deny"), get("/500"), raw("BAD\r\n\r\n"), get("/empty"), statStep("some"), statTyped("show stat typed"), statTyped("show stat b 4 -1 typed"),
	)},
	{name: "info", config: plain, steps: steps(step{name: "names", do: func(d *director) string { return names(d.ask("show info")) }}.not("fields that are not built yet are left out"))},
	{name: "maps and acls", files: map[string]string{"m": "a.com one\nb.com two\n", "l": "x\ny\n"}, config: front("http-request set-header X-M %[req.hdr(host),map({dir}/m,none)]\nhttp-request deny if { path -f {dir}/l }\nhttp-request set-map({dir}/m) %[path] %[method] if { path_beg /set }\nhttp-request del-map({dir}/m) %[path] if { path_beg /del }\nhttp-request add-acl({dir}/l) /added if { path /adda }\nhttp-request del-acl({dir}/l) /added if { path /dela }"), steps: steps(
		mapStep("show map"), mapStep("show map {dir}/m"), mapStep("show acl {dir}/l"), cliDir("get map {dir}/m a.com"), cliDir("get map {dir}/m zz"), cliDir("set map {dir}/m a.com changed"), get("/"), cliDir("set map {dir}/m zz x"), cliDir("add map {dir}/m zz x"), mapStep("show map {dir}/m"), cliDir("del map {dir}/m zz"), cliDir("del map {dir}/m zz"), cliDir("add acl {dir}/l /blocked"), get("/blocked"), cliDir("del acl {dir}/l /blocked"), get("/blocked"), cliDir("clear acl {dir}/l"), mapStep("show acl {dir}/l"), cliDir("clear map {dir}/m"), get("/"), cliDir("show map nope"), cliDir("add map {dir}/m"), get("/set1"), mapStep("show map {dir}/m"), cliDir("prepare map {dir}/m"), cliDir("add map @1 {dir}/m k v"), cliDir("commit map @1 {dir}/m"), mapStep("show map {dir}/m"), get("/adda"), get("/added"), get("/dela"), get("/added"),
	)},
	{name: "levels", bare: true, config: "global\n stats socket \"fd@${cli}\" level user\n" + strings.ReplaceAll(commonDefaults, " log global\n", "") + plain, steps: steps(cli("show servers state"), cli("set weight b/s1 1"), cli("show cli level"), cli("show env"), cli("disable server b/s1"))},
	{name: "disabled by hand", config: "listen f\n bind {fe1}\n server s1 {s1}\n server s2 {s2}\n", steps: steps(get("/"), cli("disable server f/s1"), get("/"), get("/"), cli("disable server f/s2"), get("/"), cli("enable server f/s1"), get("/"), cli("set server f/s2 state drain"), cli("set server f/s2 addr 127.0.0.1 port 1"), cli("disable frontend f"))},
}

const (
	newPrompt  = "the prompt command is that of HAProxy 3.0"
	more       = "HAProxy 2.6 stops its list of matches early"
	ownSession = "the session of the command itself is not listed"
	resolvers  = "there is no built-in section of resolvers"
	newline    = "every answer ends in an empty line"
	checkAddr  = "changed addresses and ports of checks and agents are not in the state yet"
	master     = "@1 is this worker"
	timeout    = "the port of the client is in the message"
	later      = "not built yet, and says so"
)

const helpText = "the list of commands is ours"

func cliDir(command string) step {
	return step{name: command, do: func(d *director) string { return d.ask(d.words.Replace(command)) }}
}

var pointers = regexp.MustCompile(`0x[0-9a-f]+`)

// mapStep shows patterns; their references are addresses in HAProxy.
func mapStep(command string) step {
	return step{name: command, do: func(d *director) string {
		return pointers.ReplaceAllString(d.ask(d.words.Replace(command)), "0x")
	}}
}

// statStep compares the columns of show stat that do not depend on clocks or
// on how bytes are counted.
func statStep(name string) step {
	skip := map[string]bool{"bin": true, "bout": true, "lastchg": true, "downtime": true, "lastsess": true, "pid": true, "qtime": true, "ctime": true, "rtime": true, "ttime": true,
		"rate": true, "rate_max": true, "req_rate": true, "req_rate_max": true, "conn_rate": true, "conn_rate_max": true, "slim": true, "qtime_max": true, "ctime_max": true, "rtime_max": true, "ttime_max": true, "throttle": true,
		"scur": true, "smax": true, "qmax": true, "used_conn_cur": true, "idle_conn_cur": true, "safe_conn_cur": true, "need_conn_est": true, "check_duration": true}
	return step{name: "show stat, " + name, do: func(d *director) string {
		lines := strings.Split(strings.TrimSpace(d.ask("show stat")), "\n")
		head := strings.Split(strings.TrimPrefix(lines[0], "# "), ",")
		var out []string
		for _, l := range lines[1:] {
			for i, v := range strings.Split(l, ",") {
				if i < 83 && i < len(head) && !skip[head[i]] && v != "" {
					out = append(out, fmt.Sprintf("%s %s=%s", strings.Join(strings.Split(l, ",")[:2], "/"), head[i], v))
				}
			}
		}
		return "columns " + strings.Join(head[:83], ",") + "\n" + strings.Join(out, "\n")
	}}
}

// statTyped compares the first lines' names and types.
func statTyped(command string) step {
	return step{name: command, do: func(d *director) string {
		var out []string
		for _, l := range strings.Split(d.ask(command), "\n") {
			parts := strings.Split(l, ":")
			if n := strings.Split(parts[0], "."); len(n) > 3 && len(parts) > 2 && n[3] != "0" || len(out) > 60 {
				continue
			}
			out = append(out, strings.Join(parts[:min(3, len(parts))], ":"))
		}
		return strings.Join(out, "\n")
	}}
}

func names(s string) string {
	var out []string
	for _, l := range strings.Split(s, "\n") {
		n, _, _ := strings.Cut(l, ":")
		out = append(out, n)
	}
	return strings.Join(out, "\n")
}

// TestStateFile hands the state of one director's servers to the next, in all
// four directions.
func TestStateFile(t *testing.T) {
	needPeer(t)
	config := commonGlobal + " server-state-base {dir}\n server-state-file state\n" + commonDefaults + " load-server-state-from-file global\nbackend b\n server s1 127.0.0.1:81 weight 10\n server s2 127.0.0.1:82 weight 20\n server s3 127.0.0.1:83 check inter 100s\nlisten l\n bind {fe1}\n server x 127.0.0.1:84\n"
	var results []string
	for _, from := range []string{peer, ours} {
		for _, to := range []string{peer, ours} {
			d := newDirector(t, from)
			d.start(config)
			for _, c := range []string{"set weight b/s1 5", "set server b/s2 state drain", "set server b/s1 addr 127.0.0.9 port 99", "set server b/s3 health down", "disable server l/x"} {
				d.ask(c)
			}
			state := d.ask("show servers state")
			d.stop()
			e := newDirector(t, to)
			if err := os.WriteFile(filepath.Join(e.dir, "state"), []byte(state), 0o600); err != nil {
				t.Fatal(err)
			}
			e.start(config)
			results = append(results, withoutTimes(e.ask("show servers state")))
			e.stop()
		}
	}
	for i, r := range results[1:] {
		if r != results[0] {
			t.Errorf("way %d gives\n%s\nHAProxy to HAProxy gives\n%s", i+1, r, results[0])
		}
	}
}

// withoutTimes takes the column of seconds since the last change out.
func withoutTimes(s string) string {
	var out []string
	for _, l := range strings.Split(s, "\n") {
		f := strings.Fields(l)
		if len(f) > 10 && f[0] != "#" {
			f[9] = "t"
			if n, err := strconv.Atoi(f[13]); err == nil {
				f[13] = strconv.Itoa(n &^ 1) // 1: a check is under way
				if n == 0 {
					f[12] = "h" // the health of a server without checks means nothing
				}
			}
		}
		out = append(out, strings.Join(f, " "))
	}
	return strings.Join(out, "\n")
}
