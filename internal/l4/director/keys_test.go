package director

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"evenkeel/internal/l4"
	"evenkeel/internal/l4/flowsync"
	"evenkeel/internal/model"
)

// encrypting is the fake plane, as one whose teller can encrypt.
type encrypting struct{ syncPlane }

func (p *encrypting) Features() l4.Features {
	f := p.syncPlane.Features()
	f.SyncKey = true
	return f
}

const (
	key1 = "MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE="
	key2 = "MjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjI="
)

// TestPairKeys: the key comes from its file, another one is used from the
// reload on without beginning anew, and without a key that can be used nothing is
// told.
func TestPairKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	write := func(text string, mode os.FileMode) {
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	keyed := func(l *model.LVSGlobal) {
		l.SyncKeyFile, l.SyncKeyPos = path, model.Pos{File: "k.conf", Line: 7, Col: 22}
	}
	synctest.Test(t, func(t *testing.T) {
		x := &script{}
		s, _ := pairService(t, &encrypting{}, x.open)
		refused := func(want string) {
			t.Helper()
			d := s.Configure(pairConfig(keyed))
			text := ""
			for _, m := range d {
				text += m.String() + "\n"
			}
			if !d.HasErrors() || !strings.Contains(text, "k.conf:7:22: lvs_sync_key_file: "+path) || !strings.Contains(text, want) || strings.Contains(text, key1[:8]) {
				t.Errorf("%q", text)
			}
		}
		refused("does not exist")
		write(key1, 0o644)
		refused("chmod 600")
		write(key1+"x", 0o600)
		refused("line 1 is not a key")
		write(key1, 0o600)
		configure(t, s, keyed)
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		defer s.Stop()
		for _, c := range []struct{ name, file, want string }{
			{"at first", key1, "open eth0 51 with 1 keys, active true"},
			{"the same again", "# the key\n" + key1 + "\n", "active true"},
			{"another one", key1 + "\n" + key2 + "\n", "rekey 2 keys, active true"},
			{"in another order", key2 + "\n" + key1 + "\n", "rekey 2 keys, active true"},
			{"the old one goes", key2 + "\n", "rekey 1 keys, active true"},
		} {
			write(c.file, 0o600)
			configure(t, s, keyed)
			s.Apply()
			synctest.Wait()
			if got := x.take(); got != c.want && got != c.want+", active true" {
				t.Errorf("%s: %s, want %s", c.name, got, c.want)
			}
		}
		if x.settings.Keys.Equal(flowsync.Keys{}) {
			t.Error("it was opened without a key")
		}
		configure(t, s, func(*model.LVSGlobal) {})
		s.Apply()
		synctest.Wait()
		if got := x.take(); got != "rekey no keys, active true" {
			t.Errorf("without a file: %s", got)
		}
	})
}

// TestKeyNotForAll: a plane whose kernel tells by itself does not do it without
// the key that is asked for.
func TestKeyNotForAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(key1), 0o600); err != nil {
		t.Fatal(err)
	}
	s, _ := pairService(t, &syncPlane{}, (&script{}).open)
	s.opt.Backends = append(s.opt.Backends, Backend{Name: "other", Features: func() l4.Features { return l4.Features{Name: "other", SyncKey: true} }})
	d := s.Configure(pairConfig(func(l *model.LVSGlobal) { l.SyncKeyFile = path }))
	if len(d) != 1 || d[0].Severity != model.Error || !strings.Contains(d[0].Message, "cannot encrypt") || d[0].Cure != "write 'lvs_backend other' in global_defs, or take lvs_sync_key_file out" {
		t.Errorf("%v", d)
	}
}
