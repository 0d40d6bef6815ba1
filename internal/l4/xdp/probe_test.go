package xdp

import (
	"slices"
	"strings"
	"testing"
)

func TestProbeSaysWhatWorks(t *testing.T) {
	needRoot(t)
	r := Probe()
	if !r.Works || !slices.Contains(r.Modes, Clsact) {
		t.Errorf("%s", r)
	}
	for _, f := range r.Findings {
		if f.Name == "" || f.Needs == "" || f.Cure == "" {
			t.Errorf("a finding that does not explain itself: %+v", f)
		}
	}
	t.Log(r)
}

func TestReportNamesWhatIsMissing(t *testing.T) {
	var r Report
	r.add("helper bpf_loop", errNoRoute, "schedulers", "a newer kernel")
	text := r.String()
	for _, want := range []string{"missing: helper bpf_loop", "schedulers", "a newer kernel", "does not work"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %q", want, text)
		}
	}
}
