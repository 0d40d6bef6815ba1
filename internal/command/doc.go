// Package command runs the programs that a configuration names: check scripts,
// notify scripts, readers of FIFOs.
//
// It owns how a program is found, whether it may be run (its path must not be
// in the hands of other users when it runs as root), as which user with which
// groups, in which process group, and how it ends. It never decides when to
// run something or what a result means, keeps no state between runs, and never
// goes through a shell unless the command is a redirection, which only a shell
// can carry out.
package command
