package pool

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"evenkeel/internal/model"
)

func TestFreqCounter(t *testing.T) {
	var f FreqCounter
	now := int64(100 * second)
	for range 10 {
		f.Add(now, 1)
	}
	for _, step := range []struct {
		at   int64 // ms after the first event
		want int
	}{{0, 10}, {999, 10}, {1000, 10}, {1500, 5}, {1900, 1}, {2000, 0}, {50000, 0}} {
		if got := f.Rate(now + step.at*1e6); got != step.want {
			t.Errorf("after %d ms: %d, want %d", step.at, got, step.want)
		}
	}
	f = FreqCounter{}
	if f.Add(now, 5); f.Rate(now-second/2) > 5 {
		t.Error("a clock that lags sees more than there was")
	}
	// A steady 100 a second reads as 100 whatever the phase.
	f = FreqCounter{}
	for ms := range int64(5000) {
		if ms%10 == 0 {
			f.Add(now+ms*1e6, 1)
		}
		if got := f.Rate(now + ms*1e6); ms > 2000 && (got < 98 || got > 101) {
			t.Fatalf("at %d ms: %d", ms, got)
		}
	}
}

func TestPersistence(t *testing.T) {
	mk := func(redispatch, persist bool) *Backend {
		p := &model.Proxy{Backend: model.Backend{Servers: servers(3, func(i int, s *model.Server) {
			s.Cookie, s.Check.Enabled, s.MaxConn, s.MaxQueue = s.Name, true, 1, 1
		})}}
		if redispatch {
			p.Options.Redispatch = 1
		}
		p.Options.Persist = persist
		return newTest(t, p, Options{})
	}
	pick := func(b *Backend, ch Choice) (string, CookieState) {
		s, queued, err := b.Pick(&ch, &Waiter{Wake: func(*Server) {}})
		switch {
		case err != nil:
			return err.Error(), ch.CookieState
		case s == nil:
			return "backend queue", ch.CookieState
		case queued:
			return s.Name + " queue", ch.CookieState
		}
		return s.Name, ch.CookieState
	}
	check := func(what string, b *Backend, ch Choice, want string, state CookieState) {
		t.Helper()
		if got, st := pick(b, ch); got != want || st != state {
			t.Errorf("%s: %s %c, want %s %c", what, got, st.Letter(), want, state.Letter())
		}
	}
	b := mk(true, false)
	check("none", b, Choice{}, "s1", CookieNone)
	check("valid", b, Choice{Cookie: []byte("s3")}, "s3", CookieValid)
	check("full", b, Choice{Cookie: []byte("s3")}, "s3 queue", CookieValid)
	check("full with a full queue", b, Choice{Cookie: []byte("s3")}, "s2", CookieValid)
	check("unknown", b, Choice{Cookie: []byte("x")}, "backend queue", CookieInvalid)
	check("ignored", b, Choice{Cookie: []byte("s3"), Ignore: true}, "backend queue", CookieUnused)

	b = mk(false, false)
	b.Servers[2].CheckDone(refused)
	check("down", b, Choice{Cookie: []byte("s3")}, "s1", CookieDown)
	check("forced", b, Choice{Cookie: []byte("s3"), Force: true}, "s3", CookieDown)
	check("avoiding", b, Choice{Cookie: []byte("s2"), Avoid: b.Servers[1], CookieState: CookieValid}, "s2", CookieDown)
	check("no redispatch", b, Choice{Cookie: []byte("s1")}, "s1 queue", CookieValid)
	check("no redispatch, full", b, Choice{Cookie: []byte("s1")}, ErrQueueFull.Error(), CookieValid)

	b = mk(true, true)
	b.Servers[2].CheckDone(refused)
	check("option persist", b, Choice{Cookie: []byte("s3")}, "s3", CookieDown)
	if b.ServerByCookie([]byte("s2")) != b.Servers[1] || b.ServerByCookie([]byte("zz")) != nil {
		t.Error("ServerByCookie")
	}
}

