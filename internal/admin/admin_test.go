package admin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"evenkeel/internal/model"
	"evenkeel/internal/pool"
)

const noSuchCommand = "Unknown command, but maybe one of the following ones is a better match:\n"

// The answers are those of HAProxy 2.6 to the same words, up to the place
// where a "…" ends the wanted text.
func TestAnswers(t *testing.T) {
	const rate = "'set rate-limit' only supports :\n   - 'connections global' to set the per-process maximum connection rate\n…"
	for _, x := range []struct{ say, want string }{
		{"disable server foo/bar", "No such backend.\n\n"},
		{"disable server foo", "Require 'backend/server'.\n\n"},
		{"disable server", "Require 'backend/server'.\n\n"},
		{"disable server be/zz", "No such server.\n\n"},
		{"disable server be/s1", "\n"},
		{"enable server be/#1", "\n"},
		{"enable server #3/s1", "\n"},
		{"set server be/s1", "usage: set server <backend>/<server> addr | agent | agent-addr | agent-port | agent-send | check-addr | check-port | fqdn | health | ssl | state | weight\n\n"},
		{"set server be/s1 foo", "usage: set server <backend>/<server> addr | agent …"},
		{"set server be/s1 state", "'set server <srv> state' expects 'ready', 'drain' and 'maint'.\n\n"},
		{"set server be/s1 state foo", "'set server <srv> state' expects 'ready', 'drain' and 'maint'.\n\n"},
		{"set server be/s1 state drain", "\n"},
		{"set server be/s1 weight 300", "Absolute weight can only be between 0 and 256 inclusive.\n\n"},
		{"set server be/s2 weight 50%;get weight be/s2", "\n5 (initial 10)\n\n"},
		{"set server be/s1 weight", "Require <weight> or <weight%>.\n\n"},
		{"set server be/s1 addr 127.0.0.9", "IP changed from '127.0.0.1' to '127.0.0.9' by 'stats socket command'\n\n"},
		{"set server be/s1 addr 127.0.0.1 port 88", "no need to change the addr, port changed from '21420' to '88' by 'stats socket command'\n\n"},
		{"set server be/s1 addr foo", "Invalid addr 'foo' by 'stats socket command'\n\n"},
		{"set server be/s1 addr", "set server <b>/<s> addr requires an address and optionally a port.\n\n"},
		{"set server be/s1 health foo", "'set server <srv> health' expects 'up', 'stopping', or 'down'.\n\n"},
		{"set server be/s1 health up", "\n"},
		{"set server be/s1 agent up", "agent checks are not enabled on this server.\n\n"},
		{"set server li/t1 agent foo", "'set server <srv> agent' expects 'up' or 'down'.\n\n"},
		{"set server be/s1 check-port 99", "\n"},
		{"set server be/s3 check-port 99", "health checks are not enabled on this server\n\n"},
		{"set server be/s1 check-port x", "provided port is not an integer\n\n"},
		{"set server be/s1 fqdn foo", "set server <b>/<s> fqdn failed because no resolution is configured.\n\n"},
		{"set server be/s1 ssl on", "'set server <srv> ssl' cannot be set.  default-server should define ssl settings\n\n"},
		{"get weight be/zz", "No such server.\n\n"},
		{"set weight be/s1 1x", "Trailing garbage in weight string\n\n"},
		{"set weight be/s1 -1", "Absolute weight can only be between 0 and 256 inclusive.\n\n"},
		{"set maxconn server be/s1 10", "\n"},
		{"set maxconn server be/s1", "Require <maxconn>.\n\n"},
		{"set maxconn server be/s1 x", "maxconn string empty or preceded by garbage\n\n"},
		{"set maxconn frontend zz 10", "No such frontend.\n\n"},
		{"set maxconn frontend fe", "Integer value expected.\n\n"},
		{"set maxconn global", "Expects an integer value.\n\n"},
		{"set maxconn global 1000", "Value out of range.\n\n"},
		{"set maxconn foo", noSuchCommand + "  set maxconn frontend <frontend> <value> : change a frontend's maxconn setting\n…"},
		{"set rate-limit", rate},
		{"set rate-limit connections x 5", rate},
		{"set rate-limit connections global", "Expects an integer value.\n\n"},
		{"set rate-limit sessions global 5", "\n"},
		{"set timeout cli", "Expects an integer value.\n\n"},
		{"set timeout foo 3", "'set timeout' only supports 'cli'.\n\n"},
		{"set timeout cli x", "Invalid timeout value.\n\n"},
		{"set timeout cli 1h", "\n"},
		{"shutdown session 0x1", "No such session (use 'show sess').\n\n"},
		{"shutdown session 0xa1", "\n"},
		{"shutdown session", "Session pointer expected (use 'show sess').\n\n"},
		{"shutdown sessions server be/s1", "\n"},
		{"shutdown sessions server", "Require 'backend/server'.\n\n"},
		{"shutdown sessions", noSuchCommand + "  shutdown sessions server <bk>/<srv> …"},
		{"shutdown frontend", "A frontend name is expected.\n\n"},
		{"disable frontend fe;disable frontend fe;enable frontend fe;enable frontend fe", "\nAll sockets are already disabled.\n\n\nAll sockets are already enabled.\n\n"},
		{"shutdown frontend fe;enable frontend fe", "\nFrontend was previously shut down, cannot enable.\n\n"},
		{"enable agent be/s1", "Agent was not configured on this server, cannot enable.\n\n"},
		{"enable health be/s3", "Health check was not configured on this server, cannot enable.\n\n"},
		{"disable health be/s1;enable health be/s1", "\n\n"},
		{"clear counters", "\n"},
		{"clear", noSuchCommand + "  clear acl [@<ver>] <acl>                : …"},
		{"", "Unknown command. Please enter one of the following commands only:\n…"},
		{"shwo stat", noSuchCommand + "  show stat [desc|…"},
		{"help show stat", "The following commands are valid at this level:\n  show stat [desc|json|no-maint|typed|up]*: report counters for each proxy and server\n  help [<command>] …"},
		{"show servers state zz", "Can't find backend.\n\n"},
		{"show servers conn zz", "Can't find backend.\n\n"},
		{"show errors zz", "No such proxy.\n\n"},
		{"show env EVENKEEL_NO_SUCH", "Variable not found\n\n"},
		{"show version", "3.0.1-evenkeel\n\n"},
		{"show version;show version", "3.0.1-evenkeel\n\n3.0.1-evenkeel\n\n"},
		{"@1 show version", "3.0.1-evenkeel\n\n"},
		{`show\ version`, noSuchCommand + "…"},
		{"quit;show version", ""},
		{"show cli level", "admin\n\n"},
		{"show cli sockets", "# socket lvl processes\nunix@/run/x.sock admin all\n\n"},
		{"show backend", "# name\nbe\nli\n\n"},
		{"show startup-logs", "[NOTICE] started\n\n"},
		{"operator;show cli level;clear counters;clear counters all", "\noperator\n\n\nPermission denied\n\n"},
		{"user;show cli level;operator", "\nuser\n\nPermission denied\n\n"},
		{"set severity-output number;disable server zz/z;show cli level", "\n[3]: No such backend.\n\n[6]: admin\n\n"},
		{"set severity-output string;disable server zz/z;set severity-output foo", "\n[err]: No such backend.\n\n[err]: one of 'none', 'number', 'string' is a required argument\n\n"},
		{"expert-mode on;expert-mode", "\nexpert-mode is ON\n\n"},
		{"show acl zz", "Unknown ACL identifier. Please use #<id> or <file>.\n\n"},
		{"show acl", "# id (file) description\n0 (/a.acl) pattern loaded from file '/a.acl' used by acl at file 'a.cfg' line 17. curr_ver=0 next_ver=0 entry_cnt=1\n\n"},
		{"add acl #0", "'add acl' expects two parameters: ACL identifier and pattern.\n\n"},
		{"add acl #0 /y;show acl #0", "\n0x1 /x\n0x4 /y\n\n"},
		{"get acl #0 /x;get acl #0 /z;get acl #0", "type=str, case=sensitive, match=yes, idx=tree, pattern=\"/x\"\n\ntype=str, case=sensitive, match=no\n\nMissing ACL identifier and/or key.\n\n"},
		{"del acl #0 /y;del acl #0;del acl #0 #0x1;show acl #0", "Key not found.\n\nThis command expects two parameters: ACL identifier and key.\n\n\n\n"},
		{"clear acl #0;clear acl;show acl #0", "\nMissing ACL identifier.\n\n\n"},
		{"show map #2", "0x2 a b\n0x3 c d\n\n"},
		{"add map #2 k v w;set map #2 k vv;set map #2 zz vv;get map #2 k", "\n\nentry not found.\n\ntype=str, case=sensitive, found=yes, idx=tree, key=\"k\", value=\"vv\", type=\"str\"\n\n"},
		{"add map #2 k", "'add map' expects three parameters (map identifier, key and value) or one parameter (map identifier) and a payload\n\n"},
		{"set map #2 k", "'set map' expects three parameters: map identifier, key and value.\n\n"},
		{"set map #2 #0x3 e;show map #2", "\n0x2 a b\n0x3 c e\n\n"},
		{"prepare map #2;add map @1 #2 n1 v1;show map @1 #2;commit map @9 #2;commit map #2;commit map @1 #2;show map #2",
			"New version created: 1\n\n\n0x4 n1 v1\n\nVersion number out of range.\n\nMissing version number.\n\n\n0x4 n1 v1\n\n"},
		{"add map @9 #2 a b", "Version number in the future, please use 'prepare map' before.\n\n"},
		{"add map /m.map <<\nq1 v 1\nq2 v2\n\nshow map /m.map", "\n0x2 a b\n0x3 c d\n0x4 q1 v 1\n0x5 q2 v2\n\n"},
		{"add map #2 <<END\nq1 v\n\nEND\nshow map #2", "\n0x2 a b\n0x3 c d\n0x4 q1 v\n\n"},
		{"add map #2 <<\nfoo\n", "Missing value for key 'foo'.\n\n"},
		{"show ssl cert", "# filename\na.pem\n\n"},
		{"show ssl cert foo", "Can't display the certificate: Not found or the certificate is a bundle!\n\n"},
		{"set ssl cert foo <<\nabc\n", "Can't replace a certificate which is not referenced by the configuration!\nCan't update foo!\n\n"},
		{"commit ssl cert foo", "No ongoing transaction! !\nCan't commit foo!\n\n"},
		{"abort ssl cert foo", "No ongoing transaction!\n\n"},
		{"set ssl cert a.pem <<\nabc\n\nshow ssl cert\ncommit ssl cert a.pem", "Transaction created for certificate a.pem!\n\n# transaction\n*a.pem\n# filename\na.pem\n\nCommitting a.pem.\nSuccess!\n\n"},
		{"show ssl crt-list f", "didn't find the specified filename\n\n"},
		{"show ssl crt-list -n l.txt", "# l.txt\na.pem:1 [alpn h2] x.org\n\n"},
		{"show table", "\n"}, {"clear table x", "No such table\n\n"}, {"show peers", "\n"},
		// Interactive: an answer, an empty line, the prompt.
		{"prompt\nshow cli level\n\nquit\nshow version", "\n> admin\n\n> \n> "},
		{"prompt;show version\nprompt", "\n> 3.0.1-evenkeel\n\n> \n"},
		{"prompt\nadd map #2 <<\na b\n\nquit", "\n> + + \n> "},
	} {
		addr, _ := serve(t, Options{Source: newFake(t)}, Socket{Level: model.LevelAdmin})
		got := talk(t, addr, x.say+"\n")
		if start, open := strings.CutSuffix(x.want, "…"); open && strings.HasPrefix(got, start) || got == x.want {
			continue
		}
		t.Errorf("%q:\n got %q\nwant %q", x.say, got, x.want)
	}
}

