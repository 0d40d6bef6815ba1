package top

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// eventLines is how many events the overview shows on a screen of so many
// rows.
func eventLines(rows int) int {
	switch {
	case rows >= 40:
		return 5
	case rows >= 22:
		return 3
	case rows >= 10:
		return 1
	}
	return 0
}

// Frame is the screen: at most rows lines of at most columns each.
func (m *Model) Frame(u *UI, columns, rows int) []Line {
	if columns <= 0 || rows <= 0 {
		return nil
	}
	var top, body, bottom []Line
	switch {
	case u.help:
		top, body = m.head(u, columns), helpLines(columns)
	default:
		top = m.head(u, columns)
		if u.section == everything {
			bottom = m.latest(eventLines(rows), columns)
		}
	}
	bottom = append(bottom, u.foot(columns))
	// On a screen with next to no room the rows matter more than what is around.
	if rows < 4 {
		bottom = nil
	}
	if rows < 3 {
		top = top[:min(len(top), rows)]
	}
	room := max(0, rows-len(top)-len(bottom))
	if !u.help {
		body = m.body(u, columns, room)
	}
	u.page, u.most = max(1, room-1), max(0, len(body)-room)
	u.offset = min(u.offset, u.most)
	body = body[u.offset:min(len(body), u.offset+room)]
	out := append([]Line{}, top...)
	out = append(out, body...)
	for len(out) < rows-len(bottom) {
		out = append(out, nil)
	}
	out = append(out, bottom...)
	return out[:min(len(out), rows)]
}

// sections are the tables that there are, as the person wants them.
func (m *Model) sections(u *UI) []*section {
	var all []*section
	for n, make := range []func() *section{m.addresses, m.services, m.proxy} {
		if u.section != everything && u.section != n+1 {
			continue
		}
		if s := make(); s != nil {
			s.title = sectionNames[n+1]
			s.arrange(orders[u.order], u.reverse)
			s.filter(u.filter)
			all = append(all, s)
		}
	}
	return all
}

// body is what scrolls. Where all sections together are too long, and nothing
// was scrolled yet, each gets its share.
func (m *Model) body(u *UI, columns, room int) []Line {
	if m.now == nil {
		return []Line{text("waiting for the node", Faint).clip(columns, Plain, false)}
	}
	if u.section == eventSection {
		return m.history(u, columns)
	}
	var parts [][]Line
	list := m.sections(u)
	sum := 0
	for _, s := range list {
		lines := s.lines(columns, u.section != everything)
		parts = append(parts, lines)
		sum += len(lines)
	}
	if len(parts) == 0 {
		return []Line{text(u.nothing(), Faint).clip(columns, Plain, false)}
	}
	var out []Line
	if u.section != everything || sum <= room || u.offset > 0 || room < 4*len(parts) {
		for _, lines := range parts {
			out = append(out, lines...)
		}
		return out
	}
	for i, n := range share(parts, room) {
		if n == len(parts[i]) {
			out = append(out, parts[i]...)
			continue
		}
		out = append(out, shorten(parts[i], n-1)...)
		word := fmt.Sprintf(" ... %d more lines (key %d, or scroll)", len(parts[i])-n+1, list[i].number())
		out = append(out, text(word, Faint).clip(columns, Plain, false))
	}
	// What was left out can be scrolled to.
	for range sum - len(out) {
		out = append(out, nil)
	}
	return out
}

// shorten leaves n lines. What goes first are healthy rows that are indented,
// then the words about what is wrong, then other healthy rows, always the lower
// ones before the upper.
func shorten(lines []Line, n int) []Line {
	const head = 2
	if n <= head {
		return lines[:max(n, 0)]
	}
	worth := make([]int, len(lines))
	above := head // the row that an indented one belongs to
	for i := head; i < len(lines); i++ {
		bad := slices.ContainsFunc(lines[i], func(s Span) bool { return s.Style == Bad })
		t := lines[i].String()
		indented := strings.HasPrefix(t, " ")
		if !indented {
			above = i
		}
		switch {
		case strings.HasPrefix(t, noteMark):
			worth[i] = 1
		case bad:
			worth[i], worth[above] = 3, 3
		case !indented:
			worth[i] = 2
		}
	}
	gone := make([]bool, len(lines))
	left := len(lines)
	for value := 0; value <= 3; value++ {
		for i := len(lines) - 1; i >= head && left > n; i-- {
			if !gone[i] && worth[i] == value {
				gone[i] = true
				left--
			}
		}
	}
	var out []Line
	for i, l := range lines {
		if !gone[i] {
			out = append(out, l)
		}
	}
	return out
}

