// Package report prints diagnostics for people: in HAProxy's form, which
// tools grep for, and in a form with the line in question and a mark under
// the word that is meant.
//
// It owns the look of messages and never decides what is an error.
package report
