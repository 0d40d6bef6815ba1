package failover

import (
	"io"

	"evenkeel/internal/alert"
	"evenkeel/internal/keeper/lease"
	"evenkeel/internal/metrics"
	"evenkeel/internal/model"
)

// Options are set once.
type Options struct {
	Version string
	// Stderr gets messages of the process itself; nil: nobody.
	Stderr io.Writer
	// Sinks get events besides those of the configuration: syslog or the
	// console, as the command line wants it.
	Sinks []alert.Spec
	// Registry gets the metrics; nil: nobody counts.
	Registry *metrics.Registry
	// WithProxy: the same keeper runs a proxy, so that by default its health
	// is every instance's.
	WithProxy bool
	// DumpDir is where "dump data" and "dump stats" write keepalived.data and
	// keepalived.stats; "": /tmp.
	DumpDir string
}

// Service is the failover process. Its methods may be called from any
// goroutine, one of Configure, Start, Apply and Stop at a time.
type Service struct {
	options Options
}

// New makes a service that does nothing yet.
func New(o Options) *Service { return &Service{options: o} }

// Configure checks a configuration and prepares it, for Start or Apply. Nothing
// changes before those, and nothing at all when there are errors.
func (s *Service) Configure(c *model.Config) model.Diagnostics { return nil }

// Start begins to serve what Configure prepared. page is shared with the
// keeper (nil: there is no keeper), state what a failover process before this
// one wrote there.
func (s *Service) Start(page *lease.Page, state []byte) error { return nil }

// Apply switches to what Configure prepared last. Instances that have not
// changed notice nothing.
func (s *Service) Apply() {}

// Stop ends everything and then calls done, once. Graceful: instances that are
// master say so with priority 0, and keep their addresses until a peer has
// taken over or would have. Otherwise addresses are removed at once.
func (s *Service) Stop(graceful bool, done func()) {
	if done != nil {
		done()
	}
}

// Control carries out one line of "evenkeel ctl" and returns what to print.
func (s *Service) Control(line string) string { return "" }
