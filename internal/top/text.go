package top

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/clipperhouse/displaywidth"
)

// clean makes text that others wrote safe for a terminal: one line, no control
// or format characters, valid UTF-8.
func clean(s string) string {
	s = strings.TrimRight(s, "\r\n")
	plain := true
	for i := 0; i < len(s) && plain; i++ {
		plain = s[i] >= ' ' && s[i] < 0x7f
	}
	if plain {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case r == unicode.ReplacementChar || !unicode.IsPrint(r) && !unicode.Is(unicode.Mn, r):
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

func cleanAll(all ...*string) {
	for _, s := range all {
		*s = clean(*s)
	}
}

// width is how many columns a text takes on a terminal.
func width(s string) int { return displaywidth.String(s) }

// fit cuts a text to at most n columns; what is cut off shows as a dot.
func fit(s string, n int) string {
	switch {
	case n <= 0:
		return ""
	case width(s) <= n:
		return s
	case n == 1:
		return "."
	}
	return cut(s, n-1) + "."
}

// cut gives the beginning of a text that fits into n columns.
func cut(s string, n int) string {
	at, used := 0, 0
	for g := displaywidth.StringGraphemes(s); g.Next(); {
		if used += g.Width(); used > n {
			break
		}
		at += len(g.Value())
	}
	return s[:at]
}

// pad brings a text to exactly n columns.
func pad(s string, n int, right bool) string {
	s = fit(s, n)
	space := strings.Repeat(" ", max(0, n-width(s)))
	if right {
		return space + s
	}
	return s + space
}

// count is a number in at most five columns: 9999, 12.3k, 123k, 4.5M.
func count[T int | int64 | uint64](n T) string {
	if n >= 0 && n < 10000 {
		return fmt.Sprint(n)
	}
	return scaled(float64(n))
}

// scaled is a number in thousands: 950, 12.3k, 123k, 4.5M.
func scaled(v float64) string {
	if v < 0 {
		return "-"
	}
	for _, unit := range []string{"", "k", "M", "G", "T"} {
		switch {
		case v < 999.5 && unit == "":
			return fmt.Sprintf("%.0f", v)
		case v < 99.95:
			return fmt.Sprintf("%.1f%s", v, unit)
		case v < 999.5 || unit == "T":
			return fmt.Sprintf("%.0f%s", v, unit)
		}
		v /= 1000
	}
	return ""
}

// age is a duration in at most six columns: 5s, 3m10s, 2h05m, 4d03h, 400d.
func age(d time.Duration) string {
	s := int(d.Seconds())
	switch {
	case s < 0:
		return "0s"
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%dh%02dm", s/3600, s/60%60)
	case s < 100*86400:
		return fmt.Sprintf("%dd%02dh", s/86400, s/3600%24)
	}
	return fmt.Sprintf("%dd", s/86400)
}

// seconds is a count of them that may come from anywhere.
func seconds(n int64) time.Duration {
	return time.Duration(min(max(n, 0), 1<<31)) * time.Second
}
