package conformance

import (
	"testing"
	"time"
)

func TestLogs(t *testing.T) { runAll(t, logScenarios) }

const (
	bodyTimeout = "a client that stops in the middle of its body gets 408 after timeout client"
	twice       = "HAProxy 2.6 sends a line in this format twice"
)

var logScenarios = []scenario{
	{name: "format", config: `frontend f
 bind {fe1}
 log-format "%ci:%cp [%tr] %ft %b %s %ST %tsc %HM %HP %HQ %HU %HV %{+Q}r %[var(txn.a)] %hr %hs %CC %CS %rc %fi %f %si %sq/%bq %ac/%fc/%bc/%sc %{+Q}ST %{+E}HU %{+Q}HP"
 http-request set-var(txn.a) str(abc),field(1,b)
 http-request capture req.hdr(user-agent) len 10
 default_backend b
backend b
 server s1 {s1}
`, steps: steps(get("/q?x=1"), raw("GET /a%20b\"c HTTP/1.1\r\nHost: h\r\nUser-Agent: curl/1.2.3.4{|}\r\n\r\n"), raw("BAD\r\n\r\n"), raw(getText("/1")+getText("/2")))},
	{name: "captures", config: front(`
declare capture request len 8
declare capture response len 8
capture request header User-Agent len 6
capture request header None len 6
capture response header X-Up len 10
capture cookie SESS len 12
http-request capture path id 0
http-response capture res.hdr(content-length) id 0
http-request set-header X-C "%[capture.req.hdr(0)] %[capture.req.hdr(1)]"
http-response set-header X-R "%[capture.res.hdr(0)] %[capture.req.uri]"`), steps: steps(with("/abc", "User-Agent: abcdefghi|Cookie: a=b; SESSION=123456789012"), get("/cookie"), get("/"))},
	{name: "default format", bare: true, config: "global\n log {log} local0\n stats socket \"fd@${cli}\" level admin\ndefaults\n mode http\n log global\n timeout client 2s\n timeout server 2s\n timeout connect 1s\n" + plain, steps: gets("/ /500")},
	{name: "clf", config: "defaults\n mode http\n log global\n option httplog clf\n timeout client 2s\n timeout server 2s\n timeout connect 1s\n" + plain, steps: gets("/")},
	{name: "levels", defaults: " option dontlog-normal\n option log-separate-errors\n", config: plain, steps: gets("/ /500 /404 /empty")},
	{name: "separate errors", defaults: " option log-separate-errors\n", config: plain, steps: gets("/ /500 /empty /503")},
	{name: "asap", defaults: " option logasap\n", config: plain, steps: gets("/ /chunk")},
	{name: "tag and level filter", bare: true, config: "global\n log-tag mytag\n log {log} len 200 format rfc5424 local3 info err\n log-send-hostname box\ndefaults\n mode http\n log global\n option httplog\n timeout client 2s\n timeout server 2s\n timeout connect 1s\n" + plain, steps: gets("/ /500")},
	{name: "raw format", bare: true, config: "global\n log {log} format raw local0\ndefaults\n mode http\n log global\n log-format \"%HM %HU %ST\"\n timeout client 2s\n timeout server 2s\n timeout connect 1s\n" + plain, steps: join(gets("/ /500 /chunk /304"), steps(raw("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"), raw("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")))},
	{name: "short format", bare: true, config: "global\n log {log} format short daemon\ndefaults\n mode http\n log global\n log-format \"%HM %HU\"\n timeout client 2s\n timeout server 2s\n timeout connect 1s\n" + plain, steps: steps(get("/").not(twice))},
	{name: "priority format", bare: true, config: "global\n log {log} format priority local7 notice\ndefaults\n mode http\n log global\n log {log} format timed local1\n log-format \"%HM %HU\"\n timeout client 2s\n timeout server 2s\n timeout connect 1s\n" + plain, steps: steps(get("/").not(twice))},
	{name: "error format", config: front(`
error-log-format "ERR %ci %fc_err %[fc_err] %[fc_err_str]"`), steps: gets("/")},
	{name: "sd", bare: true, config: "global\n log {log} format rfc5424 local0\ndefaults\n mode http\n log global\n option httplog\n log-format-sd [exampleSDID@1234\\ status=\\\"%ST\\\"]\n timeout client 2s\n timeout server 2s\n timeout connect 1s\n" + plain, steps: gets("/ /500")},
	{name: "client aborts", defaults: " option abortonclose\n", config: plain, steps: steps(get("/slow").brief(300*time.Millisecond).lines(1), raw("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nab").brief(200*time.Millisecond).lines(1), raw("GET / HT").brief(200*time.Millisecond).lines(1), get("/stall").brief(600*time.Millisecond).lines(1))},
	{name: "client aborts, not watched", config: plain, steps: steps(step{data: getText("/pause600"), wait: 200 * time.Millisecond, logs: 1})},
	{name: "client time-outs", config: "defaults\n mode http\n log global\n option httplog\n timeout client 500ms\n timeout server 3s\n timeout connect 1s\n timeout http-request 700ms\n" + plain,
		steps: steps(raw("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nab").not(bodyTimeout), raw("GET / HTTP/1.1\r\n"), raw(""), get("/pause900"))},
	{name: "probes", defaults: " option http-ignore-probes\n", config: plain, steps: steps(raw("").brief(200*time.Millisecond), raw("GET / HT").brief(200*time.Millisecond), raw(""))},
	{name: "queue", defaults: " timeout queue 300ms\n", config: "frontend f\n bind {fe1}\n default_backend b\nbackend b\n server s1 {s1} maxconn 1\n", steps: steps(
		step{name: "two at once", do: func(d *director) string {
			done := make(chan string)
			go func() { done <- d.request(1, getText("/pause700")) }()
			d.sleep(200 * time.Millisecond)
			second := d.request(1, getText("/"))
			return <-done + second
		}, logs: 2})},
	{name: "half closed", config: plain, steps: steps(step{name: "client closes its side", do: func(d *director) string { return d.halfClosed(1, getText("/pause200")) }})},
	{name: "unique id", config: front(`
unique-id-format %{+X}o\ %ci-%[path]
unique-id-header X-Id
log-format "%ID %HU"
http-response set-header X-Rid %[unique-id]`), steps: gets("/ /b")},
	{name: "log profile of backend", config: "frontend f\n bind {fe1}\n log-format \"%b/%s %[be_name] %[srv_name] %[bc_dst] %[so_name] %[fe_name]\"\n use_backend b2 if { path_beg /2 }\n default_backend b\nbackend b\n server s1 {s1}\nbackend b2\n server t1 {s2}\n", steps: gets("/ /2")},
	{name: "silent levels", config: front(`
http-request set-log-level silent if { path /s }
http-response set-log-level alert if { status 500 }`), steps: gets("/s /500 /")},
}
