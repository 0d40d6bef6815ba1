// Package track watches what priorities depend on: scripts that run at an
// interval, processes that must exist, and numbers in files.
//
// It owns the runs, the process and file watches, and the counting of
// successes and failures, which is pure (ScriptState, ProcessTable,
// ParseValue). It tells each change once to a function that it is given. It
// never knows who tracks a thing, and never changes a priority: Effect and
// FileEffect only say by how much one tracker would.
package track
