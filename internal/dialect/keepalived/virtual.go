package keepalived

// serverState is what is being read of virtual servers.
type serverState struct{}

func (p *parser) completeLVS() {}
