// Package rule compiles the rules of every dialect (samples, converters,
// conditions, actions, log formats) into closures and runs them on one
// transaction.
//
// It owns the keyword tables. It does no I/O while it runs, keeps no
// connection, and knows other planes only through Env.
package rule