func TestCallsReachTheSource(t *testing.T) {
	f := newFake(t)
	addr, _ := serve(t, Options{Source: f}, Socket{Level: model.LevelAdmin})
	talk(t, addr, "set maxconn global 50;set maxconn frontend fe 7;set rate-limit ssl-sessions global 9;shutdown sessions server be/s2;"+
		"set server be/s1 check-addr 127.0.0.2 port 5;set server li/t1 agent-port 6;set server li/t1 agent-send a\\ b;clear counters all\n")
	want := []string{"maxconn 50", "frontend maxconn 7", "rate ssl-sessions 9", "shutdown sessions of be/s2", `check be/s1 "127.0.0.2" 5`,
		`agent li/t1 "" 6`, `send li/t1 "a b"`, "frontend clear true", "frontend clear true", "clear true"}
	if !reflect.DeepEqual(f.calls, want) {
		t.Errorf("%q", f.calls)
	}
}

// Every command that changes or reveals something must ask for a level.
func TestLevels(t *testing.T) {
	free := map[string]bool{"get weight": true, "show backend": true, "show servers state": true, "show servers conn": true, "show info": true,
		"show stat": true, "show version": true, "show startup-logs": true, "show table": true, "show peers": true, "show resolvers": true,
		"show cache": true, "show profiling": true, "wait": true, "show acl": true, "show map": true, "get acl": true, "get map": true}
	addr, _ := serve(t, Options{Source: newFake(t)}, Socket{Level: model.LevelUser})
	for _, c := range Commands() {
		denied := c.Level > model.LevelUser
		if denied == free[c.Name()] {
			t.Errorf("%s: level %d", c.Name(), c.Level)
		}
		if denied {
			if got := talk(t, addr, c.Name()+" be/s1\n"); got != "Permission denied\n\n" {
				t.Errorf("%s: %q", c.Name(), got)
			}
		}
	}
	for _, c := range []string{"clear counters all", "operator", "expert-mode on"} {
		if got := talk(t, addr, c+"\n"); got != "Permission denied\n\n" {
			t.Errorf("%s: %q", c, got)
		}
	}
}

