// Package director is the control side of packet forwarding: it turns the
// virtual servers of a configuration and what their checks find into the
// desired state of a data plane, keeps the plane at that state, and tells
// people and scripts what happened.
//
// It owns which services and servers are wanted and with which weights, what
// was changed by hand (ipvsadm), the choice of the data plane, and what a new
// process resumes from. plan and manual are pure: configuration and check
// results go in, an l4.Config comes out. It forwards no packet, knows no kernel
// (l4.Plane does), runs no check itself (internal/health/real does) and never
// decides whether a server is well.
package director
