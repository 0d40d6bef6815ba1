package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
)

// sample is one turn of one program.
type sample struct {
	CPU       float64 `json:"cpu_us_per_request"`
	User      float64 `json:"user_us_per_request"` // of CPU; the rest is the kernel's
	PerSecond float64 `json:"requests_per_second"`
	P50       float64 `json:"p50_us"`
	P99       float64 `json:"p99_us"`
	RSS       int64   `json:"rss_kib"`
	Requests  int64   `json:"requests"`
	Errors    int64   `json:"errors"`
	Detail    string  `json:"detail,omitempty"`
	Others    float64 `json:"machine_used_by_others"` // share of all CPUs that nothing started here used
}

// result is what a scenario found. Samples[p][round] belong to b.peers[p].
type result struct {
	Name    string      `json:"name"`
	Title   string      `json:"title"`
	Samples [2][]sample `json:"samples,omitempty"`
	Limits  []limit     `json:"limits,omitempty"`
	Notes   []string    `json:"notes,omitempty"`
	Rows    []row       `json:"rows,omitempty"`
	Tables  []table     `json:"tables,omitempty"` // of what is not HAProxy beside evenkeel
	Failed  string      `json:"failed,omitempty"`
	Took    string      `json:"took"`
}

// row is a figure that is not CPU time a request.
type row struct {
	What     string `json:"what"`
	HAProxy  string `json:"haproxy"`
	Evenkeel string `json:"evenkeel"`
}

// table is what a scenario found where HAProxy does not take part.
type table struct {
	Title  string     `json:"title"`
	Header []string   `json:"header"`
	Rows   [][]string `json:"rows"`
}

// limit is something that the project asks of itself.
type limit struct {
	What    string  `json:"what"`
	Value   float64 `json:"value"`
	Bound   float64 `json:"bound"`
	AtLeast bool    `json:"at_least,omitempty"`
}

func atMost(what string, value, most float64) limit {
	return limit{What: what, Value: value, Bound: most}
}

func atLeast(what string, value, least float64) limit {
	return limit{What: what, Value: value, Bound: least, AtLeast: true}
}

func (l limit) kept() bool {
	if l.AtLeast {
		return l.Value >= l.Bound
	}
	return l.Value <= l.Bound
}

func (l limit) String() string {
	bound := "at most"
	if l.AtLeast {
		bound = "at least"
	}
	return fmt.Sprintf("%s: %.3g, %s %.3g", l.What, l.Value, bound, l.Bound)
}

func broken(results []*result) bool {
	for _, r := range results {
		if r.Failed != "" || slices.ContainsFunc(r.Limits, func(l limit) bool { return !l.kept() }) {
			return true
		}
	}
	return false
}

// spread is a median with the lowest and the highest.
type spread struct{ Median, Low, High float64 }

func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{math.NaN(), math.NaN(), math.NaN()}
	}
	s := slices.Sorted(slices.Values(values))
	m := s[len(s)/2]
	if len(s)%2 == 0 {
		m = (s[len(s)/2-1] + m) / 2
	}
	return spread{m, s[0], s[len(s)-1]}
}

// quartiles are the bounds of the middle half.
func quartiles(values []float64) (low, high float64) {
	if len(values) == 0 {
		return math.NaN(), math.NaN()
	}
	s := slices.Sorted(slices.Values(values))
	return s[len(s)/4], s[len(s)-1-len(s)/4]
}

func (r *result) column(peer int, f func(sample) float64) []float64 {
	var v []float64
	for _, s := range r.Samples[peer] {
		v = append(v, f(s))
	}
	return v
}

// ratios compares turns that were next to each other: whatever else the
// machine did then, it did to both.
func (r *result) ratios(f func(sample) float64) []float64 {
	var v []float64
	for i := range min(len(r.Samples[0]), len(r.Samples[1])) {
		if d := f(r.Samples[peerHAProxy][i]); d > 0 {
			v = append(v, f(r.Samples[peerEvenkeel][i])/d)
		}
	}
	return v
}

