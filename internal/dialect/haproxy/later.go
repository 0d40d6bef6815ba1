package haproxy

// later makes an entry that is refused until it is built.
func later(where section, name, help, cure string) *keyword {
	return &keyword{Name: name, Sections: where, Help: help, Status: statusLater, Cure: cure, No: true}
}

const (
	noStats    = "take the stats lines out; 'stats socket' in the global section gives the same figures ('show stat')"
	noTables   = "take the line out; for clients that stay on their server use 'cookie NAME insert indirect nocache' or 'balance source'"
	noCompress = "take the line out: responses go through as the server sends them"
	noLua      = "write the rule with http-request or tcp-request actions"
)

var laterKeywords = []*keyword{
	later(secAny, "stats enable", "the statistics page", noStats),
	later(secAny, "stats uri", "where the statistics page is", noStats),
	later(secAny, "stats realm", "the realm of the statistics page", noStats),
	later(secAny, "stats auth", "users of the statistics page", noStats),
	later(secAny, "stats admin", "who may act on the statistics page", noStats),
	later(secAny, "stats refresh", "how often the statistics page reloads", noStats),
	later(secAny, "stats hide-version", "the statistics page without the version", noStats),
	later(secAny, "stats show-desc", "the statistics page with a description", noStats),
	later(secAny, "stats show-legends", "the statistics page with legends", noStats),
	later(secAny, "stats show-modules", "the statistics page with modules", noStats),
	later(secAny, "stats show-node", "the statistics page with the node's name", noStats),
	later(secAny, "stats scope", "proxies on the statistics page", noStats),
	later(secAny, "stats http-request", "who may see the statistics page", noStats),
	later(secProxy|secDefaults, "stick-table", "a table of what clients did", noTables),
	later(secBE, "stick", "keep clients on their server by a table", noTables),
	later(secBE, "persist", "RDP cookies", "use 'balance rdp-cookie'"),
	later(secBE, "appsession", "persistence by a session cookie (removed from HAProxy)", "use 'cookie NAME prefix' or 'cookie NAME insert'"),
	later(secAny, "compression", "compress responses", noCompress),
	later(secAny, "filter", "hooks into the traffic", "take the line out"),
	later(secBE, "use-fcgi-app", "FastCGI", "put an HTTP server before the FastCGI application"),
	later(secBE, "external-check", "checks by a program", "use 'option httpchk' or 'option tcp-check'"),
	later(secGlobal, "external-check", "checks by a program", "take the line out, and use 'option httpchk' or 'option tcp-check'"),
	later(secGlobal, "lua-load", "Lua", noLua),
	later(secGlobal, "lua-load-per-thread", "Lua", noLua),
	later(secGlobal, "lua-prepend-path", "Lua", noLua),
	later(secGlobal, "set-var", "variables of the process", "use 'http-request set-var(txn.NAME)'"),
	later(secGlobal, "set-var-fmt", "variables of the process", "use 'http-request set-var-fmt(txn.NAME)'"),
	later(secGlobal, "h1-case-adjust", "header names in another case", "take the line out: the case that was received is kept"),
	later(secGlobal, "h1-case-adjust-file", "header names in another case", "take the line out: the case that was received is kept"),
	later(secGlobal, "peers", "an old place of peers", "take the line out"),
	later(secGlobal, "51degrees-data-file", "device detection", "take the line out"),
	later(secGlobal, "deviceatlas-json-file", "device detection", "take the line out"),
	later(secGlobal, "wurfl-data-file", "device detection", "take the line out"),
	later(secGlobal, "ring", "buffers of log lines", "take the line out"),
	later(secGlobal, "trace", "traces of the insides", "take the line out"),
}
