// Package argv reads HAProxy's command line into plain values, as HAProxy
// does: options may be glued to their word (-dM0x50), some take a value, -sf
// and -st take all numbers that follow, and what follows -- are files.
//
// It opens no file but the directories of -f, and starts nothing.
package argv
