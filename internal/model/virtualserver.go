package model

import (
	"net/netip"
	"time"
)

// LVSGlobal is what global_defs says of packet forwarding.
type LVSGlobal struct {
	Backend       string // lvs_backend (an extension): "ebpf", "ipvs"; "": the first that works
	Flush         bool   // lvs_flush
	FlushOnStop   string // "", "all", "VS"
	TimeoutTCP    time.Duration
	TimeoutTCPFin time.Duration
	TimeoutUDP    time.Duration
	ExpireNodest  bool   // lvs_expire_nodest_conn (an extension), as IPVS's sysctl
	ExpireQuiet   bool   // lvs_expire_quiescent_template (an extension)
	SloppyTCP     bool   // lvs_sloppy_tcp (an extension)
	SyncInterface string // lvs_sync_daemon
	SyncInstance  string
	SyncID        int
	SyncMaxLen    int
	SyncPort      int
	SyncTTL       int
	SyncGroup     netip.Addr
	SyncKeyFile   string // lvs_sync_key_file (an extension): what encrypts what is told
	SyncKeyPos    Pos
	Pool          []netip.Addr // lvs_source_pool (an extension): the sources of FULLNAT
	XDP           []string     // lvs_xdp (an extension): interfaces whose driver runs the director
	XDPPos        Pos          // of the first of them
}

// VirtualServerGroup is a virtual_server_group block.
type VirtualServerGroup struct {
	Pos     Pos
	Name    string
	Members []GroupMember
}

// GroupMember is an address (or a range of them) with a port, or a mark.
type GroupMember struct {
	Pos      Pos
	First    netip.Addr
	Last     netip.Addr // First, when it is one address
	Port     uint16
	PortLast uint16
	FwMark   uint32
	Family   int // of FwMark, where it is said; 0: not said
}

// VirtualServer is a virtual_server block: one service that packets are
// forwarded for.
type VirtualServer struct {
	Pos Pos

	Addr   netip.Addr // invalid: FwMark or Group
	Port   uint16     // 0: any (with persistence)
	FwMark uint32
	Group  string
	Family int // 4 or 6; ip_family

	Protocol   string   // TCP, UDP, SCTP
	Scheduler  string   // rr, wrr, lc, wlc, lblc, lblcr, dh, sh, sed, nq, mh, fo, ovf
	SchedFlags []string // flag-1 flag-2 flag-3, sh-port, sh-fallback, mh-port, mh-fallback
	Method     string   // NAT, DR, TUN; FULLNAT (an extension)
	Tunnel     Tunnel
	OnePacket  bool // ops
	SYNLimit   int  // syn_limit (an extension): new TCP connections a second; 0: all

	Persistence       time.Duration // 0: none
	PersistenceEngine string
	PersistenceMask   int // prefix length of the granularity; 0: whole address

	VirtualHost string
	HASuspend   bool
	Alpha       bool
	Omega       bool
	Quorum      int // 1
	Hysteresis  int
	QuorumUp    *Command
	QuorumDown  *Command
	Inhibit     bool // inhibit_on_failure
	MailAlert   *bool

	Weight       int         // of real servers that do not say
	Check        CheckTiming // defaults of the checkers below
	Sorry        *RealServer
	SorryInhibit bool
	Real         []*RealServer
}

// Tunnel is how TUN wraps packets: ipip (the default), gue or gre.
type Tunnel struct {
	Type    string
	Port    uint16
	NoCsum  bool
	Csum    bool
	RemCsum bool
}

// CheckTiming is what virtual_server, real_server and checkers can all say;
// the innermost wins. Zero: not said.
type CheckTiming struct {
	DelayLoop        time.Duration
	DelayBeforeRetry *time.Duration
	Retry            *int
	Warmup           *time.Duration
	ConnectTimeout   time.Duration
}

// RealServer is a real_server or sorry_server.
type RealServer struct {
	Pos         Pos
	Addr        netip.Addr
	Port        uint16
	Weight      int
	Method      string // "": the virtual server's
	Tunnel      Tunnel
	UpperConns  int // uthreshold
	LowerConns  int
	Inhibit     *bool
	VirtualHost string
	Alpha       *bool
	MailAlert   *bool
	NotifyUp    *Command
	NotifyDown  *Command
	Check       CheckTiming
	Checkers    []*RealCheck
}

