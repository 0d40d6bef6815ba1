package model

import (
	"net/netip"
	"time"
)

// Failover is the part of a configuration that moves addresses between nodes:
// what keepalived.conf calls the VRRP half. Durations and counts are final
// values with the language's defaults filled in, unless a field says otherwise.
type Failover struct {
	Pos Pos

	RouterID    string // "": the host's name
	Namespace   string // net_namespace: run in this network namespace; "": the present one
	Instance    string // process-wide instance name (-i, @^instance)
	ScriptUser  *Credential
	ScriptCheck bool // enable_script_security

	Mail    Mail
	Webhook []Webhook
	Notify  NotifyFIFO // vrrp_notify_fifo / notify_fifo

	ReloadTimeFile string
	StartupDelay   time.Duration // vrrp_startup_delay
	RTPriority     int           // vrrp_rt_priority, 0: chosen by us
	NoRealtime     bool

	NamespaceIPVS     string // net_namespace_ipvs
	HasNamespaceIPVS  bool   // it was given; "" is the default namespace then
	DefaultInterface  string // for static addresses, routes and rules without dev
	DynamicInterfaces bool   // interfaces may come and go
	LogUnknownVRIDs   bool
	VMACPrefix        string // of generated interface names; "": vrrp
	VMACAddrPrefix    string // the same for addresses with an interface of their own
	StatesOnReload    bool   // fifo_write_vrrp_states_on_reload
	ServerInitNotify  bool   // rs_init_notifies
	LogAllFailures    bool   // checker_log_all_failures
	ReloadRepeat      bool
	ReloadCheckLog    string // reload_check_config FILE
	ReloadFile        string
	ChildWait         time.Duration // child_wait_time
	Startup, Shutdown *Command      // startup_script, shutdown_script
	StartupTimeout    time.Duration
	ShutdownTimeout   time.Duration
	ConfigDirectory   string        // config_save_dir
	RTTimeLimit       time.Duration // vrrp_rlimit_rttime; 0: chosen by us
	CPUs              []int         // vrrp_cpu_affinity
	NoSwap            bool          // vrrp_no_swap
	Nice              *int          // vrrp_priority

	Firewall Firewall // for addresses without accept mode

	GARPGroups         []*GARPGroup
	LinkbeatInterfaces []LinkbeatInterface
	InterfaceDelays    []InterfaceDelay

	StaticAddresses []*IPAddress
	StaticRoutes    []*IPRoute
	StaticRules     []*IPRule
	TrackGroups     []*TrackGroup

	Scripts    []*TrackScript
	Processes  []*TrackProcess
	Files      []*TrackFile
	BFD        []*BFDInstance
	SyncGroups []*SyncGroup
	Instances  []*VRRPInstance

	VirtualServers []*VirtualServer
	ServerGroups   []*VirtualServerGroup
	LVS            LVSGlobal
	SSL            *CheckSSL // nil: no SSL block
}

// GARPGroup is a garp_group block: the time between two frames on an interface,
// or on several that share a switch.
type GARPGroup struct {
	Pos          Pos
	Interfaces   []string
	Shared       bool // the limit is one for all of them
	GARPInterval *time.Duration
	NAInterval   *time.Duration
}

// LinkbeatInterface is one line of linkbeat_interfaces.
type LinkbeatInterface struct {
	Pos    Pos
	Name   string
	Method string // "", MII, ETHTOOL, IOCTL
}

// InterfaceDelay is one line of interface_up_down_delays.
type InterfaceDelay struct {
	Pos      Pos
	Name     string
	Down, Up time.Duration
}

// Firewall is how packets to addresses without accept mode are dropped
// (nftables …).
type Firewall struct {
	Table    string // "": the program's own name
	Priority *int   // nil: -1
	Counters bool
}

// Credential is a user and a group by name; Group may be empty.
type Credential struct {
	Pos         Pos
	User, Group string
}

// Mail is where mail alerts go (global_defs).
type Mail struct {
	To             []string
	From           string
	Server         string // host or address; "": 127.0.0.1
	Port           int    // 25
	HELO           string
	ConnectTimeout time.Duration
	AlertDefault   bool // smtp_alert of everything that does not say otherwise
	AlertVRRP      *bool
	AlertChecker   *bool
	NoFaults       bool // no_email_faults
	NoChecker      bool // no_checker_emails: only of servers that come or go for good
}

// Webhook is a URL that gets events as JSON by POST (an extension).
type Webhook struct {
	Pos     Pos
	URL     string
	Headers []string // "Name: value"
	Timeout time.Duration
}

// NotifyFIFO is a pipe that gets a line an event, and the program that reads it.
type NotifyFIFO struct {
	Path   string
	Script *Command
	// The same for VRRP alone and for virtual servers alone.
	VRRPPath   string
	VRRPScript *Command
	LVSPath    string
	LVSScript  *Command
	// Who owns the pipes; nil: script_user.
	User, VRRPUser, LVSUser *Credential
}

