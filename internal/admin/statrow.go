package admin

import (
	"strconv"
	"time"

	"evenkeel/internal/pool"
)

// Object types of `show stat`, as bits of its second argument.
const (
	objFrontend = 1 << iota
	objBackend
	objServer
	objListener
)

// Row is one object of the statistics.
type Row struct {
	Object int // objFrontend …
	IID    int
	SID    int
	Cells  [fCount]Value
}

// Letter is the object's letter in typed output.
func (r *Row) Letter() byte {
	switch r.Object {
	case objFrontend:
		return 'F'
	case objBackend:
		return 'B'
	case objServer:
		return 'S'
	}
	return 'L'
}

func (r *Row) objectName() string {
	switch r.Object {
	case objFrontend:
		return "Frontend"
	case objBackend:
		return "Backend"
	case objServer:
		return "Server"
	}
	return "Listener"
}

// Statistics lists the rows of proxies in their order: frontend, listeners,
// servers, backend. yield returns false to end it.
func Statistics(proxies []Proxy, now int64, yield func(*Row) bool) {
	for _, p := range proxies {
		if p.Frontend != nil {
			f := p.Frontend.Snapshot(now)
			if !yield(frontendRow(p.Name, p.ID, &f)) {
				return
			}
			for i := range f.Listeners {
				if !yield(listenerRow(p.Name, p.ID, f.HTTP, &f.Listeners[i])) {
					return
				}
			}
		}
		if p.Backend != nil {
			b := p.Backend.Snapshot(now)
			for i := range b.Servers {
				if !yield(serverRow(&b, &b.Servers[i])) {
					return
				}
			}
			if !yield(backendRow(&b)) {
				return
			}
		}
	}
}

func newRow(object int, px, sv string, iid, sid int) *Row {
	r := &Row{Object: object, IID: iid, SID: sid}
	r.Cells[fPxname] = Str(px)
	r.Cells[fSvname] = Str(sv)
	r.Cells[fPid] = U32(1)
	r.Cells[fIid] = U32(iid)
	r.Cells[fSid] = U32(sid)
	return r
}

func modeName(http bool) string {
	if http {
		return "http"
	}
	return "tcp"
}

// responses fills hrsp_1xx to hrsp_other from counts of other, 1xx … 5xx.
func (r *Row) responses(n [6]int64) {
	for i := 1; i < 6; i++ {
		r.Cells[fHrsp1xx+i-1] = U64(n[i])
	}
	r.Cells[fHrspOther] = U64(n[0])
}

func frontendRow(name string, id int, f *FrontendSnapshot) *Row {
	r := newRow(objFrontend, name, "FRONTEND", id, 0)
	c := &r.Cells
	c[fType] = U32(0)
	c[fScur], c[fSmax], c[fSlim] = U32(int(f.SessCur)), U32(int(f.SessMax)), U32(int(f.SessLimit))
	c[fStot], c[fBin], c[fBout] = U64(f.SessTotal), U64(f.BytesIn), U64(f.BytesOut)
	c[fDreq], c[fDresp], c[fEreq] = U64(f.DeniedReq), U64(f.DeniedResp), U64(f.ErrReq)
	c[fStatus] = Str(string(f.Status))
	c[fRate], c[fRateLim], c[fRateMax] = U32(f.Rate), U32(f.RateLimit), U32(f.RateMax)
	c[fReqRate], c[fReqRateMax], c[fReqTot] = U32(f.ReqRate), U32(f.ReqRateMax), U64(f.Requests)
	c[fCompIn], c[fCompOut] = U64(f.CompIn), U64(f.CompOut)
	c[fCompByp], c[fCompRsp] = U64(f.CompBypassed), U64(f.CompResponses)
	c[fMode] = Str(modeName(f.HTTP))
	c[fConnRate], c[fConnRateMax], c[fConnTot] = U32(f.ConnRate), U32(f.ConnRateMax), U64(f.ConnTotal)
	c[fDcon], c[fDses] = U64(f.DeniedConn), U64(f.DeniedSess)
	c[fWrew], c[fEint] = U64(f.FailedRewrites), U64(f.InternalErrors)
	if f.HTTP {
		r.responses(f.HTTPStatus)
		c[fIntercepted] = U64(f.Intercepted)
		c[fCacheLookups], c[fCacheHits] = U64(f.CacheLookups), U64(f.CacheHits)
	}
	c[fSessOther], c[fH1Sess], c[fH2Sess], c[fH3Sess] = U64(f.SessOther), U64(f.SessH1), U64(0), U64(0)
	c[fReqOther], c[fH1Req], c[fH2Req], c[fH3Req] = U64(f.ReqOther), U64(f.ReqH1), U64(0), U64(0)
	c[fSSLSess], c[fSSLReused], c[fSSLFailed] = U64(f.TLSSessions), U64(f.TLSReused), U64(f.TLSFail)
	return r
}

