package certs

import (
	"crypto/tls"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"evenkeel/internal/model"
)

// clock is a time that a test moves.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func ticketStore(t *testing.T, d disk, c *clock, bt *model.BindTLS, life time.Duration) (*Store, *tls.Config) {
	t.Helper()
	cfg, b := line(bt)
	cfg.Global.Tune.SSLLifetime = life
	o := d.options()
	o.Now = c.now
	s, diags := Load(cfg, o)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return s, s.Bind(b)
}

func ticketDisk(t *testing.T) disk {
	root := issue(t, nil, spec{cn: "root", ca: true})
	keys := ""
	for i := range 4 {
		keys += base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string(rune('a'+i)), 80))) + "\n"
	}
	return disk{"/a.pem": issue(t, root, spec{names: []string{"a.test"}}).both(t), "/keys": keys}
}

func resumes(t *testing.T, server *tls.Config, c *tls.Config) bool {
	t.Helper()
	r := handshake(t, server, c)
	if r.clientErr != nil {
		t.Fatal(r.clientErr, r.serverErr)
	}
	return r.server.DidResume
}

func TestResumptionAcrossWorkers(t *testing.T) {
	d := ticketDisk(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, bt := range []*model.BindTLS{
			{Certs: crts("/a.pem")},
			{Certs: crts("/a.pem"), ALPN: []string{"http/1.1"}, StrictSNI: true},
		} {
			now := &clock{testNow}
			s1, b1 := ticketStore(t, d, now, bt, 0)
			s2, b2 := ticketStore(t, d, now, bt, 0)
			c := anyServer("a.test")
			c.MaxVersion = version
			c.NextProtos = []string{"http/1.1"}
			c.ClientSessionCache = &oneSession{}
			if resumes(t, b1, c) || !resumes(t, b1, c) {
				t.Fatal("the first worker does not resume its own session")
			}
			if resumes(t, b2, c) {
				t.Fatal("a worker resumes without the keys")
			}
			if resumes(t, b1, c) {
				t.Fatal("the first worker resumes a session of another key")
			}
			s2.SetTicketKeys(s1.TicketKeys())
			if !resumes(t, b2, c) {
				t.Errorf("%x: no resumption after the keys were handed over", version)
			}
		}
	}
}

func TestTicketKeyRotation(t *testing.T) {
	now := &clock{testNow}
	s, b := ticketStore(t, ticketDisk(t), now, &model.BindTLS{Certs: crts("/a.pem")}, 0)
	first := s.TicketKeys()[0]
	c := anyServer("a.test")
	c.ClientSessionCache = &oneSession{}
	resumes(t, b, c)
	old := *c.ClientSessionCache.(*oneSession)
	now.t = now.t.Add(keyPeriod)
	resumes(t, b, anyServer("a.test"))
	keys := s.TicketKeys()
	if len(keys) != 2 || keys[0] == first || keys[1] != first {
		t.Fatalf("after one period: %d keys", len(keys))
	}
	c.ClientSessionCache = &oneSession{old.state}
	if !resumes(t, b, c) {
		t.Error("the old key is not used any more")
	}
	for range 2 {
		now.t = now.t.Add(keyPeriod)
		resumes(t, b, anyServer("a.test"))
	}
	if keys = s.TicketKeys(); len(keys) != keptKeys {
		t.Errorf("%d keys are kept, not %d", len(keys), keptKeys)
	}
	c.ClientSessionCache = &oneSession{old.state}
	if resumes(t, b, c) {
		t.Error("the first key is used for ever")
	}
}

func TestSessionLifetime(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		now := &clock{testNow}
		_, b := ticketStore(t, ticketDisk(t), now, &model.BindTLS{Certs: crts("/a.pem")}, 5*time.Minute)
		c := anyServer("a.test")
		c.MaxVersion = version
		c.ClientSessionCache = &oneSession{}
		resumes(t, b, c)
		now.t = now.t.Add(4 * time.Minute)
		kept := c.ClientSessionCache.(*oneSession).state
		if !resumes(t, b, c) {
			t.Errorf("%x: not resumed within the lifetime", version)
		}
		now.t = now.t.Add(2 * time.Minute)
		c.ClientSessionCache = &oneSession{kept}
		if resumes(t, b, c) {
			t.Errorf("%x: resumed after the lifetime", version)
		}
	}
}

func TestTicketKeyFile(t *testing.T) {
	d := ticketDisk(t)
	now := &clock{testNow}
	bt := &model.BindTLS{Certs: crts("/a.pem"), TicketKeys: "/keys"}
	_, b1 := ticketStore(t, d, now, bt, 0)
	s2, b2 := ticketStore(t, d, now, bt, 0)
	s2.SetTicketKeys([][32]byte{{1}})
	c := anyServer("a.test")
	c.ClientSessionCache = &oneSession{}
	resumes(t, b1, c)
	if !resumes(t, b2, c) {
		t.Error("two machines with one file do not share sessions")
	}
	// The last key but one seals: with one more key the old seal is known.
	d["/keys"] += base64.StdEncoding.EncodeToString([]byte(strings.Repeat("z", 80))) + "\n"
	_, b3 := ticketStore(t, d, now, bt, 0)
	if !resumes(t, b3, c) {
		t.Error("appending a key loses sessions")
	}
}

func TestTicketKeyFileErrors(t *testing.T) {
	k := func(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) + "\n" }
	for text, want := range map[string]string{
		k(80) + k(80):          "2 keys are too few",
		k(80) + k(48) + k(80):  "line 2 mixes",
		k(80) + "?\n" + k(80):  "line 2 is not base64",
		k(80) + k(80) + k(32):  "32 bytes",
		k(48) + k(48) + k(48):  "",
		k(80) + k(80) + k(80):  "",
		"\n" + k(80) + k(80):   "too few",
		k(80) + k(80) + "\n\n": "too few",
	} {
		_, bad := parseTicketKeys([]byte(text))
		got := ""
		if bad != nil {
			got = bad.Error()
		}
		if (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%q: %q, not %q", text, got, want)
		}
	}
}

func TestNoTickets(t *testing.T) {
	bt := &model.BindTLS{Certs: crts("/a.pem")}
	bt.Versions.NoTickets = true
	_, b := ticketStore(t, ticketDisk(t), &clock{testNow}, bt, 0)
	c := anyServer("a.test")
	c.ClientSessionCache = &oneSession{}
	resumes(t, b, c)
	if resumes(t, b, c) {
		t.Error("a ticket was given out")
	}
}
