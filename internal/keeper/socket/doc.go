// Package socket opens listening sockets from a plain description, and names
// the ones that were inherited from another process.
//
// It owns the system calls between an address in a configuration and a
// listening descriptor. It never accepts a connection.
package socket