func listenerRow(px string, id int, http bool, l *ListenerSnapshot) *Row {
	r := newRow(objListener, px, l.Name, id, l.ID)
	c := &r.Cells
	c[fType] = U32(3)
	c[fScur], c[fSmax], c[fSlim] = U32(int(l.SessCur)), U32(int(l.SessMax)), U32(int(l.SessLimit))
	c[fStot], c[fBin], c[fBout] = U64(l.SessTotal), U64(l.BytesIn), U64(l.BytesOut)
	c[fDreq], c[fDresp], c[fEreq] = U64(l.DeniedReq), U64(l.DeniedResp), U64(l.ErrReq)
	c[fStatus], c[fAddr], c[fMode] = Str(l.Status), Str(l.Addr), Str(modeName(http))
	return r
}

// shared fills what a server's and a backend's rows have in common.
func (r *Row) shared(n *pool.Counters, http bool) {
	c := &r.Cells
	c[fQcur], c[fQmax] = U32(n.QueueCur), U32(n.QueueMax)
	c[fScur], c[fSmax] = U32(int(n.SessCur)), U32(int(n.SessMax))
	c[fStot], c[fBin], c[fBout] = U64(n.SessTotal), U64(n.BytesIn), U64(n.BytesOut)
	c[fDresp] = U64(n.DeniedResp)
	c[fEcon], c[fEresp] = U64(n.ErrConn), U64(n.ErrResp)
	c[fWretr], c[fWredis] = U64(n.Retries), U64(n.Redispatches)
	c[fLbtot] = U64(n.LBTotal)
	c[fRate], c[fRateMax] = U32(n.RateCur), U32(n.RateMax)
	c[fLastchg] = U32(int(n.LastChange))
	c[fCliAbrt], c[fSrvAbrt] = U64(n.CliAborts), U64(n.SrvAborts)
	c[fLastsess] = S32(int(n.LastSession))
	c[fQtime], c[fCtime], c[fRtime], c[fTtime] = U32(n.Avg.Queue), U32(n.Avg.Connect), U32(n.Avg.Response), U32(n.Avg.Total)
	c[fQtimeMax], c[fCtimeMax], c[fRtimeMax], c[fTtimeMax] = U32(n.Max.Queue), U32(n.Max.Connect), U32(n.Max.Response), U32(n.Max.Total)
	c[fMode] = Str(modeName(http))
	c[fWrew], c[fEint] = U64(0), U64(n.InternalErrors)
	c[fConnect], c[fReuse] = U64(n.ConnectTotal), U64(n.ReuseTotal)
	c[fSSLSess], c[fSSLReused], c[fSSLFailed] = U64(0), U64(0), U64(0)
	if http {
		r.responses(n.HTTP)
		c[fReqTot] = U64(n.Requests)
	}
}

