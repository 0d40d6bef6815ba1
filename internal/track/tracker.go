package track

// Tracker runs a Config.
type Tracker struct{}

// New makes a tracker that tracks nothing yet.
func New(o Options) *Tracker { return &Tracker{} }

// Set makes the tracker watch what c says. Things that were there before keep
// their state by kind and name: nothing is reported for them unless it changes.
// The errors name what cannot be watched; everything else is. A thing that
// cannot be watched (a script that is not safe to run) is Down.
func (t *Tracker) Set(c Config) []error { return nil }

// Status lists everything, by kind and name.
func (t *Tracker) Status() []Status { return nil }

// Close ends all watches and kills scripts that are running. Nothing is
// reported once it has returned.
func (t *Tracker) Close() {}
