package report

import (
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"evenkeel/internal/lab"
)

// page is what the template shows; the drawings are ready-made SVG.
type page struct {
	Title, Description, Facts string
	Kinds                     []lab.Software
	Topology                  template.HTML
	Verdict                   string
	Rows                      []row
	Drills                    []drawing
}

// row is a line of the overview.
type row struct {
	Drill, Help, Software string
	First                 bool
	Lines                 int // of the drill, for its first row
	Skipped               string
	Outage, Most, Back    string
	Duplicate, Takeover   string
	Lost                  string
	Bar                   template.HTML
	Away, Still, Better   bool
	Why                   string
	Doubts                []string
}

// drawing is one drill with a timeline for each kind of software.
type drawing struct {
	Name, Help string
	Timelines  []timeline
}

type timeline struct {
	Software, Caption string
	Notes             []string
	SVG               template.HTML
}

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// Page writes the results as one HTML page that needs nothing else.
func Page(out io.Writer, r *lab.Results) error {
	kinds := software(r)
	p := page{Title: r.Lab, Description: r.Description, Kinds: kinds, Topology: template.HTML(layout(r.Layout))}
	p.Facts = fmt.Sprintf("%s · Linux %s · each failure %s · probe every %s", r.At.UTC().Format("2 January 2006, 15:04 UTC"), r.Kernel, times(r.Repeat), Short(r.Period)) + busy(r)
	longest := time.Duration(1)
	for _, d := range r.Drills {
		s := d.Summary()
		longest = max(longest, s.Max, s.Duplicate)
	}
	won := map[lab.Software]int{}
	for _, pr := range pairs(r) {
		who, why := Better(r, pr.drills)
		if compared(pr.drills) {
			won[who]++
		}
		view := drawing{Name: pr.name, Help: pr.help}
		length := time.Second
		for _, d := range pr.drills {
			if one, _, ok := worst(d); ok {
				length = max(length, one.Length)
			}
		}
		for i, d := range pr.drills {
			p.Rows = append(p.Rows, overview(d, i == 0, len(pr.drills), who == d.Software, why, longest))
			if t, ok := drawTimeline(d, r, length); ok {
				view.Timelines = append(view.Timelines, t)
			}
		}
		if len(view.Timelines) > 0 {
			p.Drills = append(p.Drills, view)
		}
	}
	if p.Verdict = mixed(r); p.Verdict == "" && len(kinds) == 2 {
		p.Verdict = fmt.Sprintf("%s is better in %d drills, %s in %d; as good as each other in %d.", kinds[0], won[kinds[0]], kinds[1], won[kinds[1]], won[""])
	}
	return pageTemplate.Execute(out, p)
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

func overview(d lab.Drill, first bool, lines int, better bool, why string, longest time.Duration) row {
	s := d.Summary()
	out := row{Drill: d.Name, Help: d.Help, Software: label(d), First: first, Lines: lines, Skipped: d.Skipped}
	if d.Skipped != "" {
		return out
	}
	out.Outage, out.Most, out.Back = Short(s.Median), outage(s.Max, s.Open), Short(s.Back)
	out.Duplicate, out.Takeover = duplicate(s), takeover(s)
	out.Lost = fmt.Sprintf("%d of %d", s.Lost, s.Lost+s.Answered)
	out.Doubts = doubts(s.Blind)
	out.Away, out.Still, out.Better = s.Open, s.Still, better
	if better {
		out.Why = why
	}
	out.Bar = template.HTML(bar(s, longest))
	return out
}

// bar shows outage and duplicate owners on the page's one scale.
func bar(s lab.Summary, longest time.Duration) string {
	const width, height = 140.0, 16.0
	scale := func(d time.Duration) float64 { return width * float64(d) / float64(longest) }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg width="%g" height="%g" role="img" aria-label="outage %s, two owners %s">`, width, height, Short(s.Median), duplicate(s))
	fmt.Fprintf(&b, `<rect class="track" width="%g" height="%g" rx="3"/>`, width, height)
	if s.Max > 0 {
		fmt.Fprintf(&b, `<rect class="most" width="%.1f" height="9" rx="2"/>`, max(scale(s.Max), 2))
		fmt.Fprintf(&b, `<rect class="gap" width="%.1f" height="9" rx="2"/>`, max(scale(s.Median), 2))
	}
	if s.Duplicate > 0 {
		fmt.Fprintf(&b, `<rect class="two" y="10" width="%.1f" height="6" rx="2"/>`, max(scale(s.Duplicate), 2))
	}
	b.WriteString(`</svg>`)
	return b.String()
}

const pageText = `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}}: drills</title>
<style>
:root { --ink: #1c2733; --soft: #64748b; --line: #dbe2ea; --paper: #ffffff; --ground: #f3f6f9; --a: #1f77b4; --b: #e08a1e; --c: #5b8c3e; --d: #8a5fb0;
  --bad: #d6293e; --badsoft: #d6293e22; --good: #1d8a4e; --two: #a3206f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6ebf1; --soft: #93a1b3; --line: #2c3847; --paper: #18212c; --ground: #10171f; --a: #56a8e0; --b: #f0a648; --c: #8fc46c; --d: #b893dc;
  --bad: #ff6b7c; --badsoft: #ff6b7c26; --good: #55c98a; --two: #e86fb8; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 30px; margin: 0; letter-spacing: -.02em; }
h2 { font-size: 19px; margin: 40px 0 12px; }
p { margin: 4px 0; } .soft { color: var(--soft); }
.card { background: var(--paper); border: 1px solid var(--line); border-radius: 10px; padding: 16px 20px; margin: 14px 0; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: right; font-weight: 600; color: var(--soft); font-size: 12.5px; padding: 4px 8px; white-space: nowrap; }
td { text-align: right; padding: 4px 8px; white-space: nowrap; } td:first-child, th:first-child, .left { text-align: left; }
tr.first td { border-top: 1px solid var(--line); }
td.drill { font-weight: 600; vertical-align: top; padding-top: 6px; } td.bad { color: var(--bad); font-weight: 600; } tr.better td.who { color: var(--good); font-weight: 600; }
.why { color: var(--good); font-size: 12.5px; }
svg { display: block; } svg text { font: 12px system-ui, sans-serif; fill: var(--ink); } svg .small { font-size: 11px; fill: var(--soft); } svg .name { font-weight: 600; font-size: 13px; }
.unseen { fill: var(--soft); opacity: .18; } .track { fill: var(--ground); } .gap { fill: var(--bad); } .most { fill: var(--bad); opacity: .35; } .two { fill: var(--two); }
.box { fill: var(--paper); stroke: var(--line); stroke-width: 1.5; } .wire { stroke: var(--soft); stroke-width: 1.5; fill: none; } .switch { fill: var(--soft); } .pill { fill: var(--a); } .onpill { fill: #fff !important; font-weight: 600; }
.lane { fill: var(--ground); } .outage { fill: var(--badsoft); } .outageline { stroke: var(--bad); stroke-width: 3; } .lost { stroke: var(--bad); stroke-width: 1; opacity: .7; } .double { fill: var(--two); opacity: .16; } .doubleline { stroke: var(--two); stroke-width: 3; }
.event { stroke: var(--ink); stroke-width: 1; stroke-dasharray: 3 3; } .axis { stroke: var(--line); } .n0 { fill: var(--a); } .n1 { fill: var(--b); } .n2 { fill: var(--c); } .n3 { fill: var(--d); }
.legend span { display: inline-block; width: 22px; height: 10px; border-radius: 2px; margin: 0 6px 0 18px; vertical-align: middle; }
.note { color: var(--two); font-size: 13px; } .title { display: flex; gap: 12px; align-items: baseline; }
</style>
</head>
<body><main>
<h1>{{.Title}}</h1>
<p>{{.Description}}</p>
<p class="soft">{{.Facts}}</p>
<div class="card">{{.Topology}}</div>

<h2>What each failure costs</h2>
{{with .Verdict}}<p>{{.}}</p>{{end}}
<div class="card"><table>
<tr><th>failure</th><th class="left">software</th><th>outage</th><th>at most</th><th>back</th><th>two owners</th><th>takeover</th><th>requests lost</th><th class="left">outage, two owners</th><th></th></tr>
{{range .Rows}}<tr class="{{if .First}}first{{end}}{{if .Better}} better{{end}}">{{if .First}}<td class="drill" rowspan="{{.Lines}}" title="{{.Help}}">{{.Drill}}</td>{{end}}<td class="left who">{{.Software}}</td>{{if .Skipped}}<td class="left soft" colspan="8">{{.Skipped}}</td>{{else}}<td>{{.Outage}}</td><td{{if .Away}} class="bad"{{end}}>{{.Most}}</td><td>{{.Back}}</td><td{{if .Still}} class="bad"{{end}}>{{.Duplicate}}</td><td>{{.Takeover}}</td><td>{{.Lost}}</td><td class="left">{{.Bar}}</td><td class="left why">{{.Why}}{{range .Doubts}} <span class="note" title="{{.}}">~ not exact</span>{{end}}</td>{{end}}</tr>
{{end}}</table>
<p class="soft">outage: the longest time without an echo answer (median; at most: the longest of all runs) · back: the same when things were put right · two owners: how long two nodes answered for one address · takeover: until another node answered</p></div>

<h2>How they went</h2>
<p class="soft legend">The run with the longest outage of each. <span class="n0" style="background:var(--a)"></span>a node has the address<span style="background:var(--bad)"></span>nobody answers<span style="background:var(--two)"></span>two owners<span style="background:var(--bad);width:2px"></span>a request lost<span style="background:var(--soft);opacity:.3"></span>the prober did not run</p>
{{range .Drills}}<div class="card"><div class="title"><span class="name"><b>{{.Name}}</b></span><span class="soft">{{.Help}}</span></div>
{{range .Timelines}}<p style="margin-top:12px"><b>{{.Software}}</b> <span class="soft">{{.Caption}}</span></p>{{range .Notes}}<p class="note">{{.}}</p>{{end}}{{.SVG}}{{end}}</div>
{{end}}</main></body></html>
`
