package rule

import (
	"fmt"
	"strings"
)

type scope uint8

const (
	scopeProc scope = iota
	scopeSess
	scopeTxn
	scopeReq
	scopeRes
	scopeCount
)

var scopeNames = map[string]scope{
	"proc": scopeProc, "sess": scopeSess, "txn": scopeTxn, "req": scopeReq, "res": scopeRes,
	// checks have one transaction of their own
	"check": scopeTxn,
}

// variable is a name that was resolved to a slot.
type variable struct {
	scope scope
	slot  int
	name  string
	proc  *ProcVars
}

// variable resolves "scope.name".
func (c *Compiler) variable(full string) (variable, error) {
	s, name, ok := strings.Cut(full, ".")
	sc, known := scopeNames[s]
	if !ok || !known {
		return variable{}, fmt.Errorf("invalid variable name '%s': it must start with its scope: 'proc.', 'sess.', 'txn.', 'req.', 'res.' or 'check.'", full)
	}
	if name == "" {
		return variable{}, fmt.Errorf("invalid variable name '%s': nothing follows the scope", full)
	}
	for i := 0; i < len(name); i++ {
		if ch := name[i]; !(ch|0x20 >= 'a' && ch|0x20 <= 'z' || ch >= '0' && ch <= '9' || ch == '_' || ch == '.') {
			return variable{}, fmt.Errorf("invalid variable name '%s': only letters, digits, '.' and '_' are allowed", full)
		}
	}
	v := variable{scope: sc, name: name, proc: c.ProcVars}
	if c.slots[sc] == nil {
		c.slots[sc] = map[string]int{}
	}
	slot, seen := c.slots[sc][name]
	if !seen {
		slot = len(c.slots[sc])
		c.slots[sc][name] = slot
	}
	v.slot = slot
	return v, nil
}

func (tx *Tx) scope(s scope) *Vars {
	switch s {
	case scopeSess:
		if tx.Conn == nil {
			return nil
		}
		return &tx.Conn.Vars
	case scopeTxn:
		return &tx.Vars
	case scopeReq:
		return &tx.ReqVars
	}
	return &tx.ResVars
}

func (v *variable) get(tx *Tx) (Value, bool) {
	if v.scope == scopeProc {
		return v.proc.Get(v.name)
	}
	vars := tx.scope(v.scope)
	if vars == nil {
		return Value{}, false
	}
	return vars.get(v.slot)
}

func (v *variable) set(tx *Tx, x Value) {
	if v.scope == scopeProc {
		v.proc.Set(v.name, x)
		return
	}
	if vars := tx.scope(v.scope); vars != nil {
		vars.set(v.slot, x)
	}
}

func (v *variable) unset(tx *Tx) {
	if v.scope == scopeProc {
		v.proc.Unset(v.name)
		return
	}
	if vars := tx.scope(v.scope); vars != nil {
		vars.unset(v.slot)
	}
}

// Variable gives a variable by its full name, for traces and the runtime API;
// it looks the name up, which rules do not. Names that no rule uses are unset.
func (c *Compiler) Variable(tx *Tx, full string) (Value, bool) {
	s, name, _ := strings.Cut(full, ".")
	sc, ok := scopeNames[s]
	if !ok {
		return Value{}, false
	}
	if sc == scopeProc {
		return c.ProcVars.Get(name)
	}
	slot, ok := c.slots[sc][name]
	if vars := tx.scope(sc); ok && vars != nil {
		return vars.get(slot)
	}
	return Value{}, false
}