// Command is a program with arguments, and who runs it.
type Command struct {
	Pos  Pos
	Argv []string
	User *Credential // nil: script_user
}

// IPAddress is one line of virtual_ipaddress or static_ipaddress.
type IPAddress struct {
	Pos        Pos
	Prefix     netip.Prefix // address and length; /32 or /128 without a length
	Broadcast  string       // "": none; "+", "-" or an address
	Device     string       // "": the instance's interface
	Label      string
	Scope      string // name or number; "": the kernel's choice
	Peer       netip.Prefix
	Options    []string // home, nodad, mngtmpaddr, -nodad: flags as written
	TrackGroup string
	NoTrack    bool
	Deprecated *bool         // preferred_lft 0; nil: keepalived's choice (IPv6 /128: yes)
	Preferred  time.Duration // preferred_lft in whole seconds; 0: for ever, or Deprecated
	UseVMAC    bool          // an interface of its own with the virtual address, on Device
}

// IPRoute is one line of virtual_routes or static_routes, in ip-route's words.
type IPRoute struct {
	Pos        Pos
	Family     int // 4 or 6
	Type       string
	Dst        netip.Prefix // the default route: /0
	Src        netip.Addr   // prefsrc
	From       netip.Prefix
	Gateway    netip.Addr
	Device     string
	Table      string
	Metric     *uint32
	Scope      string
	Protocol   string
	TOS        *uint8
	OnLink     bool
	Options    map[string]string // mtu, advmss, rtt, rttvar, ssthresh, cwnd, initcwnd, initrwnd, window, hoplimit, quickack, congctl, realms, features
	NextHops   []NextHop
	Mode       string // "" and prepend: before what matches; add: only if nothing does; append: behind
	Default    bool   // written as default
	TrackGroup string
	NoTrack    bool
}

// NextHop is one path of a multipath route.
type NextHop struct {
	Gateway netip.Addr
	Device  string
	Weight  int
	OnLink  bool
}

// IPRule is one line of virtual_rules or static_rules, in ip-rule's words.
type IPRule struct {
	Pos         Pos
	Family      int
	From, To    netip.Prefix
	Not         bool
	TOS         *uint8
	FwMark      *uint32
	FwMask      *uint32
	IIF, OIF    string
	Table       string
	Priority    *uint32
	Action      string // "", blackhole, prohibit, unreachable, goto N, nop
	Goto        *uint32
	UIDRange    string
	SuppressLen *int
	IPProto     string
	SrcPort     string
	DstPort     string
	Protocol    string
	Realms      string
	TunnelID    string
	// SuppressGroup is suppress_ifgroup: a route through it is not used.
	SuppressGroup string
	TrackGroup    string
	NoTrack       bool
}

// TrackGroup names instances that follow a static address, route or rule.
type TrackGroup struct {
	Pos       Pos
	Name      string
	Instances []string
}

// TrackScript is a vrrp_script block.
type TrackScript struct {
	Pos      Pos
	Name     string
	Command  Command
	Interval time.Duration
	Timeout  time.Duration // 0: the interval
	Weight   int           // -253 to 253; 0: a failure is a fault
	Reverse  bool
	Fall     int
	Rise     int
	InitFail bool
}

// TrackProcess is a vrrp_track_process block.
type TrackProcess struct {
	Pos         Pos
	Name        string
	Process     []string // name and, with FullCommand, parameters
	ParamMatch  string   // "", "exact", "partial", "initial"
	Weight      int
	Reverse     bool
	Quorum      int // 1
	QuorumMax   int // more than so many is a failure, unless NoMax
	NoMax       bool
	ForkDelay   time.Duration
	ExitDelay   time.Duration
	FullCommand bool
}

// TrackFile is a track_file (vrrp_track_file) block.
type TrackFile struct {
	Pos      Pos
	Name     string
	Path     string
	Weight   int
	Reverse  bool
	InitFile bool // init_file: create it at the start when missing
	InitVal  int
	Override bool // init_file ... overwrite
}

// BFDInstance is a bfd_instance block (RFC 5880).
type BFDInstance struct {
	Pos        Pos
	Name       string
	Neighbor   netip.Addr
	Source     netip.Addr // invalid: the kernel's choice
	Port       int        // 3784
	MinRx      time.Duration
	MinTx      time.Duration
	IdleTx     time.Duration
	Multiplier int
	Passive    bool
	TTL        int // hop limit of what is sent
	MaxHops    int // how far the neighbour may be
	Weight     int
	Reverse    bool
	VRRPOnly   bool // events go to instances alone
	CheckOnly  bool // events go to virtual servers alone
}

