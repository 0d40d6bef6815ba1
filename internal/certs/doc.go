// Package certs loads certificates, keys and authorities, and makes the TLS
// settings of listeners and servers from them. It owns which certificate a
// client gets, whether a peer's certificate is good, and the keys of session
// tickets. It opens no connection, and reads no file after Load: a worker in
// a chroot changes certificates from memory.
package certs
