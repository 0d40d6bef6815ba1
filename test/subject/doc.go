// Package subject owns the evenkeel that end-to-end tests run: it is built
// once for each test binary and goes with it. It knows nothing of what the
// tests do with it.
package subject
