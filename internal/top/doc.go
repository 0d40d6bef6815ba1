// Package top shows a running node on a terminal, live: its virtual addresses,
// virtual services with their real servers, the proxy's listeners and pools,
// and what happened last.
//
// It owns the way from what a node tells (Raw) over what that means (Snapshot,
// Model with rates) to lines of a given width and height (Frame), all without
// I/O, and the one file that puts those lines on a terminal. It asks a node
// through the Source that it is given, and never changes one.
package top
