package netconf_test

import (
	"fmt"
	"testing"
	"time"

	"evenkeel/internal/netconf"
)

// many is 200 addresses, half of each family.
func many() netconf.Config {
	var prefixes []string
	for i := range 100 {
		prefixes = append(prefixes, fmt.Sprintf("10.9.1.%d/24", 1+i), fmt.Sprintf("2001:db8::%d/64", 1+i))
	}
	return addresses("eth0", time.Hour, prefixes...)
}

// A takeover of 200 addresses, and their release.
func BenchmarkTakeover200(b *testing.B) {
	newNamespace(b)
	h := open(b)
	c := many()
	for b.Loop() {
		if _, err := h.Set("A", c); err != nil {
			b.Fatal(err)
		}
		if err := h.Remove("A"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRenew200(b *testing.B) {
	newNamespace(b)
	h := open(b)
	if _, err := h.Set("A", many()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := h.Renew(); err != nil {
			b.Fatal(err)
		}
	}
}