func cpuOf(s sample) float64       { return s.CPU }
func userOf(s sample) float64      { return s.User }
func perSecondOf(s sample) float64 { return s.PerSecond }
func p50Of(s sample) float64       { return s.P50 }
func p99Of(s sample) float64       { return s.P99 }
func rssOf(s sample) float64       { return float64(s.RSS) }
func errorsOf(s sample) float64    { return float64(s.Errors) }
func othersOf(s sample) float64    { return s.Others }

func sum(v []float64) (n float64) {
	for _, x := range v {
		n += x
	}
	return n
}

// others is how busy the machine was with something else.
func (r *result) others() float64 {
	return spreadOf(append(r.column(peerHAProxy, othersOf), r.column(peerEvenkeel, othersOf)...)).Median
}

func (r *result) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s  (%s)\n", r.Title, r.Name)
	if r.Failed != "" {
		fmt.Fprintf(w, "  FAILED: %s\n", r.Failed)
	}
	if len(r.Samples[0]) > 0 {
		fmt.Fprintf(w, "  %-9s %-22s %-6s %-9s %-8s %-8s %-9s %s\n", "", "CPU µs/request", "user", "req/s", "p50 ms", "p99 ms", "RSS MiB", "errors")
		for i, name := range []string{"haproxy", "evenkeel"} {
			c := spreadOf(r.column(i, cpuOf))
			fmt.Fprintf(w, "  %-9s %-22s %-6.1f %-9.0f %-8.2f %-8.2f %-9.1f %.0f\n", name, fmt.Sprintf("%.2f (%.2f-%.2f)", c.Median, c.Low, c.High), spreadOf(r.column(i, userOf)).Median,
				spreadOf(r.column(i, perSecondOf)).Median, spreadOf(r.column(i, p50Of)).Median/1000, spreadOf(r.column(i, p99Of)).Median/1000,
				spreadOf(r.column(i, rssOf)).Median/1024, sum(r.column(i, errorsOf)))
		}
		q := spreadOf(r.ratios(cpuOf))
		fmt.Fprintf(w, "  ratio     %.3f (%.3f-%.3f)       p99 ratio %.2f   others on the machine: %.0f%% of its CPUs\n", q.Median, q.Low, q.High,
			spreadOf(r.ratios(p99Of)).Median, 100*r.others())
	}
	for i, x := range r.Rows {
		if i == 0 {
			fmt.Fprintf(w, "  %-52s %22s %22s\n", "", "haproxy", "evenkeel")
		}
		fmt.Fprintf(w, "  %-52s %22s %22s\n", x.What, x.HAProxy, x.Evenkeel)
	}
	for _, t := range r.Tables {
		t.print(w)
	}
	for _, l := range r.Limits {
		verdict := "kept"
		if !l.kept() {
			verdict = "NOT KEPT"
		}
		fmt.Fprintf(w, "  limit     %v: %s\n", l, verdict)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(w, "  note      %s\n", n)
	}
}

// section is a part of BENCHMARKS.md between marks of its own: one can be made
// anew without the other.
type section struct{ begin, end string }

var (
	proxySection   = section{"<!-- bench:begin -->", "<!-- bench:end -->"}
	forwardSection = section{"<!-- bench:forward:begin -->", "<!-- bench:forward:end -->"}
)

