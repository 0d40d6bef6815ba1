//go:build !cgo

package keeper

const builtWithCgo = false
