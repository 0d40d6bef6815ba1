// Package ipvsadm is ipvsadm's command line: its words and their order, its
// messages and exit codes, and its output to the column. Parse turns arguments
// into a Command, Run carries it out on a Table, which may be the kernel's IPVS,
// a running evenkeel or a test's.
//
// It follows ipvsadm 1.31; where it knowingly differs is said at the place and
// in docs/ipvsadm.md. It owns no table, opens no socket of the kernel's and never exits the
// process.
package ipvsadm
