package l4

import "net/netip"

// SyncDaemon is one end of the synchronisation of connections between two
// directors, as the kernel's IPVS has it. A director may have both ends.
type SyncDaemon struct {
	Backup    bool   // receives connections; else it sends them (master)
	Interface string // that multicasts go out of and come in on
	ID        uint8  // of messages; a backup with 0 takes all
	MaxLen    int    // bytes of a message; 0: what the interface's MTU allows
	Group     netip.Addr
	Port      uint16 // 0: 8848
	TTL       uint8  // 0: 1
}
