// Package arch holds the tree to its shape: who may import whom and why,
// how long a file and a function may be, and that every package says what it
// owns.
package arch
