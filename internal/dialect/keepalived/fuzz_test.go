package keepalived_test

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"evenkeel/internal/dialect"
	"evenkeel/internal/dialect/keepalived"
	"evenkeel/internal/model"
)

// FuzzParse: no input crashes it, makes it hang or grow, and every message has
// a place. Files that a text includes are the text itself: as hostile as it
// can be.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.conf")
	more, _ := filepath.Glob("../../../examples/keepalived/*.conf")
	for _, name := range append(files, more...) {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, s := range hostile() {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, diags := keepalived.Parse([]keepalived.File{{Name: "f", Data: data}}, keepalived.Options{
			ConfigID: "node",
			ReadFile: func(string) ([]byte, error) { return data, nil },
			Glob:     func(string) ([]string, error) { return []string{"a", "b"}, nil },
			Exists:   func(string) bool { return true },
		})
		if cfg == nil || cfg.Failover == nil {
			t.Fatal("no configuration")
		}
		if err := dialect.Render(&bytes.Buffer{}, diags, []dialect.File{{Name: "f", Data: data}}); err != nil {
			t.Fatal(err)
		}
		if !diags.HasErrors() {
			for _, i := range cfg.Failover.Instances {
				checkInstance(t, i)
			}
		}
	})
}

// checkInstance: what the state machine takes for granted.
func checkInstance(t *testing.T, i *model.VRRPInstance) {
	t.Helper()
	switch {
	case i.VRID == 0, i.Priority < 1 || i.Priority > 255, i.AdvertInt < 10*time.Millisecond || i.AdvertInt > 255*time.Second,
		i.Version != 2 && i.Version != 3, i.Family != 4 && i.Family != 6, i.Version == 2 && i.AdvertInt%time.Second != 0,
		i.Version == 3 && i.Auth.Type != "", i.DownTimerAdverts < 1, i.Interface == "" && len(i.UnicastPeers) == 0:
		t.Fatalf("an instance that cannot be: %+v", *i)
	}
	for _, a := range i.Addresses {
		if !a.Prefix.IsValid() || a.Prefix.Addr().Is4() != (i.Family == 4) {
			t.Fatalf("%s advertises %v", i.Name, a.Prefix)
		}
	}
}

// hostile are texts that would make more of themselves than a host has.
func hostile() []string {
	deep := "$A=x\n"
	for c := 'B'; c <= 'Z'; c++ {
		deep += "$" + string(c) + "=${" + string(c-1) + "}${" + string(c-1) + "}\n"
	}
	return []string{
		"$A=$A $A\nglobal_defs {\n router_id $A\n}\n",
		"$A= \\\n$A \\\n$A\n$A\n",
		deep + "router_id ${Z}\n",
		"~SEQ(A,1,2147483647) ~SEQ(B,1,2147483647) x $A $B\n",
		"~SEQ(A,1,999999) vrrp_instance i$A {\n",
		"include a\n", "include {a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}\n", "include *\ninclude *\n",
		strings.Repeat("{", 100000), strings.Repeat("}", 100000), strings.Repeat("a{", 70000), strings.Repeat("@x ", 50000),
		"~LST({A,B},{1,2) x\n", "${_RANDOM 5 1}${_RANDOM 1 99999999999}\n", "$A=\\\n", "\"", "'", "x \"\\", "~SEQ(A,$B,3) x\n",
		strings.Repeat("vrrp_sync_group a {\n", 3000),
		"vrrp_instance a {\n virtual_ipaddress {\n~SEQ(A,0,255) ~SEQ(B,0,255) 10.0.$A.$B\n",
		"~SEQ(A,1,30000) vrrp_instance i${A} { interface e",
		"vrrp_sync_group g {\n group {\n~SEQ(A,1,99999) i${A}\n}\n}\n~SEQ(A,1,9999) vrrp_instance i${A} { interface e }",
		"include " + strings.Repeat("{a,b}", 3000) + "\n",
		"router_id " + strings.Repeat("$", 60000) + "\n",
	}
}

// TestHostileTextIsBounded: time and memory stay within bounds that have
// nothing to do with what the text asks for.
func TestHostileTextIsBounded(t *testing.T) {
	for _, s := range hostile() {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		cfg, diags := parse(s, map[string]string{"a": s, "b": s})
		runtime.ReadMemStats(&after)
		if cfg == nil {
			t.Fatal("no configuration")
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 2<<30 {
			t.Errorf("%.60q: %d MB were allocated: %d messages", s, grown>>20, len(diags))
		}
		if len(diags) > 600 {
			t.Errorf("%.60q: %d messages", s, len(diags))
		}
	}
}
