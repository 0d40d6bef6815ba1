package admin

// Columns of show stat, in HAProxy 3.0's order. Tools read columns by number:
// nothing may ever be put in between.
const (
	fPxname = iota
	fSvname
	fQcur
	fQmax
	fScur
	fSmax
	fSlim
	fStot
	fBin
	fBout
	fDreq
	fDresp
	fEreq
	fEcon
	fEresp
	fWretr
	fWredis
	fStatus
	fWeight
	fAct
	fBck
	fChkfail
	fChkdown
	fLastchg
	fDowntime
	fQlimit
	fPid
	fIid
	fSid
	fThrottle
	fLbtot
	fTracked
	fType
	fRate
	fRateLim
	fRateMax
	fCheckStatus
	fCheckCode
	fCheckDuration
	fHrsp1xx
	fHrsp2xx
	fHrsp3xx
	fHrsp4xx
	fHrsp5xx
	fHrspOther
	fHanafail
	fReqRate
	fReqRateMax
	fReqTot
	fCliAbrt
	fSrvAbrt
	fCompIn
	fCompOut
	fCompByp
	fCompRsp
	fLastsess
	fLastChk
	fLastAgt
	fQtime
	fCtime
	fRtime
	fTtime
	fAgentStatus
	fAgentCode
	fAgentDuration
	fCheckDesc
	fAgentDesc
	fCheckRise
	fCheckFall
	fCheckHealth
	fAgentRise
	fAgentFall
	fAgentHealth
	fAddr
	fCookie
	fMode
	fAlgo
	fConnRate
	fConnRateMax
	fConnTot
	fIntercepted
	fDcon
	fDses
	fWrew
	fConnect
	fReuse
	fCacheLookups
	fCacheHits
	fSrvIcur
	fSrvIlim
	fQtimeMax
	fCtimeMax
	fRtimeMax
	fTtimeMax
	fEint
	fIdleConnCur
	fSafeConnCur
	fUsedConnCur
	fNeedConnEst
	fUweight
	fAggServerStatus
	fAggServerCheckStatus
	fAggCheckStatus
	fSrid
	fSessOther
	fH1Sess
	fH2Sess
	fH3Sess
	fReqOther
	fH1Req
	fH2Req
	fH3Req
	fProto
	fStatic // the number of columns before "-"
	fSSLSess
	fSSLReused
	fSSLFailed
	fCount
)

// statField is one column; tags are origin, nature and scope.
type statField struct{ name, tags, desc string }

