package rule

import "evenkeel/internal/model"

func init() {
	// Fetches that have a family of derived acl keywords: NAME_beg is NAME with
	// -m beg, and so on.
	methods := []string{"beg", "dir", "dom", "end", "len", "reg", "sub"}
	for _, f := range []struct{ keyword, fetch string }{
		{"path", "path"}, {"url", "url"}, {"base", "base"}, {"hdr", "hdr"}, {"shdr", "res.hdr"},
		{"cook", "req.cook"}, {"scook", "res.cook"}, {"url_param", "url_param"}, {"urlp", "urlp"},
		{"capture.req.hdr", "capture.req.hdr"},
		{"req.hdr", "req.hdr"}, {"res.hdr", "res.hdr"}, {"req.cook", "req.cook"}, {"res.cook", "res.cook"}, {"pathq", "pathq"},
		{"ssl_fc_sni", "ssl_fc_sni"}, {"req.fhdr", "req.fhdr"}, {"res.fhdr", "res.fhdr"},
	} {
		if fetchIndex[f.keyword] == nil {
			alias := *fetchIndex[f.fetch]
			alias.Name = f.keyword
			addFetches("aliases", []FetchSpec{alias})
		}
		for _, m := range methods {
			aclIndex[f.keyword+"_"+m] = aclSpec{f.keyword + "_" + m, f.fetch, m}
		}
	}
	for _, a := range []aclSpec{
		{"ssl_fc_sni_end", "ssl_fc_sni", "end"}, {"ssl_fc_sni_reg", "ssl_fc_sni", "reg"},
		{"req_ver", "req.ver", "str"}, {"resp_ver", "res.ver", "str"},
		{"req_proto_http", "req.proto_http", "bool"}, {"req_len", "req.len", "int"},
		{"req_ssl_ver", "req.ssl_ver", "ver"}, {"req.ssl_ver", "req.ssl_ver", "ver"},
		{"req_ssl_sni", "req.ssl_sni", "str"}, {"req_ssl_hello_type", "req.ssl_hello_type", "int"},
		{"req_rdp_cookie", "req.rdp_cookie", "str"}, {"req_rdp_cookie_cnt", "req.rdp_cookie_cnt", "int"},
		{"http_auth_group", "http_auth_group", "str"},
		{"wait_end", "wait_end", "bool"}, {"always_true", "always_true", "bool"},
	} {
		aclIndex[a.name] = a
	}
	// Old spellings of fetches.
	for old, now := range map[string]string{
		"req_ver": "req.ver", "resp_ver": "res.ver", "req_proto_http": "req.proto_http", "req_len": "req.len",
		"req_ssl_ver": "req.ssl_ver", "req_ssl_sni": "req.ssl_sni", "req_ssl_hello_type": "req.ssl_hello_type",
		"rdp_cookie": "req.rdp_cookie", "rdp_cookie_cnt": "req.rdp_cookie_cnt", "req_rdp_cookie": "req.rdp_cookie", "req_rdp_cookie_cnt": "req.rdp_cookie_cnt",
		"payload": "req.payload", "payload_lv": "req.payload_lv", "res_ver": "res.ver",
		"http_auth_bearer_token": "http_auth_bearer", "method_str": "method",
	} {
		if fetchIndex[old] == nil {
			alias := *fetchIndex[now]
			alias.Name = old
			alias.Help += " (old name of " + now + ")"
			addFetches("aliases", []FetchSpec{alias})
		}
	}
}

// predefined lists HAProxy's built-in acls: fetch with arguments, method,
// patterns.
var predefined = map[string]struct {
	fetch    string
	args     []string
	method   string
	patterns []string
}{
	"TRUE":           {"always_true", nil, "bool", nil},
	"FALSE":          {"always_false", nil, "bool", nil},
	"LOCALHOST":      {"src", nil, "ip", []string{"127.0.0.1/8", "::1"}},
	"HTTP":           {"req.proto_http", nil, "bool", nil},
	"HTTP_1.0":       {"req.ver", nil, "str", []string{"1.0"}},
	"HTTP_1.1":       {"req.ver", nil, "str", []string{"1.1"}},
	"HTTP_2.0":       {"req.ver", nil, "str", []string{"2.0"}},
	"HTTP_3.0":       {"req.ver", nil, "str", []string{"3.0"}},
	"HTTP_CONTENT":   {"req.hdr_val", []string{"content-length"}, "int", []string{"gt", "0"}},
	"HTTP_URL_ABS":   {"url", nil, "reg", []string{"^[^/:]*://"}},
	"HTTP_URL_SLASH": {"url", nil, "beg", []string{"/"}},
	"HTTP_URL_STAR":  {"url", nil, "str", []string{"*"}},
	"METH_CONNECT":   {"method", nil, "meth", []string{"CONNECT"}},
	"METH_DELETE":    {"method", nil, "meth", []string{"DELETE"}},
	"METH_GET":       {"method", nil, "meth", []string{"GET", "HEAD"}},
	"METH_HEAD":      {"method", nil, "meth", []string{"HEAD"}},
	"METH_OPTIONS":   {"method", nil, "meth", []string{"OPTIONS"}},
	"METH_PATCH":     {"method", nil, "meth", []string{"PATCH"}},
	"METH_POST":      {"method", nil, "meth", []string{"POST"}},
	"METH_PUT":       {"method", nil, "meth", []string{"PUT"}},
	"METH_TRACE":     {"method", nil, "meth", []string{"TRACE"}},
	"RDP_COOKIE":     {"req.rdp_cookie_cnt", nil, "int", []string{"gt", "0"}},
	"REQ_CONTENT":    {"req.len", nil, "int", []string{"gt", "0"}},
	"WAIT_END":       {"wait_end", nil, "bool", nil},
}

// PredefinedACL gives the condition of a built-in acl (TRUE, METH_GET, …).
func PredefinedACL(name string, pos model.Pos) (*model.Test, bool) {
	p, ok := predefined[name]
	if !ok {
		return nil, false
	}
	t := &model.Test{Pos: pos, Name: name, Method: p.method,
		Expr: &model.Expr{Pos: pos, Text: p.fetch, Fetch: model.Call{Pos: pos, Name: p.fetch, Args: p.args}}}
	for _, x := range p.patterns {
		t.Patterns = append(t.Patterns, model.Pattern{Pos: pos, Text: x})
	}
	return t, true
}

// PredefinedACLs lists their names.
func PredefinedACLs() []string {
	var out []string
	for n := range predefined {
		out = append(out, n)
	}
	return out
}