func rows(t *testing.T, text string) (header []string, out []map[string]string) {
	t.Helper()
	if !strings.HasSuffix(text, "\n\n") {
		t.Fatalf("no empty line at the end: %q", text)
	}
	all, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all[1:] {
		m := map[string]string{}
		for i, v := range r {
			m[all[0][i]] = v
		}
		out = append(out, m)
	}
	return all[0], out
}

func TestShowStat(t *testing.T) {
	f := newFake(t)
	f.proxies[1].Backend.Servers[0].CheckDone(pool.CheckReport{Status: pool.CheckL7Status, Code: 503, Info: `a "b", c`, Duration: 12 * time.Millisecond})
	addr, _ := serve(t, Options{Source: f}, Socket{Level: model.LevelUser})
	header, all := rows(t, talk(t, addr, "show stat\n"))
	if header[0] != "# pxname" || header[99] != "uweight" || header[112] != "proto" || header[113] != "-" || header[len(header)-1] != "" {
		t.Errorf("header %v", header)
	}
	var names []string
	for _, r := range all {
		names = append(names, r["# pxname"]+"/"+r["svname"])
		if r["-"] != "-" {
			t.Errorf("the end of the static columns is %q", r["-"])
		}
	}
	if got := strings.Join(names, " "); got != "fe/FRONTEND be/s1 be/s2 be/s3 be/BACKEND li/FRONTEND li/t1 li/BACKEND" {
		t.Errorf("rows %s", got)
	}
	for _, x := range []struct{ row, column, want string }{
		{"0", "status", "OPEN"}, {"0", "type", "0"}, {"0", "slim", "100"}, {"0", "hrsp_2xx", "0"}, {"0", "qcur", ""}, {"0", "iid", "2"}, {"0", "mode", "http"},
		{"1", "status", "DOWN"}, {"1", "check_status", "L7STS"}, {"1", "check_code", "503"}, {"1", "check_duration", "12"}, {"1", "last_chk", `a "b", c`},
		{"1", "addr", "127.0.0.1:21420"}, {"1", "type", "2"}, {"1", "slim", ""}, {"1", "chkdown", "1"}, {"1", "check_rise", "2"}, {"1", "check_fall", "3"},
		{"1", "agent_status", ""}, {"1", "act", "1"}, {"1", "bck", "0"}, {"1", "lastsess", "-1"}, {"1", "pid", "1"}, {"1", "sid", "1"}, {"1", "weight", "1"},
		{"2", "bck", "1"}, {"2", "act", "0"}, {"2", "weight", "10"},
		{"3", "status", "no check"}, {"3", "check_status", ""}, {"3", "chkfail", ""}, {"3", "uweight", "1"},
		{"4", "svname", "BACKEND"}, {"4", "status", "UP"}, {"4", "algo", "roundrobin"}, {"4", "type", "1"}, {"4", "act", "1"}, {"4", "uweight", "1"},
		{"5", "mode", "tcp"}, {"5", "hrsp_2xx", ""}, {"5", "intercepted", ""}, {"6", "req_tot", ""}, {"6", "agent_rise", "1"},
	} {
		i := int(x.row[0] - '0')
		if got := all[i][x.column]; got != x.want {
			t.Errorf("row %s column %s: %q, want %q", x.row, x.column, got, x.want)
		}
	}
	for say, want := range map[string]int{"show stat be 4 -1": 3, "show stat 3 4 2": 1, "show stat #3 6 -1": 4, "show stat -1 1 -1": 2, "show stat 99 -1 -1": 0,
		"show stat up": 7, "show stat no-maint": 8, "show stat domain proxy": 8} {
		if _, r := rows(t, talk(t, addr, say+"\n")); len(r) != want {
			t.Errorf("%s: %d rows, want %d", say, len(r), want)
		}
	}
	typed := talk(t, addr, "show stat be 4 1 typed\n")
	for _, want := range []string{"S.3.1.0.pxname.1:KNS:str:be\n", "S.3.1.17.status.1:SGP:str:DOWN\n", "S.3.1.55.lastsess.1:MAP:s32:-1\n", "S.3.1.113.ssl_sess.1:MCP:u64:0\n"} {
		if !strings.Contains(typed, want) {
			t.Errorf("typed output lacks %q", want)
		}
	}
	if got := talk(t, addr, "show stat typed desc\n"); !strings.HasPrefix(got, `F.2.0.0.pxname.1:KNS:str:fe:"Name of the proxy"`) {
		t.Errorf("%.100q", got)
	}
	var objects [][]map[string]any
	if err := json.Unmarshal([]byte(talk(t, addr, "show stat json\n")), &objects); err != nil || len(objects) != 8 {
		t.Errorf("JSON: %d objects, %v", len(objects), err)
	}
}

