package conformance

import (
	"regexp"
	"sort"
	"strings"
)

var (
	htmlPage   = regexp.MustCompile(`(?s)<html>.*?<h1>(\d+).*?</html>\n`)
	nextAnswer = regexp.MustCompile(`HTTP/1\.[01] \d`)
	clientPort = regexp.MustCompile(`127\.0\.0\.1:\d{4,5}\b`)
)

// response makes an answer comparable: the order and case of field names, the
// text of built-in error pages and addresses that differ do not count.
func (d *director) response(s string) string {
	s = d.names.Replace(s)
	s = htmlPage.ReplaceAllString(s, "<page $1>")
	starts := nextAnswer.FindAllStringIndex(s, -1)
	if len(starts) == 0 {
		return s
	}
	var out []string
	if starts[0][0] > 0 {
		out = append(out, s[:starts[0][0]])
	}
	for i, at := range starts {
		end := len(s)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		out = append(out, oneResponse(s[at[0]:end]))
	}
	return strings.Join(out, "\n")
}

func oneResponse(s string) string {
	head, body, complete := strings.Cut(s, "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	if strings.Contains(body, "<page") || strings.Contains(body, "|") {
		lines = without(lines, "content-length:")
	}
	if at := strings.LastIndex(body, "|"); at >= 0 { // the origin's echo
		b := append(strings.Split(body[:at], "\r\n"), body[at:])
		sortFields(b[1:])
		body = strings.Join(b, "\n")
	}
	sortFields(lines[1:])
	if !complete {
		return strings.Join(lines, "\n")
	}
	return strings.Join(lines, "\n") + "\n\n" + body
}

func without(lines []string, prefix string) []string {
	var out []string
	for _, l := range lines {
		if !strings.HasPrefix(strings.ToLower(l), prefix) {
			out = append(out, l)
		}
	}
	return out
}

func sortFields(lines []string) {
	for i, l := range lines {
		if name, v, ok := strings.Cut(l, ":"); ok {
			lines[i] = strings.ToLower(name) + ":" + v
		}
	}
	sort.Strings(lines)
}

var (
	logHead  = regexp.MustCompile(`^<(\d+)>.*?\[\d+\]: `)
	logISO   = regexp.MustCompile(`\d{4}-\d\d-\d\dT[\d:.+]+ (\S+ \S+) \d+ `)
	logCLF   = regexp.MustCompile(`\[\d+/\w+/[\d:]+ \+0000\]`)
	clfTail  = regexp.MustCompile(`" (\d{3}) \d+ "" "" \d+ \d+ ("\S+" "\S+" "\S+") \d+ \d+ \d+ \d+ \d+`)
	connFrom = regexp.MustCompile(`Connect from (\S+):\d+ to`)
	logTime  = regexp.MustCompile(`\[\d+/\w+/\d+:[\d:.]+\]`)
	logPort  = regexp.MustCompile(`([\d.]+|[0-9a-f]*:[0-9a-f:]+):\d+ \[`)
	timers5  = regexp.MustCompile(` (-?\d+)/(-?\d+)/(-?\d+)/(-?\d+)/(\+?-?\d+) `)
	timers3  = regexp.MustCompile(` (-?\d+)/(-?\d+)/(\+?-?\d+) `)
	logBytes = regexp.MustCompile(`( [\d-]+) \+?\d+( [^ ]+ [^ ]+ [-\w]{4} )`)
	tcpBytes = regexp.MustCompile(`(n|-1) \+?\d+( [-\w]{2,4} \d)`)
	// Since 2.8 HAProxy gives the reason, and evenkeel does.
	handshake = regexp.MustCompile(`SSL handshake failure \(.*\)`)
	checkMs   = regexp.MustCompile(`check duration: \d+ms`)
)

// logLine makes a log line comparable: dates, ports, durations and byte counts
// do not count, but whether a moment was reached does.
func (d *director) logLine(s string) string {
	s = d.names.Replace(strings.TrimRight(s, "\n"))
	s = logHead.ReplaceAllString(s, "<$1> ")
	s = logISO.ReplaceAllString(s, "date $1 pid ")
	s = logCLF.ReplaceAllString(s, "[date]")
	s = clfTail.ReplaceAllString(s, `" $1 bytes "" "" port ms $2 n n n n n`)
	s = connFrom.ReplaceAllString(s, "Connect from $1:port to")
	s = logPort.ReplaceAllString(s, "$1:port [")
	s = logTime.ReplaceAllString(s, "[date]")
	timer := func(m string) string {
		parts := strings.Split(strings.TrimSpace(m), "/")
		for i, p := range parts {
			switch {
			case strings.HasPrefix(p, "+"):
				parts[i] = "+n"
			case p != "-1":
				parts[i] = "n"
			}
		}
		return " " + strings.Join(parts, "/") + " "
	}
	s = handshake.ReplaceAllString(s, "SSL handshake failure")
	loc, bytes := timers5.FindStringIndex(s), logBytes
	if tcp := timers3.FindStringIndex(s); tcp != nil && (loc == nil || tcp[0] < loc[0]) {
		loc, bytes = tcp, tcpBytes
	}
	if loc != nil {
		s = bytes.ReplaceAllString(s[:loc[0]]+timer(s[loc[0]:loc[1]])+s[loc[1]:], "$1 bytes$2")
	}
	return checkMs.ReplaceAllString(s, "check duration: nms")
}
