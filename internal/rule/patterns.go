package rule

import (
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"evenkeel/internal/model"
)

// PatternSet holds the pattern files, maps and inline lists of a
// configuration, as the runtime API lists them.
type PatternSet struct {
	mu     sync.Mutex
	refs   []*PatternRef
	byFile map[string]*PatternRef
	used   map[int]bool
}

// NewPatternSet makes an empty set.
func NewPatternSet() *PatternSet {
	return &PatternSet{byFile: map[string]*PatternRef{}, used: map[int]bool{}}
}

// PatternRef is one file or inline list, shared by all that match against it.
type PatternRef struct {
	// set once
	ID     int
	File   string // "" for an inline list
	Name   string // what it is for, e.g. "acl 'x' file 'f' line 3"
	Inline bool
	isMap  bool // entries have values
	// guarded by mu
	mu      sync.Mutex
	entries []PatternEntry
	users   []*matcher
	nextID  int
}

// PatternEntry is one pattern and, in a map, its value.
type PatternEntry struct {
	ID    int
	Key   string
	Value string
}

// matcher is one use of a pattern list: a method and its compiled form, which
// is replaced as a whole when the list changes.
type matcher struct {
	spec *matchSpec
	opts matchOptions
	cur  atomic.Pointer[compiledList]
}

type compiledList struct {
	find    func(v Value) int // index of the entry that matches, or -1
	entries []PatternEntry
	values  []Value // of maps
}

func (m *matcher) rebuild(entries []PatternEntry) error {
	keys := make([]string, len(entries))
	for i := range entries {
		keys[i] = entries[i].Key
	}
	find, err := m.spec.build(keys, m.opts)
	if err != nil {
		return err
	}
	l := &compiledList{find: find, entries: entries}
	if m.opts.value != KindNone {
		l.values = make([]Value, len(entries))
		for i := range entries {
			if l.values[i], err = mapValue(entries[i].Value, m.opts.value); err != nil {
				return &patternError{i, err}
			}
		}
	}
	m.cur.Store(l)
	return nil
}

// patternError names the pattern that is wrong.
type patternError struct {
	index int
	err   error
}

func (e *patternError) Error() string { return e.err.Error() }
func (e *patternError) Unwrap() error { return e.err }

func mapValue(s string, k Kind) (Value, error) {
	switch k {
	case KindInt:
		n, err := strconv.ParseInt(s, 0, 64)
		if err != nil {
			return Value{}, fmt.Errorf("the value '%s' is not a number", s)
		}
		return Int(n), nil
	case KindAddr:
		a, ok := parseAddr([]byte(s))
		if !ok {
			return Value{}, fmt.Errorf("the value '%s' is not an address", s)
		}
		return Address(a), nil
	}
	return Str([]byte(s)), nil
}

// file gives the list of a file, which load fills the first time.
func (s *PatternSet) file(name string, isMap bool, load func() ([]PatternEntry, error)) (*PatternRef, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.byFile[name]; r != nil {
		if r.isMap != isMap {
			return nil, errors.New("the file is used both as a map and as a list of patterns")
		}
		return r, nil
	}
	entries, err := load()
	if err != nil {
		return nil, err
	}
	r := &PatternRef{ID: s.id(-1), File: name, isMap: isMap, entries: entries, nextID: len(entries)}
	s.byFile[name] = r
	s.refs = append(s.refs, r)
	return r, nil
}

// usedAt notes the first place that uses a file's list.
func (s *PatternSet) usedAt(r *PatternRef, pos model.Pos) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Name != "" || pos.File == "" {
		return
	}
	kind := "acl"
	if r.isMap {
		kind = "map"
	}
	r.Name = fmt.Sprintf("pattern loaded from file '%s' used by %s at file '%s' line %d", r.File, kind, pos.File, pos.Line)
}

// inline adds a list written in the configuration; id -1 takes a free one.
func (s *PatternSet) inline(id int, name string, entries []PatternEntry) *PatternRef {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &PatternRef{ID: s.id(id), Name: name, Inline: true, entries: entries, nextID: len(entries)}
	s.refs = append(s.refs, r)
	return r
}