func TestShowInfo(t *testing.T) {
	addr, _ := serve(t, Options{Source: newFake(t)}, Socket{Level: model.LevelUser})
	plain := talk(t, addr, "show info\n")
	if !strings.HasPrefix(plain, "Name: HAProxy\nVersion: 3.0.1-evenkeel\nRelease_date: 2026/11/21\nNbthread: 2\nNbproc: 1\nProcess_num: 1\nPid: 42\nUptime: 1d 2h03m04s\nUptime_sec: 93784\n") {
		t.Errorf("%.300s", plain)
	}
	typed := talk(t, addr, "show info typed\n")
	for _, want := range []string{"0.Name.1:POS:str:HAProxy\n", "16.Hard_maxconn.1:CLP:u32:100\n", "49.Idle_pct.1:MaP:u32:100\n"} {
		if !strings.Contains(typed, want) {
			t.Errorf("typed output lacks %q:\n%s", want, typed)
		}
	}
	if got := talk(t, addr, "show info desc\n"); !strings.Contains(got, "Pid: 42:\"Process id of this worker\"\n") {
		t.Errorf("%.300s", got)
	}
	var list []map[string]any
	if err := json.Unmarshal([]byte(talk(t, addr, "show info json\n")), &list); err != nil || len(list) < 60 {
		t.Errorf("JSON: %d fields, %v", len(list), err)
	}
}

