package pool

// Result is how a transaction ended, for the counters of its server and
// backend. Times are milliseconds, -1: not reached.
type Result struct {
	Now    int64 // loop clock, nanoseconds; 0: Options.Now is asked
	Status int   // HTTP status of the answer, 0: none (TCP)
	// Own: the status is that of a message of ours. The backend counts it, the
	// server does not.
	Own               bool
	BytesIn, BytesOut int64 // request and response bytes
	Tw, Tc, Tr, Tt    int
	Err               ErrKind
	// Hana is what the transaction says about the server's health (observe).
	Hana Hana
	// Retries of this transaction on this server's backend, and whether it
	// was redispatched: counted once, at the end.
	Retries                int
	Redispatched           bool
	Connect, Reuse         bool // a connection was made, or an idle one used
	CacheLookup, CacheHit  bool
	Compressed             bool
	CompIn, CompOut, CompB int64
	FailedRewrites         int // wrew: header rules that had no room
	// Session ends the backend's session count that Choice.Counted began.
	Session bool
}

// ErrKind is which error counter a transaction's end belongs to.
type ErrKind uint8

const (
	ErrNone           ErrKind = iota
	ErrReq                    // bad request: ereq (kept by frontends)
	ErrConn                   // the server could not be reached: econ
	ErrResponse               // the server's answer was broken: eresp
	ErrClientAbort            // cli_abrt
	ErrServerAbort            // srv_abrt: eresp too, as HAProxy counts it
	ErrDeniedRequest          // dreq
	ErrDeniedResponse         // dresp
	ErrQueue                  // timeout or full in the queue: econ of the backend
	ErrInternal               // eint: a fault of ours, or resources ran out
)

// Hana is what live traffic says about a server ("health analysis"), in
// HAProxy's order.
type Hana uint8

const (
	HanaNone Hana = iota
	HanaL4OK
	HanaL4Err
	HanaHTTPOK
	HanaHTTPStatus // 5xx other than 501 and 505
	HanaHTTPHeader // invalid headers
	HanaHTTPResponse
	HanaHTTPReadError
	HanaHTTPReadTimeout
	HanaHTTPBrokenPipe
)
