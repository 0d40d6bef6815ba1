package conformance

import (
	"testing"
	"time"
)

func TestChecks(t *testing.T) { runAll(t, checkScenarios()) }

const (
	slotFirst = "the slot of the request that tips the scales is given back before the server is marked"
	order     = "sessions are shut down before the server's state is told; their lines say DD"
)

// await waits for n lines of the log.
func await(n int) step {
	return step{name: "log lines", do: func(*director) string { return "" }, logs: n}
}

// checkScenarios: a server that is found down, and what its log lines say.
func checkScenarios() []scenario {
	check := func(name, lines, addr string) scenario {
		return scenario{name: name, defaults: " option log-health-checks\n timeout check 700ms\n", config: "listen l\n bind {fe1}\n " + lines + "\n default-server inter 200ms fall 1 rise 1\n server s " + addr + "\n", steps: steps(await(1))}
	}
	return []scenario{
		check("refused", "mode http", "{dead} check"),
		check("connects", "mode http", "{s1} check"),
		check("http ok", "option httpchk", "{s1} check"),
		check("http 404", "option httpchk GET /404", "{s1} check"),
		check("http 500", "option httpchk GET /500", "{s1} check"),
		check("http junk", "option httpchk GET /junk", "{s1} check"),
		check("http empty", "option httpchk GET /empty", "{s1} check"),
		check("http slow", "option httpchk GET /slow", "{s1} check"),
		check("http expect string", "option httpchk GET /hdrs\n http-check expect string nope", "{s1} check"),
		check("http expect status", "option httpchk\n http-check send meth GET uri /404 ver HTTP/1.1 hdr Host a\n http-check expect status 404", "{s1} check"),
		check("http expect not status", "option httpchk\n http-check expect ! rstatus ^2", "{s1} check"),
		check("http expect hdr", "option httpchk GET /hdrs\n http-check expect hdr name x-m value a", "{s1} check"),
		check("http expect comment", "option httpchk GET /\n http-check expect comment mycheck string nope", "{s1} check"),
		check("http disable-on-404", "option httpchk GET /404\n http-check disable-on-404", "{s1} check"),
		check("http on error status", "option httpchk GET /500\n http-check expect status 200 error-status L7STS on-error \"got it\"", "{s1} check"),
		check("tcp rule", "mode tcp\n option tcp-check\n tcp-check send QUIT\\r\\n\\r\\n\n tcp-check expect string raw", "{s1} check"),
		check("tcp rule, no match", "mode tcp\n option tcp-check\n tcp-check send QUIT\\r\\n\\r\\n\n tcp-check expect string nope", "{s1} check"),
		check("tcp rule, comment", "mode tcp\n option tcp-check\n tcp-check connect comment first\n tcp-check send-binary 0d0a0d0a\n tcp-check expect rstring ^x comment second", "{s1} check"),
		check("tcp connect port", "mode tcp\n option tcp-check\n tcp-check connect port 1", "{s1} check"),
		check("smtp", "mode tcp\n option smtpchk", "{s1} check"),
		check("redis", "mode tcp\n option redis-check", "{s1} check"),
		check("mysql", "mode tcp\n option mysql-check user a", "{s1} check"),
		check("pgsql", "mode tcp\n option pgsql-check user a", "{s1} check"),
		check("ldap", "mode tcp\n option ldap-check", "{s1} check"),
		check("ssl hello", "mode tcp\n option ssl-hello-chk", "{s1} check"),
		check("tls", "mode http", "{s1} check check-ssl verify none"),
		check("agent refused", "mode http", "{s1} agent-check agent-port 1 agent-inter 200ms"),
		{name: "down and up", config: "listen l\n bind {fe1}\n option httpchk GET /\n server s {s1} check inter 200ms\n server t {s2} check inter 200ms backup\n", steps: steps(
			step{cli: "set server l/s health down", logs: 2}, step{cli: "disable server l/s", logs: 1}, step{cli: "disable server l/t", logs: 2}, step{cli: "enable server l/s", logs: 1})},
		{name: "fall", config: "listen l\n bind {fe1}\n option httpchk GET /500\n server s {s1} check inter 100ms fall 2\n", steps: steps(await(2), step{name: "answer", data: getText("/"), logs: 1})},
		{name: "observe", config: "listen l\n bind {fe1}\n option httpchk GET /\n retries 0\n server s {s1} check inter 100s observe layer7 error-limit 2 on-error mark-down\n", steps: steps(step{name: "wait", do: func(d *director) string { d.sleep(500 * time.Millisecond); return "" }}, get("/500"), step{data: getText("/500"), logs: 2}.not(slotFirst), get("/"))},
		{name: "track", config: "backend b\n server s {dead} check inter 100ms fall 1\nlisten l\n bind {fe1}\n server t {s1} track b/s\n", steps: steps(await(2), step{name: "answer", data: getText("/"), logs: 1})},
		{name: "shutdown sessions", config: "listen l\n bind {fe1}\n mode tcp\n option tcplog\n server s {s1} on-marked-down shutdown-sessions check inter 100s\n", steps: steps(step{name: "long", do: func(d *director) string {
			done := make(chan string)
			go func() { done <- d.request(1, getText("/slow")) }()
			d.sleep(400 * time.Millisecond)
			d.ask("set server l/s health down")
			return <-done
		}, logs: 3}.not(order))},
	}
}
