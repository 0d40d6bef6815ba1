// Package report says how a failover process looks from outside: one View of
// everything, and the forms in which people and programs get it: a table, JSON,
// and the two files that keepalived writes on SIGUSR1 and SIGUSR2.
//
// It reads no state but the View that it is given, and changes nothing.
package report
