package forwarding

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// keyStatus is what "services json" says of the key.
type keyStatus struct {
	Pair struct {
		Encrypted bool     `json:"encrypted"`
		Unsigned  int      `json:"unsigned"`
		Keyless   int      `json:"keyless"`
		Forged    int      `json:"forged"`
		Took      int      `json:"took"`
		Advice    []string `json:"advice"`
		Peers     []struct {
			Lost int `json:"lost"`
		} `json:"peers"`
	} `json:"pair"`
}

func (d *director) keyStatus() (s keyStatus) {
	text := d.ctl("services", "json")
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		d.t.Errorf("services json: %v\n%s", err, text)
	}
	return s
}

// keyOf are keys in a file's form.
func keyOf(numbers ...byte) (text string) {
	for _, n := range numbers {
		text += base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string(rune('a'+n)), 32))) + "\n"
	}
	return text
}

// TestPairKey: with a key the backup takes over as without. Where only one has
// it, neither listens and both say so; another key comes into use without a
// word lost.
func TestPairKey(t *testing.T) {
	l := newLAN(t)
	l.behind(insideVIP)
	l.serve("1")
	l.serve("2")
	services := virtual("NAT", "wlc", "", real("10.80.0.21 8080", ""), real("10.80.0.22 8080", ""))
	file := func(n string) string { return filepath.Join(l.dir, n+".key") }
	write := func(n, text string) {
		t.Helper()
		if err := os.WriteFile(file(n), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text := func(state string, priority int, more string) string {
		return strings.Replace(globals, "}", "  "+told+"\n  "+more+"\n}", 1) + vrrp(state, priority, vip+"/24", insideVIP+"/24") + services
	}
	key := func(n string) string { return "lvs_sync_key_file " + file(n) }
	p := &pairOf{lan: l}
	write("d", keyOf(1))
	write("e", keyOf(1))
	p.d = l.director("d", text("MASTER", 150, key("d")))
	p.e = l.director("e", text("BACKUP", 100, ""))
	l.eventually("the master", func() bool { return l.holds("d", vip) && !l.holds("e", vip) })
	l.eventually("both servers", func() bool { return only(l.who(8), "1", "2") })

	l.eventually("both say that one has no key", func() bool {
		d, e := p.d.services(), p.e.services()
		return strings.Contains(d, "(VI_1), encrypted") && strings.Contains(d, "10.79.0.12 tells without a key") &&
			strings.Contains(e, "10.79.0.11 tells with a key, and this director has none")
	})
	if s := p.e.keyStatus(); s.Pair.Encrypted || s.Pair.Took > 0 || s.Pair.Keyless == 0 {
		t.Errorf("the backup without a key says %+v", s.Pair)
	}
	p.e.reload(text("BACKUP", 100, key("e")))
	l.eventually("both hear each other", func() bool { return len(p.d.keyStatus().Pair.Peers) == 1 && len(p.e.keyStatus().Pair.Peers) == 1 })

	idle := p.connect(20)
	l.goOn("at first", idle)
	for _, keys := range [][]byte{{1, 2}, {2, 1}, {2}} {
		for n, d := range map[string]*director{"d": p.d, "e": p.e} {
			write(n, keyOf(keys...))
			d.reload(text(map[string]string{"d": "MASTER", "e": "BACKUP"}[n], map[string]int{"d": 150, "e": 100}[n], key(n)))
		}
		l.goOn("while keys change", idle)
	}
	for _, c := range idle {
		_ = c.Close()
	}
	for _, d := range []*director{p.d, p.e} {
		if s := d.keyStatus(); s.Pair.Forged > 0 {
			t.Errorf("when the keys have changed: %+v", s.Pair)
		}
		l.eventually("they hear each other with the new key", func() bool { return len(d.keyStatus().Pair.Peers) == 1 })
		if all := d.ctl("services", "json") + d.ctl("services") + d.text(); strings.Contains(all, strings.TrimSpace(keyOf(2))) || strings.Contains(all, "cccccccc") {
			t.Error("the key is printed")
		}
	}
	p.survive(true, p.killMaster)
}