// writeMarkdown puts the tables between the marks of a file that has them.
func writeMarkdown(path string, programs []program, results []*result) error {
	old, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	var proxies, forwarders []*result
	for _, r := range results {
		if strings.HasPrefix(r.Name, "forward") {
			forwarders = append(forwarders, r)
		} else {
			proxies = append(proxies, r)
		}
	}
	text := string(old)
	if len(proxies) > 0 {
		text = proxySection.insert(text, markdown(programs, proxies))
	}
	if len(forwarders) > 0 {
		text = forwardSection.insert(text, forwardMarkdown(programs[peerEvenkeel], forwarders))
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

func (s section) insert(old, text string) string {
	text = s.begin + "\n" + text + s.end
	i := strings.Index(old, s.begin)
	j := strings.Index(old, s.end)
	if i < 0 || j < i {
		if old != "" && !strings.HasSuffix(old, "\n") {
			old += "\n"
		}
		return old + text + "\n"
	}
	return old[:i] + text + old[j+len(s.end):]
}

func forwardMarkdown(evenkeel program, results []*result) string {
	var w strings.Builder
	fmt.Fprintf(&w, "%s\n\n- %s: `%s`\n", machine(), evenkeel.Name, evenkeel.Version)
	for _, r := range results {
		for _, t := range r.Tables {
			t.markdown(&w)
		}
		for _, n := range r.Notes {
			fmt.Fprintf(&w, "\n%s: %s\n", r.Name, n)
		}
	}
	notKept(&w, results)
	return w.String()
}

func markdown(programs []program, results []*result) string {
	var w strings.Builder
	fmt.Fprintf(&w, "%s\n\n", machine())
	for _, p := range programs {
		fmt.Fprintf(&w, "- %s: `%s`\n", p.Name, p.Version)
	}
	fmt.Fprint(&w, "\n| Scenario | CPU µs/request, HAProxy | evenkeel | ratio (lowest-highest) | limit | p50 ms, HAProxy / evenkeel | p99 ms | requests/s | RSS MiB | errors | rest of the machine busy |\n")
	fmt.Fprint(&w, "|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range results {
		if len(r.Samples[0]) == 0 {
			continue
		}
		q := spreadOf(r.ratios(cpuOf))
		pair := func(f func(sample) float64, scale float64, verb string) string {
			return fmt.Sprintf(verb+" / "+verb, spreadOf(r.column(0, f)).Median/scale, spreadOf(r.column(1, f)).Median/scale)
		}
		bound := ""
		for _, l := range r.Limits {
			if l.What == cpuLimit {
				bound = fmt.Sprintf("%.2f", l.Bound)
				if !l.kept() {
					bound += " **not kept**"
				}
			}
		}
		fmt.Fprintf(&w, "| %s | %.1f | %.1f | **%.2f** (%.2f-%.2f) | %s | %s | %s | %s | %s | %.0f / %.0f | %.0f %% |\n", r.Title,
			spreadOf(r.column(0, cpuOf)).Median, spreadOf(r.column(1, cpuOf)).Median, q.Median, q.Low, q.High, bound,
			pair(p50Of, 1000, "%.2f"), pair(p99Of, 1000, "%.2f"), pair(perSecondOf, 1, "%.0f"), pair(rssOf, 1024, "%.1f"),
			sum(r.column(0, errorsOf)), sum(r.column(1, errorsOf)), 100*r.others())
	}
	for _, r := range results {
		if len(r.Rows) == 0 {
			continue
		}
		fmt.Fprintf(&w, "\n**%s**\n\n| | HAProxy | evenkeel |\n|---|---|---|\n", r.Title)
		for _, x := range r.Rows {
			fmt.Fprintf(&w, "| %s | %s | %s |\n", x.What, x.HAProxy, x.Evenkeel)
		}
	}
	notKept(&w, results)
	return w.String()
}

// notKept lists what a reader would otherwise have to find in the tables.
func notKept(w io.Writer, results []*result) {
	fmt.Fprint(w, "\n**Limits not kept in this run**\n\n")
	all := true
	for _, r := range results {
		if r.Failed != "" {
			all = false
			fmt.Fprintf(w, "- %s: did not end: %s\n", r.Title, r.Failed)
		}
		for _, l := range r.Limits {
			if !l.kept() {
				all = false
				fmt.Fprintf(w, "- %s: %v\n", r.Title, l)
			}
		}
	}
	if all {
		fmt.Fprint(w, "None.\n")
	}
}

// machine is one line about where this ran.
func machine() string {
	model := "unknown CPU"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if name, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(v)
				break
			}
		}
	}
	kernel, _ := exec.Command("uname", "-r").Output()
	return fmt.Sprintf("%s, %d CPUs, Linux %s, %s", model, runtime.NumCPU(), strings.TrimSpace(string(kernel)), runtime.Version())
}