var statFields = [fCount]statField{
	fPxname:               {"pxname", "KNS", "Name of the proxy"},
	fSvname:               {"svname", "KNS", "Name of the server, or FRONTEND or BACKEND"},
	fQcur:                 {"qcur", "MGP", "Requests in the queue now"},
	fQmax:                 {"qmax", "MMP", "Most requests in the queue since the start"},
	fScur:                 {"scur", "MGP", "Sessions now"},
	fSmax:                 {"smax", "MMP", "Most sessions since the start"},
	fSlim:                 {"slim", "CLP", "Limit of sessions (maxconn, fullconn)"},
	fStot:                 {"stot", "MCP", "Sessions since the start"},
	fBin:                  {"bin", "MCP", "Bytes received from clients"},
	fBout:                 {"bout", "MCP", "Bytes sent to clients"},
	fDreq:                 {"dreq", "MCP", "Requests denied by rules"},
	fDresp:                {"dresp", "MCP", "Responses denied by rules"},
	fEreq:                 {"ereq", "MCP", "Broken or unfinished requests"},
	fEcon:                 {"econ", "MCP", "Failed connections to servers"},
	fEresp:                {"eresp", "MCP", "Broken or unfinished responses"},
	fWretr:                {"wretr", "MCP", "Retries of connections to servers"},
	fWredis:               {"wredis", "MCP", "Requests moved to another server"},
	fStatus:               {"status", "SGP", "Status of the listener, backend or server"},
	fWeight:               {"weight", "MaP", "Effective weight"},
	fAct:                  {"act", "SGP", "Active servers that are up"},
	fBck:                  {"bck", "SGP", "Backup servers that are up"},
	fChkfail:              {"chkfail", "MCP", "Failed checks while the server was up"},
	fChkdown:              {"chkdown", "MCP", "Changes from up to down"},
	fLastchg:              {"lastchg", "MAP", "Seconds since the status changed"},
	fDowntime:             {"downtime", "MCP", "Seconds spent down"},
	fQlimit:               {"qlimit", "CLS", "Limit of the queue (maxqueue)"},
	fPid:                  {"pid", "KGP", "Number of the process"},
	fIid:                  {"iid", "KGS", "Number of the proxy"},
	fSid:                  {"sid", "KGS", "Number of the server or listener, 0: the proxy"},
	fThrottle:             {"throttle", "MaP", "Percentage reached while warming up (slowstart)"},
	fLbtot:                {"lbtot", "MCP", "Times that load balancing chose it"},
	fTracked:              {"tracked", "CNS", "Server whose state is followed (track)"},
	fType:                 {"type", "CGS", "0 frontend, 1 backend, 2 server, 3 listener"},
	fRate:                 {"rate", "MRP", "Sessions of the last second"},
	fRateLim:              {"rate_lim", "CLP", "Limit of new sessions per second"},
	fRateMax:              {"rate_max", "MMP", "Most sessions in a second"},
	fCheckStatus:          {"check_status", "MOP", "Result of the last health check, with * while one runs"},
	fCheckCode:            {"check_code", "MGP", "Protocol code of the last health check"},
	fCheckDuration:        {"check_duration", "MDP", "Duration of the last health check, in ms"},
	fHrsp1xx:              {"hrsp_1xx", "MCP", "Responses with a 1xx status"},
	fHrsp2xx:              {"hrsp_2xx", "MCP", "Responses with a 2xx status"},
	fHrsp3xx:              {"hrsp_3xx", "MCP", "Responses with a 3xx status"},
	fHrsp4xx:              {"hrsp_4xx", "MCP", "Responses with a 4xx status"},
	fHrsp5xx:              {"hrsp_5xx", "MCP", "Responses with a 5xx status"},
	fHrspOther:            {"hrsp_other", "MCP", "Responses with another status, or none"},
	fHanafail:             {"hanafail", "MCP", "Failures seen in live traffic (observe)"},
	fReqRate:              {"req_rate", "MRP", "Requests of the last second"},
	fReqRateMax:           {"req_rate_max", "MMP", "Most requests in a second"},
	fReqTot:               {"req_tot", "MCP", "Requests since the start"},
	fCliAbrt:              {"cli_abrt", "MCP", "Transfers that the client broke off"},
	fSrvAbrt:              {"srv_abrt", "MCP", "Transfers that the server broke off"},
	fCompIn:               {"comp_in", "MCP", "Bytes given to compression"},
	fCompOut:              {"comp_out", "MCP", "Bytes made by compression"},
	fCompByp:              {"comp_byp", "MCP", "Bytes that went past compression"},
	fCompRsp:              {"comp_rsp", "MCP", "Compressed responses"},
	fLastsess:             {"lastsess", "MAP", "Seconds since the last session, -1: none"},
	fLastChk:              {"last_chk", "MOP", "What the last health check said"},
	fLastAgt:              {"last_agt", "MOP", "What the last agent check said"},
	fQtime:                {"qtime", "MaP", "Average time in the queue, in ms, last 1024 requests"},
	fCtime:                {"ctime", "MaP", "Average time to connect, in ms, last 1024 requests"},
	fRtime:                {"rtime", "MaP", "Average time to the response, in ms, last 1024 requests"},
	fTtime:                {"ttime", "MaP", "Average total time, in ms, last 1024 requests"},
	fAgentStatus:          {"agent_status", "MOP", "Result of the last agent check"},
	fAgentCode:            {"agent_code", "MGP", "Code of the last agent check"},
	fAgentDuration:        {"agent_duration", "MDP", "Duration of the last agent check, in ms"},
	fCheckDesc:            {"check_desc", "MOP", "check_status in words"},
	fAgentDesc:            {"agent_desc", "MOP", "agent_status in words"},
	fCheckRise:            {"check_rise", "CGS", "Good checks that make a server up (rise)"},
	fCheckFall:            {"check_fall", "CGS", "Failed checks that take a server down (fall)"},
	fCheckHealth:          {"check_health", "CGS", "Counter of checks, 0 to rise+fall-1"},
	fAgentRise:            {"agent_rise", "CGS", "Rise of the agent check"},
	fAgentFall:            {"agent_fall", "CGS", "Fall of the agent check"},
	fAgentHealth:          {"agent_health", "CGS", "Counter of agent checks"},
	fAddr:                 {"addr", "CGS", "Address and port, or unix"},
	fCookie:               {"cookie", "CNS", "Cookie's value, or its name for a backend"},
	fMode:                 {"mode", "CGS", "tcp or http"},
	fAlgo:                 {"algo", "CGS", "Balance algorithm"},
	fConnRate:             {"conn_rate", "MRP", "Connections of the last second"},
	fConnRateMax:          {"conn_rate_max", "MMP", "Most connections in a second"},
	fConnTot:              {"conn_tot", "MCP", "Connections since the start"},
	fIntercepted:          {"intercepted", "MCP", "Requests that the proxy itself answered"},
	fDcon:                 {"dcon", "MCP", "Connections denied by tcp-request connection"},
	fDses:                 {"dses", "MCP", "Connections denied by tcp-request session"},
	fWrew:                 {"wrew", "MCP", "Rewrites that failed"},
	fConnect:              {"connect", "MCP", "Attempts to connect"},
	fReuse:                {"reuse", "MCP", "Connections used again"},
	fCacheLookups:         {"cache_lookups", "MCP", "Lookups in the cache"},
	fCacheHits:            {"cache_hits", "MCP", "Hits in the cache"},
	fSrvIcur:              {"srv_icur", "MGP", "Idle connections kept for use"},
	fSrvIlim:              {"src_ilim", "CLP", "Limit of idle connections"},
	fQtimeMax:             {"qtime_max", "MMP", "Longest time in the queue, in ms"},
	fCtimeMax:             {"ctime_max", "MMP", "Longest time to connect, in ms"},
	fRtimeMax:             {"rtime_max", "MMP", "Longest time to the response, in ms"},
	fTtimeMax:             {"ttime_max", "MMP", "Longest total time, in ms"},
	fEint:                 {"eint", "MCP", "Internal errors"},
	fIdleConnCur:          {"idle_conn_cur", "MGP", "Idle connections not known to be safe"},
	fSafeConnCur:          {"safe_conn_cur", "MGP", "Idle connections known to be safe"},
	fUsedConnCur:          {"used_conn_cur", "MGP", "Connections in use"},
	fNeedConnEst:          {"need_conn_est", "MGP", "Connections that are thought to be needed"},
	fUweight:              {"uweight", "MaP", "Weight as the user set it"},
	fAggServerStatus:      {"agg_server_status", "MGP", "Status of all servers, summed up"},
	fAggServerCheckStatus: {"agg_server_check_status", "MGP", "Former name of agg_check_status"},
	fAggCheckStatus:       {"agg_check_status", "MGP", "Check status of all servers, summed up"},
	fSrid:                 {"srid", "KGS", "Number of the server in order of creation"},
	fSessOther:            {"sess_other", "MCP", "Sessions that are not HTTP"},
	fH1Sess:               {"h1sess", "MCP", "HTTP/1 sessions"},
	fH2Sess:               {"h2sess", "MCP", "HTTP/2 sessions"},
	fH3Sess:               {"h3sess", "MCP", "HTTP/3 sessions"},
	fReqOther:             {"req_other", "MCP", "Requests that are not HTTP"},
	fH1Req:                {"h1req", "MCP", "HTTP/1 requests"},
	fH2Req:                {"h2req", "MCP", "HTTP/2 requests"},
	fH3Req:                {"h3req", "MCP", "HTTP/3 requests"},
	fProto:                {"proto", "CGS", "Protocol of a listener"},
	fStatic:               {"-", "", ""},
	fSSLSess:              {"ssl_sess", "MCP", "TLS sessions"},
	fSSLReused:            {"ssl_reused_sess", "MCP", "Resumed TLS sessions"},
	fSSLFailed:            {"ssl_failed_handshake", "MCP", "TLS handshakes that failed"},
}
