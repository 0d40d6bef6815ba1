package conformance

import (
	"strings"
	"testing"
)

func TestCookies(t *testing.T) { runAll(t, cookieScenarios()) }

const sameConn = "which idle connection is used is nobody's business: ours is the client's last one"

// cookieScenarios is every kind of persistence cookie with the same clients.
func cookieScenarios() []scenario {
	var list []scenario
	clients := func() []step {
		return []step{get("/"), with("/", "Cookie: SRV=c2"), with("/", "Cookie: a=b; SRV=c1; d=e"), with("/", "Cookie: SRV=zz"), with("/", "Cookie: SRV=c3"),
			with("/cookie", "Cookie: SRV=c2"), with("/cookie", "A: b"), get("/cachable"), with("/", "Cookie: SRV=c1; SRV=c2"), with("/", "Cookie: SRV=\"c1\""), with("/", "Cookie: SRV=c2~abc"), with("/", "Cookie: SRV=c2|Zc|Zd"),
			raw("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"), with("/", "Cookie: SRV=c2; x=y"), with("/", "Cookie: SRV=;x"), with("/304", "Cookie: SRV=c1"), with("/204", "Cookie: xSRV=c1")}
	}
	for _, kind := range strings.Split("insert|insert indirect|insert indirect nocache|insert postonly|insert preserve indirect|insert nocache httponly secure|insert domain .a.com domain .b.com|insert attr SameSite=Lax|rewrite|prefix|prefix nocache|insert indirect dynamic|rewrite postonly", "|") {
		key := ""
		if strings.Contains(kind, "dynamic") {
			key = " dynamic-cookie-key secret\n"
		}
		list = append(list, scenario{name: kind, config: "listen f\n bind {fe1}\n cookie SRV " + kind + "\n" + key + " server s1 {s1} cookie c1\n server s2 {s2} cookie c2\n server s3 {dead} cookie c3 disabled\n", steps: clients()})
	}
	list = append(list,
		scenario{name: "dead server, redispatch", config: "listen f\n bind {fe1}\n retries 1\n option redispatch\n cookie SRV insert indirect\n server s1 {s1} cookie c1\n server s2 {dead} cookie c2\n", steps: []step{with("/", "Cookie: SRV=c2"), with("/", "Cookie: SRV=c1")}},
		scenario{name: "dead server", config: "listen f\n bind {fe1}\n retries 1\n no option redispatch\n cookie SRV insert indirect\n server s1 {s1} cookie c1\n server s2 {dead} cookie c2\n", steps: []step{with("/", "Cookie: SRV=c2")}},
		scenario{name: "ignore and force", config: "listen f\n bind {fe1}\n cookie SRV insert indirect\n ignore-persist if { path /ign }\n force-persist if { path /force }\n option persist\n server s1 {s1} cookie c1\n server s2 {s2} cookie c2\n server s3 {s3} cookie c3 disabled\n", steps: []step{with("/ign", "Cookie: SRV=c2"), with("/force", "Cookie: SRV=c3"), with("/x", "Cookie: SRV=c3")}},
		scenario{name: "drain", config: "listen f\n bind {fe1}\n cookie SRV insert indirect\n server s1 {s1} cookie c1\n server s2 {s2} cookie c2 weight 0\n", steps: []step{get("/"), with("/", "Cookie: SRV=c2")}},
		scenario{name: "redirect to server", config: "listen f\n bind {fe1}\n server s1 {s1} redir http://img\n", steps: []step{get("/a?b"), raw("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")}},
		scenario{name: "use-server", config: "listen f\n bind {fe1}\n use-server s2 if { path /2 }\n use-server s%[path,bytes(1,1)] if { path /1 }\n server s1 {s1}\n server s2 {s2} weight 0\n", steps: gets("/2 /1 /")},
	)
	return list
}

func TestBalance(t *testing.T) { runAll(t, balanceScenarios()) }

