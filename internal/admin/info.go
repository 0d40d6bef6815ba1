package admin

import (
	"fmt"
	"strconv"
	"time"
)

// Info is the process at one moment.
type Info struct {
	Version, ReleaseDate     string
	NbThread, Pid            int
	Node, Description        string
	Started                  time.Time
	Uptime                   time.Duration
	MemMaxMB                 int
	PoolAlloc, PoolUsed      int64 // bytes
	PoolFailed               int64
	UlimitN, MaxSock         int
	MaxConn, HardMaxConn     int
	CurrConns                int64
	CumConns, CumReq         int64
	MaxSSLConns              int
	CurrSSLConns             int64
	CumSSLConns              int64
	MaxPipes                 int
	PipesUsed, PipesFree     int
	ConnRate, ConnRateLimit  int
	MaxConnRate              int
	SessRate, SessRateLimit  int
	MaxSessRate              int
	SSLRate, SSLRateLimit    int
	MaxSSLRate               int
	SSLFrontendKeyRate       int
	SSLFrontendMaxKeyRate    int
	SSLReusePercent          int
	SSLBackendKeyRate        int
	SSLBackendMaxKeyRate     int
	SSLCacheLookups          int64
	SSLCacheMisses           int64
	CompressIn, CompressOut  int64
	CompressLimit            int64
	Tasks, RunQueue          int
	IdlePercent              int
	Stopping                 bool
	Jobs, UnstoppableJobs    int
	Listeners                int
	DroppedLogs              uint64
	FailedResolutions        int64
	BytesOut, SplicedOut     int64
	BytesOutRate             int64
	Warnings, MaxConnReached int64
	BootTime                 time.Duration
}

// infoField is one line of show info. Its tags are HAProxy's origin, nature
// and scope.
type infoField struct {
	name, tags, desc string
	get              func(i *Info) Value
}

func flag(b bool) Value {
	if b {
		return U32(1)
	}
	return U32(0)
}

func constant(v Value) func(*Info) Value { return func(*Info) Value { return v } }

