package rule

import "testing"

// Every entry of the tables has what the documentation prints, every acl
// keyword leads to a fetch and a method.
func TestTables(t *testing.T) {
	for what, list := range map[string][]Keyword{"fetch": Fetches(), "converter": Converters(), "alias": Aliases(), "match": Matches(), "action": Actions()} {
		if len(list) == 0 {
			t.Errorf("no %s", what)
		}
		for _, k := range list {
			if k.Help == "" || k.Name == "" || k.Phases == 0 {
				t.Errorf("%s %q: %+v", what, k.Name, k)
			}
		}
	}
	for n, a := range aclIndex {
		if fetchIndex[a.fetch] == nil || matchIndex[a.match] == nil {
			t.Errorf("acl keyword %s: %+v", n, a)
		}
	}
	for n, s := range fetchIndex {
		if s.Refused == "" && s.build == nil {
			t.Errorf("fetch %s cannot be built", n)
		}
	}
	for _, n := range []string{"path_beg", "hdr_dom", "req.hdr_sub", "url_reg", "cook_end", "urlp_len", "shdr_beg", "scook_dir", "base_dom", "req_ver", "res.hdr_reg"} {
		if _, m, ok := LookupACL(n); !ok || m == "" {
			t.Errorf("%s is no acl keyword", n)
		}
	}
	if f, m, ok := LookupACL("src"); !ok || f != "src" || m != "" {
		t.Error("src is no acl keyword")
	}
}

func TestBuiltInFormats(t *testing.T) {
	for _, s := range []string{HTTPLogFormat, HTTPSLogFormat, TCPLogFormat, CLFLogFormat, ErrorLogFormat, DefaultTCPLogFormat} {
		c := newTestCompiler(t)
		c.Format(parseFormat(s), PhaseLog).Append(nil, logTx())
		noDiagnostics(t, c)
	}
}

func TestMapAndListOfOneFile(t *testing.T) {
	c := newTestCompiler(t)
	c.Cond(parseTest("path -f hosts.map"), PhaseHTTPRequest)
	c.Expr(parseExpr("path,map(hosts.map)"), PhaseHTTPRequest)
	if len(c.Diagnostics) != 1 {
		t.Errorf("got %v", c.Diagnostics)
	}
}
