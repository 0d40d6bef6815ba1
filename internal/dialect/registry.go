package dialect

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"evenkeel/internal/model"
)

// File is one configuration file, already read.
type File struct {
	Name string
	Data []byte
}

// Options are what a configuration can see of the program that reads it.
type Options struct {
	// Env looks up the environment; nil: the process's own.
	Env func(name string) (string, bool)
	// Diag: messages that are only for diagnosis are wanted (-dD).
	Diag bool
	// LocalPeer is this node's name (-L); "": the host's name.
	LocalPeer string
	// ConfigID is what @ lines of keepalived.conf are compared with (-i); "":
	// the host's name up to its first dot.
	ConfigID string
	// ReadFile reads the files that lines name; nil: os.ReadFile.
	ReadFile func(name string) ([]byte, error)
	// Glob finds the files that a pattern of an include names; nil:
	// filepath.Glob.
	Glob func(pattern string) ([]string, error)
	// Exists says whether a script is there and can be run by somebody; nil:
	// os.Stat is asked.
	Exists func(name string) bool
}

// WithDefaults fills in what was left out.
func (o Options) WithDefaults() Options {
	if o.Env == nil {
		o.Env = os.LookupEnv
	}
	if o.ReadFile == nil {
		o.ReadFile = os.ReadFile
	}
	if o.ConfigID == "" {
		name, _ := os.Hostname()
		o.ConfigID, _, _ = strings.Cut(name, ".")
	}
	if o.Glob == nil {
		o.Glob = filepath.Glob
	}
	if o.Exists == nil {
		o.Exists = executable
	}
	return o
}

func executable(name string) bool {
	info, err := os.Stat(name)
	return err == nil && !info.IsDir() && info.Mode()&0o111 != 0
}

// Keyword is the description of one keyword for people.
type Keyword struct {
	Name     string
	Args     string
	Sections []string // where it may stand
	Help     string
	Status   string // supported, deprecated, no effect, not yet
	Cure     string // what to write instead
}

// Dialect is one configuration language.
type Dialect struct {
	Name string
	// Recognises says whether a file is written in this language, by its name
	// and its first lines.
	Recognises func(f File) bool
	Parse      func(files []File, opt Options) (*model.Config, model.Diagnostics)
	Keywords   func() []Keyword
}

// Registry is the languages that the program knows, in the order in which they
// are asked. The zero value is empty.
type Registry struct{ list []Dialect }

// Add enters a language. A name can be entered once.
func (r *Registry) Add(d Dialect) error {
	if _, ok := r.Lookup(d.Name); ok || d.Name == "" || d.Parse == nil {
		return fmt.Errorf("dialect %q cannot be added: it has no name or no parser, or is there already", d.Name)
	}
	r.list = append(r.list, d)
	return nil
}

// Lookup finds a language by name.
func (r *Registry) Lookup(name string) (Dialect, bool) {
	i := slices.IndexFunc(r.list, func(d Dialect) bool { return d.Name == name })
	if i < 0 {
		return Dialect{}, false
	}
	return r.list[i], true
}

// Names lists the languages.
func (r *Registry) Names() []string {
	var names []string
	for _, d := range r.list {
		names = append(names, d.Name)
	}
	return names
}

// Detect finds the language of a file.
func (r *Registry) Detect(f File) (Dialect, error) {
	for _, d := range r.list {
		if d.Recognises != nil && d.Recognises(f) {
			return d, nil
		}
	}
	return Dialect{}, fmt.Errorf("%s: cannot tell its language: the known ones are %s", f.Name, strings.Join(r.Names(), ", "))
}