// infoFields are in HAProxy 3.0's order: tools may use positions.
var infoFields = []infoField{
	{"Name", "POS", "Name of the product", constant(Str("HAProxy"))},
	{"Version", "POS", "Version of the product", func(i *Info) Value { return Str(i.Version) }},
	{"Release_date", "POS", "Date of this version", func(i *Info) Value { return Str(i.ReleaseDate) }},
	{"Nbthread", "CGS", "Threads that carry traffic (global nbthread)", func(i *Info) Value { return U32(i.NbThread) }},
	{"Nbproc", "CGS", "Worker processes, always 1", constant(U32(1))},
	{"Process_num", "KGP", "Number of this worker, always 1", constant(U32(1))},
	{"Pid", "SGP", "Process id of this worker", func(i *Info) Value { return U32(i.Pid) }},
	{"Uptime", "MDP", "Time since this worker was started (days, hours, minutes, seconds)", func(i *Info) Value { return Str(uptime(i.Uptime)) }},
	{"Uptime_sec", "MDP", "Time since this worker was started (seconds)", func(i *Info) Value { return U32(int(i.Uptime / time.Second)) }},
	{"Memmax_MB", "CLP", "Limit of this worker's memory in MB, 0: none", func(i *Info) Value { return U32(i.MemMaxMB) }},
	{"PoolAlloc_MB", "MGP", "Memory taken for buffers and objects, in MB", func(i *Info) Value { return U32(int(i.PoolAlloc >> 20)) }},
	{"PoolUsed_MB", "MGP", "Memory in use for buffers and objects, in MB", func(i *Info) Value { return U32(int(i.PoolUsed >> 20)) }},
	{"PoolFailed", "MCP", "Allocations that failed", func(i *Info) Value { return U32(int(i.PoolFailed)) }},
	{"Ulimit-n", "CLP", "Limit of open descriptors", func(i *Info) Value { return U32(i.UlimitN) }},
	{"Maxsock", "CLP", "Limit of sockets", func(i *Info) Value { return U32(i.MaxSock) }},
	{"Maxconn", "CLP", "Limit of client connections", func(i *Info) Value { return U32(i.MaxConn) }},
	{"Hard_maxconn", "CLP", "Highest limit of client connections that can be set", func(i *Info) Value { return U32(i.HardMaxConn) }},
	{"CurrConns", "MGP", "Client connections now", func(i *Info) Value { return U32(int(i.CurrConns)) }},
	{"CumConns", "MCP", "Client connections since the start", func(i *Info) Value { return U32(int(i.CumConns)) }},
	{"CumReq", "MCP", "Requests since the start", func(i *Info) Value { return U32(int(i.CumReq)) }},
	{"MaxSslConns", "MMP", "Limit of TLS connections on both sides, 0: none", func(i *Info) Value { return U32(i.MaxSSLConns) }},
	{"CurrSslConns", "MGP", "TLS connections on both sides now", func(i *Info) Value { return U32(int(i.CurrSSLConns)) }},
	{"CumSslConns", "MCP", "TLS connections on both sides since the start", func(i *Info) Value { return U32(int(i.CumSSLConns)) }},
	{"Maxpipes", "CLP", "Limit of pipes for splicing, 0: none", func(i *Info) Value { return U32(i.MaxPipes) }},
	{"PipesUsed", "MGP", "Pipes in use", func(i *Info) Value { return U32(i.PipesUsed) }},
	{"PipesFree", "MGP", "Pipes kept for reuse", func(i *Info) Value { return U32(i.PipesFree) }},
	{"ConnRate", "MRP", "Client connections of the last second", func(i *Info) Value { return U32(i.ConnRate) }},
	{"ConnRateLimit", "CLP", "Limit of ConnRate (global maxconnrate)", func(i *Info) Value { return U32(i.ConnRateLimit) }},
	{"MaxConnRate", "MMP", "Highest ConnRate since the start", func(i *Info) Value { return U32(i.MaxConnRate) }},
	{"SessRate", "MRP", "Sessions of the last second", func(i *Info) Value { return U32(i.SessRate) }},
	{"SessRateLimit", "CLP", "Limit of SessRate (global maxsessrate)", func(i *Info) Value { return U32(i.SessRateLimit) }},
	{"MaxSessRate", "MRP", "Highest SessRate since the start", func(i *Info) Value { return U32(i.MaxSessRate) }},
	{"SslRate", "MRP", "TLS client connections of the last second", func(i *Info) Value { return U32(i.SSLRate) }},
	{"SslRateLimit", "CLP", "Limit of SslRate (global maxsslrate)", func(i *Info) Value { return U32(i.SSLRateLimit) }},
	{"MaxSslRate", "MMP", "Highest SslRate since the start", func(i *Info) Value { return U32(i.MaxSSLRate) }},
	{"SslFrontendKeyRate", "MGP", "TLS handshakes with a key exchange, with clients, of the last second", func(i *Info) Value { return U32(i.SSLFrontendKeyRate) }},
	{"SslFrontendMaxKeyRate", "MMP", "Highest SslFrontendKeyRate since the start", func(i *Info) Value { return U32(i.SSLFrontendMaxKeyRate) }},
	{"SslFrontendSessionReuse_pct", "MGP", "TLS client connections that resumed a session, in percent", func(i *Info) Value { return U32(i.SSLReusePercent) }},
	{"SslBackendKeyRate", "MRP", "TLS handshakes with a key exchange, with servers, of the last second", func(i *Info) Value { return U32(i.SSLBackendKeyRate) }},
	{"SslBackendMaxKeyRate", "MMP", "Highest SslBackendKeyRate since the start", func(i *Info) Value { return U32(i.SSLBackendMaxKeyRate) }},
	{"SslCacheLookups", "MCP", "Lookups of TLS sessions since the start", func(i *Info) Value { return U32(int(i.SSLCacheLookups)) }},
	{"SslCacheMisses", "MCP", "Lookups of TLS sessions that found none", func(i *Info) Value { return U32(int(i.SSLCacheMisses)) }},
	{"CompressBpsIn", "MRP", "Bytes given to compression in the last second", func(i *Info) Value { return U32(int(i.CompressIn)) }},
	{"CompressBpsOut", "MRP", "Bytes made by compression in the last second", func(i *Info) Value { return U32(int(i.CompressOut)) }},
	{"CompressBpsRateLim", "CLP", "Limit of CompressBpsOut", func(i *Info) Value { return U32(int(i.CompressLimit)) }},
	// Two positions are kept for a compression library that is not here.
	{"ZlibMemUsage", "MGP", "Memory of zlib", constant(Value{})},
	{"MaxZlibMemUsage", "CLP", "Limit of the memory of zlib", constant(Value{})},
	{"Tasks", "MGP", "Tasks that run or wait", func(i *Info) Value { return U32(i.Tasks) }},
	{"Run_queue", "MGP", "Tasks that run", func(i *Info) Value { return U32(i.RunQueue) }},
	{"Idle_pct", "MaP", "Share of the last second spent waiting, in percent", func(i *Info) Value { return U32(i.IdlePercent) }},
	{"node", "COS", "Name of the node (global node)", func(i *Info) Value { return Str(i.Node) }},
	{"description", "COS", "Description of the node (global description)", func(i *Info) Value { return optional(i.Description) }},
	{"Stopping", "MGP", "1 while the worker is stopping", func(i *Info) Value { return flag(i.Stopping) }},
	{"Jobs", "MGP", "What keeps a stopping worker alive: connections and listeners", func(i *Info) Value { return U32(i.Jobs) }},
	{"Unstoppable Jobs", "MGP", "Jobs that a stopping worker does not wait for", func(i *Info) Value { return U32(i.UnstoppableJobs) }},
	{"Listeners", "MGP", "Open listeners", func(i *Info) Value { return U32(i.Listeners) }},
	{"ActivePeers", "MGP", "Verified connections to peers", constant(U32(0))},
	{"ConnectedPeers", "MGP", "Connections to peers", constant(U32(0))},
	{"DroppedLogs", "MGP", "Log lines that could not be sent at once", func(i *Info) Value { return U32(int(i.DroppedLogs)) }},
	{"BusyPolling", "MGP", "1 where the worker polls without sleeping", constant(U32(0))},
	{"FailedResolutions", "MGP", "Names that could not be resolved", func(i *Info) Value { return U32(int(i.FailedResolutions)) }},
	{"TotalBytesOut", "MGP", "Bytes sent since the start", func(i *Info) Value { return U64(i.BytesOut) }},
	{"TotalSplicdedBytesOut", "MGP", "Bytes sent through a kernel pipe since the start", func(i *Info) Value { return U64(i.SplicedOut) }},
	{"BytesOutRate", "MRP", "Bytes sent in the last second", func(i *Info) Value { return U64(i.BytesOutRate) }},
	{"DebugCommandsIssued", "MGP", "Debugging commands issued", constant(U32(0))},
	{"CumRecvLogs", "MCP", "Log lines received by log forwarding", constant(U32(0))},
	{"Build info", "POS", "Version as built", func(i *Info) Value { return Str(i.Version) }},
	{"Memmax_bytes", "CLP", "Limit of this worker's memory in bytes, 0: none", func(i *Info) Value { return U32(i.MemMaxMB << 20) }},
	{"PoolAlloc_bytes", "MGP", "Memory taken for buffers and objects, in bytes", func(i *Info) Value { return U64(i.PoolAlloc) }},
	{"PoolUsed_bytes", "MGP", "Memory in use for buffers and objects, in bytes", func(i *Info) Value { return U64(i.PoolUsed) }},
	{"Start_time_sec", "MDP", "Moment of the start, in seconds of the Unix epoch", func(i *Info) Value { return U32(int(i.Started.Unix())) }},
	{"Tainted", "SGP", "Experimental features in use", constant(Str("0"))},
	{"TotalWarnings", "MCP", "Warnings since the start", func(i *Info) Value { return U32(int(i.Warnings)) }},
	{"MaxconnReached", "MCP", "Times that Maxconn was reached", func(i *Info) Value { return U32(int(i.MaxConnReached)) }},
	{"BootTime_ms", "MDP", "Time that starting took, in ms", func(i *Info) Value { return U32(int(i.BootTime / time.Millisecond)) }},
	{"Niced_tasks", "MGP", "Tasks with a priority of their own", constant(U32(0))},
}

