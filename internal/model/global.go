package model

import "time"

// Global is what concerns the process and not one proxy. Zero means unset
// unless a field says otherwise.
type Global struct {
	Pos Pos

	User, Group   string
	UID, GID      *int
	Chroot        string
	Daemon        bool
	MasterWorker  bool
	Pidfile       string
	HardStopAfter time.Duration
	Grace         time.Duration
	NoReusePort   bool
	ZeroWarning   bool // a warning is an error

	Node        string
	Description string
	Localpeer   string

	MaxConn      int
	MaxConnRate  int // connections a second
	MaxSessRate  int
	MaxSSLConn   int
	MaxSSLRate   int
	MaxPipes     int
	UlimitN      int
	NbThread     int
	CPUMap       []string // accepted words of cpu-map, one entry a line
	SpreadChecks int      // percent of the interval, -50 to 50
	MaxSpread    time.Duration

	Logs            []LogTarget
	LogTag          string
	LogSendHostname *string // nil: off; empty: the machine's own name

	StatsSockets []*StatsSocket
	StatsTimeout time.Duration
	StatsMaxConn int

	ServerStateBase string
	ServerStateFile string

	CABase, CRTBase    string
	BindSSL            TLSVersions // ssl-default-bind-options
	BindCiphers        string
	BindCiphersuites   string
	BindCurves         string
	ServerSSL          TLSVersions // ssl-default-server-options
	ServerCiphers      string
	ServerCiphersuites string
	ServerVerifyNone   bool // ssl-server-verify none

	Tune Tune
}

// Tune holds the limits of the engine that a file can set.
type Tune struct {
	BufSize                    int // bytes; default 16384
	MaxRewrite                 int // bytes kept free for rewriting; default 1024
	MaxHeaders                 int // header fields in one message; default 101
	MaxAccept                  int // connections taken from a listener at one wake-up
	IdleTimer                  time.Duration
	PoolLowFD                  int
	RcvBufClient, SndBufClient int // bytes, 0: the kernel's choice
	RcvBufServer, SndBufServer int
	SSLLifetime                time.Duration
	SSLCacheSize               int
	VarsMaxSize                int // bytes of variables for one transaction and its session; 0: no limit
}

// TLSVersions bounds the protocol versions, and holds the switches that go
// with them. Min and Max are crypto/tls version numbers; 0: the default.
type TLSVersions struct {
	Min, Max            uint16
	NoTickets           bool
	PreferClientCiphers bool
}

// StatsSocket is one listener of the runtime API.
type StatsSocket struct {
	Pos             Pos
	Addr            ListenAddr
	Mode            uint32 // file mode of a unix socket, 0: unset
	User, Group     string
	UID, GID        *int
	Level           AdminLevel
	MaxConn         int
	ExposeListeners bool
}

// AdminLevel is what a connection of the runtime API may do.
type AdminLevel int

const (
	LevelUser AdminLevel = iota + 1
	LevelOperator
	LevelAdmin
)

// LogTarget is one `log` line.
type LogTarget struct {
	Pos          Pos
	Global       bool   // `log global`: the targets of the global section
	Network      string // "udp", "unixgram", "fd", "stdout", "stderr", "tcp"
	Addr         string // host:port, path (a leading @ is an abstract name), or a descriptor number
	Format       LogWire
	FormatGiven  bool   // `format` was written: RFC 3164 is meant, not the default
	MaxLen       int    // bytes of one message; default 1024
	Facility     string // local0 … ; "" for stdout in raw format
	Level        int    // RFC 5424 severity: the most verbose that is sent, default 7
	MinLevel     int    // severities below (more severe than) this are sent as this
	SampleRanges string // "1,3-5" of `sample ranges:size`
	SampleSize   int
}

// LogWire is the framing of one log message.
type LogWire int

const (
	LogRFC3164 LogWire = iota
	LogRFC5424
	LogPriority
	LogShort
	LogTimed
	LogISO
	LogRaw
	LogLocal // RFC 3164 without the host name, for /dev/log
)
