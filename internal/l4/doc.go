// Package l4 owns the words of packet forwarding: virtual services, real
// servers, forwarding methods, schedulers, counters, and Plane, which is what
// puts a wanted state into effect and tells what became of it. It says what a
// valid configuration is.
//
// It forwards nothing, opens nothing and knows no kernel: internal/l4/xdp and
// internal/l4/ipvs do, and internal/l4/fake records.
package l4
