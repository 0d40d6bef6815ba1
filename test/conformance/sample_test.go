package conformance

import (
	"strings"
	"testing"
)

// TestSamples compares fetches and converters: each expression's value goes
// into a line of an answer.
func TestSamples(t *testing.T) {
	var list []scenario
	for i, part := range chunks(strings.Split(strings.TrimSpace(expressions), "\n"), 30) {
		var b strings.Builder
		for _, e := range part {
			b.WriteString(" http-request return status 200 content-type text/plain lf-string '" + strings.ReplaceAll(e, "'", `'\''`) + " = %[" + e + "]' if { url_param(e) -m str " + name(e, part) + " }\n")
		}
		sc := scenario{name: "group" + string(rune('A'+i)), config: "frontend f\n bind {fe1}\n http-request set-var(txn.num) int(12)\n http-request set-var(txn.text) str(aBc)\n http-request set-var(sess.s) str(sess)\n" + b.String() + " default_backend b\nbackend b\n server s1 {s1}\n",
			files: map[string]string{"map": "a.com mapped\nb.com other # x\n", "mapbeg": "/pa begins\n/path longer\n", "mapreg": "^/p(.)t re-\\1\n", "mapip": "127.0.0.0/8 local\n", "mapint": "a.com 42\n", "mapend": ".com com\n", "mapdom": "a.com dom\n", "mapsub": ".co sub\n"}}
		for _, e := range part {
			sc.steps = append(sc.steps, step{name: e, data: "GET /path/to/file.ext?e=" + name(e, part) + "&x=aBcAd&n=17&u=%41a+b%2f&y HTTP/1.1\r\nHost: a.com\r\nUser-Agent: curl/1.2.3.4\r\nCookie: one=1; two=22; t=a%20b\r\nX-L: a, b,c;q=0.5 , \"d,e\"\r\nX-N: 5\r\nX-N: 7\r\nX-IP: 10.1.2.3, 192.168.1.1\r\nX-Date: Tue, 15 Nov 1994 08:12:31 GMT\r\nAuthorization: Basic dXNlcjpwYXNz\r\nX-B64: aGVsbG8=\r\nX-HEX: 68656c6c6f\r\nX-Json: {\"a\":{\"b\":\"v\",\"n\":3,\"t\":true}}\r\nReferer: http://r/\r\nX-Bear: Bearer abc\r\nAccept-Language: de;q=0.9, fr, en;q=0.8\r\nX-Jwt: eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U\r\nX-Qs: a=1&b=2\r\n\r\n"})
		}
		list = append(list, sc)
	}
	runAll(t, list)
}

func name(e string, part []string) string {
	for i, p := range part {
		if p == e {
			return "e" + string(rune('a'+i/26)) + string(rune('a'+i%26))
		}
	}
	return ""
}

func chunks(list []string, n int) [][]string {
	var out [][]string
	for len(list) > n {
		out, list = append(out, list[:n]), list[n:]
	}
	return append(out, list)
}

