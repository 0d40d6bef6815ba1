// Package plan turns a parsed configuration into one that can be run: names
// resolved, numbers given out, what one directive demands of another checked.
//
// It decides what is valid and never what a directive means: dialects read,
// the planes act. It opens files, asks for users and resolves hosts only
// through the functions in Options, so that a check can run anywhere.
package plan
