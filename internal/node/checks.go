package node

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"time"

	"evenkeel/internal/health"
	"evenkeel/internal/pool"
)

// checkStopTime bounds how long a stop waits for checks that are under way.
const checkStopTime = 2 * time.Second

func (s *Service) startChecks() error {
	ctx, cancel := context.WithCancel(context.Background())
	r, err := health.Start(ctx, s.pools, s.cfg, health.Options{
		Env: health.RuleEnv(s.comp),
		TLS: func(srv *pool.Server, sni string, alpn []string) (*tls.Config, error) {
			cfg := s.keys.CheckTLS(srv.Model, sni)
			if cfg != nil && len(alpn) > 0 {
				cfg = cfg.Clone()
				cfg.NextProtos = alpn
			}
			return cfg, nil
		},
	})
	if err != nil {
		cancel()
		return err
	}
	s.checks, s.endChecks = r, cancel
	return nil
}

func (s *Service) stopChecks() {
	if s.checks == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), checkStopTime)
	defer cancel()
	if err := s.checks.Stop(ctx); err != nil {
		fmt.Fprintf(s.opt.Stderr, "[NOTICE]   (%d) : health checks did not end in time: %v\n", os.Getpid(), err)
	}
	s.endChecks()
	s.checks = nil
}
