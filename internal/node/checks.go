package node

func (s *Service) startChecks() {}