func backendRow(b *pool.Snapshot) *Row {
	r := newRow(objBackend, b.Name, "BACKEND", b.ID, 0)
	c := &r.Cells
	http := b.Mode == "http"
	r.shared(&b.Counters, http)
	c[fType] = U32(1)
	c[fSlim] = U32(b.SessLimit)
	c[fDreq] = U64(b.DeniedReq)
	c[fStatus] = Str(b.Status)
	c[fWeight], c[fAct], c[fBck] = U32(b.Weight), U32(b.Active), U32(b.Backup)
	c[fChkdown], c[fDowntime] = U64(b.Downs), U32(int(b.Downtime))
	c[fCompIn], c[fCompOut] = U64(b.CompIn), U64(b.CompOut)
	c[fCompByp], c[fCompRsp] = U64(b.CompBypassed), U64(b.CompResponses)
	c[fAlgo], c[fCookie] = optional(b.Algo), optional(b.Cookie)
	if http {
		c[fCacheLookups], c[fCacheHits] = U64(b.CacheLookups), U64(b.CacheHits)
	}
	user := 0
	for i := range b.Servers {
		if s := &b.Servers[i]; s.Weight > 0 && s.Active && s.Oper != pool.Stopped {
			user += s.UserWeight
		}
	}
	c[fUweight] = U32(user)
	c[fAggServerStatus], c[fAggServerCheckStatus], c[fAggCheckStatus] = U32(0), U32(0), U32(0)
	return r
}

func serverRow(b *pool.Snapshot, s *pool.ServerSnapshot) *Row {
	r := newRow(objServer, b.Name, s.Name, b.ID, s.ID)
	c := &r.Cells
	r.shared(&s.Counters, b.Mode == "http")
	c[fType] = U32(2)
	if s.SessLimit > 0 {
		c[fSlim] = U32(s.SessLimit)
	}
	if s.QueueLimit > 0 {
		c[fQlimit] = U32(s.QueueLimit)
	}
	c[fStatus], c[fWeight] = Str(s.Status), U32(s.Weight)
	c[fAct], c[fBck] = flag(s.Active), flag(s.IsBackup)
	if s.Checked || s.Agented {
		c[fChkfail], c[fChkdown], c[fDowntime] = U64(s.FailedChecks), U64(s.Downs), U32(int(s.Downtime))
	}
	if s.Throttle >= 0 {
		c[fThrottle] = U32(s.Throttle)
	}
	c[fTracked] = optional(s.Tracked)
	if s.FailedHana > 0 {
		c[fHanafail] = U64(s.FailedHana)
	}
	if s.Checked && s.Check.Enabled && !s.Check.Paused {
		r.check(&s.Check, fCheckStatus, fCheckCode, fCheckDuration, fLastChk, fCheckDesc, fCheckRise)
	}
	if s.Agented && s.Agent.Enabled && !s.Agent.Paused {
		r.check(&s.Agent, fAgentStatus, fAgentCode, fAgentDuration, fLastAgt, fAgentDesc, fAgentRise)
	}
	c[fAddr], c[fCookie] = optional(s.Addr), optional(s.Cookie)
	c[fSrvIcur] = U32(s.IdleConns)
	if s.PoolMaxConn >= 0 {
		c[fSrvIlim] = U32(s.PoolMaxConn)
	}
	c[fIdleConnCur], c[fSafeConnCur] = U32(s.UnsafeIdle), U32(s.SafeIdle)
	c[fUsedConnCur], c[fNeedConnEst] = U32(s.UsedConns), U32(s.NeededConns)
	c[fUweight], c[fSrid] = U32(s.UserWeight), U32(0)
	return r
}

// check fills the cells of a health or agent check; rise, fall and health
// stand in a row.
func (r *Row) check(k *pool.CheckSnapshot, status, code, duration, last, desc, rise int) {
	c := &r.Cells
	c[status], c[desc] = optional(k.Status), optional(k.Desc)
	if k.Code >= pool.CheckL7OK {
		c[code] = U32(k.HTTPCode)
	}
	if k.Code > pool.CheckInit {
		c[duration] = U64(int64(k.Duration / time.Millisecond))
	}
	c[last] = optional(k.Info)
	c[rise], c[rise+1], c[rise+2] = U32(k.Rise), U32(k.Fall), U32(k.Health)
}

// selection is the arguments of show stat: which rows to show.
type selection struct {
	form
	iid, types, sid int // -1: all
}

