package vrrp

import (
	"fmt"

	wire "evenkeel/internal/wire/vrrp"
)

// note adds a Note.
func (m *Machine) note(a Action) {
	a.Kind = Note
	m.act(a)
}

// notices has a sentence for each kind, which follows the sender's address.
var notices = [NoticeKinds]func(a *Action) string{
	NoticeBadPacket: func(a *Action) string {
		return fmt.Sprintf("discarded an advertisement of %v: %v", a.Peer, wire.Error(a.Got))
	},
	NoticeTTL: func(a *Action) string {
		return fmt.Sprintf("discarded an advertisement of %v: its TTL is %d, not %d; it came through a router", a.Peer, a.Got, a.Want)
	},
	NoticeUnknownPeer: func(a *Action) string {
		return fmt.Sprintf("discarded an advertisement of %v, which is no peer of this instance", a.Peer)
	},
	NoticeOwnSource: func(a *Action) string {
		return fmt.Sprintf("discarded an advertisement with our own source address %v: it came back, or somebody else has the address", a.Peer)
	},
	NoticeInterval: func(a *Action) string {
		return fmt.Sprintf("discarded an advertisement of %v: its interval is %d ms, ours %d ms, and version 2 needs the same on all routers", a.Peer, a.Got, a.Want)
	},
	NoticeAddresses: func(a *Action) string {
		why := fmt.Sprintf("it has %d addresses, we have %d", a.Got, a.Want)
		if a.Address.IsValid() {
			why = fmt.Sprintf("%v is not among its addresses", a.Address)
		}
		if a.Accepted {
			return fmt.Sprintf("the configuration of %v is another one than ours: %s", a.Peer, why)
		}
		return fmt.Sprintf("discarded an advertisement of %v: %s", a.Peer, why)
	},
	NoticeReplay: func(a *Action) string {
		return fmt.Sprintf("discarded an advertisement of %v: AH sequence number %d was used before, the next is %d", a.Peer, a.Got, a.Want)
	},
	NoticeDuplicateMaster: func(a *Action) string {
		return fmt.Sprintf("two masters: %v also advertises, with priority %d", a.Peer, a.Priority)
	},
	NoticeLowerPriorityMaster: func(a *Action) string {
		return fmt.Sprintf("%v advertises with a lower priority (%d)", a.Peer, a.Priority)
	},
	NoticeOwnerConflict: func(a *Action) string {
		return fmt.Sprintf("%v also says that it owns the addresses (priority 255): only one router can", a.Peer)
	},
	NoticePriority: func(a *Action) string {
		return fmt.Sprintf("effective priority %d, was %d", a.Got, a.Want)
	},
}

// Text is the sentence of a Note, or the reason of a Transition.
func (a *Action) Text() string {
	switch {
	case a.Kind == Note && int(a.Notice) < len(notices):
		return notices[a.Notice](a)
	case a.Kind == Transition && a.Detail != "":
		return a.Cause.String() + ": " + a.Detail
	case a.Kind == Transition:
		return a.Cause.String()
	}
	return ""
}
