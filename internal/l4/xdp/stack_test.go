package xdp

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// stackLimit is what all functions of a chain of calls may have on the stack
// together, and stackUnit what each is rounded up to: the verifier of kernels
// before 6.8 says "combined stack size" and refuses the program. Later ones
// round to 16, so that nobody notices there.
const (
	stackLimit = 512
	stackUnit  = 32
)

// TestStacksFitOldKernels keeps the programs loadable on Debian 12's 6.1.
func TestStacksFitOldKernels(t *testing.T) {
	for name, load := range map[string]func() (*ebpf.CollectionSpec, error){"director": loadDirector, "driver": loadDriver, "decap": loadDecap} {
		spec, err := load()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range spec.Programs {
			functions := stacks(p.Instructions)
			depth, path := deepest(functions, p.Name, nil)
			if depth > stackLimit {
				t.Errorf("%s: %s: %d bytes of stack, %d are allowed: %v", name, p.Name, depth, stackLimit, path)
			}
		}
	}
}

// function is what one function of a program has on its stack, and calls.
type function struct {
	stack int
	calls []string
}

// stacks finds the functions in the linked instructions of a program. What is
// on the stack is seen from the frame pointer and copies of it.
func stacks(list asm.Instructions) map[string]*function {
	all := map[string]*function{}
	var f *function
	var frame [11]bool // registers that have the frame pointer
	for i := range list {
		ins := &list[i]
		if s := ins.Symbol(); s != "" {
			f = &function{}
			all[s], frame = f, [11]bool{asm.RFP: true}
		}
		if ins.IsFunctionReference() {
			f.calls = append(f.calls, ins.Reference())
		}
		class, op := ins.OpCode.Class(), ins.OpCode.ALUOp()
		switch {
		case class == asm.ALU64Class && op == asm.Mov && ins.OpCode.Source() == asm.RegSource:
			frame[ins.Dst] = frame[ins.Src]
		case class == asm.ALU64Class && op == asm.Add && ins.OpCode.Source() == asm.ImmSource && frame[ins.Dst]:
			f.stack = max(f.stack, int(-ins.Constant))
			frame[ins.Dst] = false
		case class == asm.LdXClass:
			if frame[ins.Src] {
				f.stack = max(f.stack, int(-ins.Offset))
			}
			frame[ins.Dst] = false
		case (class == asm.StXClass || class == asm.StClass) && frame[ins.Dst]:
			f.stack = max(f.stack, int(-ins.Offset))
		}
	}
	return all
}

func deepest(all map[string]*function, name string, path []string) (int, []string) {
	f := all[name]
	path = append(path, name)
	best, where := 0, path
	for _, c := range f.calls {
		if n, p := deepest(all, c, path[:len(path):len(path)]); n > best {
			best, where = n, p
		}
	}
	return best + (max(f.stack, 1)+stackUnit-1)/stackUnit*stackUnit, where
}
