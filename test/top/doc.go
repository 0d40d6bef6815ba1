// Package top drives `evenkeel top` on a pseudo-terminal beside a real proxy:
// what is on the screen, keys, sizes, a node that ends and comes back, and a
// terminal that is as it was afterwards. The package holds no code but tests.
package top
