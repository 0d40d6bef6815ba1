package conformance

import (
	"strings"
	"testing"
)

func TestRules(t *testing.T) { runAll(t, ruleScenarios) }

// front is a frontend with the lines given, in front of one server.
func front(lines string) string {
	return "frontend f\n bind {fe1}\n " + strings.ReplaceAll(strings.Trim(lines, "\n"), "\n", "\n ") + "\n default_backend b\nbackend b\n server s1 {s1}\n"
}

const (
	lengthless = "an error file without a length gets one, so that the connection can be kept"
	newMethod  = "after set-method, the fetch method gives the new method"
)

var ruleScenarios = []scenario{
	{name: "actions", global: " expose-experimental-directives\n", config: front(`
acl d path_beg /deny
acl h hdr(host) -i a.com
http-request deny if d
http-request deny deny_status 429 if { path /429 }
http-request deny status 418 if { path /418 }
http-request deny status 451 content-type text/plain string "gone away" hdr X-Why law if { path /451 }
http-request return status 200 content-type text/plain lf-string "m=%[method] p=%[path] q=%[query] ci=%ci" if { path /ret }
http-request return status 404 if { path /ret404 }
http-request return if { path /ret0 }
http-request return status 200 content-type text/plain file {dir}/body hdr X-A 1 if { path /retfile }
http-request return status 200 content-type text/plain lf-file {dir}/lf if { path /retlf }
http-request return status 200 errorfile {dir}/e200 if { path /reterr }
http-request return status 503 default-errorfiles if { path /retdef }
http-request redirect scheme https code 301 if { path /sec }
http-request redirect scheme https if { path /sec302 }
http-request redirect prefix http://b.com drop-query if { path_beg /pre }
http-request redirect prefix / if { path_beg /slash }
http-request redirect location /l%[path] code 307 if { path_beg /loc }
http-request redirect location http://x/ code 303 set-cookie SEEN=1 if { path /rc }
http-request redirect location http://x/ code 308 clear-cookie SEEN= if { path /rcc }
http-request redirect prefix http://p append-slash if { path /aps }
http-request auth realm Foo if { path /auth }
http-request reject if { path /reject }
http-request silent-drop if { path /drop }
http-request set-header X-A %[src] if h
http-request add-header X-B b1
http-request add-header X-B b2
http-request del-header X-Del
http-request del-header X-Pre -m beg if { path /delm }
http-request replace-header X-R (.*)foo(.*) \1bar\2
http-request replace-value X-V foo bar
http-request set-path /new%[path] if { path_beg /sp }
http-request set-query a=b if { path_beg /sq }
http-request set-uri /uri?x=y if { path_beg /su }
http-request set-method PUT if { path_beg /meth }
http-request replace-path (.*)/old(.*) \1/new\2
http-request replace-pathq /pq\?(.*) /pq2?z&\1
http-request replace-uri ^/ruri(.*) /turi\1
http-request set-var(txn.v) path,upper
http-request set-var-fmt(txn.vf) "%[path]-%[method]"
http-request unset-var(txn.nothing)
http-request set-header X-V %[var(txn.v)]
http-request set-header X-VF %[var(txn.vf)]
http-request set-log-level silent if { path /silent }
http-request set-log-level err if { path /err }
http-request capture req.hdr(x-cap) len 4
http-request set-nice 10
http-request set-tos 4
http-request set-mark 0x1 if { path /never }
http-request set-src hdr(x-src) if { req.hdr(x-src) -m found }
http-request early-hint Link "</a.css>; rel=preload" if { path /hint }
http-request normalize-uri path-merge-slashes if { path_beg /norm }
http-request strict-mode on
http-request wait-for-body time 300 at-least 3 if { path /wfb }
http-request set-header X-Body %[req.body] if { path /wfb }
http-response set-header X-Resp %[status]
http-response del-header X-Up if { var(txn.v) -m str /NOUP }
http-response deny if { status 500 }
http-response deny deny_status 403 if { status 404 }
http-response return status 200 content-type text/plain string ok if { status 401 }
http-response redirect location /elsewhere if { status 503 }
http-response add-header X-M z
http-response replace-header X-M (.*)a(.*) \1A\2
http-response replace-value X-M c C
http-response set-status 299 reason "So So" if { var(txn.v) -m str /STAT }
http-response set-status 404 if { var(txn.v) -m str /STAT4 }
http-after-response set-header X-After 1
http-after-response del-header X-B
http-after-response set-status 250 if { status 451 }
use_backend b if { path_beg /b2 }
`), files: map[string]string{"body": "the file", "lf": "path %[path]\n", "e200": "HTTP/1.0 200 Fine\r\nX-E: 2\r\n\r\nefile"},
		steps: join(gets("/ /deny /429 /418 /451 /ret?x=1 /ret404 /ret0 /retfile /retlf"), steps(get("/reterr").not(lengthless)), gets("/retdef /sec /sec302 /pre/x?y=1 /slash/x?y /loc /rc /rcc /aps /aps?x=1 /auth /reject /spx /sqx?z=1 /su"), steps(get("/meth").not(newMethod)), gets("/noup /500 /404 /401 /503 /b2/x /x/old/y?q /pq?x=1 /ruri/a?b /silent /err /hint /stat /stat4 /hdrs"), steps(
			raw("GET / HTTP/1.1\r\nHost: a.com\r\nX-Del: 1\r\nX-R: afooz\r\nX-R: q\r\nX-V: a,foo, b\r\nX-Cap: abcdefg\r\n\r\n"),
			with("/delm", "X-Pre-A: 1|X-Pre-B: 2|X-Other: 3"), with("/", "X-Src: 9.8.7.6"), with("/norm//a///b", "A: b"), with("/auth", "Authorization: Basic dTpw"),
			raw("POST /wfb HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\na"+pause+"bcd"+pause+"ef")))},
	{name: "acls", config: front(`
acl a1 path_end -i .jpg .png
acl a2 path_reg ^/r[0-9]+$
acl a3 hdr_dom(host) foo
acl a4 hdr_beg(host) www.
acl a5 url_param(p) -m str v
acl a6 cook(c) -m str z
acl a7 method POST PUT
acl a8 dst_port 1:65535
acl a9 src 127.0.0.0/8
acl a10 query -m sub xx
http-request set-header X-Acl 1 if a1
http-request add-header X-Acl 2 if a2
http-request add-header X-Acl 3 if a3
http-request add-header X-Acl 4 if a4
http-request add-header X-Acl 5 if a5
http-request add-header X-Acl 6 if a6
http-request add-header X-Acl 7 if a7
http-request add-header X-Acl 89 if a8 a9 !a1
http-request add-header X-Acl 10 if a10 or a1
http-request add-header X-Acl 11 unless { ssl_fc }
http-request add-header X-Acl 12 if { nbsrv(b) ge 1 } { always_true } !{ always_false }
http-request add-header X-Acl 13 if METH_GET || HTTP_1.0
http-request add-header X-Acl 14 if { path_dir static } || { path_sub sub } || { path_dom dom } || { path_len 4 }
http-request add-header X-Acl 15 if { hdr_sub(user-agent) curl } || { hdr_end(user-agent) end } || { hdr_reg(user-agent) ^Moz } || { hdr_cnt(x) 2 } || { hdr_len(x) gt 5 }
http-request add-header X-Acl 16 if { url_beg /u } || { url_end z } || { url_sub ? }
http-request add-header X-Acl 17 if { hdr_ip(x-ip) 10.0.0.0/8 } || { hdr_val(x-val) 3:5 }
http-request add-header X-Acl 18 if { urlp_beg(p) v } || { urlp_end(p) v } || { urlp_len(p) 2 } || { urlp_val(n) 3 }
http-request add-header X-Acl 19 if { base_beg a.com/ } || { base_dir x } || { base_reg ^www }
http-request add-header X-Acl 20 if { req.hdr(x-list) -m str -i -f {dir}/list }
http-request add-header X-Acl 21 if { path -m beg -i -- -f /R }
http-request add-header X-Acl 22 if { req.hdr(host),lower,length ge 6 }
http-request add-header X-Acl 23 if HTTP_1.1 METH_HEAD or HTTP_CONTENT or HTTP_URL_STAR or HTTP_URL_ABS or HTTP_URL_SLASH
http-request add-header X-Acl 24 if LOCALHOST TRUE !FALSE
http-request add-header X-Acl 25 if { req.fhdr(x) -m found }
http-request add-header X-Acl 26 if { cook_beg(c) z } || { cook_cnt(c) 1 } || { cook(d) -m found }
http-request add-header X-Acl 27 if { req.cook_val(n) gt 4 } || { cook_reg(c) ^z+$ }
http-request add-header X-Acl 28 if { str(a),strcmp(txn.none) eq 0 }
http-request add-header X-Acl 29 if { src -f {dir}/nets }
http-request add-header X-Acl 30 if { int(5) gt 4 } { int(5) 1:5 } !{ int(5) lt 5 }
http-request add-header X-Acl 31 if { bool(true) } { http_first_req }
http-request add-header X-Acl 32 if { capture.req.hdr(0) -m found }
http-request add-header X-Acl 33 if { path_beg -i /A /B } !{ path /b }
http-request add-header X-Acl 34 if { hdr(x) a b c } { hdr(x,-1) c }
http-request add-header X-Acl 35 if { req.ver 1.1 } { req.proto_http }
http-request add-header X-Acl 36 if { fe_conn ge 1 } { be_conn(b) ge 0 } { connslots(b) ge 0 } { queue(b) eq 0 } { avg_queue(b) eq 0 } { srv_is_up(b/s1) } { srv_conn(b/s1) 0 } { fe_id 2 }
`), files: map[string]string{"list": "# comment\nAlpha\n\nbeta \n", "nets": "10.0.0.0/8\n127.0.0.1\n"},
		steps: join(gets("/x.JPG /r12 /?p=v&q=xx /static/x /a/sub/b /a/dom/b /abc /uz? /x?p=ww&n=3 /BEE /b /R/x"), steps(
			raw("GET / HTTP/1.1\r\nHost: www.foo.com\r\nCookie: b=1; c=z\r\n\r\n"), raw("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"),
			with("/", "User-Agent: Mozilla"), with("/", "User-Agent: my curl"), with("/", "X: a, b"), with("/", "X: a, b,c"), with("/", "X: abcdefgh"), with("/", "X-Ip: 10.2.3.4|X-Val: 9"), with("/", "X-Val: 4"),
			with("/", "X-List: ALPHA"), with("/", "X-List: beta"), with("/", "X-List: gamma"), with("/", "Cookie: n=5"), with("/", "Cookie: c=zz; d="), with("/", "Cookie: c=\"z\""),
			raw("HEAD /q HTTP/1.1\r\nHost: h\r\n\r\n"), raw("GET http://www.x/y HTTP/1.1\r\nHost: www.x\r\n\r\n"), raw("OPTIONS * HTTP/1.0\r\n\r\n"), raw(getText("/1")+getText("/2"))))},
}