// number is the key that shows the section.
func (s *section) number() int {
	for n, name := range sectionNames {
		if name == s.title {
			return n
		}
	}
	return 0
}

func (u *UI) nothing() string {
	if u.section == everything {
		return "the node runs neither addresses nor packet forwarding nor a proxy"
	}
	return "this node has no " + map[int]string{addressSection: "VRRP instances", serviceSection: "virtual services",
		proxySection: "proxy"}[u.section] + " (0: all)"
}

// share gives each part as much of the room as it needs, and what is left in
// equal shares to those that need more.
func share(parts [][]Line, room int) []int {
	shares := make([]int, len(parts))
	for left := room; left > 0; {
		moved := false
		for i := range parts {
			if left > 0 && shares[i] < len(parts[i]) {
				shares[i]++
				left--
				moved = true
			}
		}
		if !moved {
			break
		}
	}
	return shares
}

// head is the first line or two.
func (m *Model) head(u *UI, columns int) []Line {
	l := Line{{"evenkeel top", Bar}}
	add := func(s string) { l = append(l, Span{"  " + s, Bar}) }
	if s := m.now; s != nil {
		if a := s.Addresses; a != nil && a.RouterID != "" {
			add(a.RouterID)
		}
		if s.PID != 0 {
			add(fmt.Sprintf("pid %d", s.PID))
		}
		if v := m.version(); v != "" {
			add(v)
		}
		if up := m.uptime(); up != "" {
			add("up " + up)
		}
	}
	add("every " + delayWord(u.Delay))
	if u.Paused {
		add("PAUSED")
	}
	if u.filter != "" {
		add("filter: " + u.filter)
	}
	if u.order != 0 || u.reverse {
		add("by " + u.sorting())
	}
	if s := m.now; s != nil {
		clock := s.At.Local().Format("15:04:05")
		used := 0
		for _, x := range l {
			used += width(x.Text)
		}
		if space := columns - used - len(clock); space >= 2 {
			l = append(l, Span{strings.Repeat(" ", space) + clock, Bar})
		}
	}
	out := []Line{l.clip(columns, Bar, true)}
	if m.lost != "" {
		out = append(out, text("NO ANSWER: "+m.lost+"; trying again. What is shown is as of "+m.now.stamp(), Bad).clip(columns, Plain, false))
	} else if m.now != nil && len(m.now.Troubles) > 0 {
		out = append(out, text("! "+strings.Join(m.now.Troubles, "; "), Bad).clip(columns, Plain, false))
	}
	return out
}

func (s *Snapshot) stamp() string {
	if s == nil {
		return "never"
	}
	return s.At.Local().Format(time.TimeOnly)
}

func (m *Model) version() string {
	s := m.now
	switch {
	case len(s.Processes) > 0:
		return s.Processes[0].Version
	case s.Addresses != nil:
		return s.Addresses.Version
	case s.Proxy != nil:
		return s.Proxy.Version
	}
	return ""
}

// uptime is the keeper's, or without one the worker's.
func (m *Model) uptime() string {
	s := m.now
	switch {
	case len(s.Processes) > 0:
		// 0d00h01m12s without what is nothing
		up := s.Processes[0].Uptime
		for _, nothing := range []string{"0d", "00h", "00m"} {
			rest, ok := strings.CutPrefix(up, nothing)
			if !ok {
				break
			}
			up = rest
		}
		return strings.TrimPrefix(up, "0")
	case s.Proxy != nil && s.Proxy.Uptime > 0:
		return age(s.Proxy.Uptime)
	}
	return ""
}

