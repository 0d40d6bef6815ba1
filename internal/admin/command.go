package admin

import (
	"fmt"
	"sort"
	"strings"

	"evenkeel/internal/model"
)

// Command is one entry of a table.
type Command struct {
	Words []string // that it starts with
	Args  string   // what follows, for the help
	Level model.AdminLevel
	Help  string // one line; "" hides the command from the help
	// Expert commands exist only after `expert-mode on`.
	Expert bool
	Run    func(c *Call)
}

// Name is the words with a blank between.
func (c *Command) Name() string { return strings.Join(c.Words, " ") }

// Call is one run of a command. Its methods write the answer; a command
// returns after it.
type Call struct {
	Args    []string // the words after the command's own
	Payload string   // what followed <<, without the line that ends it
	// HasPayload tells an empty payload from none.
	HasPayload bool
	Source     Source

	session *session
}

// Level of the session now.
func (c *Call) Level() model.AdminLevel { return c.session.level }

// Has says whether the session's level reaches l.
func (c *Call) Has(l model.AdminLevel) bool { return c.session.level >= l }

// Arg is the nth argument, "" if there is none.
func (c *Call) Arg(n int) string {
	if n < len(c.Args) {
		return c.Args[n]
	}
	return ""
}

// Severities of a message, as `set severity-output` shows them.
const (
	sevErr     = 3
	sevWarning = 4
	sevNotice  = 5
	sevInfo    = 6
)

var severityNames = [8]string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"}

// Fail answers with an error.
func (c *Call) Fail(format string, args ...any) { c.message(sevErr, format, args...) }

// Note answers with a piece of information.
func (c *Call) Note(format string, args ...any) { c.message(sevInfo, format, args...) }

// Warn answers with a warning.
func (c *Call) Warn(format string, args ...any) { c.message(sevWarning, format, args...) }

func (c *Call) message(severity int, format string, args ...any) {
	text := format
	if len(args) > 0 {
		text = fmt.Sprintf(format, args...)
	}
	switch c.session.severity {
	case "number":
		text = fmt.Sprintf("[%d]: %s", severity, text)
	case "string":
		text = "[" + severityNames[severity] + "]: " + text
	}
	c.WriteString(strings.TrimRight(text, "\n"))
	c.WriteString("\n")
}

// Printf writes to the answer. It may block while the client does not read,
// and does nothing once the client is gone.
func (c *Call) Printf(format string, args ...any) { fmt.Fprintf(c, format, args...) }

// Write is Printf's io.Writer form.
func (c *Call) Write(p []byte) (int, error) {
	return c.session.out.Write(p)
}

// WriteString writes s to the answer.
func (c *Call) WriteString(s string) { c.session.out.WriteString(s) }

// Gone says that nobody reads the answer any more: long dumps stop.
func (c *Call) Gone() bool { return c.session.broken.Load() }

// table finds commands by their words.
type table struct {
	list []*Command // by name
	most int        // words of the longest name
}

func newTable(commands ...[]Command) *table {
	t := &table{}
	for _, list := range commands {
		for i := range list {
			t.list = append(t.list, &list[i])
			t.most = max(t.most, len(list[i].Words))
		}
	}
	sort.SliceStable(t.list, func(i, j int) bool { return t.list[i].Name() < t.list[j].Name() })
	return t
}

// find gives the command with the longest name that words start with.
func (t *table) find(words []string) *Command {
	var best *Command
	for _, c := range t.list {
		if len(c.Words) > len(words) || best != nil && len(c.Words) <= len(best.Words) {
			continue
		}
		same := true
		for i, w := range c.Words {
			if w != words[i] {
				same = false
				break
			}
		}
		if same {
			best = c
		}
	}
	return best
}

// helpColumn is where the explanation of a command starts.
const helpColumn = 40

func (c *Command) helpLine() string {
	s := c.Name()
	if c.Args != "" {
		s += " " + c.Args
	}
	return fmt.Sprintf("  %-*s: %s\n", helpColumn, s, c.Help)
}

// visible says whether help shows a command to a session.
func (c *Command) visible(s *session) bool {
	return c.Help != "" && (!c.Expert || s.expert)
}

// help lists the commands that words start with, or all of them. For words of
// no command, unknown is set, and commands that look alike are listed.
func (t *table) help(s *session, words []string, unknown bool) string {
	var hits []*Command
	if len(words) > 0 {
		hits = t.startingWith(s, words)
		if len(hits) == 0 {
			hits = t.alike(s, words)
		}
	}
	var b strings.Builder
	switch {
	case !unknown:
		b.WriteString("The following commands are valid at this level:\n")
	case len(hits) > 0:
		b.WriteString("Unknown command, but maybe one of the following ones is a better match:\n")
	default:
		b.WriteString("Unknown command. Please enter one of the following commands only:\n")
	}
	if len(hits) == 0 {
		for _, c := range t.list {
			if c.visible(s) && !always(c) {
				hits = append(hits, c)
			}
		}
	}
	for _, c := range hits {
		b.WriteString(c.helpLine())
	}
	for _, c := range t.list {
		if always(c) {
			b.WriteString(c.helpLine())
		}
	}
	return b.String()
}

// always says whether a command ends every help text.
func always(c *Command) bool {
	return len(c.Words) == 1 && (c.Words[0] == "help" || c.Words[0] == "prompt" || c.Words[0] == "quit")
}

// startingWith lists the commands whose name starts with the first words that
// any name starts with: for "set maxconn foo", all of "set maxconn".
func (t *table) startingWith(s *session, words []string) []*Command {
	for n := min(len(words), t.most); n > 0; n-- {
		var hits []*Command
		for _, c := range t.list {
			if c.visible(s) && !always(c) && len(c.Words) >= n && strings.HasPrefix(c.Name()+" ", strings.Join(words[:n], " ")+" ") {
				hits = append(hits, c)
			}
		}
		if len(hits) > 0 {
			return hits
		}
	}
	return nil
}

// alike lists the few commands nearest to a mistyped one.
func (t *table) alike(s *session, words []string) []*Command {
	type hit struct {
		c    *Command
		away int
	}
	var hits []hit
	for _, c := range t.list {
		if !c.visible(s) || always(c) {
			continue
		}
		typed := strings.Join(words[:min(len(words), len(c.Words))], " ")
		if len(typed) > 64 {
			continue
		}
		if d := distance(typed, c.Name()); d <= 2 || d*3 <= len(c.Name()) {
			hits = append(hits, hit{c, d})
		}
	}
	sort.SliceStable(hits, func(i, j int) bool { return hits[i].away < hits[j].away })
	var out []*Command
	for _, h := range hits[:min(len(hits), 5)] {
		out = append(out, h.c)
	}
	return out
}

// distance is how many letters must be put in, taken out, or changed.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := before
			if a[i-1] != b[j-1] {
				cost = 1 + min(before, row[j], row[j-1])
			}
			before, row[j] = row[j], cost
		}
	}
	return row[len(b)]
}
