// Package process owns what the lab knows of running processes: the table of
// /proc, the tree under a node's init, which process plays which part in
// evenkeel, keepalived and HAProxy, and signals through pidfds, so that a
// number used again by another process is never hit.
package process
