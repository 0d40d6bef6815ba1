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

// TestVerge: whoever sees an open connection learns when the other was closed.
func TestVerge(t *testing.T) {
	var v verge
	if other := v.meet(0, "open"); other != "" {
		t.Errorf("the other is %q before it told", other)
	}
	if other := v.meet(1, "closed"); other != "open" {
		t.Errorf("the first is %q", other)
	}
	if other := v.meet(0, "open"); other != "closed" {
		t.Errorf("the second is %q", other)
	}
	var alone *verge
	if other := alone.meet(0, "open"); other != "open" {
		t.Errorf("one alone waits for %q", other)
	}
}
