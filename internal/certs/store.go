package certs

import (
	"crypto/tls"

	"evenkeel/internal/model"
)

// Options are how files are read.
type Options struct {
	ReadFile func(name string) ([]byte, error)
	ReadDir  func(name string) ([]string, error)
}

// Store holds the TLS settings of one configuration.
type Store struct {
	binds   map[*model.Bind]*tls.Config
	servers map[*model.Server]*tls.Config
}

// Load reads everything that the configuration names.
func Load(cfg *model.Config, o Options) (*Store, model.Diagnostics) {
	return &Store{}, nil
}

// Bind gives the settings of a bind line.
func (s *Store) Bind(b *model.Bind) *tls.Config { return s.binds[b] }

// Server gives the settings of a server line.
func (s *Store) Server(m *model.Server) *tls.Config { return s.servers[m] }

// TicketKeys are the keys that session tickets are sealed with, the newest
// first, so that the next worker resumes this one's sessions.
func (s *Store) TicketKeys() [][32]byte { return nil }

// SetTicketKeys takes up the keys of the worker before.
func (s *Store) SetTicketKeys(keys [][32]byte) {}
