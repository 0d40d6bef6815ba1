package rule

import (
	"sort"
	"sync"
)

// Vars is the variables of one scope. Names became slot numbers when the rules
// were compiled.
type Vars struct{ slots []varSlot }

type varSlot struct {
	val Value // Kind none: not set
	buf []byte
}

// Clear unsets every variable and keeps the storage.
func (v *Vars) Clear() {
	for i := range v.slots {
		v.slots[i].val = Value{}
	}
}

func (v *Vars) get(i int) (Value, bool) {
	if i >= len(v.slots) || v.slots[i].val.Kind == KindNone {
		return Value{}, false
	}
	return v.slots[i].val, true
}

func (v *Vars) set(i int, x Value) {
	for i >= len(v.slots) {
		v.slots = append(v.slots, varSlot{})
	}
	s := &v.slots[i]
	if x.Kind >= KindString {
		s.buf = append(s.buf[:0], x.Bytes...)
		x.Bytes = s.buf
	}
	s.val = x
}

func (v *Vars) unset(i int) {
	if i < len(v.slots) {
		v.slots[i].val = Value{}
	}
}

// ProcVars is the variables of scope proc: one set for the process, shared by
// all loops and kept across reloads.
type ProcVars struct {
	mu sync.Mutex
	m  map[string]Value
}

// Get gives a variable; name is without "proc.".
func (p *ProcVars) Get(name string) (Value, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	v, ok := p.m[name]
	return v, ok
}

// Set stores a copy of v.
func (p *ProcVars) Set(name string, v Value) {
	v.Bytes = append([]byte(nil), v.Bytes...)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.m == nil {
		p.m = map[string]Value{}
	}
	p.m[name] = v
}

// Unset removes a variable.
func (p *ProcVars) Unset(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.m, name)
}

// Names lists the variables in order.
func (p *ProcVars) Names() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var names []string
	for n := range p.m {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}
