package failover

import (
	"reflect"

	"evenkeel/internal/model"
)

var posType = reflect.TypeFor[model.Pos]()

// same compares two parts of a model without their positions: a line more at
// the top of the file is no change of what stands below it.
func same(a, b any) bool { return sameValue(reflect.ValueOf(a), reflect.ValueOf(b)) }

func sameValue(a, b reflect.Value) bool {
	if a.IsValid() != b.IsValid() {
		return false
	}
	if !a.IsValid() {
		return true
	}
	if a.Type() != b.Type() {
		return false
	}
	if a.Type() == posType {
		return true
	}
	switch a.Kind() {
	case reflect.Pointer, reflect.Interface:
		if a.IsNil() || b.IsNil() {
			return a.IsNil() == b.IsNil()
		}
		return sameValue(a.Elem(), b.Elem())
	case reflect.Struct:
		// Types of other packages (addresses) have equality of their own.
		if a.Type().PkgPath() != posType.PkgPath() {
			return a.Comparable() && a.Interface() == b.Interface()
		}
		for i := range a.NumField() {
			if !sameValue(a.Field(i), b.Field(i)) {
				return false
			}
		}
		return true
	case reflect.Slice, reflect.Array:
		if a.Len() != b.Len() {
			return false
		}
		for i := range a.Len() {
			if !sameValue(a.Index(i), b.Index(i)) {
				return false
			}
		}
		return true
	case reflect.Map:
		if a.Len() != b.Len() {
			return false
		}
		for k, v := range a.Seq2() {
			if w := b.MapIndex(k); !w.IsValid() || !sameValue(v, w) {
				return false
			}
		}
		return true
	}
	return a.Equal(b)
}
