// Package node wires one worker together: it reads the files with a dialect,
// plans, builds the proxy, the pools, the checks and the runtime API, and
// gives the result to the keeper as a service. It is the one place where
// planes meet; it decides nothing itself.
package node
