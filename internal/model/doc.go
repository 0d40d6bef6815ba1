// Package model is the typed description of a whole cluster: what every
// dialect is translated into and what plan, the planes and the dashboard
// read. Each value carries the position in the file that it came from.
//
// It owns data only: it never opens a file, resolves a name, or knows a
// dialect's spelling. It imports nothing but the standard library.
package model

import "strconv"

// Pos is a place in a configuration file. Line and Col count from 1; a zero
// Line means that the value is a default and stands in no file.
type Pos struct {
	File string
	Line int
	Col  int
}

// String gives file:line:column, leaving out the parts that are not known.
func (p Pos) String() string {
	s := p.File
	if s == "" {
		s = "-"
	}
	if p.Line > 0 {
		s += ":" + strconv.Itoa(p.Line)
		if p.Col > 0 {
			s += ":" + strconv.Itoa(p.Col)
		}
	}
	return s
}

// IsZero says whether the value was written in no file.
func (p Pos) IsZero() bool { return p.Line == 0 }

// Config is everything read from one set of files.
type Config struct {
	Files      []string
	Global     Global
	Proxies    []*Proxy // in the order of the files
	Userlists  []*Userlist
	HTTPErrors []*HTTPErrors
	Failover   *Failover // nil: no addresses move
}

// Proxy finds the first proxy of that name whose kind covers kind.
func (c *Config) Proxy(name string, kind ProxyKind) *Proxy {
	for _, p := range c.Proxies {
		if p.Name == name && p.Kind&kind != 0 {
			return p
		}
	}
	return nil
}

// Userlist finds a user list by name.
func (c *Config) Userlist(name string) *Userlist {
	for _, u := range c.Userlists {
		if u.Name == name {
			return u
		}
	}
	return nil
}

// Userlist is a set of users and groups for HTTP authentication.
type Userlist struct {
	Pos    Pos
	Name   string
	Groups []UserGroup
	Users  []User
}

// UserGroup is a group and the users it names.
type UserGroup struct {
	Pos   Pos
	Name  string
	Users []string
}

// User is one user; exactly one of Password and Insecure is set.
type User struct {
	Pos      Pos
	Name     string
	Password string // crypt(3) form
	Insecure string // clear text
	// NoPassword: neither was given, and the user can never be authenticated.
	NoPassword bool
	Groups     []string
}

// HTTPErrors is a named set of error files, keyed by status.
type HTTPErrors struct {
	Pos   Pos
	Name  string
	Files map[int]ErrorReply
}
