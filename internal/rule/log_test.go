package rule

import (
	"crypto/tls"
	"net/netip"
	"testing"
	"time"
)

func logTx() *Tx {
	tx := newTx()
	tx.Phase = PhaseLog
	tx.Req = parseHead("GET /a/b?x=1 HTTP/1.1\nHost: h")
	tx.ReqCaptures = [][]byte{[]byte("a|\"b{}\\]\xe9"), nil}
	at := time.Date(2009, 2, 6, 12, 14, 14, 655e6, time.Local)
	tx.Log = Log{Accept: at, Request: at, Pid: 0x7cd1, Status: 200, BytesRead: 2750, BytesUploaded: 7, TermState: [4]byte{'-', '-', 'N', 'I'},
		ActConn: 1, FeConn: 2, BeConn: 3, SrvConn: 4, Retries: 0, SrvQueue: 5, BeQueue: 6, Th: 0, Ti: 9, TR: 10, Tw: 0, Tc: 30, Tr: 69, Td: 1, Ta: 109, Tt: 118, Tq: 19}
	tx.Backend, tx.Server = &ProxyInfo{Name: "static"}, &ServerInfo{Name: "srv1"}
	tx.ServerAddr, tx.ServerSrc = netip.MustParseAddrPort("10.0.0.9:80"), netip.MustParseAddrPort("10.0.0.1:3333")
	return tx
}

func TestLogFormats(t *testing.T) {
	for _, tt := range []struct{ format, want string }{
		{HTTPLogFormat, `127.0.0.1:40000 [06/Feb/2009:12:14:14.655] fe1 static/srv1 10/0/30/69/109 200 2750 - - --NI 1/2/3/4/0 5/6 {a#7C#22b#7B#7D\]#E9|} "GET /a/b?x=1 HTTP/1.1"`},
		{TCPLogFormat, "127.0.0.1:40000 [06/Feb/2009:12:14:14.655] fe1 static/srv1 0/30/118 2750 -- 1/2/3/4/0 5/6"},
		{DefaultHTTPLogFormat, "Connect from 127.0.0.1:40000 to 127.0.0.1:21100 (fe1/HTTP)"},
		// HAProxy 2.6 printed the same for the same captures.
		{"%{+Q}hr|%hr|%{+Q}hrl|%hrl|%[capture.req.hdr(0)]|%{+Q,+E}[capture.req.hdr(0)]", `"{a#7C#22b#7B#7D\]#E9|}"|{a#7C#22b#7B#7D\]#E9|}|"a#7C#22b#7B#7D\]#E9" ""|a#7C#22b#7B#7D\]#E9 -|` + "a|\"b{}\\]\xe9" + `|"a|\"b{}\\\]` + "\xe9\""},
		{"%{+Q}r|%{+Q}HM|%HP|%HQ|%HU|%HV|%HPO", `"GET /a/b?x=1 HTTP/1.1"|"GET"|/a/b|?x=1|/a/b?x=1|HTTP/1.1|/a/b`},
		{"%[int(4)]|%{+X}ci|%{+X}cp|%[var(txn.n)]|%{+Q}[var(txn.n)]|%CC|%{+Q}CC|%{+X}pid", `4|7F000001|9C40|-|""|-|""|7CD1`},
		{"%bi:%bp %si:%sp %fi:%fp %U %Tq %Td %Th %Ti %Tt %ts %f %ID %T", "10.0.0.1:3333 10.0.0.9:80 127.0.0.1:21100 7 19 1 0 9 118 -- fe1 - " + logTx().Log.Accept.UTC().Format("02/Jan/2006:15:04:05") + " +0000"},
		{"%sslc %sslv", "- -"},
	} {
		c := newTestCompiler(t)
		f := c.Format(parseFormat(tt.format), PhaseLog)
		noDiagnostics(t, c)
		if got := string(f.Append(nil, logTx())); got != tt.want {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.format, got, tt.want)
		}
	}
}

func TestLogOfWhatNeverHappened(t *testing.T) {
	c := newTestCompiler(t)
	tx := newTx()
	tx.Req, tx.Backend = nil, nil
	tx.Log = Log{Accept: time.Unix(0, 0), Request: time.Unix(0, 0), TR: -1, Tw: -1, Tc: -1, Tr: -1, Ta: 5, Status: -1, TermState: [4]byte{'C', 'R', '-', '-'}, LogASAP: true}
	f := c.Format(parseFormat("%b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %tsc %hr %{+Q}r %rc"), PhaseLog)
	if got, want := string(f.Append(nil, tx)), `fe1/<NOSRV> -1/-1/-1/-1/+5 -1 +0 CR-- "<BADREQ>" 0`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestTLSFetches(t *testing.T) {
	tx := newTx()
	tx.Conn.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256, ServerName: "x.org", NegotiatedProtocol: "http/1.1"}
	c := newTestCompiler(t)
	f := c.Format(parseFormat("%[ssl_fc] %[ssl_fc_sni] %[ssl_fc_protocol] %[ssl_fc_cipher] %[ssl_fc_alpn] %[ssl_fc_has_sni] %[ssl_fc_has_crt] %[ssl_c_used] %[ssl_c_verify] %ft %sslv %sslc %[ssl_fc_use_keysize] %[ssl_c_s_dn(CN)]"), PhaseLog)
	noDiagnostics(t, c)
	if got, want := string(f.Append(nil, tx)), "1 x.org TLSv1.3 TLS_AES_128_GCM_SHA256 http/1.1 1 0 0 0 fe1~ TLSv1.3 TLS_AES_128_GCM_SHA256 128 -"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
