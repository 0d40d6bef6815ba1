package rule

import (
	"net/netip"
	"os"

	"evenkeel/internal/model"
)

// FileLoader reads a file that a configuration names.
type FileLoader func(name string) ([]byte, error)

// Compiler turns model rules into programs. One compiler serves a whole
// configuration, so that pattern files and variables are shared. It is not
// safe for concurrent use; what it makes is.
type Compiler struct {
	Config   *model.Config
	Files    FileLoader
	ProcVars *ProcVars
	// Patterns are the files and inline lists that rules match against.
	Patterns *PatternSet
	// Proxy is where the rules stand: names in messages and defaults of
	// fetches that take a backend name.
	Proxy *model.Proxy
	// Resolve looks a host name of a pattern up; nil: the system does.
	Resolve func(host string) ([]netip.Addr, error)
	// AnyPhase lets fetches read the request while a response is handled, as
	// VCL does and HAProxy does not.
	AnyPhase bool
	// ServerAddrs is set by compiling something that reads Tx.ServerAddr or
	// ServerSrc: they cost two system calls a request.
	ServerAddrs bool

	Diagnostics model.Diagnostics

	slots [scopeCount]map[string]int
	auth  *authCache
}

// NewCompiler makes a compiler for one configuration.
func NewCompiler(cfg *model.Config) *Compiler {
	return &Compiler{
		Config: cfg, Files: os.ReadFile, ProcVars: &ProcVars{}, Patterns: NewPatternSet(), auth: newAuthCache(),
	}
}

// Cond is a compiled condition. Input that is missing makes a test false.
type Cond func(tx *Tx) bool
