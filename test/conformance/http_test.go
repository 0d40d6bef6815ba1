package conformance

import (
	"strings"
	"testing"
	"time"
)

func TestHTTP(t *testing.T) { runAll(t, httpScenarios) }

const plain = "frontend f\n bind {fe1}\n default_backend b\nbackend b\n server s1 {s1}\n"

// Why evenkeel does otherwise.
const (
	strict    = "framing and syntax are as strict as RFC 9112 asks"
	hopByHop  = "fields that the Connection field names, and other hop-by-hop fields, end here (RFC 9110, 7.6.1)"
	chunked10 = "a client of HTTP/1.0 gets no chunks (RFC 9112, 7.1)"
	noH2      = "HTTP/2 is not spoken yet"
	rawCase   = "trailers keep the case of their names"
	connect   = "after CONNECT the time-outs of both sides count, and the Host field stays as it was"
	patient   = "a PROXY header may come in pieces"
)

var httpScenarios = []scenario{
	{name: "basic", config: plain, steps: join(gets("/ /close /empty /junk /chunk"), steps(get("/trailer").not(rawCase)), gets("/ten /204 /304 /short /500 /100 /103 /srvclose /keep10 /hdrs"), steps(
		raw(getText("/a")+getText("/b")),
		raw("GET / HTTP/1.0\r\n\r\n"), raw("GET /chunk HTTP/1.0\r\n\r\n").not(chunked10), raw("GET /close HTTP/1.0\r\n\r\n"),
		raw("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), raw("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"),
		raw("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
		raw("POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"),
		raw("POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
		raw("POST /p HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello"),
		raw("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n"),
		raw("GET http://a/abs HTTP/1.1\r\nHost: a\r\n\r\n"), raw("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
		raw("GET / HTTP/1.1\r\nHost: a\r\nKeep-Alive: 3\r\nTE: trailers, gzip\r\nProxy-Connection: keep-alive\r\n\r\n").not(hopByHop),
	))},
	{name: "timeouts", config: plain, steps: steps(
		get("/slow"), raw("GET / HTTP/1.1\r\nHost: a\r\n"), raw(""), raw("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe"),
		get("/slowhead"), get("/stall"),
	)},
	{name: "bad requests", config: plain, steps: steps(
		raw("BAD\r\n\r\n"), raw("GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n"), raw("GET /x"+strings.Repeat("a", 17000)+" HTTP/1.1\r\nHost: a\r\n\r\n"),
		raw("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), raw("GET / HTTP/1.1\nHost: a\n\n").not(strict), raw("GET / HTTP/2.0\r\nHost: a\r\n\r\n").not(strict),
		raw("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), raw("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), raw("GET / HTTP/1.1\r\n\r\n"),
		raw("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n"), raw("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n").not(connect), raw("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n").brief(300*time.Millisecond).not(connect),
		raw("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"), raw("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab"),
		raw("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2, 2\r\n\r\nab"), raw("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +2\r\n\r\nab"), raw("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n"),
		raw("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"),
		raw("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n"), raw("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
		raw("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), raw("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2;ext=1\r\nab\r\n0\r\nX: y\r\n\r\n"),
		raw("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n").not(strict),
		raw("GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n").not(strict), raw("GET / HTTP/1.1\r\nHost: a\r\nX: a\x01b\r\n\r\n").not(strict), raw("GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n"),
		raw("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n folded\r\n\r\n").not(strict), raw("GET / HTTP/1.1\r\nHost: a\r\nBad(Name: x\r\n\r\n"), raw("GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n"),
		raw("GET  / HTTP/1.1\r\nHost: a\r\n\r\n").not(strict), raw("GET /\r\n\r\n"), raw("GET / HTTP/1.1 \r\nHost: a\r\n\r\n"), raw("G@T / HTTP/1.1\r\nHost: a\r\n\r\n"),
		raw("GET /a#frag HTTP/1.1\r\nHost: a\r\n\r\n"), raw("GET foo HTTP/1.1\r\nHost: a\r\n\r\n"), raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").not(noH2),
		raw("GET / HTTP/1.1\r\nHost: a\r\n"+strings.Repeat("X: y\r\n", 101)+"\r\n"), raw("GET / HTTP/1.1\r\nHost: a\r\n"+strings.Repeat("X: y\r\n", 98)+"\r\n"),
		raw("GET / HTTP/1.1\r\nHost: a:80\r\n\r\n"), raw("GET / HTTP/1.1\r\nHost: a b\r\n\r\n").not(strict), raw("GET / HTTP/1.1\r\nHost:\r\n\r\n"),
		raw("GET / HTTP/1.1\r\nHost: a\r\nConnection: x-a, close\r\nX-A: 1\r\n\r\n").not(hopByHop), raw("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: foo\r\n\r\n").not(hopByHop),
	)},
	{name: "bad answers", config: plain, steps: join(gets("/two-cl /same-cl /te-cl /spacehdr"), steps(get("/fold").not(strict)), gets("/extra /partialhead /cutchunk /badchunk"))},
	{name: "upgrade", config: plain, steps: steps(with("/101", "Connection: upgrade|Upgrade: foo"), get("/101"))},
	{name: "connection options", defaults: " option forwardfor except 10.0.0.0/8\n option originalto\n option httpclose\n",
		config: "frontend f\n bind {fe1}\n capture request header Host len 5\n capture response header X-Up len 10\n default_backend b\nbackend b\n server s1 {s1}\n",
		steps:  steps(get("/"), get("/chunk"), raw("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"))},
	{name: "http-server-close", defaults: " option http-server-close\n", config: plain,
		steps: steps(get("/"), get("/chunk"), raw("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), raw(getText("/a")+getText("/b")), raw(getText("/serial")+getText("/serial")))},
	{name: "no server", config: "listen f\n bind {fe1}\n retries 0\n server s1 {dead}\n", steps: gets("/")},
	{name: "redispatch", config: "listen f\n bind {fe1}\n retries 2\n option redispatch\n server s1 {dead}\n server s2 {s2}\n", steps: gets("/ /")},
	{name: "disabled server", config: "listen f\n bind {fe1}\n server s1 {s1} disabled\n", steps: gets("/")},
	{name: "tarpit", defaults: " timeout tarpit 500ms\n", config: "listen f\n bind {fe1}\n http-request tarpit if { path /t }\n http-request tarpit deny_status 429 if { path /t4 }\n server s1 {s1}\n", steps: gets("/t /t4")},
	{name: "monitor and body", config: "frontend f\n bind {fe1}\n monitor-uri /mon\n unique-id-format %{+X}o\\ %ci:%cp\n option http-buffer-request\n http-request set-header X-Len %[req.body_len]\n default_backend b\nbackend b\n retry-on all-retryable-errors\n server s1 {s1}\n",
		steps: steps(get("/mon"), raw("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"), raw("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), get("/empty"), get("/500"),
			raw("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe"+pause+"llo"))},
	{name: "no log of nothing", defaults: " option dontlognull\n", config: "listen f\n bind {fe1}\n server s1 {s1}\n", steps: steps(get("/"), raw(""))},
	{name: "error files", files: map[string]string{"e503.http": "HTTP/1.0 503 Own\r\nX-E: 1\r\nContent-Length: 3\r\n\r\nown"},
		config: "listen f\n bind {fe1}\n errorfile 503 {dir}/e503.http\n errorloc302 403 http://err/\n errorloc303 429 http://err3/\n http-request deny if { path /d }\n http-request deny deny_status 429 if { path /e }\n server s1 {dead}\n retries 0\n", steps: gets("/ /d /e")},
	{name: "proxy protocol", config: "listen f\n bind {fe1} accept-proxy\n http-request set-header X-S %[src]-%[dst]\n http-request set-header X-P %[src_port]-%[dst_port] unless { path /noport }\n server s1 {s1}\n",
		steps: steps(raw("PROXY TCP4 1.2.3.4 5.6.7.8 1111 2222\r\n"+getText("/")), get("/"), raw("PROXY UNKNOWN\r\n"+getText("/noport")), raw("PROXY TCP6 ::1 ::2 1 2\r\n"+getText("/")), raw("PROXY TCP4 1.2.3.4").not(patient))},
}
