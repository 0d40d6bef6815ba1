// Package alert carries events of every plane to where people and programs
// see them: syslog, the journal, webhooks, mail, notify scripts and FIFOs, and
// a ring in memory for status.
//
// It owns a queue and a goroutine for each sink, rate limits, retries and the
// wire formats. Post never blocks: a sink that hangs loses its own events and
// nobody else's. It never decides what is worth an event, and never writes
// passwords, header values or query strings into a message.
package alert
