package conformance

import "testing"

func TestSlower(t *testing.T) {
	for text, want := range map[string]string{
		" timeout client 2s\n timeout http-keep-alive 300ms\n":                 " timeout client 24s\n timeout http-keep-alive 3600ms\n",
		" server s 127.0.0.1:1 check inter 200ms agent-inter 1s weight 2":      " server s 127.0.0.1:1 check inter 2400ms agent-inter 12s weight 2",
		" tcp-request inspect-delay 1s\n default-server pool-purge-delay 5s\n": " tcp-request inspect-delay 12s\n default-server pool-purge-delay 60s\n",
		" http-request wait-for-body time 300 at-least 3 if a\n":               " http-request wait-for-body time 3600 at-least 3 if a\n",
		" http-request deny if { path /timeout/client/2s }\n retries 3\n":      " http-request deny if { path /timeout/client/2s }\n retries 3\n",
	} {
		if got := slower(text, 12); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
		if got := slower(text, 1); got != text {
			t.Errorf("at full pace %q becomes %q", text, got)
		}
	}
}

// TestVerge: who sees an open connection waits until the other does, too.
func TestVerge(t *testing.T) {
	type meeting struct {
		who   int
		fate  string
		final string
		done  bool
	}
	for name, list := range map[string][]meeting{
		"both open":                    {{0, "open", "open", false}, {1, "open", "open", true}, {0, "open", "open", true}},
		"closed after both were open":  {{0, "open", "open", false}, {1, "open", "open", true}, {0, "closed", "open", true}},
		"one is slower to close":       {{0, "open", "open", false}, {1, "closed", "closed", true}, {0, "open", "open", false}, {0, "closed", "closed", true}},
		"closed before the other came": {{0, "open", "open", false}, {0, "closed", "closed", true}, {1, "open", "open", false}, {1, "reset", "reset", true}},
	} {
		var v verge
		for i, m := range list {
			if final, done := v.meet(m.who, m.fate); final != m.final || done != m.done {
				t.Errorf("%s, meeting %d: %q, %v", name, i+1, final, done)
			}
		}
	}
	var alone *verge
	if final, done := alone.meet(0, "open"); final != "open" || !done {
		t.Errorf("one alone waits: %q", final)
	}
}
