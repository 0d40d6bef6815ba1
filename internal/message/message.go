// Package message holds one HTTP message head, independent of the protocol
// version that carried it: what codecs fill, rules read and edit, and codecs
// write out again.
//
// It owns no connection and parses nothing. Byte slices of a Head point into
// the buffer that it was parsed from, or into the head's own arena for values
// that were added; they are valid until Reset.
package message

// Version of HTTP as major*10+minor.
type Version uint8

const (
	HTTP10 Version = 10
	HTTP11 Version = 11
	HTTP20 Version = 20
	HTTP30 Version = 30
)

// Method numbers the methods that need no comparison of text.
type Method uint8

const (
	MethodOther Method = iota
	MethodGet
	MethodHead
	MethodPost
	MethodPut
	MethodDelete
	MethodOptions
	MethodTrace
	MethodConnect
	MethodPatch
)

// Field is one header line. A deleted field has a nil Name.
type Field struct {
	Name  []byte // as received: case is kept
	Value []byte // without leading and trailing white space
	ID    FieldID
}

// Head is a request or response head.
type Head struct {
	Response bool
	Version  Version

	// request
	MethodID Method
	Method   []byte
	Target   []byte // as received or as set by a rule: origin, absolute, authority or asterisk form

	// response
	Status int
	Reason []byte

	Fields []Field

	arena []byte
}

// Reset empties the head and keeps its storage.
func (h *Head) Reset() {
	clear(h.Fields)
	fields, arena := h.Fields[:0], h.arena[:0]
	*h = Head{Fields: fields, arena: arena}
}

// Keep copies b into the head's own storage, which lives until Reset.
func (h *Head) Keep(b []byte) []byte {
	n := len(h.arena)
	if n+len(b) > cap(h.arena) {
		// Earlier slices keep pointing into the old array, which stays alive.
		h.arena = make([]byte, 0, max(512, 2*cap(h.arena), len(b)))
		n = 0
	}
	h.arena = append(h.arena, b...)
	return h.arena[n : n+len(b) : n+len(b)]
}

// KeepString is Keep for a string.
func (h *Head) KeepString(s string) []byte {
	n := len(h.arena)
	if n+len(s) > cap(h.arena) {
		h.arena = make([]byte, 0, max(512, 2*cap(h.arena), len(s)))
		n = 0
	}
	h.arena = append(h.arena, s...)
	return h.arena[n : n+len(s) : n+len(s)]
}

// Index finds the first field of that name at or after from, -1 if there is
// none. lower is the name in lower case; id its FieldID (Lookup), or
// FieldOther to compare text.
func (h *Head) Index(id FieldID, lower string, from int) int {
	for i := from; i < len(h.Fields); i++ {
		f := &h.Fields[i]
		if f.ID != id || f.Name == nil {
			continue
		}
		if id != FieldOther || EqualFold(f.Name, lower) {
			return i
		}
	}
	return -1
}

// Get gives the value of the first field with a known ID.
func (h *Head) Get(id FieldID) ([]byte, bool) {
	for i := range h.Fields {
		if h.Fields[i].ID == id && h.Fields[i].Name != nil {
			return h.Fields[i].Value, true
		}
	}
	return nil, false
}

// GetName gives the value of the first field of that name (lower case).
func (h *Head) GetName(lower string) ([]byte, bool) {
	if i := h.Index(Lookup(lower), lower, 0); i >= 0 {
		return h.Fields[i].Value, true
	}
	return nil, false
}

// Del deletes all fields of that name and says how many there were.
func (h *Head) Del(id FieldID, lower string) int {
	n := 0
	for i := h.Index(id, lower, 0); i >= 0; i = h.Index(id, lower, i+1) {
		h.Fields[i].Name = nil
		n++
	}
	return n
}

// Add appends a field. name and value must outlive the head's use (Keep).
func (h *Head) Add(id FieldID, name, value []byte) {
	h.Fields = append(h.Fields, Field{Name: name, Value: value, ID: id})
}

// EqualFold compares b with a string that is in lower case already, ignoring
// the case of ASCII letters.
func EqualFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c-'A' < 26 {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