func TestShowServersState(t *testing.T) {
	addr, _ := serve(t, Options{Source: newFake(t)}, Socket{Level: model.LevelUser})
	got := strings.Split(talk(t, addr, "show servers state be\n"), "\n")
	if got[0] != "1" || !strings.HasPrefix(got[1], "# be_id be_name srv_id srv_name srv_addr srv_op_state") || len(got) != 7 {
		t.Errorf("%q", got)
	}
	if f := strings.Fields(got[2]); len(f) != 25 || strings.Join(f[:5], " ") != "3 be 1 s1 127.0.0.1" {
		t.Errorf("%q", got[2])
	}
	if got := talk(t, addr, "show servers conn be\n"); !strings.Contains(got, "\nbe/s1 3/1 127.0.0.1 21420 - 5000 ") {
		t.Errorf("%q", got)
	}
}

func TestSessions(t *testing.T) {
	f := newFake(t)
	f.sessions = []Session{
		{ID: 0xa1, Proto: "tcpv4", Source: "1.2.3.4:5", Frontend: "fe", Backend: "be", Server: "s1", Age: 65 * time.Second, RequestExpires: 9 * time.Second, ServerExpires: -1, ClientFD: 9, ServerFD: -1},
		{ID: 0xa2, Proto: "tcpv6", Source: "[::1]:5", Frontend: "fe", RequestExpires: -1, RequestLine: "GET / HTTP/1.1"},
	}
	addr, _ := serve(t, Options{Source: f}, Socket{Level: model.LevelOperator})
	if got := talk(t, addr, "show sess\n"); !strings.HasPrefix(got, "0xa1: proto=tcpv4 src=1.2.3.4:5 fe=fe be=be srv=s1 ts=00 epoch=0 age=1m5s calls=0 ") ||
		!strings.Contains(got, "\n0xa2: proto=tcpv6 src=[::1]:5 fe=fe be=<NONE> srv=<none> ") {
		t.Errorf("%s", got)
	}
	if got := talk(t, addr, "show sess 0xa2\n"); !strings.Contains(got, "request=\"GET / HTTP/1.1\"") || strings.Contains(got, "0xa1") {
		t.Errorf("%s", got)
	}
	f.errors = []CapturedError{{ID: 3, Frontend: "fe", FrontendID: 2, Source: "1.2.3.4:5", Position: 5, Message: []byte("GET /\x01 HTTP/1.1\r\nHost: a\r\n")}}
	if got := talk(t, addr, "show errors fe request\n"); !strings.Contains(got, `  00000> GET /\x01 HTTP/1.1\r\n`) || !strings.Contains(got, `  00017  Host: a\r\n`) ||
		strings.Contains(strings.TrimSuffix(got, "\n\n"), "\n\n") {
		t.Errorf("%s", got)
	}
	if got := talk(t, addr, "show errors fe response\n"); strings.Count(got, "\n") != 2 {
		t.Errorf("%s", got)
	}
}

