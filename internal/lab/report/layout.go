package report

import (
	"fmt"
	"html"
	"strings"

	"evenkeel/internal/lab"
)

// Measures of the drawing of a cluster, in pixels.
const (
	layoutWidth = 1060.0
	boxWidth    = 230.0
	boxHeight   = 56.0
)

// layout draws a cluster: the client above, directors between their
// networks, origins below.
func layout(l lab.Layout) string {
	back := len(l.Networks) > 1 && len(l.Origins) > 0
	height := 290.0
	if len(l.Origins) > 0 {
		height = 420
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %g %g" width="100%%" style="max-width:%gpx;margin:0 auto" role="img" aria-label="the cluster">`, layoutWidth, height, layoutWidth)
	const client, front, director = 10.0, 110.0, 170.0
	origin := director + 190
	node(&b, layoutWidth/2, client, "client", []string{l.Client})
	wire(&b, layoutWidth/2, client+boxHeight, front)
	network(&b, front, l.Networks[0])
	for i, d := range l.Directors {
		x := spread(i, len(l.Directors))
		wire(&b, x, front+8, director)
		if back {
			wire(&b, x, director+boxHeight, origin-60)
		}
		name := d.Name
		if d.Software != "" {
			name += " · " + string(d.Software)
		}
		node(&b, x, director, name, d.Addresses)
	}
	for i, v := range l.VIPs[:min(len(l.VIPs), 4)] {
		x := layoutWidth/2 + 190 + float64(i%2)*150
		y := client + 10 + float64(i/2)*30
		fmt.Fprintf(&b, `<rect class="pill" x="%g" y="%g" width="140" height="24" rx="12"/><text class="onpill" x="%g" y="%g" text-anchor="middle">VIP %s</text>`,
			x, y, x+70, y+16.5, html.EscapeString(v))
	}
	if len(l.Origins) > 0 {
		if back {
			network(&b, origin-60, l.Networks[1])
		}
		for i, o := range l.Origins {
			x := spread(i, len(l.Origins))
			if back {
				wire(&b, x, origin-52, origin)
			}
			node(&b, x, origin, o.Name, o.Addresses)
		}
	}
	b.WriteString(`</svg>`)
	return b.String()
}

// spread is the middle of one of n boxes in a row.
func spread(i, n int) float64 {
	step := min(layoutWidth/float64(n), 300)
	return layoutWidth/2 + step*(float64(i)-float64(n-1)/2)
}

func node(b *strings.Builder, x, y float64, name string, addresses []string) {
	fmt.Fprintf(b, `<rect class="box" x="%.1f" y="%g" width="%g" height="%g" rx="9"/>`, x-boxWidth/2, y, boxWidth, boxHeight)
	fmt.Fprintf(b, `<text class="name" x="%.1f" y="%g" text-anchor="middle">%s</text>`, x, y+23, html.EscapeString(name))
	fmt.Fprintf(b, `<text class="small" x="%.1f" y="%g" text-anchor="middle">%s</text>`, x, y+42, html.EscapeString(strings.Join(addresses, " · ")))
}

func wire(b *strings.Builder, x, from, to float64) {
	fmt.Fprintf(b, `<path class="wire" d="M%.1f %gV%g"/>`, x, from, to)
}

func network(b *strings.Builder, y float64, name string) {
	fmt.Fprintf(b, `<rect class="switch" x="120" y="%g" width="%g" height="8" rx="4"/><text class="small" x="120" y="%g">%s</text>`,
		y, layoutWidth-240, y-6, html.EscapeString(name))
}