func TestPreferLast(t *testing.T) {
	p := &model.Proxy{Backend: model.Backend{MaxKeepQueue: 2, Servers: servers(3, func(i int, s *model.Server) { s.MaxConn = 1; s.Check.Enabled = true })}}
	b := newTest(t, p, Options{})
	s3 := b.Servers[2]
	ch := Choice{Last: s3}
	if s, _, _ := b.Pick(&ch, nil); s != b.Servers[0] || ch.Persistent {
		t.Error("without the option the last server was kept:", s)
	}
	ch = Choice{Last: s3, LastMust: true}
	if s, _, _ := b.Pick(&ch, nil); s != s3 || !ch.Persistent {
		t.Error("authentication in course must keep the server:", s)
	}
	b.preferLast = true
	w := func() *Waiter { return &Waiter{Wake: func(*Server) {}} }
	ch = Choice{Last: s3}
	if s, queued, _ := b.Pick(&ch, w()); s != s3 || !queued {
		t.Error("option prefer-last-server", s, queued)
	}
	ch = Choice{Last: s3}
	if s, _, _ := b.Pick(&ch, w()); s != b.Servers[1] {
		t.Error("max-keep-alive-queue", s)
	}
	s3.CheckDone(refused)
	ch = Choice{Last: s3, LastMust: true}
	if s, queued, _ := b.Pick(&ch, w()); s != nil || !queued {
		t.Error("the last server is down", s)
	}
}

func TestPickServerDown(t *testing.T) {
	b, _, _ := simple(t, "roundrobin", 2, checked)
	b.Servers[0].CheckDone(refused)
	if _, _, err := b.PickServer(b.Servers[0], nil); !errors.Is(err, ErrServerDown) {
		t.Error(err)
	}
	if s, _, err := b.PickServerFor(b.Servers[0], &Choice{Force: true}, nil); err != nil || s != b.Servers[0] {
		t.Error(s, err)
	}
}

func TestAvoid(t *testing.T) {
	for _, algo := range []string{"roundrobin", "static-rr", "leastconn", "first", "random"} {
		b, _, _ := simple(t, algo, 2, nil)
		for range 20 {
			s, _, err := b.Pick(&Choice{Avoid: b.Servers[0]}, nil)
			must(t, err)
			if s != b.Servers[1] {
				t.Errorf("%s chose the server to avoid", algo)
			}
		}
		b.Servers[1].Disable()
		if s, _, err := b.Pick(&Choice{Avoid: b.Servers[0]}, nil); s != b.Servers[0] {
			t.Errorf("%s: there is no other server, and yet %v %v", algo, s, err)
		}
	}
}

func TestSetWeight(t *testing.T) {
	b, _, _ := simple(t, "roundrobin", 1, func(i int, s *model.Server) { s.Weight = weight(5) })
	s := b.Servers[0]
	for _, test := range []struct {
		in   string
		err  string
		want int
	}{
		{"10", "", 10}, {"50%", "", 2}, {"100%", "", 5}, {"0", "", 0}, {"256", "", 256}, {"10000%", "", 256},
		{"300", "Absolute weight can only be between 0 and 256 inclusive.", 256},
		{"-1", "Absolute weight can only be between 0 and 256 inclusive.", 256},
		{"-1%", "Relative weight must be positive.", 256},
		{"x", "Empty weight string empty or preceded by garbage", 256},
		{"99999999999999999999", "Absolute weight can only be between 0 and 256 inclusive.", 256},
		{"5x", "Trailing garbage in weight string", 256},
		{"", "Require <weight> or <weight%>.", 256},
	} {
		err := s.SetWeight(test.in)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if _, user := s.Weights(); got != test.err || user != test.want {
			t.Errorf("%q: %d %q, want %d %q", test.in, user, got, test.want, test.err)
		}
	}
	b, _, _ = simple(t, "static-rr", 2, nil)
	if err := b.Servers[0].SetWeight("2"); err == nil || !strings.Contains(err.Error(), "static LB algorithm") {
		t.Error(err)
	}
	must(t, b.Servers[0].SetWeight("0%"))
	same(t, "usable", b.Usable(), 1)
}