func TestTooLongInput(t *testing.T) {
	addr, _ := serve(t, Options{Source: newFake(t), BufSize: 1024}, Socket{Level: model.LevelAdmin})
	if got := talk(t, addr, "show version "+strings.Repeat("x", 5000)+"\n"); !strings.HasPrefix(got, "Command line too long") && got != "" {
		t.Errorf("%q", got)
	}
	if got := talk(t, addr, "add map #2 <<\n"+strings.Repeat("key value\n", 500)+"\n\n"); strings.Contains(got, "0x") || got == "\n" {
		t.Errorf("%q", got)
	}
	if got := talk(t, addr, strings.Repeat("a ", 400)+"\n"); got != "Too many words in the command.\n\n" {
		t.Errorf("%q", got)
	}
}

// A client that sends nothing, and one that reads nothing, must be let go.
func TestStuckClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Source: newFake(t), Timeout: 10 * time.Second})
		for _, say := range []string{"", "show stat typed desc\n", "prompt\n"} {
			client, server := net.Pipe()
			done := make(chan time.Duration)
			start := time.Now()
			go func() {
				s.ServeConn(server, Socket{Level: model.LevelUser})
				done <- time.Since(start)
			}()
			client.Write([]byte(say))
			if say == "prompt\n" {
				client.Read(make([]byte, 10))
			}
			if d := <-done; d < 10*time.Second || d > 20*time.Second {
				t.Errorf("%q: gone after %v", say, d)
			}
			client.Close()
		}
		s.Stop(context.Background())
	})
}

