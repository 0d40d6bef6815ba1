package rule

import (
	"reflect"

	"evenkeel/internal/model"
)

// actionSpec is one type of action.
type actionSpec struct {
	Keyword
	compile func(c *Compiler, r *model.Rule, phase Phase) action
}

var actionIndex = map[reflect.Type]*actionSpec{}

func addAction[T model.Action](k Keyword, f func(c *Compiler, a *T, r *model.Rule, phase Phase) action) {
	actionIndex[reflect.TypeFor[T]()] = &actionSpec{k, func(c *Compiler, r *model.Rule, phase Phase) action {
		a := r.Action.(T)
		return f(c, &a, r, phase)
	}}
}

// action compiles the action of a rule; nil if there is nothing to do or it
// has errors.
func (c *Compiler) action(r *model.Rule, phase Phase) action {
	t := reflect.TypeOf(r.Action)
	if t.Kind() == reflect.Pointer {
		v := reflect.ValueOf(r.Action).Elem()
		if a, ok := v.Interface().(model.Action); ok {
			copied := *r
			copied.Action = a
			return c.action(&copied, phase)
		}
	}
	spec := actionIndex[t]
	if spec == nil {
		c.Diagnostics.Errorf(r.Pos, "the action of '%s' cannot be used yet", r.Text)
		return nil
	}
	if spec.Phases&phase == 0 && phase != 0 {
		c.Diagnostics.Errorf(r.Pos, "the action '%s' cannot be used in a %s", spec.Name, phaseNames[phase])
		return nil
	}
	return spec.compile(c, r, phase)
}

// Actions lists the actions by name.
func Actions() []Keyword {
	var out []Keyword
	for _, a := range actionIndex {
		out = append(out, a.Keyword)
	}
	return sorted(out)
}
