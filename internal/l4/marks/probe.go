package marks

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Missing is what the kernel lacks, each in words with what would help.
type Missing []string

func (m Missing) Error() string { return strings.Join(m, "; ") }

// Probe finds out whether this kernel can do what Set asks of it, in a network
// namespace that nobody else sees. It gives Missing; nil: nothing is, or nobody
// may ask.
func Probe(config Config) error {
	var missing Missing
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // the thread ends with its namespace
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return
		}
		for _, k := range kinds() {
			if len(config.of(&k)) > 0 {
				missing = append(missing, k.missing()...)
			}
		}
	}()
	<-done
	if len(missing) == 0 {
		return nil
	}
	return missing
}

// part is something of nftables that is a module of its own.
type part struct {
	what, module string
	without      func(expr.Any) bool // says what to leave out for a table that does without
}

// missing tries the whole table, and when it is refused parts of it, each
// without those that come later.
func (k *kind) missing() Missing {
	all := k.try(nil)
	if all == nil || errors.Is(all, unix.EPERM) {
		return nil
	}
	parts := []part{
		{"copying packets (dup)", k.dup, func(e expr.Any) bool { _, is := e.(*expr.Dup); return is }},
		{"knowing the host's own addresses (fib)", k.fib, func(e expr.Any) bool { _, is := e.(*expr.Fib); return is }},
	}
	var list Missing
	for i := range parts {
		others := func(e expr.Any) bool {
			for n := range parts {
				if n != i && parts[n].without(e) {
					return true
				}
			}
			return false
		}
		if err := k.try(others); err != nil {
			list = append(list, fmt.Sprintf("nftables has no way of %s with %s here (%v): load the module %s, or take a kernel with CONFIG_%s",
				parts[i].what, k.name, cause(err), parts[i].module, strings.ToUpper(parts[i].module)))
		}
	}
	nothing := func(e expr.Any) bool { return parts[0].without(e) || parts[1].without(e) }
	if err := k.try(nothing); err != nil {
		return Missing{fmt.Sprintf("nftables does not work here for %s (%v): load the module nf_tables, or take a kernel with CONFIG_NF_TABLES_%s", k.name, cause(err), strings.ToUpper(k.name))}
	}
	if len(list) == 0 {
		list = Missing{fmt.Sprintf("nftables refuses the table for %s: %v", k.name, cause(all))}
	}
	return list
}

// try has the kernel take a table without the rules that have what leave says.
func (k *kind) try(leave func(expr.Any) bool) error {
	c, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return err
	}
	defer c.CloseLasting()
	rules := slices.DeleteFunc(k.rules(), func(r rule) bool { return leave != nil && slices.ContainsFunc(r.does, leave) })
	if err := k.build(c, rules, []uint32{1}); err != nil {
		return err
	}
	if err := c.Flush(); err != nil {
		return err
	}
	c.DelTable(k.table())
	return c.Flush()
}

// cause is the kernel's part of an error.
func cause(err error) error {
	var number unix.Errno
	if errors.As(err, &number) {
		return number
	}
	return err
}