// Tracked is one name in a track_* block, with what it says there.
type Tracked struct {
	Pos      Pos
	Name     string
	Weight   *int // nil: the tracked thing's own
	Reverse  *bool
	NoWeight bool
}

// Notify is the scripts of an instance or group.
type Notify struct {
	Master, Backup, Fault, Stop, Deleted, All *Command
	MasterRxLowerPrio                         *Command
	DeletedSent                               bool  // notify_deleted: DELETED is told in place of FAULT
	PriorityChanges                           bool  // notify_priority_changes
	MailAlert                                 *bool // nil: the global default
}

// SyncGroup is a vrrp_sync_group block: its instances change state together.
type SyncGroup struct {
	Pos                Pos
	Name               string
	Instances          []string
	TrackInterfaces    []Tracked
	TrackScripts       []Tracked
	TrackProcesses     []Tracked
	TrackFiles         []Tracked
	TrackBFD           []Tracked
	TrackProxy         []Tracked
	SyncTrackingWeight bool // sync_group_tracking_weight / global_tracking
	Notify             Notify
}

// UnicastPeer is one line of unicast_peer.
type UnicastPeer struct {
	Pos            Pos
	Addr           netip.Addr
	MinTTL, MaxTTL int // 0: not looked at
}

// VRRPAuth is the authentication of VRRP version 2.
type VRRPAuth struct {
	Pos      Pos
	Type     string  // "", "PASS", "AH"
	Password [8]byte // padded with zeros; never printed
}

// String leaves the password out.
func (a VRRPAuth) String() string {
	if a.Type == "" {
		return "none"
	}
	return a.Type + " (hidden)"
}

// GoString leaves the password out.
func (a VRRPAuth) GoString() string { return a.String() }

// MarshalText leaves the password out.
func (a VRRPAuth) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// VRRPInstance is a vrrp_instance block.
type VRRPInstance struct {
	Pos  Pos
	Name string

	Master    bool // state MASTER
	Interface string
	Family    int // 4 or 6
	Version   int // 2 or 3
	VRID      uint8
	Priority  int // 1 to 255
	AdvertInt time.Duration
	Auth      VRRPAuth
	Strict    bool

	VMAC               bool
	VMACName           string // "": vrrp.VRID, as keepalived names it
	VMACAddr           string // "": 00:00:5e:00:01:VRID (IPv6: 02)
	VMACXmitBase       bool
	VMACPerAddress     bool // use_vmac_addr
	IPVLAN             bool
	IPVLANName         string
	IPVLANMode         string // "", bridge, private, vepa
	IPVLANAddr         netip.Prefix
	VRF                string
	PromoteSecondaries bool

	Addresses         []*IPAddress
	AddressesExcluded []*IPAddress
	Routes            []*IPRoute
	Rules             []*IPRule

	MulticastSource netip.Addr // mcast_src_ip
	UnicastSource   netip.Addr
	UnicastPeers    []UnicastPeer
	MulticastGroup  netip.Addr // 224.0.0.18, ff02::12 or as set
	CheckUnicastSrc bool
	TrackSrcIP      bool
	UnicastTTL      int // 255
	MulticastTTL    int // 255

	NoPreempt            bool
	PreemptDelay         time.Duration
	Accept               bool
	SkipCheckAdvAddr     bool
	DontTrackPrimary     bool
	LinkbeatPolling      bool
	DownTimerAdverts     int // 3
	StartupDelay         time.Duration
	HigherPrioSendAdvert bool
	LowerPrioNoAdvert    bool
	ChecksumCompatNever  bool // unicast v3: pseudo-header always; see version 3 and old keepaliveds
	ChecksumOld          bool // old_unicast_checksum: unicast v3 without pseudo-header
	UnicastFaultNoPeer   bool // without peers: a fault, not multicast

	GARPMasterDelay         time.Duration // 0: no second batch
	GARPMasterRepeat        int
	GARPMasterRefresh       time.Duration // 0: none
	GARPMasterRefreshRepeat int
	GARPLowerPrioDelay      time.Duration
	GARPLowerPrioRepeat     int
	GARPInterval            time.Duration // between two frames on an interface
	NAInterval              time.Duration
	GARPExtra               time.Duration // garp_extra_if; 0: none
	GARPExtraAll            bool          // on every interface of an address, not on virtual ones only

	TrackInterfaces []Tracked
	TrackScripts    []Tracked
	TrackProcesses  []Tracked
	TrackFiles      []Tracked
	TrackBFD        []Tracked
	// TrackProxy follows the proxy that this evenkeel runs: Name is "" for the
	// proxy as a whole, or a backend that must have a server.
	TrackProxy []Tracked

	Notify     Notify
	DebugLevel int
}
