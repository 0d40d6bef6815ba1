// Package certs loads certificates, keys and authorities, and makes the TLS
// settings of listeners and servers from them. It owns which certificate a
// client gets; it opens no connection.
package certs