// The messages were taken from a running HAProxy 2.6.
func TestSetAddr(t *testing.T) {
	b, _, _ := simple(t, "roundrobin", 2, func(i int, s *model.Server) {
		s.Check.Enabled = i == 1
		if i == 2 {
			s.Addr.Port, s.Addr.PortMapped = 1000, true
		}
	})
	s := b.Servers[0]
	for _, test := range [][3]string{
		{"127.0.0.1", "", "no need to change the addr by 'x'"},
		{"127.0.0.2", "99", "IP changed from '127.0.0.1' to '127.0.0.2', port changed from '8001' to '99' by 'x'"},
		{"127.0.0.2", "100", "no need to change the addr, port changed from '99' to '100' by 'x'"},
		{"::1", "100", "IP changed from '127.0.0.2' to '::1', no need to change the port by 'x'"},
		{"127.0.0.1", "+1", "IP changed from '::1' to '127.0.0.1', can't change <port> to port map because it is incompatible with current health check port configuration (use 'port' statement from the 'server' directive. by 'x'"},
		{"x", "", "Invalid addr 'x' by 'x'"},
		{"::1", "70000", "provided port is not valid."},
	} {
		got, err := s.SetAddr(test[0], test[1], "x")
		if err != nil {
			got = err.Error()
		}
		same(t, strings.Join(test[:2], " "), got, test[2])
	}
	same(t, "address", s.Addr().Addr, "[::1]:100")
	mapped := b.Servers[1]
	dst := netip.MustParseAddrPort("9.9.9.9:80")
	e := mapped.Addr()
	same(t, "mapped", e.For(dst), "127.0.0.1:1080")
	if _, err := mapped.SetAddr("127.0.0.9", "", ""); err != nil {
		t.Fatal(err)
	}
	e = mapped.Addr()
	same(t, "still mapped", e.For(dst), "127.0.0.9:1080")
	msg, err := mapped.SetAddr("", "-10", "")
	must(t, err)
	e = mapped.Addr()
	same(t, "mapped anew", []any{msg, e.For(dst)}, "[port changed from '+1000' to '-10' 127.0.0.9:70]")
}

func TestCounters(t *testing.T) {
	b, c, _ := simple(t, "roundrobin", 1, nil)
	s := b.Servers[0]
	for i := range 3 {
		ch := Choice{Now: c.now}
		must2(b.Pick(&ch, nil))
		s.Finish(&Result{Now: c.now, Status: 200 + 100*i, BytesIn: 10, BytesOut: 100, Tw: 1, Tc: 2, Tr: 30 * (i + 1), Tt: 40,
			Retries: i, Connect: i == 0, Reuse: i > 0, Session: true})
	}
	ch := Choice{Now: c.now}
	must2(b.Pick(&ch, nil))
	s.Finish(&Result{Now: c.now, Err: ErrServerAbort, Status: 502, Session: true, Redispatched: true})
	b.End(&Result{Now: c.now, Err: ErrQueue})
	c.step(5 * time.Second)
	v := b.Snapshot(c.now)
	for i, k := range []*Counters{&v.Counters, &v.Servers[0].Counters} {
		same(t, "sums", []any{k.SessTotal, k.BytesIn, k.BytesOut, k.Retries, k.Redispatches, k.SrvAborts, k.ErrResp, k.ErrConn, k.ConnectTotal, k.ReuseTotal, k.LBTotal, k.SessCur, k.SessMax, k.LastSession},
			[]any{4, 30, 300, 3, 1, 1, 1, 1 - i, 1, 2, 4, 0, 1, 5})
		same(t, "statuses", k.HTTP, "[0 0 1 1 1 1]")
		same(t, "rates", []int{k.RateCur, k.RateMax, k.ReqRateMax}, "[0 4 4]")
	}
	same(t, "times", []any{v.Servers[0].Avg, v.Servers[0].Max}, "[{1 2 45 30} {1 2 90 40}]")
	b.ClearCounters(false)
	if v = b.Snapshot(c.now); v.SessMax != 0 || v.SessTotal != 4 {
		t.Error("clear counters")
	}
	b.ClearCounters(true)
	if v = b.Snapshot(c.now); v.SessTotal != 0 || v.LastSession != 5 {
		t.Error("clear counters all", v.SessTotal, v.LastSession)
	}
}

