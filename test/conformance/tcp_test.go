package conformance

import (
	"testing"
	"time"
)

func TestTCP(t *testing.T) { runAll(t, tcpScenarios) }

const tcpMode = " mode tcp\n option tcplog\n"

var tcpScenarios = []scenario{
	{name: "plain", config: "listen f\n bind {fe1}\n" + tcpMode + " server s1 {s1}\n", steps: steps(get("/"), get("/close"), raw("").brief(200*time.Millisecond), get("/empty"))},
	{name: "dead server", config: "listen f\n bind {fe1}\n" + tcpMode + " retries 1\n server s1 {dead}\n", steps: gets("/")},
	{name: "content rules", config: "frontend f\n bind {fe1}\n" + tcpMode + " tcp-request inspect-delay 1s\n tcp-request content reject if { req.payload(0,3) -m str BAD }\n tcp-request content accept if { req.len gt 3 }\n default_backend b\nbackend b\n mode tcp\n server s1 {s1}\n",
		steps: steps(get("/"), raw("BAD / HTTP/1.1\r\nHost: x\r\n\r\n"), raw("GE"))},
	{name: "connection rules", config: "frontend f\n bind {fe1}\n tcp-request connection reject if { src 127.0.0.1 }\n default_backend b\nbackend b\n server s1 {s1}\n", steps: gets("/")},
}
