// Package measure owns what records mean: how long an address did not
// answer, how long two nodes had it, which requests were lost, and whether a
// cluster has come to rest. It is pure: records and times come in, figures go
// out.
package measure