func TestMeanTime(t *testing.T) {
	var m meanTime
	for i := range uint64(5000) {
		m.add(100, min(i, samples))
	}
	same(t, "steady", m.mean(5000), 100)
	for range 5000 {
		m.add(7, samples)
	}
	same(t, "after a change", m.mean(10000), 7)
}

// The lines were taken from a running HAProxy 2.6.
func TestWriteState(t *testing.T) {
	c := newClock()
	p := &model.Proxy{Name: "b", ID: 3, Backend: model.Backend{Servers: servers(5, func(i int, s *model.Server) {
		s.Check.Enabled = i <= 2
		s.Disabled, s.Backup = i == 3, i == 4
		s.Addr.Port = 21398
		if i == 2 {
			s.Weight, s.Addr.Port = weight(5), 21397
		}
		if i == 5 {
			s.Track = "s1"
		}
	})}}
	b := newTest(t, p, Options{Now: c.Now})
	b.Servers[0].CheckDone(CheckReport{Status: CheckL7OK, Code: 200})
	b.Servers[1].CheckDone(refused)
	c.step(2 * time.Second)
	var out bytes.Buffer
	must(t, WriteState(&out, []*Backend{b}, c.now))
	want := "1\n" + StateHeader + `
3 b 1 s1 127.0.0.1 2 0 1 1 2 15 3 4 6 0 0 0 - 21398 - 0 0 - - 0
3 b 2 s2 127.0.0.1 0 0 5 5 2 8 2 0 6 0 0 0 - 21397 - 0 0 - - 0
3 b 3 s3 127.0.0.1 0 5 1 1 2 1 0 0 8 0 0 0 - 21398 - 0 0 - - 0
3 b 4 s4 127.0.0.1 2 0 1 1 2 1 0 2 0 0 0 0 - 21398 - 0 0 - - 0
3 b 5 s5 127.0.0.1 2 0 1 1 2 1 0 2 0 0 0 0 - 21398 - 0 0 - - 0
`
	same(t, "state", out.String(), want)
	// What was written loads into a fresh one.
	for _, s := range p.Backend.Servers {
		s.Cookie = s.Name
	}
	b2 := newTest(t, p, Options{Now: c.Now})
	warnings, err := LoadState(bytes.NewReader(out.Bytes()), []*Backend{b2}, c.now)
	must(t, err)
	same(t, "warnings", warnings, "[]")
	out.Reset()
	must(t, WriteState(&out, []*Backend{b2}, c.now))
	same(t, "state after loading", out.String(), want)
	same(t, "usable", b2.Usable(), 2)
}

func TestLoadStateErrors(t *testing.T) {
	b, _, _ := simple(t, "roundrobin", 1, nil)
	if _, err := LoadState(strings.NewReader("2\n"), []*Backend{b}, 0); err == nil {
		t.Error("version 2 was taken")
	}
	text := "1\n# x\n\n3 b 1 s1 127.0.0.1\n3 b 1 s1 127.0.0.1 9 0 1 1 2 15 3 4 6 0 0 0 - 1 - 0 0 - - 0\n" +
		"3 b 1 s1 127.0.0.1 x 0 1 1 2 15 3 4 6 0 0 0 - 1 - 0 0 - - 0\n9 gone 1 s1 127.0.0.1 2 0 1 1 2 15 3 4 6 0 0 0 - 1 - 0 0 - - 0\n"
	warnings, err := LoadState(strings.NewReader(text), []*Backend{b}, 0)
	must(t, err)
	same(t, "warnings", len(warnings), 3)
}

