package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseWrk(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       loadResult
		bad        bool
	}{
		{name: "clean", text: `Running 2s test @ http://127.0.0.1:24000/1k
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.22ms    2.87ms  34.52ms   93.81%
    Req/Sec    34.16k     8.38k   50.74k    70.00%
  Latency Distribution
     50%    1.50ms
     75%    2.16ms
     90%    4.01ms
     99%   15.80ms
  68097 requests in 2.01s, 80.53MB read
Requests/sec:  33955.83
Transfer/sec:     40.15MB
`, want: loadResult{Requests: 68097, PerSecond: 33955.83, P50: 1500 * time.Microsecond, P99: 15800 * time.Microsecond}},
		{name: "errors", text: `  Latency Distribution
     50%  812.00us
     99%    2.01s
  10 requests in 2.01s, 80.53MB read
  Socket errors: connect 1, read 126, write 2, timeout 3
  Non-2xx or 3xx responses: 4
Requests/sec:      5.00
`, want: loadResult{Requests: 10, PerSecond: 5, P50: 812 * time.Microsecond, P99: 2010 * time.Millisecond, Errors: 136,
			Detail: "Socket errors: connect 1, read 126, write 2, timeout 3 Non-2xx or 3xx responses: 4"}},
		{name: "no report", text: "unable to connect to 127.0.0.1:24099 Connection refused\n", bad: true},
		{name: "bad unit", text: "     50%    1.50parsecs\n  1 requests in 1s\n", bad: true},
		{name: "bad errors", text: "  Socket errors: connect\n  1 requests in 1s\n", bad: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := parseWrk(tc.text)
			if (err != nil) != tc.bad || !tc.bad && !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got %+v, %v; want %+v", got, err, tc.want)
			}
		})
	}
}

func TestParseAb(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       loadResult
		bad        bool
	}{
		{name: "clean", text: `Document Length:        1024 bytes

Concurrency Level:      10
Time taken for tests:   0.165 seconds
Complete requests:      200
Failed requests:        0
Total transferred:      245200 bytes
Requests per second:    1215.41 [#/sec] (mean)
Time per request:       8.228 [ms] (mean)

  50%      4
  99%     12
 100%     12 (longest request)
`, want: loadResult{Requests: 200, PerSecond: 1215.41, P50: 4 * time.Millisecond, P99: 12 * time.Millisecond}},
		{name: "errors", text: `Complete requests:      60000
Failed requests:        768
   (Connect: 0, Receive: 256, Length: 256, Exceptions: 256)
Write errors:           1
Non-2xx responses:      2
Requests per second:    9000.00 [#/sec] (mean)
`, want: loadResult{Requests: 60000, PerSecond: 9000, Errors: 771, Detail: "(Connect: 0, Receive: 256, Length: 256, Exceptions: 256)"}},
		{name: "aborted", text: "apr_socket_recv: Connection reset by peer (104)\nTotal of 12 requests completed\n", bad: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := parseAb(tc.text)
			if (err != nil) != tc.bad || !tc.bad && !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got %+v, %v; want %+v", got, err, tc.want)
			}
		})
	}
}

