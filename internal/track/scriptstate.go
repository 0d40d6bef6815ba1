package track

// ScriptState counts the results of one script. It is pure.
type ScriptState struct {
	Rise, Fall int
	State      State
	run        int // results in a row that speak against State
}

// NewScriptState starts as keepalived does: the first result decides, unless
// initFail is set; then it is down until it has risen.
func NewScriptState(rise, fall int, initFail bool) ScriptState {
	s := ScriptState{Rise: max(rise, 1), Fall: max(fall, 1)}
	if initFail {
		s.State = Down
	}
	return s
}

// Result counts one run and says whether the state changed.
func (s *ScriptState) Result(ok bool) bool {
	want, need := Down, s.Fall
	if ok {
		want, need = Up, s.Rise
	}
	if s.State == want {
		s.run = 0
		return false
	}
	if s.run++; s.run < need && s.State != Pending {
		return false
	}
	s.State, s.run = want, 0
	return true
}
