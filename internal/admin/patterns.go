package admin

import (
	"fmt"
	"strconv"
	"strings"

	"evenkeel/internal/model"
)

// Patterns are the pattern files, maps and inline lists of the rules. Versions
// count from 0; entries of a version other than Current do not match until
// they are committed.
type Patterns interface {
	Sets() []PatternSet
	// Entries calls yield for the entries of one version.
	Entries(set int, version uint32, yield func(PatternEntry) bool)
	// Add adds an entry; the value is "" for an acl. It fails when the
	// pattern cannot be read.
	Add(set int, version uint32, key, value string) error
	// Update changes the value of every current entry with this key, or of
	// the one entry that sel names, and says how many there were.
	Update(set int, sel PatternSelector, value string) (int, error)
	// Delete removes current entries and says how many there were.
	Delete(set int, sel PatternSelector) int
	// Clear removes all entries of one version.
	Clear(set int, version uint32)
	// Prepare makes a new version.
	Prepare(set int) uint32
	// Commit makes a version the current one, and drops all older ones.
	Commit(set int, version uint32)
	// Match looks a value up in all expressions that use the set.
	Match(set int, value string) []PatternMatch
}

// PatternSet is one file or inline list.
type PatternSet struct {
	ID            int
	File          string // "" : given inline
	Description   string // what show acl says after the file
	Map           bool   // it has values
	ACL           bool   // it is used by an acl: listed by show acl
	Current, Next uint32
	Entries       int
}

// PatternEntry is one pattern; Ref names it for del and set.
type PatternEntry struct {
	Ref        uint64
	Key, Value string
}

// PatternSelector is a key, or the reference of one entry.
type PatternSelector struct {
	Key   string
	Ref   uint64
	ByRef bool
}

// PatternMatch is what `get map` and `get acl` tell.
type PatternMatch struct {
	Method     string // str, beg, ip …
	IgnoreCase bool
	Found      bool
	Index      string // tree or list
	Pattern    string
	Value      string
}

// patternCommands are the commands of acl and map, which differ in a word.
func patternCommands() []Command {
	const operator = model.LevelOperator
	var all []Command
	for _, m := range []bool{false, true} {
		k := kind{m}
		all = append(all, []Command{
			{Words: []string{"show", k.word()}, Args: "[@<ver>] [" + k.word() + "]", Help: "report available " + k.word() + "s or dump the contents of one", Run: k.show},
			{Words: []string{"get", k.word()}, Args: "<" + k.word() + "> <value>", Help: "report what matches a sample in an " + k.word(), Run: k.get},
			{Words: []string{"del", k.word()}, Args: "<" + k.word() + "> [<key>|#<ref>]", Level: operator, Help: "delete " + k.word() + " entries matching <key>", Run: k.del},
			{Words: []string{"clear", k.word()}, Args: "[@<ver>] <" + k.word() + ">", Level: operator, Help: "clear the contents of this " + k.word(), Run: k.clear},
			{Words: []string{"prepare", k.word()}, Args: "<" + k.word() + ">", Level: operator, Help: "prepare a new version for atomic " + k.word() + " replacement", Run: k.prepare},
			{Words: []string{"commit", k.word()}, Args: "@<ver> <" + k.word() + ">", Level: operator, Help: "commit the " + k.word() + " at this version", Run: k.commit},
		}...)
	}
	return append(all,
		Command{Words: []string{"add", "acl"}, Args: "[@<ver>] <acl> <pattern>", Level: operator, Help: "add an acl entry", Run: addACL},
		Command{Words: []string{"add", "map"}, Args: "[@<ver>] <map> <key> <val>", Level: operator, Help: "add a map entry (payload supported instead of key/val)", Run: addMap},
		Command{Words: []string{"set", "map"}, Args: "<map> [<key>|#<ref>] <value>", Level: operator, Help: "modify a map entry", Run: setMap})
}

// kind is acl or map.
type kind struct{ isMap bool }

func (k kind) word() string {
	if k.isMap {
		return "map"
	}
	return "acl"
}

// title is how error texts name it.
func (k kind) title() string {
	if k.isMap {
		return "map"
	}
	return "ACL"
}

// patterns is the source's, or nil.
func (c *Call) patterns() Patterns {
	if w, ok := c.Source.(WithPatterns); ok {
		return w.Patterns()
	}
	return nil
}

