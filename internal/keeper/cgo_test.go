//go:build cgo

package keeper

// A binary with cgo cannot set no_new_privs on all threads.
const builtWithCgo = true
