package rule

import (
	"encoding/base64"
	"strings"
	"testing"

	"evenkeel/internal/message"
	"evenkeel/internal/model"
)

// The hashes were made by glibc's crypt(3).
func TestCrypt(t *testing.T) {
	for _, tt := range []struct{ pass, hash string }{
		{"Hello world!", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"},
		{"Hello world!", "$5$rounds=10000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA"},
		{"a very much longer text to encrypt.  This one even stretches over morethan one line.", "$6$anotherlongsalts$zCB2J77iwc/56nB80mcnR6gCDELuiqcwDzPCm3OZnzRQyxT9pVMJ2vfOf0YI0AvrvfVu.AqASga4nxwhEPO7Z0"},
		{"", "$6$x$QSmr1Bx2g4O6BzKvdkgOcyU6H91X6I/XBv5pSalMhSPkwdH6Beo3F455xZJg0v//bxVK5F4OE5k1.0xuR26MK0"},
		{"pässwörd", "$1$abcdefgh$xYuxUFvxUOR4Pd6a7EeUS0"},
		{"secret", "$1$x$0AXOYAuOs.uNCmG2qRI8W."},
		{"the quick brown fox jumps over", "$1$12345678$yZ.V23JKiLI/Y7Dg4etBG/"},
	} {
		if got := Crypt([]byte(tt.pass), tt.hash); got != tt.hash {
			t.Errorf("%s: got %s", tt.hash, got)
		}
		if verifyCrypt(tt.hash, []byte(tt.pass+"x")) {
			t.Errorf("%s: another password is taken", tt.hash)
		}
	}
	if checkCrypt("abJnggxhB/yWI") == nil || Crypt(nil, "abJnggxhB/yWI") != "" {
		t.Error("DES is not refused")
	}
}

func TestHTTPAuth(t *testing.T) {
	c := newTestCompiler(t)
	c.Config.Userlists = []*model.Userlist{{Name: "L", Groups: []model.UserGroup{{Name: "admins", Users: []string{"ann"}}},
		Users: []model.User{{Name: "ann", Insecure: "a:b"}, {Name: "bob", Password: "$1$x$0AXOYAuOs.uNCmG2qRI8W.", Groups: []string{"staff", "ops"}}}}}
	auth := c.Cond(parseTest("http_auth(L)"), PhaseHTTPRequest)
	group := c.Cond(parseTest("http_auth_group(L) ops admins"), PhaseHTTPRequest)
	noDiagnostics(t, c)
	for _, tt := range []struct {
		header      string
		auth, group bool
	}{
		{"", false, false}, {"ann:a:b", true, true}, {"ann:x", false, false}, {"bob:secret", true, true}, {"bob:secret", true, true}, {"bob:", false, false}, {"eve:secret", false, false},
	} {
		tx := newTx()
		if tt.header != "" {
			tx.Req.Add(message.FieldAuthorization, []byte("Authorization"), []byte("Basic "+base64.StdEncoding.EncodeToString([]byte(tt.header))))
		}
		if a, g := auth(tx), group(tx); a != tt.auth || g != tt.group {
			t.Errorf("%s: %v %v", tt.header, a, g)
		}
	}
	c.Config.Userlists[0].Users[0] = model.User{Name: "old", Password: "abJnggxhB/yWI"}
	c.Cond(parseTest("http_auth(L)"), PhaseHTTPRequest)
	if len(c.Diagnostics) != 1 || !strings.Contains(c.Diagnostics[0].Message, "mkpasswd") {
		t.Errorf("DES: %v", c.Diagnostics)
	}
}
