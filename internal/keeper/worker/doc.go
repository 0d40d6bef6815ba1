// Package worker is the worker's end of the keeper: it asks for listening
// sockets, gives up privileges, says when it is ready, and hears when it has
// to drain.
//
// It owns the order of these steps (Run) and nothing of the traffic, which
// is behind the Service interface. Local is the same end without a keeper,
// for tests and demonstrations in one process.
package worker
