package rule

import (
	"crypto/rand"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"os"
	"runtime"
	"strings"

	"evenkeel/internal/model"
)

func envInt(fn func(tx *Tx) int64) func(*binding, []string) (sampler, error) {
	return fixed(func(tx *Tx) (Value, bool) { return Int(fn(tx)), true })
}

func init() {
	addFetches("process", []FetchSpec{
		{Name: "env", Args: "(name)", Min: 1, Max: 1, Out: KindString, Phases: phaseAny, Help: "environment variable, as it was at start", build: func(b *binding, a []string) (sampler, error) {
			s, ok := os.LookupEnv(a[0])
			v := Str([]byte(s))
			return func(*Tx) (Value, bool) { return v, ok }, nil
		}},
		{Name: "hostname", Out: KindString, Phases: phaseAny, Help: "name of this machine", build: func(b *binding, a []string) (sampler, error) {
			s, _ := os.Hostname()
			return constant(Str([]byte(s)))
		}},
		{Name: "pid", Out: KindInt, Phases: phaseAny, Help: "process number", build: envInt(func(*Tx) int64 { return int64(os.Getpid()) })},
		{Name: "nbproc", Out: KindInt, Phases: phaseAny, Help: "number of worker processes", build: envInt(func(*Tx) int64 { return 1 })},
		{Name: "proc", Out: KindInt, Phases: phaseAny, Help: "number of this worker process", build: envInt(func(*Tx) int64 { return 1 })},
		{Name: "nbthread", Out: KindInt, Phases: phaseAny, Help: "number of loops", build: func(b *binding, a []string) (sampler, error) {
			n := runtime.GOMAXPROCS(0)
			if b.c.Config != nil && b.c.Config.Global.NbThread > 0 {
				n = b.c.Config.Global.NbThread
			}
			return constant(Int(int64(n)))
		}},
		{Name: "thread", Out: KindInt, Phases: phaseAny, Help: "number of this loop, from 0", build: envInt(func(tx *Tx) int64 { return int64(tx.Thread) })},
		{Name: "stopping", Out: KindBool, Phases: phaseAny, Help: "the process is stopping", build: fixed(func(tx *Tx) (Value, bool) {
			return Bool(tx.Env != nil && tx.Env.Stopping()), true
		})},
		{Name: "date", Args: "([offset[,unit]])", Max: 2, Out: KindInt, Phases: phaseAny, Help: "seconds (unit s), ms or us since 1970", build: buildDate},
		{Name: "date_us", Out: KindInt, Phases: phaseAny, Help: "microseconds of the current second", build: envInt(func(tx *Tx) int64 {
			return int64(tx.now().Nanosecond() / 1000)
		})},
		{Name: "accept_date", Args: "([unit])", Max: 1, Out: KindInt, Phases: phaseClient, Help: "when the connection was accepted", build: func(b *binding, a []string) (sampler, error) {
			per, err := dateUnit(strings.Join(a, ""))
			return func(tx *Tx) (Value, bool) { return Int(tx.Log.Accept.UnixMicro() / per), !tx.Log.Accept.IsZero() }, err
		}},
		{Name: "request_date", Args: "([unit])", Max: 1, Out: KindInt, Phases: phaseClient, Help: "when the request's first byte came", build: func(b *binding, a []string) (sampler, error) {
			per, err := dateUnit(strings.Join(a, ""))
			return func(tx *Tx) (Value, bool) { return Int(tx.Log.Request.UnixMicro() / per), !tx.Log.Request.IsZero() }, err
		}},
		{Name: "rand", Args: "([range])", Max: 1, Out: KindInt, Phases: phaseAny, Help: "random number below the range (2^32)", build: func(b *binding, a []string) (sampler, error) {
			limit := int64(1) << 32
			if len(a) == 1 && a[0] != "" {
				var rest []byte
				if limit, rest = readInt([]byte(a[0])); len(rest) > 0 || limit < 1 {
					return nil, fmt.Errorf("'%s' is not a positive number", a[0])
				}
			}
			return func(*Tx) (Value, bool) { return Int(mrand.Int64N(limit)), true }, nil
		}},
		{Name: "uuid", Args: "([version])", Max: 1, Out: KindString, Phases: phaseAny, Help: "random UUID", build: func(b *binding, a []string) (sampler, error) {
			if len(a) == 1 && a[0] != "4" && a[0] != "" {
				return nil, fmt.Errorf("unsupported UUID version %s: only 4 is", a[0])
			}
			return func(tx *Tx) (Value, bool) { return Str(appendUUID(tx.temp(36)[:0])), true }, nil
		}},
		{Name: "wait_end", Out: KindBool, Phases: phaseAny, Help: "true at the end of the inspection, when no more data is waited for", build: fixed(func(tx *Tx) (Value, bool) {
			if !tx.final() && tx.Phase&(PhaseTCPContent|PhaseTCPResponse) != 0 {
				tx.missing = true
				return Value{}, false
			}
			return Bool(true), true
		})},
	})
	addPoolFetches()
}

