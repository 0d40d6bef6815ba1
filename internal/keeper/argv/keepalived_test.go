package argv

import (
	"strings"
	"testing"
)

func TestParseKeepalived(t *testing.T) {
	for _, c := range []struct {
		args  string
		check func(k *Keepalived) bool
	}{
		{"", func(k *Keepalived) bool { return k.File == DefaultKeepalivedFile && k.Facility == -1 && !k.DontFork }},
		{"-nlD -f /x", func(k *Keepalived) bool { return k.DontFork && k.Console && k.Detail && k.File == "/x" }},
		{"-nlDf/x", func(k *Keepalived) bool { return k.DontFork && k.File == "/x" }},
		{"--use-file=/y --dont-fork", func(k *Keepalived) bool { return k.File == "/y" && k.DontFork }},
		{"--use-file /y --dont-f", func(k *Keepalived) bool { return k.File == "/y" && k.DontFork }},
		{"-t", func(k *Keepalived) bool { return k.Test && k.TestLog == "" }},
		{"-tlog -f z", func(k *Keepalived) bool { return k.Test && k.TestLog == "log" && k.File == "z" }},
		{"--config-test=log", func(k *Keepalived) bool { return k.TestLog == "log" }},
		{"-S 3", func(k *Keepalived) bool { return k.Facility == 19 }},
		{"-S local7", func(k *Keepalived) bool { return k.Facility == 23 }},
		{"-S daemon", func(k *Keepalived) bool { return k.Facility == 3 }},
		{"-i two -s blue -p /run/p -VI -P", func(k *Keepalived) bool {
			return k.ConfigID == "two" && k.Namespace == "blue" && k.Pidfile == "/run/p" && k.DontRelease && k.DontReleaseIPVS && k.OnlyVRRP
		}},
		{"-x -r /run/v", func(k *Keepalived) bool { return len(k.Ignored) == 2 && strings.Contains(k.Ignored[0], "SNMP") }},
		{"-u 022", func(k *Keepalived) bool { return k.Umask == 0o22 }},
		{"--signum=DATA", func(k *Keepalived) bool { return KeepalivedSignals[k.Signal] == 10 }},
	} {
		k, err := ParseKeepalived(strings.Fields(c.args))
		if err != nil || !c.check(k) {
			t.Errorf("%q: %+v, %v", c.args, k, err)
		}
	}
	for args, want := range map[string]string{
		"-Z":         "invalid option -- 'Z'",
		"-f":         "option requires an argument -- 'f'",
		"--use-file": "option '--use-file' requires an argument",
		"--foo":      "unrecognized option '--foo'",
		"--log-":     "option '--log-' is ambiguous",
		"--vrrp=1":   "doesn't allow an argument",
		"file":       "unexpected argument 'file'",
		"-S local9":  "invalid log facility",
		"-u 99999":   "invalid umask",
	} {
		if _, err := ParseKeepalived(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, not %q", args, err, want)
		}
	}
}
