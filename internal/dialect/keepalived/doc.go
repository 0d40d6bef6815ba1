// Package keepalived reads keepalived.conf into the model: the reader of
// lines (comments, conditions, parameters, sequences, includes), the tree of
// blocks, and one table entry for every keyword of the manual.
//
// It owns spelling, positions, defaults and messages. It opens no file except
// through the functions of its Options, looks at no interface, and never
// repeats a password in a message.
package keepalived
