// Package contract is the test that every l4.Plane has to pass: what Set,
// Stats and Close mean, without packets. It is used by the tests of planes only.
package contract
