package xdp

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
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
	r.need("helper bpf_loop", fmt.Errorf("detect support: %w", ebpf.ErrNotSupported), "it takes a newer kernel")
	r.need("helper bpf_timer_init", fmt.Errorf("detect support: %w", ebpf.ErrNotSupported), "it takes a newer kernel")
	r.need("maps of type Hash", nil, "it takes a newer kernel")
	r.need("programs under tc", fmt.Errorf("load program: %w", unix.EINVAL), "it takes another kernel")
	r.extra("XDP", unix.EINVAL, "mode xdp", "mode tcx")
	text := r.String()
	for _, want := range []string{"missing: helper bpf_loop (this kernel does not have it)", "needed for everything: it takes a newer kernel", "missing: XDP (invalid argument), needed for mode xdp", "does not work"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %q", want, text)
		}
	}
	want := []string{"helper bpf_loop, helper bpf_timer_init: this kernel does not have it; it takes a newer kernel", "programs under tc: invalid argument; it takes another kernel"}
	if got := r.Reasons(); !slices.Equal(got, want) {
		t.Errorf("the reasons are %q", got)
	}
	r.Works = true
	if got := r.Reasons(); got != nil {
		t.Errorf("what works does not for %q", got)
	}
}

func TestLackedCapabilities(t *testing.T) {
	for status, want := range map[string][]string{
		"Name:\tx\nCapPrm:\t0\nCapEff:\t000001ffffffffff\nCapBnd:\t0\n": nil,
		"Name:\tx\nCapEff:\t000001fffffffeff\n":                         nil, // without another one
		"Name:\tx\nCapEff:\t000001ffffffefff\n":                         {"CAP_NET_ADMIN"},
		"Name:\tx\nCapEff:\t000001ffffdfefff\n":                         {"CAP_NET_ADMIN", "CAP_SYS_ADMIN"},
		"Name:\tx\nCapEff:\t0000000000000000\n":                         {"CAP_NET_ADMIN", "CAP_SYS_ADMIN"},
		"Name:\tx\n":                                                    nil, // no such line: nothing is known
	} {
		if got := lackedCapabilities(status); !slices.Equal(got, want) {
			t.Errorf("%q lacks %v, not %v", status, got, want)
		}
	}
}
