// Package ipc carries messages with descriptors between the keeper and its
// workers: SOCK_SEQPACKET unix sockets, one message a packet, and blobs too
// large for a packet in sealed memory files.
//
// It owns framing and descriptors in flight. It knows no message's meaning.
package ipc