// balanceScenarios is every algorithm with the same requests; the servers say
// who they are.
func balanceScenarios() []scenario {
	var list []scenario
	var requests []step
	for _, p := range strings.Fields("/ /a /b /c/d /e?x=1 /f?u=1 /g?u=2&v=3 /h?u=abc /img/1.png /img/2.png /very/long/path/with/segments") {
		requests = append(requests, with(p, "X-Key: k"+p))
	}
	requests = append(requests, raw("POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nu=77"), with("/", "X-Key:"), raw(getText("/p1")+getText("/p2")+getText("/p3")))
	for _, alg := range []string{"roundrobin", "static-rr", "leastconn", "first", "source", "uri", "uri whole", "uri len 5", "uri depth 2", "uri path-only", "url_param u", "url_param u check_post", "hdr(X-Key)", "hdr(host) use_domain_only", "hash path", "hash req.hdr(x-key)", "rdp-cookie"} {
		for _, hash := range []string{"", "consistent", "consistent sdbm avalanche", "map-based djb2", "map-based wt6", "consistent crc32"} {
			if hash != "" && (strings.Contains("roundrobin static-rr leastconn first rdp-cookie", alg)) {
				continue
			}
			if strings.HasPrefix(alg, "hash") && hash == "map-based wt6" || alg == "rdp-cookie" {
				continue
			}
			if strings.HasPrefix(alg, "uri ") && strings.HasPrefix(hash, "map-based") {
				continue // the key is what differs, and the plain map has it
			}
			lines := " balance " + alg + "\n"
			if hash != "" {
				lines += " hash-type " + hash + "\n"
			}
			list = append(list, scenario{name: alg + " " + hash, config: "listen f\n bind {fe1}\n" + lines + " server s1 {s1} weight 10\n server s2 {s2} weight 20 id 7\n server s3 {s3} weight 5 backup\n server s4 {s4} weight 15\n", steps: requests})
		}
	}
	list = append(list,
		scenario{name: "all backups", config: "listen f\n bind {fe1}\n option allbackups\n server s1 {s1} disabled\n server s2 {s2} backup\n server s3 {s3} backup\n", steps: gets("/ / /")},
		scenario{name: "one backup", config: "listen f\n bind {fe1}\n server s1 {s1} disabled\n server s2 {s2} backup\n server s3 {s3} backup\n", steps: gets("/ / /")},
		scenario{name: "retry-on", config: "listen f\n bind {fe1}\n retries 2\n option redispatch 1\n retry-on conn-failure empty-response 503\n server s1 {s1}\n server s2 {s2}\n", steps: gets("/empty /503 /")},
		scenario{name: "reuse never", config: "listen f\n bind {fe1}\n http-reuse never\n server s1 {s1}\n", steps: []step{get("/serial"), get("/serial"), raw(getText("/serial") + getText("/serial"))}},
		scenario{name: "reuse safe", config: "listen f\n bind {fe1}\n http-reuse safe\n server s1 {s1}\n", steps: []step{get("/serial"), get("/serial"), raw(getText("/serial") + getText("/serial")).not(sameConn), get("/serial").not(sameConn)}},
		scenario{name: "reuse always", config: "listen f\n bind {fe1}\n http-reuse always\n server s1 {s1}\n", steps: []step{get("/serial"), get("/serial"), raw(getText("/serial") + getText("/serial")), get("/serial")}},
		scenario{name: "reuse after close", config: "listen f\n bind {fe1}\n http-reuse always\n server s1 {s1}\n", steps: []step{get("/serial"), get("/srvclose"), get("/serial")}},
		scenario{name: "dispatch", config: "listen f\n bind {fe1}\n dispatch {s1}\n", steps: gets("/ /500")},
		scenario{name: "transparent maps", config: "frontend f\n bind {fe1}\n use_backend %[req.hdr(x-be),lower]\n default_backend b\nbackend b\n server s1 {s1}\nbackend other\n server s2 {s2}\n", steps: []step{with("/", "X-Be: OTHER"), with("/", "X-Be: none"), get("/")}},
		scenario{name: "no backend", config: "frontend f\n bind {fe1}\n use_backend other if { path /o }\nbackend other\n server s2 {s2}\n", steps: gets("/o /x")},
		scenario{name: "fullconn and maxconn", config: "frontend f\n bind {fe1}\n maxconn 10\n rate-limit sessions 100\n default_backend b\nbackend b\n fullconn 100\n server s1 {s1} minconn 1 maxconn 10\n", steps: gets("/ /")},
	)
	return list[:len(list):len(list)]
}
