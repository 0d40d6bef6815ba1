// Package record owns the words in which observers tell what they saw: who
// answered for an address and when, which request was lost, which
// advertisement came by. It turns records into lines and back and judges
// nothing.
package record