// sets lists what the kind's commands may name.
func (k kind) sets(c *Call) []PatternSet {
	p := c.patterns()
	if p == nil {
		return nil
	}
	var out []PatternSet
	for _, s := range p.Sets() {
		if k.isMap && s.Map || !k.isMap && (s.ACL || !s.Map) {
			out = append(out, s)
		}
	}
	return out
}

// find gives the set that "#id" or a file name means, or answers.
func (k kind) find(c *Call, arg string) (*PatternSet, bool) {
	id, numeric := -1, false
	if n, ok := strings.CutPrefix(arg, "#"); ok {
		if v, err := strconv.Atoi(n); err == nil {
			id, numeric = v, true
		}
	}
	sets := k.sets(c)
	for i := range sets {
		if numeric && sets[i].ID == id || !numeric && arg != "" && sets[i].File == arg {
			return &sets[i], true
		}
	}
	c.Fail("Unknown %s identifier. Please use #<id> or <file>.", k.title())
	return nil, false
}

// version takes a leading "@N" off the arguments.
func version(c *Call) (args []string, v uint32, given, ok bool) {
	n, at := strings.CutPrefix(c.Arg(0), "@")
	if !at {
		return c.Args, 0, false, true
	}
	x, err := strconv.ParseUint(n, 10, 32)
	if err != nil {
		c.Fail("Invalid version number.")
		return nil, 0, true, false
	}
	return c.Args[1:], uint32(x), true, true
}

func arg(args []string, n int) string {
	if n < len(args) {
		return args[n]
	}
	return ""
}

func (k kind) show(c *Call) {
	args, v, given, ok := version(c)
	if !ok {
		return
	}
	if len(args) == 0 && !given {
		c.WriteString("# id (file) description\n")
		for _, s := range k.sets(c) {
			c.Printf("%d (%s) %s. curr_ver=%d next_ver=%d entry_cnt=%d\n", s.ID, s.File, s.Description, s.Current, s.Next, s.Entries)
		}
		return
	}
	s, ok := k.find(c, arg(args, 0))
	if !ok {
		return
	}
	if !given {
		v = s.Current
	}
	c.patterns().Entries(s.ID, v, func(e PatternEntry) bool {
		if s.Map {
			c.Printf("%#x %s %s\n", e.Ref, e.Key, e.Value)
		} else {
			c.Printf("%#x %s\n", e.Ref, e.Key)
		}
		return !c.Gone()
	})
}

func (k kind) get(c *Call) {
	if len(c.Args) < 2 {
		c.Fail("Missing %s identifier and/or key.", k.title())
		return
	}
	s, ok := k.find(c, c.Arg(0))
	if !ok {
		return
	}
	for _, m := range c.patterns().Match(s.ID, c.Arg(1)) {
		var b strings.Builder
		letters := "sensitive"
		if m.IgnoreCase {
			letters = "insensitive"
		}
		fmt.Fprintf(&b, "type=%s, case=%s, ", m.Method, letters)
		found, pattern := "match", "pattern"
		if k.isMap {
			found, pattern = "found", "key"
		}
		if !m.Found {
			fmt.Fprintf(&b, "%s=no\n", found)
		} else {
			fmt.Fprintf(&b, "%s=yes, idx=%s, %s=\"%s\"", found, m.Index, pattern, m.Pattern)
			if k.isMap {
				fmt.Fprintf(&b, ", value=\"%s\", type=\"str\"", m.Value)
			}
			b.WriteByte('\n')
		}
		c.WriteString(b.String())
	}
}

// selector reads a key or "#0x…".
func selector(c *Call, s string) (PatternSelector, bool) {
	n, byRef := strings.CutPrefix(s, "#")
	if !byRef {
		return PatternSelector{Key: s}, true
	}
	ref, err := strconv.ParseUint(strings.TrimPrefix(n, "0x"), 16, 64)
	if err != nil {
		c.Fail("Malformed identifier. Please use #<id> or <file>.")
		return PatternSelector{}, false
	}
	return PatternSelector{Ref: ref, ByRef: true}, true
}