// shows says whether a row is asked for.
func (s *selection) shows(r *Row) bool {
	if s.iid >= 0 && r.IID != s.iid || s.types >= 0 && r.Object&s.types == 0 {
		return false
	}
	if s.sid >= 0 && s.types >= 0 && s.types&(objServer|objListener) != 0 && r.Object&(objServer|objListener) != 0 && r.SID != s.sid {
		return false
	}
	if r.Object == objServer && (s.up || s.noMaint) {
		status := r.Cells[fStatus].s
		maint := len(status) >= 5 && status[:5] == "MAINT"
		if maint || s.up && len(status) >= 4 && status[:4] == "DOWN" {
			return false
		}
	}
	return true
}

// showStat is `show stat [domain D] [IID|PROXY TYPE SID] [typed|json|desc|up|no-maint]*`.
func showStat(c *Call) {
	args := c.Args
	proxies := c.Source.Proxies()
	if len(args) >= 2 && args[0] == "domain" {
		if args[1] != "proxy" {
			c.Fail("Invalid statistics domain.")
			return
		}
		args = args[2:]
	}
	s := selection{form: formOf(args), iid: -1, types: -1, sid: -1}
	if len(args) >= 3 {
		if p := findProxy(proxies, args[0]); p != nil {
			s.iid = p.ID
		} else if n, err := strconv.Atoi(args[0]); err == nil {
			s.iid = n
		} else if formOf(args[:1]) == (form{}) {
			c.Fail("No such proxy.")
			return
		}
		s.types, s.sid = number(args[1]), number(args[2])
	}
	now := c.Source.Now()
	switch {
	case s.json:
		statJSON(c, &s, proxies, now)
	case s.typed:
		Statistics(proxies, now, func(r *Row) bool {
			if s.shows(r) {
				r.typed(c, s.form)
			}
			return !c.Gone()
		})
	default:
		c.WriteString(StatHeader())
		var buf []byte
		Statistics(proxies, now, func(r *Row) bool {
			if s.shows(r) {
				buf = r.AppendCSV(buf[:0])
				c.Write(buf)
			}
			return !c.Gone()
		})
	}
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return -1
	}
	return n
}

// StatHeader is the first line of the CSV form.
func StatHeader() string {
	b := []byte("# ")
	for _, f := range statFields {
		b = append(append(b, f.name...), ',')
	}
	return string(append(b, '\n'))
}

// AppendCSV appends the row's line.
func (r *Row) AppendCSV(b []byte) []byte {
	for i := range r.Cells {
		if i == fStatic {
			b = append(b, '-')
		}
		b = append(append(b, r.Cells[i].csv()...), ',')
	}
	return append(b, '\n')
}

// position is a column's number in typed and JSON output, where "-" is none.
func position(i int) int {
	if i > fStatic {
		i--
	}
	return i
}

func (r *Row) typed(c *Call, f form) {
	for i, v := range r.Cells {
		if v.kind == empty {
			continue
		}
		c.Printf("%c.%d.%d.%d.%s.1:%s:%s:%s%s\n", r.Letter(), r.IID, r.SID, position(i), statFields[i].name,
			statFields[i].tags, v.kind, v, f.description(statFields[i].desc))
	}
}

func statJSON(c *Call, s *selection, proxies []Proxy, now int64) {
	c.WriteString("[")
	objects := ""
	Statistics(proxies, now, func(r *Row) bool {
		if !s.shows(r) {
			return true
		}
		c.WriteString(objects + "[")
		objects = ","
		comma := ""
		for i, v := range r.Cells {
			if v.kind == empty {
				continue
			}
			c.Printf(`%s{"objType":"%s","proxyId":%d,"id":%d,"field":{"pos":%d,"name":"%s"},"processNum":1,%s}`,
				comma, r.objectName(), r.IID, r.SID, position(i), statFields[i].name, v.json(statFields[i].tags))
			comma = ","
		}
		c.WriteString("]")
		return !c.Gone()
	})
	c.WriteString("]\n")
}
