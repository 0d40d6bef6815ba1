package proxy

// SetRateLimit sets how many new connections a second the process takes;
// which is "connections", "sessions" or "ssl-sessions". 0: no limit.
func (rt *Runtime) SetRateLimit(which string, perSecond int) {
	switch which {
	case "connections", "sessions":
		rt.connRateLimit.Store(int64(perSecond))
	}
	rt.recheck()
}
