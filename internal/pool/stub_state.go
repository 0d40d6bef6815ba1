package pool

import "time"

type serverState struct {
	endpoint Endpoint
	oper     Oper
	admin    Admin
	cookie   string
	kick     func()
}

func (s *Server) usable() bool                 { panic("todo") }
func (s *Server) checkInterval() time.Duration { panic("todo") }
