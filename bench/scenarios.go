package main

// The limits are those that the project asks of itself: BENCHMARKS.md.
var scenarios = []scenario{
	{"keepalive-1k", "HTTP/1.1 keep-alive, 1 KiB, option forwardfor", steady{path: "/1k", conns: 64, limit: 0.80}.run, rounds(2, 0, 0)},
	{"keepalive-64k", "HTTP/1.1 keep-alive, 64 KiB", steady{path: "/64k", conns: 64, limit: 0.85}.run, rounds(2, 0, 0)},
	{"rules", "20 header rules and an acl, 1 KiB", steady{path: "/1k", conns: 64, limit: 0.85,
		config: proxyConfig{frontend: headerRules}, headers: browserHeaders}.run, rounds(2, 0, 0)},
	{"tcp", "mode tcp, 1 KiB", steady{path: "/1k", conns: 64, limit: 0.85, config: proxyConfig{tcp: true}}.run, rounds(2, 0, 0)},
	{"close", "a connection per request, 1 KiB", steady{path: "/1k", conns: 64, limit: 0.95, headers: []string{"Connection: close"}}.run, rounds(2, 0, 0)},
	{"close-both", "a connection per request on both sides (http-server-close), 1 KiB", steady{path: "/1k", conns: 64, limit: 0.95,
		headers: []string{"Connection: close"}, config: proxyConfig{defaults: []string{"option http-server-close"}}}.run, rounds(2, 0, 0)},
	{"tls-1k", "TLS 1.3 keep-alive, ECDSA P-256, 1 KiB", steady{path: "/1k", conns: 64, limit: 0.90, tls: true}.run, rounds(2, 0, 0)},
	{"tls-64k", "TLS 1.3 keep-alive, ECDSA P-256, 64 KiB", steady{path: "/64k", conns: 64, limit: 0.90, tls: true}.run, rounds(2, 0, 0)},
	{"trickle", "200 requests a second, keep-alive, 1 KiB", trickle{}.run, rounds(2, 5, 8)},
	{"threads", "two threads against one, 100 header rules", threads{}.run, rounds(4*threadRounds, 0, threadSeconds)},
	{"idle", "memory of 5,000 idle keep-alive connections", idle{}.run, rounds(2, 3, 5)},
	{"crowd", "ab -c 9000 -n 60000", crowd{}.run, rounds(2, 5, 6)},
	{"reloads", "64 connections through reloads, take-overs and kills", reloads{}.run, rounds(1, 1, 90)},
	{"forward-cost", "what the packet programs cost by themselves", packetCost{}.run, rounds(12, 0, 1)},
	{"forward", "forwarding beside nft and the kernel's own", forward{}.run, rounds(len(forwardWays), 0, 2)},
}

// What a browser sends, for rules to work on.
var browserHeaders = []string{
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
	"Accept-Language: en-GB,en;q=0.5",
	"Accept-Encoding: gzip, deflate, br",
	"Cookie: session=3f2a9c0e1b7d4856; theme=dark; _ga=GA1.2.1234567890.1700000000",
	"X-Debug: on",
	"Authorization: Basic YmVuY2g6YmVuY2g=",
}

// 20 rules, as production files have them.
var headerRules = []string{
	"acl is_page path_beg /1k /echo /static /images",
	"http-request del-header X-Debug",
	"http-request del-header Proxy",
	"http-request del-header X-Forwarded-Host",
	"http-request set-header X-Forwarded-Proto http",
	"http-request set-header X-Forwarded-Port %[dst_port]",
	"http-request set-header X-Real-IP %[src]",
	"http-request set-header X-Class page if is_page",
	"http-request set-header X-Class other if !is_page",
	"http-request add-header X-Via bench-%[method]",
	"http-request replace-header Authorization ^Basic.* hidden",
	"http-request replace-value Accept-Encoding ^br$ identity",
	"http-request set-header Host www.example.org",
	"http-response del-header X-Powered-By",
	"http-response del-header Server",
	"http-response set-header X-Frame-Options SAMEORIGIN",
	"http-response set-header X-Content-Type-Options nosniff",
	"http-response set-header Strict-Transport-Security \"max-age=31536000; includeSubDomains\"",
	"http-response add-header Cache-Control public",
	"http-response add-header X-Status %[status]",
	"http-response replace-header X-Debug-Id (.*) id-\\1",
}
