package haproxy

import "evenkeel/internal/model"

// predefinedACL is one of the acls that exist without being declared.
type predefinedACL struct {
	name     string
	fetch    string
	args     []string
	method   string
	patterns []string
	help     string
}

// predefinedACLs are section 7.4 of HAProxy's manual.
var predefinedACLs = []predefinedACL{
	{"FALSE", "always_false", nil, "", nil, "never matches"},
	{"HTTP", "req.proto_http", nil, "", nil, "the request is valid HTTP"},
	{"HTTP_1.0", "req.ver", nil, "str", []string{"1.0"}, "the request's version is 1.0"},
	{"HTTP_1.1", "req.ver", nil, "str", []string{"1.1"}, "the request's version is 1.1"},
	{"HTTP_2.0", "req.ver", nil, "str", []string{"2.0"}, "the request's version is 2.0"},
	{"HTTP_3.0", "req.ver", nil, "str", []string{"3.0"}, "the request's version is 3.0"},
	{"HTTP_CONTENT", "req.hdr_val", []string{"content-length"}, "int", []string{"gt", "0"}, "the request announces a body"},
	{"HTTP_URL_ABS", "url", nil, "reg", []string{"^[^/:]*://"}, "the URL has a scheme"},
	{"HTTP_URL_SLASH", "url", nil, "beg", []string{"/"}, "the URL begins with a slash"},
	{"HTTP_URL_STAR", "url", nil, "str", []string{"*"}, `the URL is "*"`},
	{"LOCALHOST", "src", nil, "ip", []string{"127.0.0.1/8", "::1"}, "the client is on this machine"},
	{"METH_CONNECT", "method", nil, "", []string{"CONNECT"}, "the method is CONNECT"},
	{"METH_DELETE", "method", nil, "", []string{"DELETE"}, "the method is DELETE"},
	{"METH_GET", "method", nil, "", []string{"GET", "HEAD"}, "the method is GET or HEAD"},
	{"METH_HEAD", "method", nil, "", []string{"HEAD"}, "the method is HEAD"},
	{"METH_OPTIONS", "method", nil, "", []string{"OPTIONS"}, "the method is OPTIONS"},
	{"METH_POST", "method", nil, "", []string{"POST"}, "the method is POST"},
	{"METH_PUT", "method", nil, "", []string{"PUT"}, "the method is PUT"},
	{"METH_TRACE", "method", nil, "", []string{"TRACE"}, "the method is TRACE"},
	{"RDP_COOKIE", "req.rdp_cookie_cnt", nil, "int", []string{"gt", "0"}, "the request has an RDP cookie"},
	{"REQ_CONTENT", "req.len", nil, "int", []string{"gt", "0"}, "bytes of a request have come"},
	{"TRUE", "always_true", nil, "", nil, "always matches"},
	{"WAIT_END", "wait_end", nil, "", nil, "waits for the end of the inspection delay"},
}

func findPredefined(name string) *predefinedACL {
	for i := range predefinedACLs {
		if predefinedACLs[i].name == name {
			return &predefinedACLs[i]
		}
	}
	return nil
}

// cond makes the condition, placed where the name stands.
func (a *predefinedACL) cond(pos model.Pos) model.Cond {
	switch a.name {
	case "TRUE":
		return model.Const(true)
	case "FALSE":
		return model.Const(false)
	}
	text := a.fetch
	if len(a.args) > 0 {
		text += "(" + a.args[0] + ")"
	}
	t := &model.Test{Pos: pos, Name: a.name, Method: a.method, Expr: &model.Expr{
		Pos: pos, Text: text, Fetch: model.Call{Pos: pos, Name: a.fetch, Args: a.args},
	}}
	for _, s := range a.patterns {
		t.Patterns = append(t.Patterns, model.Pattern{Pos: pos, Text: s})
	}
	return t
}
