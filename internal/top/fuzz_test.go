package top

import (
	"strings"
	"testing"
	"time"
)

// Whatever a node answers: no panic, no control character on the terminal, no
// line that is longer than the terminal is wide.
func FuzzDecode(f *testing.F) {
	r := recorded(f)
	f.Add(r.Status, r.Events, r.Stat, r.Info, r.Processes, "web")
	f.Add([]byte(`{"instances":[{"name":"\u001b]0;x\u0007","priority":-1,"history":[{}]}],"forwarding":{"virtual_servers":[{"servers":[{"checks":[{}]}]}]}}`),
		[]byte(`[{"text":"x"}]`), []byte("# pxname,svname,type\n\"a,b\",c,2\n"), []byte("Uptime_sec: 99999999999999999999"), "1 a b c d", "")
	f.Add([]byte("null"), []byte("null"), []byte("#"), []byte(":"), "\x00", "\xff")
	f.Fuzz(func(t *testing.T, status, events, stat, info []byte, processes, word string) {
		var m Model
		for n := range 2 {
			m.Observe(Decode(&Raw{At: time.Unix(int64(n), 0), PID: n, Processes: processes, Status: status, Events: events, Stat: stat, Info: info, Troubles: []string{word}}))
		}
		for section := range sectionCount {
			u := &UI{section: section, filter: clean(word), order: section}
			for _, columns := range []int{1, 20, 80} {
				check(t, word, m.Frame(u, columns, 12), columns, 12)
			}
		}
		if strings.ContainsRune(m.Text(&UI{}, 0), '\x1b') {
			t.Fatal("an escape character")
		}
	})
}
