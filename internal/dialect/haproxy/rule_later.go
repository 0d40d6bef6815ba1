package haproxy

// laterActions are known and refused: stick tables, caches, scripts and the
// like are not built yet.
var laterActions = []actionEntry{
	laterAction("track-sc0", "KEY [table NAME]", setRequest|setHTTPResponse, "counts a client in a stick table", stickCure),
	laterAction("track-sc1", "KEY [table NAME]", setRequest|setHTTPResponse, "counts a client in a stick table", stickCure),
	laterAction("track-sc2", "KEY [table NAME]", setRequest|setHTTPResponse, "counts a client in a stick table", stickCure),
	laterAction("sc-add-gpc", "(INDEX,COUNTER) NUMBER", setAny, "adds to a counter of a stick table", stickCure),
	laterAction("sc-inc-gpc", "(INDEX,COUNTER)", setAny, "increments a counter of a stick table", stickCure),
	laterAction("sc-inc-gpc0", "(COUNTER)", setAny, "increments a counter of a stick table", stickCure),
	laterAction("sc-inc-gpc1", "(COUNTER)", setAny, "increments a counter of a stick table", stickCure),
	laterAction("sc-set-gpt", "(INDEX,COUNTER) VALUE", setAny, "sets a tag of a stick table", stickCure),
	laterAction("sc-set-gpt0", "(COUNTER) VALUE", setAny, "sets a tag of a stick table", stickCure),
	laterAction("cache-use", "NAME", setHTTPRequest, "answers from a cache", "take the rule out, with its cache section: every request goes to a server"),
	laterAction("cache-store", "NAME", setHTTPResponse, "stores a response in a cache", "take the rule out, with its cache section"),
	laterAction("do-resolve", "(VARIABLE,RESOLVERS,[ipv4,ipv6]) EXPRESSION", setTCPContent|setHTTPRequest, "asks the DNS", "name the address, or a server with a host name, which is resolved at start"),
	laterAction("lua.*", "", setAny, "runs a Lua function", "write it with rules: variables, converters and maps cover most of what is done in Lua"),
	laterAction("use-service", "NAME", setTCPContent|setHTTPRequest, "lets a built-in service answer", "take the rule out; metrics are served by the program itself"),
	laterAction("send-spoe-group", "ENGINE GROUP", setStream, "asks an agent", "take the rule out"),
	laterAction("ot-group", "FILTER GROUP", setAny, "sends a trace", "take the rule out"),
	laterAction("set-bandwidth-limit", "NAME [limit EXPRESSION] [period EXPRESSION]", setStream, "limits the speed", "take the rule out"),
	laterAction("switch-mode", "http [proto NAME]", setTCPContent, "goes on in HTTP mode", "use a frontend of its own in mode http"),
	laterAction("expect-netscaler-cip", "layer4", setTCPConnection, "reads a NetScaler client address header first", "use the PROXY protocol: expect-proxy layer4"),
	laterAction("set-bc-mark", "MARK", setTCPContent|setHTTPRequest, "sets the firewall mark of packets to the server", "take the rule out, or set a mark with 'set-fc-mark' on the client's side"),
	laterAction("set-bc-tos", "TOS", setTCPContent|setHTTPRequest, "sets the TOS byte of packets to the server", "take the rule out"),
	laterAction("set-retries", "NUMBER", setTCPContent|setHTTPRequest, "sets the number of retries", "write 'retries' in the backend"),
	laterAction("attach-srv", "NAME", setTCPSession, "offers the connection to a server as a reverse tunnel", "take the rule out"),
	laterAction("do-log", "", setAny, "writes a log line at once", "take the rule out"),
	laterAction("pause", "TIME", setHTTPRequest|setHTTPResponse, "waits", "take the rule out, or use tarpit"),
}

const stickCure = "take the rule out: stick tables and their counters come with a later version"

func laterAction(name, args string, sets ruleset, help, cure string) actionEntry {
	return actionEntry{Name: name, Paren: args != "" && args[0] == '(', Args: args, Sets: sets, Help: help, Status: statusLater, Cure: cure}
}