func dateUnit(s string) (int64, error) {
	switch s {
	case "", "s":
		return 1e6, nil
	case "ms":
		return 1e3, nil
	case "us":
		return 1, nil
	}
	return 1, fmt.Errorf("'%s' is not a unit: expects 's', 'ms' or 'us'", s)
}

func buildDate(b *binding, a []string) (sampler, error) {
	var offset int64
	if len(a) > 0 && a[0] != "" {
		var rest []byte
		if offset, rest = readInt([]byte(a[0])); len(rest) > 0 {
			return nil, fmt.Errorf("'%s' is not a number", a[0])
		}
	}
	unit := ""
	if len(a) > 1 {
		unit = a[1]
	}
	per, err := dateUnit(unit)
	return func(tx *Tx) (Value, bool) { return Int(tx.now().UnixMicro()/per + offset), true }, err
}

func appendUUID(dst []byte) []byte {
	var u [16]byte
	rand.Read(u[:])
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	for i, c := range u {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			dst = append(dst, '-')
		}
		dst = append(dst, lowerHex[c>>4], lowerHex[c&15])
	}
	return dst
}

const lowerHex = "0123456789abcdef"

// poolFetch asks Env about the proxy that the argument names, or the one that
// the rule stands in.
func poolFetch(name, help string, kind model.ProxyKind, fn func(e Env, proxy string) (int64, bool)) FetchSpec {
	return FetchSpec{Name: name, Args: "([proxy])", Max: 1, Out: KindInt, Phases: phaseAny, Help: help, build: func(b *binding, a []string) (sampler, error) {
		p, err := b.proxyName(a, kind)
		if err != nil {
			return nil, err
		}
		return func(tx *Tx) (Value, bool) {
			if tx.Env == nil {
				return Value{}, false
			}
			name := p
			if name == "" {
				if name = tx.proxyName(kind); name == "" {
					return Value{}, false
				}
			}
			n, ok := fn(tx.Env, name)
			return Int(n), ok
		}, nil
	}}
}

func (tx *Tx) proxyName(kind model.ProxyKind) string {
	if kind == model.KindFrontend && tx.Frontend != nil {
		return tx.Frontend.Name
	}
	if kind == model.KindBackend && tx.Backend != nil {
		return tx.Backend.Name
	}
	return ""
}

func (b *binding) proxyName(a []string, kind model.ProxyKind) (string, error) {
	if len(a) == 0 || a[0] == "" {
		if p := b.c.Proxy; p != nil && p.Kind&kind != 0 {
			return p.Name, nil
		}
		return "", nil
	}
	if b.c.Config != nil && b.c.Config.Proxy(a[0], kind) == nil {
		what := "backend"
		if kind == model.KindFrontend {
			what = "frontend"
		}
		return "", fmt.Errorf("unable to find %s '%s'", what, a[0])
	}
	return a[0], nil
}

