// Package dialect is what all configuration languages have in common: the
// files they are given, the registry that finds the right one, and how
// messages about a file are shown to people.
//
// It knows no language. Languages are entered by the program's wiring, so
// that a new one is one package and one line.
package dialect