const expressions = `
url_param(x),lower
url_param(x),upper
url_param(x),base64
url_param(x),crc32
url_param(x),crc32(1)
url_param(x),crc32c
url_param(x),djb2
url_param(x),djb2(1)
url_param(x),djb2,mod(100)
url_param(x),length
url_param(x),bytes(1,2)
url_param(x),bytes(2)
url_param(x),regsub(a,b,g)
url_param(x),regsub(a,b,gi)
url_param(x),regsub("(b)","<\\1>",i)
url_param(x),sha1,hex
url_param(x),sha2,hex
url_param(x),sha2(512),hex
url_param(x),digest(md5),hex
url_param(x),hmac(sha256,a2V5),hex
url_param(x),json
url_param(u)
url_param(u),url_dec
url_param(u),url_dec(1)
path,url_enc
url_param(y)
url_param(missing)
urlp(n),add(3)
urlp_val(n)
int(5),add(3),mul(2),div(3)
int(5),sub(7)
int(5),neg
int(5),mod(3)
int(5),div(0)
int(6),and(3)
int(6),or(1)
int(6),xor(3)
int(6),cpl
int(6),bool
int(0),not
int(0),even
int(1),odd
int(5),add(txn.num)
int(9223372036854775807),add(1)
src
src,ipmask(24)
src,ipmask(8)
hdr_ip(x-ip)
hdr_ip(x-ip,1)
hdr_ip(x-ip,-1)
hdr_ip(x-ip,2)
url_param(x),strcmp(txn.text)
var(txn.text),strcmp(txn.text)
str(a),concat(-,txn.text,-)
str(a),concat(,sess.s)
str(b),iif(yes,no)
bool(true),iif(yes,no)
bool(false),iif(yes,no)
var(txn.none)
var(txn.num)
var(txn.num),add(1)
url_param(x),word(2,a)
url_param(x),field(2,A)
path,field(2,/)
path,field(-1,/)
path,field(2,/,2)
path,field(1,/,0)
path,word(1,/)
path,word(-1,.)
path,word(1,/,2)
url_param(x),xxh32
url_param(x),xxh32(5)
url_param(x),xxh64
url_param(x),wt6
url_param(x),wt6(1)
url_param(x),sdbm
url_param(x),sdbm(1)
hdr_cnt(host)
req.hdr_cnt(x-l)
req.fhdr_cnt(x-l)
req.hdr(x-l)
req.hdr(x-l,1)
req.hdr(x-l,2)
req.hdr(x-l,3)
req.hdr(x-l,4)
req.hdr(x-l,5)
req.hdr(x-l,-1)
req.hdr(x-l,-2)
req.fhdr(x-l)
req.hdr(x-n)
req.hdr(x-n,1)
req.hdr_val(x-n)
hdr(x-n,2)
req.hdr_names
req.hdr_names(;)
req.ver
req_ver
base
base32
base32,hex
base32+src,hex
url
url32
url32,hex
url32+src,hex
path
pathq
query
method
url_ip
url_port
req.cook(one)
req.cook(two)
req.cook(t),url_dec
req.cook(none)
req.cook_cnt(one)
req.cook_val(two)
cook(one)
req.body
req.body_len
req.body_size
req.body_param(x)
req.hdrs
http_auth_user
http_auth_pass
http_auth_type
http_auth_bearer(x-bear)
http_first_req
unique-id
capture.req.method
capture.req.uri
capture.req.ver
capture.req.hdr(0)
dst
dst_is_local
src_is_local
fc_http_major
fe_name
fe_id
fe_conn
be_conn(b)
be_sess_rate(b)
be_conn_free(b)
nbsrv(b)
connslots(b)
queue(b)
avg_queue(b)
srv_is_up(b/s1)
srv_conn(b/s1)
srv_queue(b/s1)
srv_sess_rate(b/s1)
srv_weight(b/s1)
srv_iweight(b/s1)
srv_uweight(b/s1)
srv_conn_free(b/s1)
so_name
so_id
nbproc
proc
thread
env(testnone)
always_true
always_false
bool(true)
bin(414243)
bin(414243),hex
str(hello)
ipv4(1.2.3.4)
ipv6(::1)
int(-5)
date,ltime(%%z),length
date(0),bool
int(0),ltime(%%Y)
int(1700000000),utime("%%Y-%%m-%%d %%H:%%M:%%S")
int(1700000000),http_date
int(1700000000),http_date(60)
int(1700000000),utime(%%s)
rand(1)
uuid,length
req.hdr(host),map({dir}/map)
req.hdr(host),map({dir}/map,none)
req.hdr(host),lower,map_str({dir}/map,def)
str(zzz),map({dir}/map,def)
str(zzz),map({dir}/map)
path,map_beg({dir}/mapbeg)
path,map_reg({dir}/mapreg)
path,map_regm({dir}/mapreg)
src,map_ip({dir}/mapip)
src,map_ip({dir}/mapip,x)
req.hdr(host),map_str_int({dir}/mapint),add(1)
req.hdr(host),map_end({dir}/mapend)
req.hdr(host),map_dom({dir}/mapdom)
req.hdr(host),map_sub({dir}/mapsub)
path,map_sub({dir}/mapbeg,d)
req.hdr(x-b64),b64dec
req.hdr(host),ub64enc
req.hdr(x-hex),hex2i
str(ff),hex2i
str(zz),hex2i
int(255),hex
str(abc),hex
req.hdr(x-json),json_query('$.a.b')
req.hdr(x-json),json_query('$.a.n','int')
req.hdr(x-json),json_query('$.a.n','int'),add(1)
req.hdr(x-json),json_query('$.a.t')
req.hdr(x-json),json_query('$.none')
req.hdr(x-jwt),jwt_header_query('$.alg')
req.hdr(x-jwt),jwt_payload_query('$.sub')
req.hdr(x-jwt),jwt_verify('HS256','secret')
req.hdr(accept-language),language(en;fr)
req.hdr(accept-language),language(it)
req.hdr(x-qs),url_dec,field(2,&)
str(abcdef),ltrim(ab)
str(abcdef),rtrim(ef)
str(a.b.c),word(2,.)
str(abc),bytes(1)
str(abc),bytes(5)
str(1.2.3.4),ipmask(16)
str(AbC),lower,upper
str(abc),be2dec(:,1)
bin(01020304),be2dec(.,2)
bin(01020304),be2hex(:,2)
bin(01020304),be2hex(,3,1)
req.hdr(x-date)
str(10),add(2)
str(0x10),add(2)
str(abc),add(2)
str(abc),bool
str(true),bool
str(a),and(1)
req.hdr(none),lower
req.hdr(user-agent),regsub(/.*,)
str(abc),htonl
int(1),htonl,hex
str(a),set-var(txn.q),upper
str(a),unset-var(txn.q)
str(a),secure_memcmp(txn.text)
req.hdr(x-ip),field(1,","),ipmask(8)
path,digest(sha1),hex
path,digest(sha256),base64
bin(0a0b),bytes(1,1),hex
str(aGk),ub64dec
last_rule_line
fe_client_timeout
hostname,length
ssl_fc
ssl_fc_sni
ssl_c_used
ssl_fc_protocol
fc_rcvd_proxy
`
