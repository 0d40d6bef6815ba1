package node

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"os"
	"path/filepath"

	"evenkeel/internal/engine"
	"evenkeel/internal/pool"
)

// saved is what one worker tells the next.
type saved struct {
	Backends map[string]pool.SavedBackend
	Tickets  [][32]byte // TLS session ticket keys
}

// State implements worker.Service.
func (s *Service) State() []byte {
	now := engine.Monotonic()
	st := saved{Backends: map[string]pool.SavedBackend{}, Tickets: s.keys.TicketKeys()}
	for _, b := range s.pools {
		st.Backends[b.Name] = b.Save(now)
	}
	var buf bytes.Buffer
	if err := gob.NewEncoder(&buf).Encode(&st); err != nil {
		return nil
	}
	return buf.Bytes()
}

// restore takes up the state of the worker before.
func (s *Service) restore(blob []byte, now int64) {
	var st saved
	if err := gob.NewDecoder(bytes.NewReader(blob)).Decode(&st); err != nil {
		fmt.Fprintf(s.opt.Stderr, "[WARNING]  (%d) : the state of the previous worker is not used: %v\n", os.Getpid(), err)
		return
	}
	for _, b := range s.pools {
		if old, ok := st.Backends[b.Name]; ok {
			b.Load(&old, now)
		}
	}
	s.keys.SetTicketKeys(st.Tickets)
}

// loadServerStates reads the server-state files that the configuration names.
func (s *Service) loadServerStates(now int64) {
	g := &s.cfg.Global
	for _, b := range s.pools {
		name := ""
		switch b.Model.Backend.LoadServerState {
		case "global":
			name = g.ServerStateFile
		case "local":
			name = b.Name
		default:
			continue
		}
		if name == "" {
			continue
		}
		if g.ServerStateBase != "" && !filepath.IsAbs(name) {
			name = filepath.Join(g.ServerStateBase, name)
		}
		f, err := os.Open(name)
		if err != nil {
			continue // as HAProxy: the first start has none
		}
		warnings, err := pool.LoadState(f, []*pool.Backend{b}, now)
		f.Close()
		if err != nil {
			warnings = append(warnings, err.Error())
		}
		for _, w := range warnings {
			fmt.Fprintf(s.opt.Stderr, "[WARNING]  (%d) : server state file %s: %s\n", os.Getpid(), name, w)
		}
	}
}
