// Package report owns how drills look when they are over: a table for
// people, JSON for programs, and one HTML page with drawings. It writes and
// measures nothing.
package report
