// Package haproxy reads HAProxy's configuration language into the model: the
// lexer, the conditional blocks, and one table entry for every keyword.
//
// It owns spelling, positions and messages. It opens no file, resolves no
// name and compiles no rule: plan resolves names and the rule machine
// compiles what is read here.
package haproxy
