package worker

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// Files reads files and remembers what it read, so that a worker which dies
// can be built again from the very same text, whatever has been written to
// the disk since.
type Files struct {
	mu   sync.Mutex
	seen map[string][]byte
	old  map[string][]byte // answers instead of the disk; nil: none
}

// NewFiles reads from the disk.
func NewFiles() *Files { return &Files{seen: map[string][]byte{}} }

// FilesFrom answers from a Snapshot first.
func FilesFrom(blob []byte) (*Files, error) {
	f := NewFiles()
	if err := json.Unmarshal(blob, &f.old); err != nil {
		return nil, err
	}
	return f, nil
}

// ReadFile gives the content of a file. The caller must not change it.
func (f *Files) ReadFile(name string) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if b, ok := f.seen[name]; ok {
		return b, nil
	}
	b, ok := f.old[name]
	if !ok {
		var err error
		if b, err = os.ReadFile(name); err != nil {
			return nil, err
		}
	}
	f.seen[name] = b
	return b, nil
}

// ReadDir lists a directory of the disk, or what was found in it before.
func (f *Files) ReadDir(name string) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := name + "/\x00"
	var names []string
	if b, ok := f.old[key]; ok {
		f.seen[key] = b
		return names, json.Unmarshal(b, &names)
	}
	entries, err := os.ReadDir(name)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Type()&fs.ModeDir == 0 {
			names = append(names, e.Name())
		}
	}
	f.seen[key], _ = json.Marshal(names)
	return names, nil
}

// Glob lists what a pattern of filepath.Glob matches, or what it matched before.
func (f *Files) Glob(pattern string) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := pattern + "\x00glob"
	var names []string
	if b, ok := f.old[key]; ok {
		f.seen[key] = b
		return names, json.Unmarshal(b, &names)
	}
	names, err := filepath.Glob(pattern)
	if err == nil {
		f.seen[key], _ = json.Marshal(names)
	}
	return names, err
}

// Snapshot is everything that was read, as one blob.
func (f *Files) Snapshot() []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	b, _ := json.Marshal(f.seen) // a map of bytes cannot fail
	return b
}
