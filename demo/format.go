package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// thousands writes 1234567 as 1 234 567.
func thousands(n int64) string {
	digits := strconv.FormatInt(n, 10)
	var b strings.Builder
	for i, c := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 && digits[i-1] != '-' {
			b.WriteByte(' ')
		}
		b.WriteRune(c)
	}
	return b.String()
}

// short writes a duration with two or three digits that matter.
func short(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	switch {
	case ms < 10:
		return fmt.Sprintf("%.1f ms", ms)
	case ms < 1000:
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.1f s", ms/1000)
}

// clock writes a time since the start as 01:23.
func clock(d time.Duration) string {
	s := int(d / time.Second)
	return fmt.Sprintf("%02d:%02d", s/60, s%60)
}

// bar draws a share between 0 and 1 in width cells, to an eighth of a cell.
func bar(share float64, width int) string {
	eighths := int(share*float64(width*8) + 0.5)
	eighths = max(min(eighths, width*8), 0)
	text := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		text += string([]rune(" ▏▎▍▌▋▊▉")[rest])
	}
	return text + strings.Repeat(" ", width-len([]rune(text)))
}

// spark draws values as small columns, the last width of them.
func spark(values []float64, width int) string {
	values = values[max(len(values)-width, 0):]
	top := 1.0
	for _, v := range values {
		top = max(top, v)
	}
	var b strings.Builder
	for _, v := range values {
		b.WriteRune([]rune("▁▂▃▄▅▆▇█")[min(max(int(v/top*7.99), 0), 7)])
	}
	return b.String()
}