func FuzzLoadState(f *testing.F) {
	f.Add("1\n3 b 1 s1 127.0.0.1 2 0 1 1 2 15 3 4 6 0 0 0 - 21398 - 0 0 - - 0\n")
	f.Add("1\n3 b 2 s2 ::1 1 35 256 1 99 17 2 1 14 19 0 0 name 0 - 0 0 - - 0\n")
	f.Fuzz(func(t *testing.T, text string) {
		b, c, _ := simple(t, "roundrobin", 2, func(i int, s *model.Server) { s.Check.Enabled = i == 1; s.SlowStart = time.Second })
		_, _ = LoadState(strings.NewReader(text), []*Backend{b}, c.now)
		for range 3 {
			if s, _, err := b.Pick(&Choice{}, nil); err == nil {
				s.Release(true)
			}
		}
		b.Snapshot(c.now)
	})
}

func TestSaveAndLoad(t *testing.T) {
	c := newClock()
	mk := func(f func(i int, s *model.Server)) *Backend {
		p := &model.Proxy{Backend: model.Backend{Servers: servers(5, f)}}
		return newTest(t, p, Options{Now: c.Now})
	}
	conf := func(i int, s *model.Server) {
		s.Check.Enabled, s.Weight, s.MaxConn = i < 4, weight(10), 100
		s.Disabled = i == 5
	}
	a := mk(conf)
	a.Servers[0].CheckDone(refused)
	must(t, a.Servers[1].SetAdmin("maint"))
	must(t, a.Servers[2].SetWeight("50%"))
	must(t, a.Servers[2].SetMaxConn(7))
	_, err := a.Servers[2].SetAddr("10.0.0.1", "", "")
	must(t, err)
	a.Servers[3].SetCheckEnabled(false)
	a.Servers[4].Enable()
	c.step(10 * time.Second)
	saved := a.Save(c.now)
	var viaGob, viaJSON SavedBackend
	var buf bytes.Buffer
	must(t, gob.NewEncoder(&buf).Encode(saved))
	must(t, gob.NewDecoder(&buf).Decode(&viaGob))
	data, err := json.Marshal(saved)
	must(t, err)
	must(t, json.Unmarshal(data, &viaJSON))
	if !reflect.DeepEqual(saved, viaGob) || !reflect.DeepEqual(saved, viaJSON) {
		t.Errorf("changed on the way:\n%+v\n%+v\n%+v", saved, viaGob, viaJSON)
	}
	b := mk(conf)
	b.Load(&viaGob, c.now)
	if again := b.Save(c.now); !reflect.DeepEqual(saved, again) {
		t.Errorf("after loading\n%+v\nwant\n%+v", again, saved)
	}
	same(t, "usable", b.Usable(), 3)

	// The configuration changed meanwhile: it wins.
	b = mk(func(i int, s *model.Server) {
		conf(i, s)
		s.Weight, s.MaxConn, s.Disabled = weight(20), 50, i == 4
		s.Addr.Host = "127.0.0.2"
	})
	b.Load(&viaGob, c.now)
	v := b.Snapshot(c.now).Servers
	same(t, "s3", []any{v[2].UserWeight, v[2].SessLimit, v[2].Addr}, "[20 50 127.0.0.2:8003]")
	same(t, "statuses", []string{v[0].Status, v[1].Status, v[3].Status, v[4].Status}, "[DOWN MAINT MAINT no check]")
}

func TestSlots(t *testing.T) {
	b, _, _ := simple(t, "roundrobin", 3, func(i int, s *model.Server) {
		s.MaxConn, s.MaxQueue, s.Disabled = 10, 5, i == 3
	})
	b.Pick(&Choice{}, nil)
	same(t, "slots", b.Slots(), 29)
	b.Server("s1").Model.MaxQueue = 0
	same(t, "no limit", b.Slots(), -1)
	if b.Server("#2") != b.Servers[1] || b.Server("x") != nil || b.Server("2") != nil {
		t.Error("Server")
	}
}

