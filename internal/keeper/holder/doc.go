// Package holder is the failover process's end of the keeper: it is started,
// told to prepare and apply a new configuration, to hand its addresses over,
// and it passes on what people ask of it.
//
// It owns the order of these steps (Run) and nothing of VRRP, which is behind
// the Service interface. What must not be lost when either process dies is in
// the lease page, not in these messages.
package holder
