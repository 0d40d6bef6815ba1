package rule

// Env is what rules ask other planes. The proxy's wiring implements it; embed
// NoEnv to implement a part.
type Env interface {
	NbSrv(backend string) (int, bool)
	ServerIsUp(backend, server string) (up, ok bool)
	ConnSlots(backend string) int
	QueueLen(backend string) int
	ServerQueue(backend, server string) int
	// ServerWeights gives the effective weight, the configured one and the one
	// set by the administrator.
	ServerWeights(backend, server string) (weight, initial, user int)
	BackendConns(name string) int
	FrontendConns(name string) int
	ServerConns(backend, server string) int
	BackendConnFree(name string) int // -1: no limit
	ServerConnFree(backend, server string) int
	BackendRate(name string) int
	FrontendRate(name string) int
	FrontendReqRate(name string) int
	ServerRate(backend, server string) int
	Stopping() bool
}

// NoEnv answers nothing.
type NoEnv struct{}

func (NoEnv) NbSrv(string) (int, bool)                   { return 0, false }
func (NoEnv) ServerIsUp(string, string) (up, ok bool)    { return false, false }
func (NoEnv) ConnSlots(string) int                       { return 0 }
func (NoEnv) QueueLen(string) int                        { return 0 }
func (NoEnv) ServerQueue(string, string) int             { return 0 }
func (NoEnv) ServerWeights(string, string) (w, i, u int) { return 0, 0, 0 }
func (NoEnv) BackendConns(string) int                    { return 0 }
func (NoEnv) FrontendConns(string) int                   { return 0 }
func (NoEnv) ServerConns(string, string) int             { return 0 }
func (NoEnv) BackendConnFree(string) int                 { return -1 }
func (NoEnv) ServerConnFree(string, string) int          { return -1 }
func (NoEnv) BackendRate(string) int                     { return 0 }
func (NoEnv) FrontendRate(string) int                    { return 0 }
func (NoEnv) FrontendReqRate(string) int                 { return 0 }
func (NoEnv) ServerRate(string, string) int              { return 0 }
func (NoEnv) Stopping() bool                             { return false }