func (k kind) del(c *Call) {
	if len(c.Args) < 2 {
		c.Fail("This command expects two parameters: %s identifier and key.", k.title())
		return
	}
	s, ok := k.find(c, c.Arg(0))
	if !ok {
		return
	}
	sel, ok := selector(c, c.Arg(1))
	if ok && c.patterns().Delete(s.ID, sel) == 0 {
		c.Fail("Key not found.")
	}
}

func (k kind) clear(c *Call) {
	args, v, given, ok := version(c)
	if !ok {
		return
	}
	if len(args) == 0 {
		c.Fail("Missing %s identifier.", k.title())
		return
	}
	if s, ok := k.find(c, args[0]); ok {
		if !given {
			v = s.Current
		}
		c.patterns().Clear(s.ID, v)
	}
}

func (k kind) prepare(c *Call) {
	if s, ok := k.find(c, c.Arg(0)); ok {
		c.Note("New version created: %d", c.patterns().Prepare(s.ID))
	}
}

func (k kind) commit(c *Call) {
	args, v, given, ok := version(c)
	if !ok {
		return
	}
	if !given {
		c.Fail("Missing version number.")
		return
	}
	s, ok := k.find(c, arg(args, 0))
	if !ok {
		return
	}
	// Version numbers wrap: what counts is the distance.
	if v-s.Current > s.Next-s.Current {
		c.Fail("Version number out of range.")
		return
	}
	c.patterns().Commit(s.ID, v)
}

// target finds the set and the version to add to.
func (k kind) target(c *Call, name string, v uint32, given bool) (*PatternSet, uint32, bool) {
	s, ok := k.find(c, name)
	switch {
	case !ok:
		return nil, 0, false
	case !given:
		return s, s.Current, true
	case v-s.Current > s.Next-s.Current:
		c.Fail("Version number in the future, please use 'prepare %s' before.", k.word())
		return nil, 0, false
	}
	return s, v, true
}

func addACL(c *Call) {
	args, v, given, ok := version(c)
	if !ok {
		return
	}
	if len(args) < 1 || len(args) < 2 && !c.HasPayload {
		c.Fail("'add acl' expects two parameters: ACL identifier and pattern.")
		return
	}
	s, v, ok := kind{false}.target(c, args[0], v, given)
	if !ok {
		return
	}
	if s.Map {
		c.Fail("This ACL is shared with a map containing samples. You must use the command 'add map' to add values.")
		return
	}
	keys := args[1:min(2, len(args))]
	if c.HasPayload {
		keys = strings.FieldsFunc(c.Payload, func(r rune) bool { return r == '\n' })
	}
	for _, key := range keys {
		if err := c.patterns().Add(s.ID, v, strings.TrimSpace(key), ""); err != nil {
			c.Fail("%s.", err)
			return
		}
	}
}

func addMap(c *Call) {
	args, v, given, ok := version(c)
	if !ok {
		return
	}
	if len(args) < 1 || len(args) < 3 && !c.HasPayload {
		c.Fail("'add map' expects three parameters (map identifier, key and value) or one parameter (map identifier) and a payload")
		return
	}
	s, v, ok := kind{true}.target(c, args[0], v, given)
	if !ok {
		return
	}
	if !c.HasPayload {
		if err := c.patterns().Add(s.ID, v, args[1], args[2]); err != nil {
			c.Fail("%s.", err)
		}
		return
	}
	for _, text := range strings.Split(c.Payload, "\n") {
		if text = strings.Trim(text, " \t"); text == "" {
			continue
		}
		key, value := text, ""
		if i := strings.IndexAny(text, " \t"); i >= 0 {
			key, value = text[:i], strings.TrimLeft(text[i:], " \t")
		}
		if value == "" {
			c.Fail("Missing value for key '%s'.", key)
			return
		}
		if err := c.patterns().Add(s.ID, v, key, value); err != nil {
			c.Fail("%s.", err)
			return
		}
	}
}

func setMap(c *Call) {
	if len(c.Args) < 3 {
		c.Fail("'set map' expects three parameters: map identifier, key and value.")
		return
	}
	s, ok := kind{true}.find(c, c.Arg(0))
	if !ok {
		return
	}
	sel, ok := selector(c, c.Arg(1))
	if !ok {
		return
	}
	n, err := c.patterns().Update(s.ID, sel, c.Arg(2))
	switch {
	case err != nil:
		c.Fail("%s.", err)
	case n == 0:
		c.Fail("entry not found.")
	}
}
