// Command demo shows evenkeel at work on one machine, without root and
// without configuration: it starts four origins and a director in front of
// them, keeps them under load, and lets origins die, rest and come back, the
// director reload and its worker be killed, while it counts what every client
// got.
//
// It is a user of the program like any other: it speaks HTTP, the runtime API
// and signals, and imports nothing of evenkeel. Its clients never try again
// by themselves, so that nothing that goes wrong is hidden.
package main
