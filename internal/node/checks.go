package node

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"regexp"
	"time"

	"evenkeel/internal/health"
	"evenkeel/internal/health/checks"
	"evenkeel/internal/model"
	"evenkeel/internal/pool"
	"evenkeel/internal/rule"
)

// checkStopTime bounds how long a stop waits for checks that are under way.
const checkStopTime = 2 * time.Second

func (s *Service) startChecks() error {
	ctx, cancel := context.WithCancel(context.Background())
	r, err := health.Start(ctx, s.pools, s.cfg, health.Options{
		Env: s.checkEnv(),
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

// checkEnv compiles what stands in http-check and tcp-check lines with the
// rule machine.
func (s *Service) checkEnv() checks.Env {
	facts := func(f *checks.Facts) *rule.Tx {
		return &rule.Tx{
			Phase: rule.PhaseCheck, Env: rule.NoEnv{}, Conn: &rule.Conn{}, Now: time.Now(), RawClosed: true,
			RawRes: f.Payload, Backend: &rule.ProxyInfo{Name: f.Server.Backend.Name, ID: f.Server.Backend.ID},
			Server: &rule.ServerInfo{Name: f.Server.Name, ID: f.Server.ID},
		}
	}
	return checks.Env{
		Node: s.cfg.Global.Node,
		Format: func(m *model.Format) (func(*checks.Facts) []byte, error) {
			f := s.comp.Format(m, rule.PhaseCheck)
			if err := s.compileError(); err != nil {
				return nil, err
			}
			return func(x *checks.Facts) []byte { return f.Append(nil, facts(x)) }, nil
		},
		Expr: func(m *model.Expr) (func(*checks.Facts) []byte, error) {
			e := s.comp.Expr(m, rule.PhaseCheck)
			if err := s.compileError(); err != nil {
				return nil, err
			}
			return func(x *checks.Facts) []byte {
				v, _ := e.EvalAs(facts(x), rule.KindString)
				return append([]byte(nil), v.Bytes...)
			}, nil
		},
		Regex: func(expr string) (func([]byte) bool, error) {
			re, err := regexp.Compile(expr)
			if err != nil {
				return nil, err
			}
			return re.Match, nil
		},
	}
}

// compileError takes the first error that the rule compiler noted.
func (s *Service) compileError() error {
	d := s.comp.Diagnostics
	s.comp.Diagnostics = nil
	for _, x := range d {
		if x.Severity == model.Error {
			return x
		}
	}
	return nil
}