func TestParseStat(t *testing.T) {
	const rest = " S 17 4711 4711 0 -1 4194560 1234 0 3 0 150 75 20 10 20 0 5 0 100 1 2"
	want := procStat{Pid: 4712, Parent: 17, State: 'S', User: 150, System: 75, ChildUser: 20, ChildSystem: 10}
	for _, tc := range []struct {
		name, text string
		bad        bool
	}{
		{name: "plain", text: "4712 (haproxy)" + rest},
		{name: "spaces and parentheses in the name", text: "4712 (a) S 1 (b c)" + rest},
		{name: "no name", text: "4712 haproxy" + rest, bad: true},
		{name: "short", text: "4712 (haproxy) S 17 1", bad: true},
		{name: "not numbers", text: "4712 (haproxy) S 17 4711 4711 0 -1 4194560 1234 0 3 0 x 75 20 10 20", bad: true},
		{name: "empty", text: "", bad: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := parseStat([]byte(tc.text))
			if (err != nil) != tc.bad || !tc.bad && got != want {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestParseStatusAndBusy(t *testing.T) {
	text := []byte("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n")
	if n, ok := parseStatusKiB(text, "VmRSS"); !ok || n != 1024 {
		t.Errorf("VmRSS %d %v", n, ok)
	}
	if n, ok := parseStatusKiB(text, "VmSwap"); ok {
		t.Errorf("VmSwap %d", n)
	}
	busy, err := parseBusy([]byte("cpu  10 1 20 4000 500 3 4 99 0 0\ncpu0 1 1 1\n"))
	if err != nil || busy != 38 {
		t.Errorf("busy %d, %v", busy, err)
	}
	if _, err := parseBusy([]byte("intr 1 2 3")); err == nil {
		t.Error("no cpu line, and no error")
	}
}

func TestParseHead(t *testing.T) {
	for _, tc := range []struct {
		text string
		want head
		bad  bool
	}{
		{text: "HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\n", want: head{200, 1024, false}},
		{text: "HTTP/1.1 503 Service Unavailable\r\ncontent-length:0\r\nConnection: close\r\n\r\n", want: head{503, 0, true}},
		{text: "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", want: head{200, 1, true}},
		{text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", bad: true},
		{text: "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", bad: true},
		{text: "SSH-2.0\r\n\r\n", bad: true},
	} {
		got, err := parseHead([]byte(tc.text))
		if (err != nil) != tc.bad || !tc.bad && got != tc.want {
			t.Errorf("%q: %+v, %v", tc.text, got, err)
		}
	}
}

func TestSpreadAndRatios(t *testing.T) {
	if got := spreadOf([]float64{3, 1, 2}); got != (spread{2, 1, 3}) {
		t.Errorf("odd: %v", got)
	}
	if got := spreadOf([]float64{4, 1, 2, 3}); got != (spread{2.5, 1, 4}) {
		t.Errorf("even: %v", got)
	}
	r := &result{Samples: [2][]sample{{{CPU: 20}, {CPU: 10}, {CPU: 0}}, {{CPU: 10}, {CPU: 9}, {CPU: 1}}}}
	if got := r.ratios(cpuOf); !reflect.DeepEqual(got, []float64{0.5, 0.9}) {
		t.Errorf("ratios %v", got)
	}
}

func TestLimits(t *testing.T) {
	for _, tc := range []struct {
		r    result
		want bool
	}{
		{result{}, false},
		{result{Limits: []limit{atMost("a", 0.8, 0.8)}}, false},
		{result{Limits: []limit{atMost("a", 0.8, 0.8), atMost("b", 0.81, 0.8)}}, true},
		{result{Failed: "no"}, true},
	} {
		if got := broken([]*result{&tc.r}); got != tc.want {
			t.Errorf("%+v: %v", tc.r, got)
		}
	}
}

func TestSectionInsert(t *testing.T) {
	begin, end := proxySection.begin, proxySection.end
	block := begin + "\nnew\n" + end
	for _, tc := range []struct{ old, want string }{
		{"", block + "\n"},
		{"text", "text\n" + block + "\n"},
		{"a\n" + begin + "\nold\n" + end + "\nb\n", "a\n" + block + "\nb\n"},
		{"a\n" + begin + "\nno end\n", "a\n" + begin + "\nno end\n" + block + "\n"},
	} {
		if got := proxySection.insert(tc.old, "new\n"); got != tc.want {
			t.Errorf("%q: %q, want %q", tc.old, got, tc.want)
		}
	}
}

// A run of one half must leave the other half's figures alone.
func TestWriteMarkdownLeavesTheOtherSection(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b.md")
	old := proxySection.insert("head\n", "proxies\n")
	old = forwardSection.insert(old, "forwarders\n")
	for _, tc := range []struct{ name, kept, gone string }{{"forward", "proxies", "forwarders"}, {"rules", "forwarders", "proxies"}} {
		if err := os.WriteFile(path, []byte(old), 0o644); err != nil {
			t.Fatal(err)
		}
		r := &result{Name: tc.name, Title: "anew", Tables: []table{{Title: "anew", Header: []string{"x"}}}, Failed: "because"}
		if err := writeMarkdown(path, make([]program, 2), []*result{r}); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if text := string(b); !strings.Contains(text, tc.kept) || strings.Contains(text, tc.gone) || !strings.Contains(text, "anew") || !strings.HasPrefix(text, "head") {
			t.Errorf("%s: %s", tc.name, text)
		}
	}
}

func TestParseSchedstat(t *testing.T) {
	if n, err := parseSchedstat([]byte("123456789012 5 6\n")); n != 123456789012 || err != nil {
		t.Error(n, err)
	}
	for _, s := range []string{"", "1 2", "x 2 3"} {
		if _, err := parseSchedstat([]byte(s)); err == nil {
			t.Errorf("%q is none", s)
		}
	}
}

func TestAtLeast(t *testing.T) {
	l := atLeast("gain", 1.1, 1.2)
	if l.kept() || !atLeast("gain", 1.2, 1.2).kept() {
		t.Error("a limit from below is not kept below it")
	}
	if l.String() != "gain: 1.1, at least 1.2" {
		t.Error(l)
	}
}

// A table that hides what was missed would be worth nothing.
func TestMarkdownNamesLimitsNotKept(t *testing.T) {
	r := &result{Title: "t", Limits: []limit{atMost("good", 1, 1), atMost("bad", 2, 1)}}
	text := markdown(nil, []*result{r, {Title: "u", Failed: "why"}})
	for _, want := range []string{"- t: bad: 2, at most 1\n", "- u: did not end: why\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
	if strings.Contains(text, "good") || strings.Contains(text, "None.") {
		t.Errorf("kept limits listed: %s", text)
	}
}