func TestDynamicCookie(t *testing.T) {
	// XXH64 test vectors of the xxHash specification's implementation.
	for in, want := range map[string]uint64{
		"": 0xef46db3751d8e999, "a": 0xd24ec4f1a98c6e5b, "abc": 0x44bc2cf5ad770999,
		"Nobody inspects the spammish repetition": 0xfbcea83c8a378bf1,
	} {
		if got := xxh64([]byte(in)); got != want {
			t.Errorf("%q: %x, want %x", in, got, want)
		}
	}
	p := &model.Proxy{Backend: model.Backend{Servers: servers(2, nil), DynamicCookieKey: "secret",
		Cookie: &model.Persistence{Name: "C", Dynamic: true}}}
	b := newTest(t, p, Options{})
	// As a running HAProxy 2.6 shows them.
	same(t, "cookies", []string{b.Servers[0].CookieValue(), b.Servers[1].CookieValue()}, "[5257c60a33986867 4cd3fd64db3c9e74]")
	v := b.Servers[1].CookieValue()
	if s := b.ServerByCookie([]byte(v)); len(v) != 16 || s != b.Servers[1] {
		t.Errorf("cookie %q names %v", v, s)
	}
	b.Servers[1].SetAddr("127.0.0.9", "", "")
	if b.Servers[1].CookieValue() == v {
		t.Error("the cookie does not follow the address")
	}
}

func TestBadBackends(t *testing.T) {
	for _, p := range []*model.Proxy{
		{Backend: model.Backend{Balance: model.Balance{Algorithm: "magic"}}},
		{Backend: model.Backend{HashType: model.HashType{Function: "md5"}}},
		{Backend: model.Backend{Servers: append(servers(1, nil), servers(1, nil)...)}},
	} {
		if _, err := New(p, Options{}); err == nil {
			t.Errorf("%+v was taken", p.Backend)
		}
	}
	b := newTest(t, &model.Proxy{}, Options{})
	if _, _, err := b.Pick(&Choice{}, nil); !errors.Is(err, ErrNoServer) {
		t.Error("no servers:", err)
	}
}

func TestNoAllocations(t *testing.T) {
	for _, algo := range []string{"roundrobin", "leastconn", "uri", "random", "first", "static-rr"} {
		b, c, _ := simple(t, algo, 5, func(i int, s *model.Server) { s.MaxConn = 1; s.Cookie = s.Name })
		w := &Waiter{Wake: func(s *Server) {}}
		res := Result{Now: c.now, Status: 200, Session: true}
		cookie := []byte("s3")
		if n := testing.AllocsPerRun(100, func() {
			ch := Choice{Now: c.now, Cookie: cookie}
			s, _, _ := b.Pick(&ch, w)
			s2, queued, _ := b.PickServer(s, w)
			s.Finish(&res)
			if queued && s2 == s {
				s.Release(true)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", algo, n)
		}
	}
}

func TestInitialAddress(t *testing.T) {
	bad := errors.New("no such host")
	mk := func(init string) (*Backend, error) {
		p := &model.Proxy{Name: "b", Backend: model.Backend{Servers: servers(1, func(i int, s *model.Server) {
			s.Addr.Host, s.InitAddr = "nowhere.example", init
		})}}
		return New(p, Options{Resolve: func(string) (netip.Addr, error) { return netip.Addr{}, bad }})
	}
	if _, err := mk(""); !errors.Is(err, bad) {
		t.Error("a name that does not resolve was taken:", err)
	}
	b, err := mk("last,libc,10.1.2.3")
	must(t, err)
	same(t, "literal", b.Servers[0].Addr().Addr, "10.1.2.3:8001")
	b, err = mk("libc,none")
	must(t, err)
	same(t, "none", b.Snapshot(0).Servers[0].Status, "MAINT (resolution)")
	b.Servers[0].SetResolvedAddr(netip.MustParseAddr("10.9.9.9"), "DNS")
	b.Servers[0].SetResolved(true)
	same(t, "later", []any{b.Servers[0].Addr().Addr, b.Usable()}, "[10.9.9.9:8001 1]")
}