// RealCheckKind says which conversation a checker of keepalived.conf has.
type RealCheckKind string

// The checkers, by the names of their blocks.
const (
	CheckerHTTP RealCheckKind = "HTTP_GET"
	CheckerSSL  RealCheckKind = "SSL_GET"
	CheckerTCP  RealCheckKind = "TCP_CHECK"
	CheckerSMTP RealCheckKind = "SMTP_CHECK"
	CheckerMISC RealCheckKind = "MISC_CHECK"
	CheckerDNS  RealCheckKind = "DNS_CHECK"
	CheckerUDP  RealCheckKind = "UDP_CHECK"
	CheckerPING RealCheckKind = "PING_CHECK"
	CheckerFILE RealCheckKind = "FILE_CHECK"
	CheckerBFD  RealCheckKind = "BFD_CHECK"
)

// RealCheck is one checker block.
type RealCheck struct {
	Pos  Pos
	Kind RealCheckKind

	// Timing: final values.
	Interval         time.Duration // delay_loop
	Retry            int
	DelayBeforeRetry time.Duration
	Warmup           time.Duration
	Alpha            bool
	Log              bool // log_all_failures

	Connect ConnectTo
	Timeout time.Duration // connect_timeout: for the connection and for each answer

	HTTP   *HTTPCheckSpec // HTTP_GET, SSL_GET
	SMTP   *SMTPCheckSpec
	Script *ScriptCheckSpec // MISC_CHECK
	DNS    *DNSCheckSpec
	UDP    *UDPCheckSpec
	File   *FileCheckSpec
	BFD    string    // instance
	TLS    *CheckSSL // SSL_GET: the SSL block; nil: there is none
}

// ConnectTo is where a checker connects; what is not set is the real server's.
type ConnectTo struct {
	Addr     netip.Addr
	Port     uint16
	BindTo   netip.Addr
	BindPort uint16
	BindIf   string
	FwMark   uint32
}

// HTTPCheckSpec is what HTTP_GET and SSL_GET ask.
type HTTPCheckSpec struct {
	VirtualHost  string
	Version      string // "1.0", "1.0C", "1.1"
	SNI          bool   // enable_sni
	FastRecovery bool
	URLs         []*CheckURL
}

// CheckURL is one url block.
type CheckURL struct {
	Pos                            Pos
	Path                           string
	VirtualHost                    string
	Digest                         string        // MD5 in hex; "": not looked at
	Status                         []StatusRange // none: 200 to 299 where nothing else is asked
	Regex                          string        // PCRE as written
	RegexNegate                    bool          // regex_no_match
	RegexOptions                   []string
	RegexMinOffset, RegexMaxOffset int
	RegexStack                     []int
	TLSCompliant                   bool
}

// StatusRange is status_code N or N-M.
type StatusRange struct{ First, Last int }

// SMTPCheckSpec is SMTP_CHECK.
type SMTPCheckSpec struct {
	HELO  string
	Hosts []ConnectTo
}

// ScriptCheckSpec is MISC_CHECK.
type ScriptCheckSpec struct {
	Command Command
	Timeout time.Duration
	Dynamic bool // misc_dynamic: exit status 2 to 255 is weight + 2
}

// DNSCheckSpec is DNS_CHECK.
type DNSCheckSpec struct {
	Type string // A, NS, CNAME, SOA, MX, TXT, AAAA, ...
	Name string
}

// UDPCheckSpec is UDP_CHECK.
type UDPCheckSpec struct {
	Payload      []byte
	RequireReply bool
	Reply        []byte // hex and text as given, nil: any
	ReplyMask    []byte // same length as Reply; nil: all bits
	MinReply     int
	MaxReply     int
}

// FileCheckSpec is FILE_CHECK.
type FileCheckSpec struct {
	File    string // name of a track_file
	Weight  *int
	Reverse *bool
	Dynamic bool // the file's number changes the weight
}

// CheckSSL is the SSL block: the client's side of SSL_GET.
type CheckSSL struct {
	Pos         Pos
	Password    Secret // of Key
	CA          string
	Certificate string
	Key         string
}

// Secret is a text that is never printed.
type Secret string

// String hides the text.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "(hidden)"
}

// GoString hides the text.
func (s Secret) GoString() string { return s.String() }

// MarshalText hides the text.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
