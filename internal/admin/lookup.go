package admin

import (
	"strconv"
	"strings"

	"evenkeel/internal/model"
	"evenkeel/internal/pool"
)

// findProxy finds a proxy by name, or by "#id".
func findProxy(list []Proxy, name string) *Proxy {
	id, numeric := -1, false
	if n, ok := strings.CutPrefix(name, "#"); ok {
		if v, err := strconv.Atoi(n); err == nil {
			id, numeric = v, true
		}
	}
	for i := range list {
		if numeric && list[i].ID == id || !numeric && list[i].Name == name {
			return &list[i]
		}
	}
	return nil
}

// backend finds a backend, nil if there is none of that name.
func (c *Call) backend(name string) *pool.Backend {
	for _, p := range c.Source.Proxies() {
		if p.Backend != nil && findProxy([]Proxy{p}, name) != nil {
			return p.Backend
		}
	}
	return nil
}

// server finds the server that a "backend/server" argument names, or answers
// with what is wrong.
func (c *Call) server(arg string) *pool.Server {
	px, sv, ok := strings.Cut(arg, "/")
	if !ok || sv == "" {
		c.Fail("Require 'backend/server'.")
		return nil
	}
	b := c.backend(px)
	if b == nil {
		c.Fail("No such backend.")
		return nil
	}
	if s := serverOf(b, sv); s != nil {
		return s
	}
	c.Fail("No such server.")
	return nil
}

func serverOf(b *pool.Backend, name string) *pool.Server {
	id := 0
	if n, ok := strings.CutPrefix(name, "#"); ok {
		id, _ = strconv.Atoi(n)
	}
	for _, s := range b.Servers {
		if s.Name == name || id > 0 && s.ID == id {
			return s
		}
	}
	return nil
}

// frontend finds the frontend that an argument names, or answers with what is
// wrong.
func (c *Call) frontend(arg string) Frontend {
	if arg == "" {
		c.Fail("A frontend name is expected.")
		return nil
	}
	for _, p := range c.Source.Proxies() {
		if p.Frontend != nil && findProxy([]Proxy{p}, arg) != nil {
			return p.Frontend
		}
	}
	c.Fail("No such frontend.")
	return nil
}

// must answers "Permission denied" where the level is not reached.
func (c *Call) must(l model.AdminLevel) bool {
	if c.Has(l) {
		return true
	}
	c.Fail("Permission denied")
	return false
}