func (s *PatternSet) id(want int) int {
	if want >= 0 && !s.used[want] {
		s.used[want] = true
		return want
	}
	n := 0
	for s.used[n] {
		n++
	}
	s.used[n] = true
	return n
}

// All lists the references by ID.
func (s *PatternSet) All() []*PatternRef {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := append([]*PatternRef(nil), s.refs...)
	sort.Slice(out, func(i, j int) bool { return out[i].ID < out[j].ID })
	return out
}

// Find gives a reference by "#id" or file name.
func (s *PatternSet) Find(name string) *PatternRef {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id, ok := strings.CutPrefix(name, "#"); ok {
		n, err := strconv.Atoi(id)
		for _, r := range s.refs {
			if err == nil && r.ID == n {
				return r
			}
		}
		return nil
	}
	return s.byFile[name]
}

// use makes a matcher on the list.
func (r *PatternRef) use(spec *matchSpec, o matchOptions) (*matcher, error) {
	m := &matcher{spec: spec, opts: o}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := m.rebuild(r.entries); err != nil {
		return nil, err
	}
	r.users = append(r.users, m)
	return m, nil
}

// IsMap says whether the entries have values.
func (r *PatternRef) IsMap() bool { return r.isMap }

// List copies the entries.
func (r *PatternRef) List() []PatternEntry {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]PatternEntry(nil), r.entries...)
}

// change replaces the entries, or nothing if a matcher refuses them.
func (r *PatternRef) change(entries []PatternEntry) error {
	for i, m := range r.users {
		if err := m.rebuild(entries); err != nil {
			for _, u := range r.users[:i] {
				u.rebuild(r.entries)
			}
			return err
		}
	}
	r.entries = entries
	return nil
}

// Add appends an entry.
func (r *PatternRef) Add(key, value string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := append(r.entries[:len(r.entries):len(r.entries)], PatternEntry{r.nextID, key, value})
	if err := r.change(next); err != nil {
		return err
	}
	r.nextID++
	return nil
}

// errNoEntry answers edits of what is not there.
var errNoEntry = errors.New("Key not found.")

// Del removes the entries of a key ("#id": one entry).
func (r *PatternRef) Del(key string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var next []PatternEntry
	for _, e := range r.entries {
		if !e.is(key) {
			next = append(next, e)
		}
	}
	if len(next) == len(r.entries) {
		return errNoEntry
	}
	return r.change(next)
}

// Set changes the value of a key.
func (r *PatternRef) Set(key, value string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	next, found := append([]PatternEntry(nil), r.entries...), false
	for i := range next {
		if next[i].is(key) {
			next[i].Value, found = value, true
		}
	}
	if !found {
		return errNoEntry
	}
	return r.change(next)
}

// Has says whether a key is in the list.
func (r *PatternRef) Has(key string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.entries {
		if e.is(key) {
			return true
		}
	}
	return false
}

// Clear removes all entries.
func (r *PatternRef) Clear() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.change(nil)
}

func (e *PatternEntry) is(key string) bool {
	if id, ok := strings.CutPrefix(key, "#"); ok {
		if n, err := strconv.Atoi(id); err == nil {
			return e.ID == n
		}
	}
	return e.Key == key
}

// parsePatternFile reads one pattern a line; in a map, the value follows after
// blanks.
func parsePatternFile(data []byte, isMap bool) []PatternEntry {
	var out []PatternEntry
	for line := range strings.Lines(string(data)) {
		line = strings.TrimLeft(strings.TrimRight(line, "\r\n"), " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		e := PatternEntry{ID: len(out), Key: line}
		if isMap {
			if i := strings.IndexAny(line, " \t"); i >= 0 {
				e.Key, e.Value = line[:i], strings.Trim(line[i:], " \t")
			}
		}
		out = append(out, e)
	}
	return out
}