// serverFetch asks Env about the server that the argument "[backend/]server"
// names.
func serverFetch(name, help string, out Kind, fn func(e Env, backend, server string) (int64, bool)) FetchSpec {
	return FetchSpec{Name: name, Args: "([backend/]server)", Min: 1, Max: 1, Out: out, Phases: phaseAny, Help: help, build: func(b *binding, a []string) (sampler, error) {
		be, srv, ok := strings.Cut(a[0], "/")
		if !ok {
			be, srv = "", a[0]
			if p := b.c.Proxy; p != nil {
				be = p.Name
			}
		}
		if srv == "" {
			return nil, errors.New("the name of the server is missing")
		}
		if be != "" && b.c.Config != nil {
			p := b.c.Config.Proxy(be, model.KindBackend)
			if p == nil {
				return nil, fmt.Errorf("unable to find backend '%s'", be)
			}
			found := false
			for _, s := range p.Backend.Servers {
				found = found || s.Name == srv
			}
			if !found {
				return nil, fmt.Errorf("unable to find server '%s' in backend '%s'", srv, be)
			}
		}
		return func(tx *Tx) (Value, bool) {
			if tx.Env == nil {
				return Value{}, false
			}
			n, ok := fn(tx.Env, be, srv)
			return Value{Kind: out, Int: n}, ok
		}, nil
	}}
}

func addPoolFetches() {
	always := func(f func(e Env, p string) int) func(e Env, p string) (int64, bool) {
		return func(e Env, p string) (int64, bool) { return int64(f(e, p)), true }
	}
	be, fe := model.ProxyKind(model.KindBackend), model.ProxyKind(model.KindFrontend)
	addFetches("pools and servers", []FetchSpec{
		poolFetch("nbsrv", "usable servers of a backend", be, func(e Env, p string) (int64, bool) {
			n, ok := e.NbSrv(p)
			return int64(n), ok
		}),
		poolFetch("be_conn", "connections of a backend", be, always(Env.BackendConns)),
		poolFetch("be_conn_free", "connections that a backend can still take", be, always(Env.BackendConnFree)),
		poolFetch("be_sess_rate", "new sessions a second of a backend", be, always(Env.BackendRate)),
		poolFetch("connslots", "free connections and queue places of a backend", be, always(Env.ConnSlots)),
		poolFetch("queue", "requests queued in a backend", be, always(Env.QueueLen)),
		poolFetch("avg_queue", "requests queued in a backend, a server", be, func(e Env, p string) (int64, bool) {
			n, ok := e.NbSrv(p)
			q := e.QueueLen(p)
			if n > 0 {
				return int64((q + n - 1) / n), ok
			}
			return int64(q * 2), ok
		}),
		poolFetch("fe_conn", "connections of a frontend", fe, always(Env.FrontendConns)),
		poolFetch("fe_sess_rate", "new sessions a second of a frontend", fe, always(Env.FrontendRate)),
		poolFetch("fe_req_rate", "requests a second of a frontend", fe, always(Env.FrontendReqRate)),
		serverFetch("srv_is_up", "the server is up", KindBool, func(e Env, b, s string) (int64, bool) {
			up, ok := e.ServerIsUp(b, s)
			return Bool(up).Int, ok
		}),
		serverFetch("srv_conn", "connections of a server", KindInt, func(e Env, b, s string) (int64, bool) { return int64(e.ServerConns(b, s)), true }),
		serverFetch("srv_conn_free", "connections that a server can still take", KindInt, func(e Env, b, s string) (int64, bool) { return int64(e.ServerConnFree(b, s)), true }),
		serverFetch("srv_queue", "requests queued for a server", KindInt, func(e Env, b, s string) (int64, bool) { return int64(e.ServerQueue(b, s)), true }),
		serverFetch("srv_sess_rate", "new sessions a second of a server", KindInt, func(e Env, b, s string) (int64, bool) { return int64(e.ServerRate(b, s)), true }),
		serverFetch("srv_weight", "effective weight of a server", KindInt, func(e Env, b, s string) (int64, bool) {
			w, _, _ := e.ServerWeights(b, s)
			return int64(w), true
		}),
		serverFetch("srv_iweight", "configured weight of a server", KindInt, func(e Env, b, s string) (int64, bool) {
			_, i, _ := e.ServerWeights(b, s)
			return int64(i), true
		}),
		serverFetch("srv_uweight", "weight of a server as last set", KindInt, func(e Env, b, s string) (int64, bool) {
			_, _, u := e.ServerWeights(b, s)
			return int64(u), true
		}),
	})
}
