package main

import (
	"fmt"
	"os"
	"strings"

	"evenkeel/internal/dialect"
	"evenkeel/internal/dialect/haproxy"
	"evenkeel/internal/dialect/keepalived"
)

// configuration is the files of a node by what they configure.
type configuration struct {
	proxy    []string // haproxy.cfg
	failover []string // keepalived.conf
}

// languages are the dialects that files may be written in.
func languages() *dialect.Registry {
	var r dialect.Registry
	for _, d := range []dialect.Dialect{keepalived.Dialect(), haproxy.Dialect()} {
		if err := r.Add(d); err != nil {
			panic(err) // two dialects with one name: a mistake of this list
		}
	}
	return &r
}

// sortFiles finds out which file is written in which language. A directory,
// and what no language recognises, is left to HAProxy's, whose messages then
// tell what is wrong with it.
func sortFiles(names []string) (configuration, error) {
	var c configuration
	r := languages()
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			c.proxy = append(c.proxy, name)
			continue
		}
		switch d, err := r.Detect(dialect.File{Name: name, Data: data}); {
		case err == nil && d.Name == "keepalived":
			c.failover = append(c.failover, name)
		case err == nil || strings.HasSuffix(name, ".cfg") || len(strings.TrimSpace(string(data))) == 0:
			c.proxy = append(c.proxy, name)
		default:
			return c, fmt.Errorf("%s: this is neither a haproxy.cfg nor a keepalived.conf: %w", name, err)
		}
	}
	return c, nil
}
