package dialect

import (
	"strings"
	"testing"

	"evenkeel/internal/model"
)

func TestRender(t *testing.T) {
	files := []File{{"f", []byte("one\n\ttwo three\r\nbad\x1b\n")}}
	var b strings.Builder
	err := Render(&b, model.Diagnostics{
		{Pos: model.Pos{File: "f", Line: 2, Col: 6}, Severity: model.Error, Message: "no three", Cure: "write four"},
		{Pos: model.Pos{File: "f", Line: 3, Col: 1}, Severity: model.Warning, Message: "w"},
		{Pos: model.Pos{File: "g", Line: 1, Col: 1}, Severity: model.Notice, Message: "n"},
		{Pos: model.Pos{File: "f", Line: 9, Col: 1}, Message: "far"},
		{Severity: model.Error, Message: "nowhere"},
		{Pos: model.Pos{File: "f", Line: 1, Col: 1}, Severity: model.Error, Message: "the password is empty", Secret: true},
	}, files)
	want := "f:2:6: error: no three\n    \ttwo three\n    \t    ^\n    write four\n" +
		"f:3:1: warning: w\ng:1:1: notice: n\nf:9:1: notice: far\nerror: nowhere\nf:1:1: error: the password is empty\n"
	if err != nil || b.String() != want {
		t.Errorf("%v\n%s\nwant\n%s", err, b.String(), want)
	}
}

func TestRegistry(t *testing.T) {
	var r Registry
	parse := func([]File, Options) (*model.Config, model.Diagnostics) { return nil, nil }
	x := Dialect{Name: "x", Parse: parse, Recognises: func(f File) bool { return f.Name == "a.x" }}
	if err := r.Add(x); err != nil {
		t.Fatal(err)
	}
	for _, d := range []Dialect{x, {Parse: parse}, {Name: "y"}} {
		if r.Add(d) == nil {
			t.Errorf("%q was added", d.Name)
		}
	}
	if d, err := r.Detect(File{Name: "a.x"}); err != nil || d.Name != "x" {
		t.Errorf("%v, %v", d.Name, err)
	}
	if _, err := r.Detect(File{Name: "a.y"}); err == nil || !strings.Contains(err.Error(), "x") {
		t.Errorf("%v", err)
	}
	if _, ok := r.Lookup("z"); ok || len(r.Names()) != 1 {
		t.Error("Lookup or Names")
	}
}
