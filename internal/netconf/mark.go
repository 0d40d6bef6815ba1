package netconf

// Mark is the protocol number (rt_protos: keepalived) that addresses, routes
// and rules of ours carry, so that a later run knows them.
const Mark = 18
