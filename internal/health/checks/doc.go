// Package checks talks to one server once and says how it is: a TCP
// connection, a tcp-check script, HTTP, TLS hello, SMTP, MySQL, PostgreSQL,
// LDAP, Redis, and the agent protocol.
//
// A check is a script of steps (connect, send, expect), compiled once from the
// model; one protocol is one small file and one entry in the table. It owns the
// wording of results, which is HAProxy's. It never keeps state between two
// runs, decides whether a server is up, or reads more than its buffer: any
// reply, of any size and content, ends in a Result.
//
// The files real*.go are keepalived's checkers, with a table and an interface
// of their own (RealChecker): they are for real servers, to which packets are
// forwarded, and their wording is for people.
package checks
