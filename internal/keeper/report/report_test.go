package report

import (
	"bytes"
	"testing"

	"evenkeel/internal/model"
)

var sample = model.Diagnostics{
	{Pos: model.Pos{File: "x.cfg", Line: 2, Col: 2}, Severity: model.Error, Message: "unknown keyword 'foo'", Cure: "did you mean 'log'?"},
	{Severity: model.Warning, Message: "config : something"},
}

func TestHAProxyForm(t *testing.T) {
	h := &HAProxy{Pid: 42, Version: "3.0", Path: "/bin/x"}
	var b bytes.Buffer
	h.Diagnostics(&b, sample)
	h.Failed(&b, sample)
	want := `[NOTICE]   (42) : haproxy version is 3.0
[NOTICE]   (42) : path to executable is /bin/x
[ALERT]    (42) : config : parsing [x.cfg:2] : unknown keyword 'foo'; did you mean 'log'?
[WARNING]  (42) : config : something
[ALERT]    (42) : config : Error(s) found in configuration file : x.cfg
[ALERT]    (42) : config : Fatal errors found in configuration.
`
	if b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
}

func TestExcerpt(t *testing.T) {
	e := &Excerpt{Read: func(string) ([]byte, error) { return []byte("global\n\tfoo bar\n"), nil }}
	var b bytes.Buffer
	e.Diagnostics(&b, sample)
	want := `error: unknown keyword 'foo'
  --> x.cfg:2:2
   |
 2 |     foo bar
   |     ^^^
  = did you mean 'log'?
warning: config : something
`
	if b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
	if got := Summary(sample); got != "1 error, 1 warning" {
		t.Error(got)
	}
}
