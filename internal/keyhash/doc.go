// Package keyhash has the non-cryptographic hashes that HAProxy's configuration
// names, in the exact form that decides which server a key belongs to. Every
// function is pure.
package keyhash
