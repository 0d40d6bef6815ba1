// Package vrrp is the state machine of one VRRP instance (RFC 3768, RFC 9568),
// the rules that tie instances to a sync group, and the arithmetic of effective
// priorities. Where the RFCs are silent it does what keepalived 2.2.7 does.
//
// It is pure: time comes in with each step, packets come in parsed, and what is
// to be done goes out as a list of actions. It opens no socket, sets no address,
// sleeps nowhere and reads no clock. A plain advertisement, sent or received,
// costs no allocation.
//
//	INIT --Start--> BACKUP --down interval, or skew after priority 0--> MASTER
//	                  ^ |                                                | |
//	                  | +<---- a better master, Frozen, GiveUp ----------+ |
//	              Recovered                                                |
//	                  |                                                    |
//	                FAULT <----------------- FaultSet ---------------------+
//
// Stop leads from everywhere to STOPPED. A master that leaves of its own accord
// (Stop, GiveUp, a fault that leaves the link up, its sync group) sends priority
// 0 and keeps answering until it hears a successor, or until the slowest possible
// one would have taken over: Info.Leaving is true until RemoveAddresses comes.
//
// Beyond keepalived: that wait; a changed priority is advertised at once; a
// master that lowers its priority below ours is replaced after the skew time
// (Config.PromptElection); priority 0 repeated does not put an election off; the
// schedule of advertisements does not drift; an interval of 0 is refused; masters
// in step over AH hear each other.
package vrrp
