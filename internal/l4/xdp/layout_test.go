package xdp

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

var writeLayout = flag.Bool("write-layout", false, "write testdata/layout.txt anew")

// layoutOf is what lies in the maps that outlive a process, to the byte.
func layoutOf(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, load := range []func() (*ebpf.CollectionSpec, error){loadDirector, loadDriver} {
		spec, err := load()
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range slices.Sorted(maps.Keys(spec.Maps)) {
			m := spec.Maps[name]
			if m.Pinning != ebpf.PinByName || strings.Contains(b.String(), "map "+name+" ") {
				continue
			}
			fmt.Fprintf(&b, "map %s %v %d -> %d\n", name, m.Type, m.KeySize, m.ValueSize)
			for _, x := range []btf.Type{m.Key, m.Value} {
				describeType(&b, x)
			}
		}
	}
	return b.String()
}

func describeType(b *strings.Builder, x btf.Type) {
	s, ok := btf.UnderlyingType(x).(*btf.Struct)
	if !ok {
		return
	}
	fmt.Fprintf(b, "  struct %s %d\n", s.Name, s.Size)
	for _, m := range s.Members {
		size, _ := btf.Sizeof(m.Type)
		fmt.Fprintf(b, "    %d %s %d\n", m.Offset.Bytes(), m.Name, size)
	}
}

// A process goes on with the maps of the one before. The kernel compares their
// sizes only: where the same bytes mean something else, LAYOUT tells, as it is a
// size too.
func TestLayoutHasANumber(t *testing.T) {
	const file = "testdata/layout.txt"
	spec, err := loadDirector()
	if err != nil {
		t.Fatal(err)
	}
	now := fmt.Sprintf("layout %d\n%s", spec.Maps[directorMapSettings].MaxEntries, layoutOf(t))
	if *writeLayout {
		if err := os.WriteFile(file, []byte(now), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	was, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if now == string(was) {
		return
	}
	number := func(s string) string { first, _, _ := strings.Cut(s, "\n"); return first }
	if number(now) == number(string(was)) {
		t.Errorf("what lies in the maps has changed: raise LAYOUT in bpf/consts.h, unless no release has the one before")
	}
	t.Errorf("then write it down: go test -run TestLayoutHasANumber ./internal/l4/xdp -write-layout\n%s", now)
}
