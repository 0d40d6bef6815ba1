package haproxy

import (
	"fmt"
	"strconv"
	"strings"
)

// The HAProxy that conditions are answered for.
const (
	compatVersion = "3.0.0"
	sslLibrary    = "OpenSSL 3.0.0"
)

// features is what feature() knows. A thing that evenkeel does not have yet
// is false, so that files with an alternative take it.
var features = map[string]bool{
	"ACCEPT4": true, "EPOLL": true, "GETADDRINFO": true, "LIBCRYPT": true, "CRYPT_H": true,
	"LINUX_SPLICE": true, "LINUX_TPROXY": true, "TPROXY": true, "NETFILTER": true, "OPENSSL": true, "POLL": true,
	"PRCTL": true, "RT": true, "SYSTEMD": true, "TFO": true, "THREAD": true, "SSL": true,
	"CPU_AFFINITY": true, "SHM_OPEN": true, "BACKTRACE": true, "DL": true,
	"PCRE": false, "PCRE2": false, "LUA": false, "QUIC": false, "NS": false, "OT": false,
	"PROMEX": false, "SLZ": false, "ZLIB": false, "51DEGREES": false, "DEVICEATLAS": false,
	"WURFL": false, "ENGINE": false, "KQUEUE": false, "EVPORTS": false,
}

// enabledOptions is what enabled() knows: switches of the command line.
var enabledOptions = map[string]bool{
	"EPOLL": true, "POLL": true, "SPLICE": true, "GETADDRINFO": true, "REUSEPORT": true,
	"KQUEUE": false, "EVPORTS": false, "FAST-FORWARD": true, "SERVER-SSL-VERIFY-NONE": false, "SSL-VERIFY": true,
}

// condError is a condition that cannot be judged.
type condError struct {
	off    int
	reason string
	cure   string
}

// predicate is one function of the language of conditions.
type predicate struct {
	args int
	eval func(args []string, look func(string) (string, bool)) (bool, string)
}

var predicates = map[string]predicate{
	"defined": {1, func(a []string, look func(string) (string, bool)) (bool, string) { _, ok := look(a[0]); return ok, "" }},
	"feature": {1, func(a []string, _ func(string) (string, bool)) (bool, string) { return features[a[0]], "" }},
	"enabled": {1, func(a []string, _ func(string) (string, bool)) (bool, string) {
		return enabledOptions[strings.ToUpper(a[0])], ""
	}},
	"streq":  {2, func(a []string, _ func(string) (string, bool)) (bool, string) { return a[0] == a[1], "" }},
	"strneq": {2, func(a []string, _ func(string) (string, bool)) (bool, string) { return a[0] != a[1], "" }},
	"strstr": {2, func(a []string, _ func(string) (string, bool)) (bool, string) {
		return strings.Contains(a[0], a[1]), ""
	}},
	"version_atleast": {1, func(a []string, _ func(string) (string, bool)) (bool, string) {
		return compareVersions(a[0], func(c int) bool { return c >= 0 })
	}},
	"version_before": {1, func(a []string, _ func(string) (string, bool)) (bool, string) {
		return compareVersions(a[0], func(c int) bool { return c < 0 })
	}},
	"openssl_version_atleast": {1, func(a []string, _ func(string) (string, bool)) (bool, string) {
		return compareSSLVersions(a[0], func(c int) bool { return c >= 0 })
	}},
	"openssl_version_before": {1, func(a []string, _ func(string) (string, bool)) (bool, string) {
		return compareSSLVersions(a[0], func(c int) bool { return c < 0 })
	}},
	"ssllib_name_startswith": {1, func(a []string, _ func(string) (string, bool)) (bool, string) {
		return strings.HasPrefix(sslLibrary, a[0]), ""
	}},
	"awslc_api_atleast": {1, func([]string, func(string) (string, bool)) (bool, string) { return false, "" }},
	"awslc_api_before":  {1, func([]string, func(string) (string, bool)) (bool, string) { return false, "" }},
}

// condParser reads and judges a condition in one pass. Nothing has an effect,
// so both sides of && and || are always read.
type condParser struct {
	in    string
	pos   int
	depth int
	look  func(string) (string, bool)
	err   *condError
}

func evalCondition(text string, look func(string) (string, bool)) (bool, *condError) {
	c := &condParser{in: text, look: look}
	c.space()
	if c.pos == len(c.in) {
		return false, nil
	}
	v := c.or()
	c.space()
	if c.err == nil && c.pos < len(c.in) {
		c.fail(c.pos, "join conditions with && or ||", "unexpected character '%c' at the end of conditional expression '%s'", c.in[c.pos], text)
	}
	if c.err != nil {
		return false, c.err
	}
	return v, nil
}

func (c *condParser) fail(off int, cure, format string, args ...any) {
	if c.err == nil {
		c.err = &condError{off, fmt.Sprintf(format, args...), cure}
	}
	c.pos = len(c.in)
}

func (c *condParser) space() {
	for c.pos < len(c.in) && (c.in[c.pos] == ' ' || c.in[c.pos] == '\t') {
		c.pos++
	}
}

func (c *condParser) accept(token string) bool {
	c.space()
	if !strings.HasPrefix(c.in[c.pos:], token) {
		return false
	}
	c.pos += len(token)
	return true
}

func (c *condParser) or() bool {
	v := c.and()
	for c.accept("||") {
		right := c.and()
		v = v || right
	}
	return v
}

func (c *condParser) and() bool {
	v := c.term()
	for c.accept("&&") {
		right := c.term()
		v = v && right
	}
	return v
}