func uptime(d time.Duration) string {
	s := int64(d / time.Second)
	return fmt.Sprintf("%dd %dh%02dm%02ds", s/86400, s/3600%24, s/60%60, s%60)
}

// showInfo is `show info [desc|json|typed|float]*`.
func showInfo(c *Call) {
	f := formOf(c.Args)
	info := c.Source.Info()
	if f.json {
		c.WriteString("[")
	}
	comma := ""
	for pos := range infoFields {
		x := &infoFields[pos]
		v := x.get(&info)
		if v.kind == empty {
			continue
		}
		switch {
		case f.json:
			c.Printf(`%s{"field":{"pos":%d,"name":%s},"processNum":1,%s}`, comma, pos, jsonString(x.name), v.json(x.tags))
			comma = ","
		case f.typed:
			c.Printf("%d.%s.1:%s:%s:%s%s\n", pos, x.name, x.tags, v.kind, v, f.description(x.desc))
		default:
			c.Printf("%s: %s%s\n", x.name, v, f.description(x.desc))
		}
	}
	if f.json {
		c.WriteString("]\n")
	}
}

// form is how statistics are written.
type form struct{ typed, json, desc, up, noMaint bool }

func formOf(args []string) (f form) {
	for _, a := range args {
		switch a {
		case "typed":
			f.typed = true
		case "json":
			f.json = true
		case "desc":
			f.desc = true
		case "up":
			f.up = true
		case "no-maint":
			f.noMaint = true
		}
	}
	return f
}

// description is the ":"…"" after a value where `desc` was asked for.
func (f form) description(s string) string {
	if !f.desc {
		return ""
	}
	return ":" + strconv.Quote(s)
}
