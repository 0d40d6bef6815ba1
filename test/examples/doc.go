// Package examples runs every file under examples/ for real: the program
// checks it, HAProxy checks it where it is installed, and then it carries
// traffic between clients and servers of the test.
//
// Addresses in the files are those of a production network; the tests put
// loopback addresses in their place and change nothing else but the lines
// that need root.
package examples
