package pool

import "time"

// Times are averages over the last 1024 transactions and maxima, in ms.
type Times struct{ Queue, Connect, Response, Total int }

// Counters are the counts that a server's and a backend's rows share.
type Counters struct {
	SessCur, SessMax, SessTotal                  int64 // scur smax stot
	ConnTotal, ConnectTotal, ReuseTotal          int64
	BytesIn, BytesOut                            int64
	DeniedReq, DeniedResp                        int64
	ErrReq, ErrConn, ErrResp                     int64
	Retries, Redispatches                        int64
	CliAborts, SrvAborts                         int64
	LBTotal                                      int64
	HTTP                                         [6]int64 // hrsp_other, 1xx … 5xx: index 0 other, 1..5
	Requests                                     int64    // req_tot
	CacheLookups, CacheHits                      int64
	CompIn, CompOut, CompBypassed, CompResponses int64
	RateCur, RateMax                             int
	ReqRate, ReqRateMax, ConnRate, ConnRateMax   int
	LastSession                                  int64 // seconds ago, -1: none
	Avg, Max                                     Times
	IdleConns, UsedConns, NeededConns            int
	SafeIdle, UnsafeIdle                         int
	InternalErrors                               int64
	FailedChecks, FailedHana, Downs              int64 // chkfail hanafail chkdown
	LastChange                                   int64 // seconds since
	Downtime                                     int64 // seconds
	QueueCur, QueueMax, QueueLimit               int
}

// Snapshot is one backend at one moment.
type Snapshot struct {
	Name, Mode, Algo, Cookie string
	ID, PID                  int
	Counters
	Status         string // UP or DOWN
	SessLimit      int    // slim: fullconn
	Weight         int
	Active, Backup int
	Servers        []ServerSnapshot
}

// ServerSnapshot is one server at one moment.
type ServerSnapshot struct {
	Name string
	ID   int
	Counters
	Status           string // "UP", "DOWN 1/2", "MAINT (via b/s)", "no check" …
	Oper             Oper
	Admin            Admin
	SessLimit        int // maxconn; 0: none
	MinConn          int
	Weight           int // effective
	UserWeight       int
	InitialWeight    int
	Active, IsBackup bool
	Throttle         int    // percent while warming up, -1: not
	Tracked          string // backend/server
	Cookie           string
	Addr             string // address:port
	Endpoint         Endpoint
	Checked, Agented bool
	Check, Agent     CheckSnapshot
	PoolMaxConn      int
	Slowstart        time.Duration
	OnMarkedDown     string
}

// CheckSnapshot is the state of a server's health or agent check.
type CheckSnapshot struct {
	Enabled            bool
	Paused             bool
	Status             string // "L4OK", "* L4CON" while running
	Code               CheckStatus
	HTTPCode           int // check_code
	Duration           time.Duration
	Info               string // last_chk
	Desc               string // check_desc
	Rise, Fall, Health int
	Result             int // 0 unknown, 1 neutral, 2 failed, 3 passed, 4 conditional
	State              int // bits of srv_check_state
}

// SavedBackend is what a reload hands over; it can be encoded by gob and json.
type SavedBackend struct {
	Name    string
	Servers []SavedServer
}

// SavedServer is one server's part of it.
type SavedServer struct {
	Name, Addr, Host, Cookie  string
	Port                      int
	Oper                      Oper
	Admin                     Admin
	InitialWeight, UserWeight int
	ModelWeight               int // configured weight at the time: a changed file wins
	MaxConn, ModelMaxConn     int
	SinceChange               time.Duration
	Downtime                  time.Duration
	CheckStatus, AgentStatus  CheckStatus
	CheckResult, CheckHealth  int
	CheckInfo                 string
	CheckCode                 int
	CheckDuration             time.Duration
	CheckOff, AgentOff        bool
	AgentHealth               int
	CheckPort                 int
	Counters                  Counters
}