// A stuck client must not keep others waiting, and only maxconn are served.
func TestSessionsAreIndependent(t *testing.T) {
	addr, s := serve(t, Options{Source: newFake(t), MaxConn: 2}, Socket{Level: model.LevelUser})
	stuck, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer stuck.Close()
	fmt.Fprint(stuck, "prompt\n")
	if b, err := bufio.NewReader(stuck).ReadString(' '); b != "\n> " {
		t.Fatal(b, err)
	}
	for range 5 {
		if got := talk(t, addr, "show version\n"); got != "3.0.1-evenkeel\n\n" {
			t.Errorf("%q", got)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	s.Stop(ctx) // ends the idle session too
	if ctx.Err() != nil {
		t.Error("Stop waits for an idle session")
	}
}

// With as many listeners as places, each must still be served.
func TestIdleListenersHoldNoPlace(t *testing.T) {
	addr, s := serve(t, Options{Source: newFake(t), MaxConn: 1}, Socket{Level: model.LevelUser})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(l, Socket{Name: "127.0.0.1:0", Level: model.LevelOperator})
	for _, a := range []string{addr, l.Addr().String(), addr, l.Addr().String()} {
		if got := talk(t, a, "show version\n"); got != "3.0.1-evenkeel\n\n" {
			t.Errorf("%q", got)
		}
	}
}

// The server must be able to host other commands, and to pass @ words on.
func TestAnotherTable(t *testing.T) {
	addr, _ := serve(t, Options{
		Commands: []Command{{Words: []string{"show", "proc"}, Help: "show processes", Run: func(c *Call) { c.Printf("1 master\n") }}},
		Prompt:   "master",
		Prefix: func(c *Call, prefix, rest string) bool {
			c.Printf("%s gets %q\n", prefix, rest)
			return true
		},
	}, Socket{Level: model.LevelAdmin})
	for say, want := range map[string]string{
		"show proc\n":                "1 master\n\n",
		"@1 show info;@!42 quit\n":   "@1 gets \"show info\"\n\n@!42 gets \"quit\"\n\n",
		"prompt\nshow cli level\n":   "\nmaster> admin\n\nmaster> ",
		"show stat\n":                "Unknown command, but maybe one of the following ones is a better match:\n",
		"prompt p;show proc\nquit\n": "\nmaster> 1 master\n\nmaster> ",
		"prompt i;show proc\nquit\n": "\n1 master\n\n",
	} {
		if got := talk(t, addr, say); got != want && !(say == "show stat\n" && strings.HasPrefix(got, want)) {
			t.Errorf("%q: %q", say, got)
		}
	}
}

func TestClient(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := New(Options{Source: newFake(t)})
	go s.Serve(l, Socket{Name: "unix@" + path, Level: model.LevelAdmin})
	for _, addr := range []string{path, "unix@" + path} {
		got, err := Ctl(t.Context(), addr, "show version; show cli level")
		if got != "3.0.1-evenkeel\n\nadmin\n" || err != nil {
			t.Errorf("%q %v", got, err)
		}
	}
	s.Stop(context.Background())
	if _, err := Ctl(t.Context(), path, "show version"); err == nil {
		t.Error("a stopped server answers")
	}
	for addr, want := range map[string]string{"/x": "unix /x", "@x": "unix @x", "abns@x": "unix @x", "127.0.0.1:9": "tcp 127.0.0.1:9", "ipv6@::1:9": "tcp6 ::1:9", "s.sock": "unix s.sock"} {
		if n, w := splitAddr(addr); n+" "+w != want {
			t.Errorf("%s: %s %s", addr, n, w)
		}
	}
}

func TestParse(t *testing.T) {
	for _, x := range []struct {
		in       string
		commands []string
		payload  bool
		end      string
	}{
		{"a b", []string{"a b"}, false, ""},
		{"a;b ; c", []string{"a", "b ", "c"}, false, ""},
		{`a\;b;c`, []string{`a\;b`, "c"}, false, ""},
		{"add map x <<", []string{"add map x "}, true, ""},
		{"a;add map x <<EOF\r", []string{"a", "add map x "}, true, "EOF"},
		{"add map x<<", []string{"add map x<<"}, false, ""},
		{"add map x <<TOOLONGEND", []string{"add map x <<TOOLONGEND"}, false, ""},
		{"<<", []string{""}, true, ""},
		{`a\`, []string{`a\`}, false, ""},
	} {
		l := parseLine(x.in)
		if !reflect.DeepEqual(l.commands, x.commands) || l.payload != x.payload || l.end != x.end {
			t.Errorf("%q: %+v", x.in, l)
		}
	}
	for in, want := range map[string][]string{` a  b\ c	d `: {"a", "b c", "d"}, `\\ \;`: {`\`, ";"}, "": nil, `a\`: {`a\`}} {
		if got, err := splitWords(in); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %q", in, got)
		}
	}
}

// FuzzSession sends any input: it must end, and no answer may hold an empty
// line but at its end.
func FuzzSession(f *testing.F) {
	for _, s := range []string{"show stat\n", "prompt\nset server be/s1 state maint;show servers state\n", "add map #2 <<\na b\n\n", `a\;b;;` + "\n",
		"user;operator;help x\n", "show sess 0x1;show errors;set timeout cli 5s\n", "@1 show info typed desc\n", "set ssl cert a.pem <<E\nx\nE\ncommit ssl cert a.pem\n"} {
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, in []byte, admin bool) {
		if bytes.Contains(in, []byte("wait")) {
			t.Skip("waiting is what it does")
		}
		level := model.LevelUser
		if admin {
			level = model.LevelAdmin
		}
		s := New(Options{Source: newFake(t), BufSize: 512})
		c := &memory{in: bytes.NewReader(in)}
		s.ServeConn(c, Socket{Level: level})
		s.Stop(context.Background())
		out := c.out.String()
		if !admin && strings.Contains(out, "Transaction created") {
			t.Fatal("a user changed a certificate")
		}
	})
}

// memory is a connection that has everything already.
type memory struct {
	net.Conn
	in  *bytes.Reader
	out bytes.Buffer
}

func (m *memory) Read(p []byte) (int, error)       { return m.in.Read(p) }
func (m *memory) Write(p []byte) (int, error)      { return m.out.Write(p) }
func (m *memory) Close() error                     { return nil }
func (m *memory) SetReadDeadline(time.Time) error  { return nil }
func (m *memory) SetWriteDeadline(time.Time) error { return nil }

// TestAgainstHAProxy compares the shape of the statistics with a real HAProxy.
func TestAgainstHAProxy(t *testing.T) {
	path := "/usr/sbin/haproxy"
	if out, _ := exec.Command(path, "-v").Output(); !bytes.HasPrefix(out, []byte("HAProxy version")) {
		t.Skip("there is no haproxy to compare with")
	}
	dir := t.TempDir()
	sock := filepath.Join(dir, "s.sock")
	cfg := filepath.Join(dir, "haproxy.cfg")
	text := "global\n stats socket " + sock + " level admin\ndefaults\n mode http\n timeout client 5s\n timeout server 5s\n timeout connect 1s\n" +
		"frontend fe\n bind 127.0.0.1:21470\n default_backend be\nbackend be\n balance roundrobin\n server s1 127.0.0.1:21420\n server s2 127.0.0.1:21421 backup weight 10\n server s3 127.0.0.1:21422\n"
	if err := os.WriteFile(cfg, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := exec.Command(path, "-f", cfg, "-db")
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	defer p.Wait()
	defer p.Process.Kill()
	ask := func(say string) string {
		for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
			if got, err := Ctl(t.Context(), sock, say); err == nil {
				return got
			}
		}
		t.Fatal("haproxy does not answer")
		return ""
	}
	addr, _ := serve(t, Options{Source: newFake(t)}, Socket{Level: model.LevelAdmin})
	// Its columns up to uweight are ours.
	theirs, _, _ := strings.Cut(ask("show stat"), ",agg_")
	if ours := StatHeader(); !strings.HasPrefix(ours, theirs+",") {
		t.Errorf("header:\n  ours %s\ntheirs %s", ours, theirs)
	}
	for _, say := range []string{"show info typed", "show stat -1 4 3 typed"} {
		tags := map[string]string{}
		for _, l := range strings.Split(talk(t, addr, say+"\n"), "\n") {
			name, rest, _ := strings.Cut(l, ":")
			if f := strings.Split(rest, ":"); len(f) > 1 {
				tags[name] = f[0] + ":" + f[1]
			}
		}
		for _, l := range strings.Split(ask(say), "\n") {
			name, rest, _ := strings.Cut(l, ":")
			f := strings.Split(rest, ":")
			if len(f) < 2 || strings.Contains(name, "ssl_") || strings.Contains(name, "agg_") || strings.Contains(name, "description") {
				continue
			}
			if got := tags[name]; got != f[0]+":"+f[1] {
				t.Errorf("%s: %s has %q, HAProxy %q", say, name, got, f[0]+":"+f[1])
			}
		}
	}
}