// foot is the last line: a question, an answer, or the keys.
func (u *UI) foot(columns int) Line {
	switch {
	case u.prompt != nil:
		// The end of a long answer is what is being typed.
		answer := u.prompt.answer
		for answer != "" && width(u.prompt.question+answer)+1 > columns {
			answer = answer[len(cut(answer, max(1, width(string([]rune(answer)[0]))))):]
		}
		return Line{{u.prompt.question, Strong}, {answer + "_", Plain}}.clip(columns, Plain, false)
	case u.message != "":
		return text(u.message, Strong).clip(columns, Bar, true)
	case u.help:
		return text("up, down: scroll; any other key: back", Bar).clip(columns, Bar, true)
	}
	l := Line{}
	for n := range sectionCount {
		style := Bar
		word := fmt.Sprintf("%d %s", n, sectionNames[n])
		if n == u.section {
			style = Strong
		}
		l = append(l, Span{word, style}, Span{"  ", Bar})
	}
	return append(l, Span{" ? help  q quit  / filter  s sort  p pause  d delay", Bar}).clip(columns, Bar, true)
}

// latest are the last events, for the overview.
func (m *Model) latest(n, columns int) (out []Line) {
	all := m.events()
	for _, e := range all[max(0, len(all)-n):] {
		out = append(out, e.line(columns))
	}
	return out
}

// history is the section of events, the latest first.
func (m *Model) history(u *UI, columns int) []Line {
	out := []Line{text("EVENTS  the latest first", Title).clip(columns, Title, true)}
	all := m.events()
	for i := len(all) - 1; i >= 0; i-- {
		if strings.Contains(strings.ToLower(all[i].Text), strings.ToLower(u.filter)) {
			out = append(out, all[i].line(columns))
		}
	}
	if len(out) == 1 {
		out = append(out, text(" nothing has happened yet", Faint).clip(columns, Plain, false))
	}
	return out
}

func (e *Event) line(columns int) Line {
	style := Plain
	switch e.Severity {
	case "warning":
		style = Doubt
	case "error", "critical", "alert", "emergency":
		style = Bad
	case "debug":
		style = Faint
	}
	return Line{{e.At.Local().Format("15:04:05") + " ", Faint}, {e.Text, style}}.clip(columns, Plain, false)
}

func helpLines(columns int) []Line {
	out := []Line{text("KEYS", Title).clip(columns, Title, true)}
	for _, p := range presses() {
		if p.what != "" {
			out = append(out, text(" "+p.what, Plain).clip(columns, Plain, false))
		}
	}
	for _, s := range []string{"", " PRIO 90/150: it is 90, configured is 150. A line that begins with ! says what is wrong.",
		" NEW/S: new connections in a second. REQ/S: requests, in TCP mode sessions.",
		" ERR: failed requests, connections and responses since the start or `clear counters`."} {
		out = append(out, text(s, Faint).clip(columns, Plain, false))
	}
	return out
}

// unbounded is a width that nothing is longer than, for pipes.
const unbounded = 1 << 14

// Text is everything without styles, for pipes: lines of at most columns, or
// as long as they are where columns is 0.
func (m *Model) Text(u *UI, columns int) string {
	if columns <= 0 {
		columns = unbounded
	}
	var b strings.Builder
	line := func(l Line) {
		b.WriteString(l.String())
		b.WriteByte('\n')
	}
	for i, l := range m.head(u, min(columns, 100)) {
		if i > 0 {
			l = m.head(u, columns)[i]
		}
		line(l)
	}
	list := m.sections(u)
	for _, s := range list {
		line(nil)
		for _, l := range s.lines(columns, false) {
			line(l)
		}
	}
	if len(list) == 0 {
		line(text(u.nothing(), Plain))
	}
	if events := m.latest(5, columns); len(events) > 0 {
		line(nil)
		for _, l := range events {
			line(l)
		}
	}
	return b.String()
}
