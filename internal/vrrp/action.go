package vrrp

import (
	"net/netip"

	wire "evenkeel/internal/wire/vrrp"
)

// ActionKind says which fields of an Action count.
type ActionKind uint8

const (
	// SendAdvert: an advertisement with Priority and Sequence, to the multicast
	// group or to every peer. Machine.Advert makes it, unless Previous is set.
	SendAdvert ActionKind = iota
	// AddAddresses: make them ours. Repeatable.
	AddAddresses
	// RemoveAddresses: they are not ours any more. Repeatable.
	RemoveAddresses
	// Announce: Repeat gratuitous ARPs or neighbour advertisements for each
	// address.
	Announce
	// Transition: From, To, Cause; Detail has more words.
	Transition
	// Note: something worth counting and, at a bounded rate, worth saying. Text
	// makes the words; before that nothing is formatted.
	Note
)

// Action is one thing to do, in the order of the slice.
type Action struct {
	Kind ActionKind

	Priority uint8  // SendAdvert; Note: the sender's
	Sequence uint32 // SendAdvert (AH)
	// Previous is set when the advertisement is the last one of a configuration
	// that a Reconfigure has replaced by another virtual router's.
	Previous *Previous

	Repeat int            // Announce
	Reason AnnounceReason // Announce

	From, To State // Transition
	Cause    Cause
	Detail   string // Transition: the fault, the member of the group; may be empty

	Notice NoticeKind // Note
	Peer   netip.Addr // Note: who sent it
	// Got and Want are numbers that the notice is about (an interval in
	// milliseconds, a TTL, a count), when it is about numbers.
	Accepted  bool // NoticeAddresses: not discarded
	Got, Want int64
	Address   netip.Addr // Note: an address it is about
}

// Previous is an advertisement with the configuration that it belongs to.
type Previous struct {
	Advert wire.Advert
	Config Config
}

// AnnounceReason is why addresses are announced.
type AnnounceReason uint8

const (
	AnnounceMaster AnnounceReason = iota
	AnnounceMasterAgain
	AnnounceRefresh
	AnnounceLowerPriority
	AnnounceLowerPriorityAgain
)

var announceTexts = [...]string{
	AnnounceMaster:             "became master",
	AnnounceMasterAgain:        "became master, again",
	AnnounceRefresh:            "refresh",
	AnnounceLowerPriority:      "heard a lower master",
	AnnounceLowerPriorityAgain: "heard a lower master, again",
}

func (r AnnounceReason) String() string {
	if int(r) < len(announceTexts) {
		return announceTexts[r]
	}
	return "unknown"
}

// NoticeKind is what a Note says.
type NoticeKind uint8

const (
	// NoticeBadPacket: wire.Parse refused it; Got is the wire.Error.
	NoticeBadPacket NoticeKind = iota
	NoticeTTL
	NoticeUnknownPeer
	NoticeOwnSource
	NoticeInterval
	NoticeAddresses
	NoticeReplay
	// NoticeDuplicateMaster: another master was heard while we are one.
	NoticeDuplicateMaster
	// NoticeLowerPriorityMaster: a master heard one of lower priority
	// (notify_master_rx_lower_pri).
	NoticeLowerPriorityMaster
	// NoticeOwnerConflict: somebody else also says that it owns the addresses.
	NoticeOwnerConflict
	// NoticePriority: the effective priority changed; Got is the new one, Want
	// the old one.
	NoticePriority
	noticeKinds
)

// NoticeKinds is the number of notice kinds.
const NoticeKinds = int(noticeKinds)