// maxCondParens bounds how deep a condition may nest.
const maxCondParens = 1024

func (c *condParser) term() bool {
	c.depth++
	defer func() { c.depth-- }()
	if c.depth > maxCondParens {
		c.fail(c.pos, "", "conditional expression too deeply nested")
		return false
	}
	if c.accept("!") {
		return !c.term()
	}
	if c.accept("(") {
		at := c.pos
		v := c.or()
		if c.err == nil && !c.accept(")") {
			c.fail(at-1, "close it with ')'", "expected ')' at end of conditional expression '%s'", c.in)
		}
		return v
	}
	start := c.pos
	if c.pos < len(c.in) && (isDigit(c.in[c.pos]) || c.in[c.pos] == '-' || c.in[c.pos] == '+') {
		return c.integer()
	}
	for c.pos < len(c.in) && (isAlpha(c.in[c.pos]) || isDigit(c.in[c.pos]) || c.in[c.pos] == '_') {
		c.pos++
	}
	name := c.in[start:c.pos]
	pred, ok := predicates[name]
	if !ok {
		var known []string
		for n := range predicates {
			known = append(known, n)
		}
		cure := closest(name, sorted(known))
		if cure == "" {
			cure = "a condition is an integer or a predicate such as defined(NAME), feature(NAME), streq(A,B)"
		}
		c.fail(start, cure, "unparsable conditional expression '%s'", c.in[start:])
		return false
	}
	return c.call(name, pred, start)
}

func (c *condParser) integer() bool {
	start := c.pos
	c.pos++
	for c.pos < len(c.in) && isDigit(c.in[c.pos]) {
		c.pos++
	}
	return strings.Trim(c.in[start:c.pos], "+-0") != ""
}

// call reads the arguments of a predicate. They follow the rules of sample
// expressions: quotes and backslashes protect commas and parentheses.
func (c *condParser) call(name string, pred predicate, start int) bool {
	if !c.accept("(") {
		c.fail(c.pos, "write "+name+"(…)", "missing arguments of predicate '%s'", name)
		return false
	}
	args, ok := c.arguments(name)
	if !ok {
		return false
	}
	if len(args) != pred.args {
		c.fail(start, "", "predicate '%s' expects %d argument(s), got %d", name, pred.args, len(args))
		return false
	}
	v, problem := pred.eval(args, c.look)
	if problem != "" {
		c.fail(start, "a version is written as 2.4, 2.4.1 or 2.5-dev7", "%s in predicate '%s'", problem, name)
	}
	return v
}

func (c *condParser) arguments(name string) ([]string, bool) {
	var args []string
	var buf []byte
	var quote byte
	for ; c.pos < len(c.in); c.pos++ {
		ch := c.in[c.pos]
		switch {
		case quote != 0 && ch == quote:
			quote = 0
		case quote == 0 && (ch == '"' || ch == '\''):
			quote = ch
		case ch == '\\' && quote != '\'' && c.pos+1 < len(c.in):
			c.pos++
			buf = append(buf, c.in[c.pos])
		case quote == 0 && ch == ',':
			args, buf = append(args, string(buf)), nil
		case quote == 0 && ch == ')':
			c.pos++
			return append(args, string(buf)), true
		default:
			buf = append(buf, ch)
		}
	}
	c.fail(len(c.in), "close it with ')'", "expected ')' in argument %d of predicate '%s' used in conditional expression", len(args)+1, name)
	return nil, false
}

// version is major, minor, patch and a fourth number that orders developments
// (-dev7) before release candidates before the release and its commits.
type version [4]int

// parseVersion reads HAProxy's numbers: 2.4, 2.4.1, 2.5-dev7, 2.4.0-rc1-22.
func parseVersion(s string) (version, bool) {
	v := version{3: 2 << 24}
	main, extra, _ := strings.Cut(s, "-")
	for i, part := range strings.Split(main, ".") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 || i > 2 {
			return v, false
		}
		v[i] = n
	}
	for _, e := range strings.Split(extra, "-") {
		if k, ok := strings.CutPrefix(e, "dev"); ok {
			n, _ := strconv.Atoi(k)
			v[3] = n
		} else if k, ok := strings.CutPrefix(e, "rc"); ok {
			n, _ := strconv.Atoi(k)
			v[3] = 1<<24 + n
		}
	}
	return v, true
}

func (v version) compare(w version) int {
	for i := range v {
		if v[i] != w[i] {
			if v[i] < w[i] {
				return -1
			}
			return 1
		}
	}
	return 0
}

func compareVersions(s string, test func(int) bool) (bool, string) {
	v, ok := parseVersion(s)
	if !ok {
		return false, "invalid version '" + s + "'"
	}
	own, _ := parseVersion(compatVersion)
	return test(own.compare(v)), ""
}

// compareSSLVersions reads OpenSSL's numbers, whose patch may be a letter
// (1.1.1k) and which may end in -alphaN, -betaN or -preN.
func compareSSLVersions(s string, test func(int) bool) (bool, string) {
	own := version{3, 0, 0, 1 << 16}
	v := version{3: 1 << 16}
	main, extra, _ := strings.Cut(s, "-")
	letter := 0
	if n := len(main); n > 0 && isAlpha(main[n-1]) {
		letter = int(main[n-1]|0x20-'a') + 1
		main = main[:n-1]
	}
	for i, part := range strings.Split(main, ".") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 || i > 2 {
			return false, "invalid OpenSSL version '" + s + "'"
		}
		v[i] = n
	}
	v[3] += letter
	if extra != "" && extra != "fips" {
		v[3] = 0
	}
	return test(own.compare(v)), ""
}
