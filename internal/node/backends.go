package node

// Backends that addresses may follow (track_proxy in keepalived.conf).

// tellDown tells the failover process which backends have no server that
// could be used. Changes that come close together are told together.
func (s *Service) tellDown() {
	tell := s.down.Load()
	if tell == nil || !s.telling.CompareAndSwap(false, true) {
		return
	}
	go func() {
		s.telling.Store(false)
		down := []string{}
		for _, b := range s.pools {
			if b.Usable() == 0 {
				down = append(down, b.Model.Name)
			}
		}
		// A keeper that does not listen is about to be missed anyway.
		_ = (*tell)(down)
	}()
}
