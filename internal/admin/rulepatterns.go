package admin

import (
	"strconv"
	"sync"

	"evenkeel/internal/rule"
)

// RulePatterns shows the pattern lists of the rules to the runtime API. It
// keeps the versions that `prepare` makes until they are committed.
func RulePatterns(set *rule.PatternSet) Patterns {
	return &rulePatterns{set: set, staged: map[int]*stagedVersions{}}
}

type rulePatterns struct {
	set *rule.PatternSet

	mu     sync.Mutex
	staged map[int]*stagedVersions // by list
}

// stagedVersions are what was prepared for one list.
type stagedVersions struct {
	current, next uint32
	entries       map[uint32][]PatternEntry
	ref           uint64 // of the newest staged entry
}

// stagedRefs are far from the references of live entries.
const stagedRefs = 1 << 40

func (p *rulePatterns) find(id int) *rule.PatternRef { return p.set.Find("#" + strconv.Itoa(id)) }

// versions gives a list's versions; mu is held.
func (p *rulePatterns) versions(id int) *stagedVersions {
	v := p.staged[id]
	if v == nil {
		v = &stagedVersions{entries: map[uint32][]PatternEntry{}, ref: stagedRefs}
		p.staged[id] = v
	}
	return v
}

func (p *rulePatterns) Sets() []PatternSet {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []PatternSet
	for _, r := range p.set.All() {
		s := PatternSet{ID: r.ID, File: r.File, Description: r.Name, Map: r.IsMap(), Entries: len(r.List())}
		if s.Description == "" {
			s.Description = "pattern loaded from file '" + r.File + "'"
		}
		s.ACL = !s.Map
		if v := p.staged[r.ID]; v != nil {
			s.Current, s.Next = v.current, v.next
		}
		out = append(out, s)
	}
	return out
}

// live turns an entry's number into a reference that is never zero.
func live(id int) uint64 { return uint64(id) + 1 }

func (p *rulePatterns) Entries(id int, version uint32, yield func(PatternEntry) bool) {
	p.mu.Lock()
	v := p.versions(id)
	staged, isLive := v.entries[version], version == v.current
	p.mu.Unlock()
	if !isLive {
		for _, e := range staged {
			if !yield(e) {
				return
			}
		}
		return
	}
	r := p.find(id)
	if r == nil {
		return
	}
	for _, e := range r.List() {
		if !yield(PatternEntry{live(e.ID), e.Key, e.Value}) {
			return
		}
	}
}

func (p *rulePatterns) Add(id int, version uint32, key, value string) error {
	p.mu.Lock()
	v := p.versions(id)
	if version != v.current {
		v.ref++
		v.entries[version] = append(v.entries[version], PatternEntry{v.ref, key, value})
		p.mu.Unlock()
		return nil
	}
	p.mu.Unlock()
	if r := p.find(id); r != nil {
		return r.Add(key, value)
	}
	return nil
}

// selected counts the live entries that sel means, and words it for the list.
func (p *rulePatterns) selected(r *rule.PatternRef, sel PatternSelector) (n int, word string) {
	for _, e := range r.List() {
		if sel.ByRef && live(e.ID) == sel.Ref {
			return 1, "#" + strconv.Itoa(e.ID)
		}
		if !sel.ByRef && e.Key == sel.Key {
			n++
		}
	}
	return n, sel.Key
}

func (p *rulePatterns) Update(id int, sel PatternSelector, value string) (int, error) {
	r := p.find(id)
	if r == nil {
		return 0, nil
	}
	n, word := p.selected(r, sel)
	if n == 0 {
		return 0, nil
	}
	return n, r.Set(word, value)
}

func (p *rulePatterns) Delete(id int, sel PatternSelector) int {
	r := p.find(id)
	if r == nil {
		return 0
	}
	n, word := p.selected(r, sel)
	if n > 0 && r.Del(word) != nil {
		return 0
	}
	return n
}

func (p *rulePatterns) Clear(id int, version uint32) {
	p.mu.Lock()
	v := p.versions(id)
	isLive := version == v.current
	delete(v.entries, version)
	p.mu.Unlock()
	if r := p.find(id); r != nil && isLive {
		r.Clear()
	}
}

func (p *rulePatterns) Prepare(id int) uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	v := p.versions(id)
	v.next++
	return v.next
}

// replacer is a list that takes all its entries at once.
type replacer interface {
	Replace(entries []rule.PatternEntry) error
}

// Commit makes a version the live one. Entries that the rules refuse leave the
// list as it is up to them.
func (p *rulePatterns) Commit(id int, version uint32) {
	r := p.find(id)
	if r == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	v := p.versions(id)
	if version == v.current {
		return
	}
	entries := v.entries[version]
	for old := range v.entries {
		if old-v.current <= version-v.current {
			delete(v.entries, old)
		}
	}
	v.current = version
	if all, ok := any(r).(replacer); ok {
		list := make([]rule.PatternEntry, len(entries))
		for i, e := range entries {
			list[i] = rule.PatternEntry{ID: i, Key: e.Key, Value: e.Value}
		}
		if all.Replace(list) == nil {
			return
		}
	}
	r.Clear()
	for _, e := range entries {
		if r.Add(e.Key, e.Value) != nil {
			return
		}
	}
}

// Match looks for the value itself: what a list is used for, and so how it
// matches, is the rules' own business.
func (p *rulePatterns) Match(id int, value string) []PatternMatch {
	r := p.find(id)
	if r == nil {
		return nil
	}
	m := PatternMatch{Method: "str", Index: "tree"}
	for _, e := range r.List() {
		if e.Key == value {
			m.Found, m.Pattern, m.Value = true, e.Key, e.Value
			break
		}
	}
	return []PatternMatch{m}
}
