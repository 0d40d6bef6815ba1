package marks

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
)

// What the tables consist of, by name.
const (
	tableName  = "evenkeel_marks"
	setName    = "marks"
	entryChain = "prerouting"
	copyChain  = "copy"
)

// priority puts the chain behind those that set marks in PREROUTING, whatever
// they are called: raw, mangle, dstnat, security.
const priority = 300

// What a copy says to the programs: by the kind of packet, which fragments of it
// keep, what it was; and what the programs say of one that they leave to the
// host, by its priority. Keep in step with bpf/ctx_tc.h of package xdp.
const (
	copyLocal    = 1 // broadcast: a process on this host sent it
	copyWhole    = 2 // multicast: it must not be cut into fragments, or is IPv6
	copyCuttable = 3 // other: it may be
	seen         = 0x656b
)

// loopback is the loopback's interface number, in every network namespace.
const loopback = 1

// kind is what differs between IPv4 and IPv6.
type kind struct {
	name   string
	family nftables.TableFamily
	to     netip.Addr // copies are sent to it; they keep their own address
	dup    string     // the kernel's module that copies
	fib    string     // and that which knows addresses of the host
}

func kinds() [2]kind {
	return [2]kind{
		{"IPv4", nftables.TableFamilyIPv4, netip.MustParseAddr("127.0.0.1"), "nft_dup_ipv4", "nft_fib_ipv4"},
		{"IPv6", nftables.TableFamilyIPv6, netip.IPv6Loopback(), "nft_dup_ipv6", "nft_fib_ipv6"},
	}
}

// rule is one rule of a table.
type rule struct {
	chain string
	does  []expr.Any
}

const register = 1

func native(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }

func load(k expr.MetaKey) expr.Any { return &expr.Meta{Key: k, Register: register} }

func is(data []byte) expr.Any    { return &expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: data} }
func isNot(data []byte) expr.Any { return &expr.Cmp{Op: expr.CmpOpNeq, Register: register, Data: data} }

func verdict(v expr.VerdictKind) expr.Any { return &expr.Verdict{Kind: v} }

// setKind is what a copy will say that it is.
func setKind(n byte) []expr.Any {
	return []expr.Any{&expr.Immediate{Register: register, Data: []byte{n}},
		&expr.Meta{Key: expr.MetaKeyPKTTYPE, SourceRegister: true, Register: register}}
}

// rules are those of one kind: what has no mark of a service leaves at the
// first.
func (k *kind) rules() []rule {
	to := &expr.Verdict{Kind: expr.VerdictGoto, Chain: copyChain}
	list := []rule{
		{entryChain, []expr.Any{load(expr.MetaKeyMARK), &expr.Lookup{SourceRegister: register, SetName: setName, Invert: true}, verdict(expr.VerdictReturn)}},
		{entryChain, []expr.Any{load(expr.MetaKeyPRIORITY), is(native(seen)), verdict(expr.VerdictReturn)}},
		{entryChain, []expr.Any{&expr.Fib{Register: register, FlagDADDR: true, ResultADDRTYPE: true}, isNot(native(unix.RTN_LOCAL)), verdict(expr.VerdictReturn)}},
		{entryChain, []expr.Any{load(expr.MetaKeyL4PROTO), is([]byte{unix.IPPROTO_TCP}), to}},
		{entryChain, []expr.Any{load(expr.MetaKeyL4PROTO), is([]byte{unix.IPPROTO_UDP}), to}},
		{copyChain, setKind(copyWhole)},
	}
	if k.family == nftables.TableFamilyIPv4 {
		list = append(list, rule{copyChain, append([]expr.Any{
			&expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: 6, Len: 2},
			&expr.Bitwise{SourceRegister: register, DestRegister: register, Len: 2, Mask: []byte{0x40, 0}, Xor: []byte{0, 0}},
			is([]byte{0, 0})}, setKind(copyCuttable)...)})
	}
	return append(list,
		rule{copyChain, append([]expr.Any{load(expr.MetaKeyIIF), is(native(loopback))}, setKind(copyLocal)...)},
		rule{copyChain, []expr.Any{&expr.Counter{},
			&expr.Immediate{Register: register, Data: k.to.AsSlice()}, &expr.Immediate{Register: register + 1, Data: native(loopback)},
			&expr.Dup{RegAddr: register, RegDev: register + 1, IsRegDevSet: true}, verdict(expr.VerdictDrop)}},
	)
}

// state is what is compared of a table: nil is none.
type state struct {
	Flags  uint32 // of the table: dormant, say
	Chains []string
	Rules  []string // chain and comment
	Marks  []uint32
}

func (s *state) equal(o *state) bool {
	if s == nil || o == nil {
		return s == o
	}
	return s.Flags == o.Flags && slices.Equal(s.Chains, o.Chains) && slices.Equal(s.Rules, o.Rules) && slices.Equal(s.Marks, o.Marks)
}

// wanted is the state that a table for these marks has; nil: it needs none.
func (k *kind) wanted(marks []uint32) *state {
	marks = slices.Compact(slices.Sorted(slices.Values(marks)))
	if len(marks) == 0 {
		return nil
	}
	s := &state{Chains: []string{copyChain, fmt.Sprintf("%s filter 0 %d", entryChain, priority)}, Marks: marks}
	for _, r := range k.rules() {
		s.Rules = append(s.Rules, ruleName(r.chain, k.userData()))
	}
	slices.Sort(s.Rules)
	return s
}

// comment tells rules of one version from those of another.
func (k *kind) comment() string {
	h := fnv.New32a()
	for _, r := range k.rules() {
		for _, e := range r.does {
			b, _ := json.Marshal(e) // numbers, texts and bytes
			fmt.Fprintf(h, "%s %T %s\n", r.chain, e, b)
		}
	}
	return fmt.Sprintf("evenkeel %08x", h.Sum32())
}

// userData is the comment as nft writes it.
func (k *kind) userData() []byte {
	return userdata.AppendString(nil, userdata.TypeComment, k.comment())
}

func ruleName(chain string, userData []byte) string { return fmt.Sprintf("%s %q", chain, userData) }

// table is the kind's table, by name.
func (k *kind) table() *nftables.Table { return &nftables.Table{Family: k.family, Name: tableName} }

// build writes a whole table into a batch.
func (k *kind) build(c *nftables.Conn, rules []rule, marks []uint32) error {
	t := c.AddTable(k.table())
	set := &nftables.Set{Table: t, Name: setName, KeyType: nftables.TypeMark, KeyByteOrder: binaryutil.NativeEndian}
	elements := make([]nftables.SetElement, len(marks))
	for i, m := range marks {
		elements[i].Key = native(m)
	}
	if err := c.AddSet(set, elements); err != nil {
		return err
	}
	accept := nftables.ChainPolicyAccept
	chains := map[string]*nftables.Chain{
		entryChain: c.AddChain(&nftables.Chain{Table: t, Name: entryChain, Type: nftables.ChainTypeFilter,
			Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityRef(priority), Policy: &accept}),
		copyChain: c.AddChain(&nftables.Chain{Table: t, Name: copyChain}),
	}
	comment := k.userData()
	for _, r := range rules {
		for _, e := range r.does {
			if l, ok := e.(*expr.Lookup); ok {
				l.SetID = set.ID
			}
		}
		c.AddRule(&nftables.Rule{Table: t, Chain: chains[r.chain], Exprs: r.does, UserData: comment})
	}
	return nil
}

// read is what a table has now; nil: there is none.
func (k *kind) read(c *nftables.Conn) (*state, error) {
	tables, err := c.ListTablesOfFamily(k.family)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(tables, func(t *nftables.Table) bool { return t.Name == tableName })
	if i < 0 {
		return nil, nil
	}
	s := &state{Flags: tables[i].Flags}
	chains, err := c.ListChainsOfTableFamily(k.family)
	if err != nil {
		return nil, err
	}
	for _, x := range chains {
		if x.Table.Name != tableName {
			continue
		}
		name := x.Name
		if x.Hooknum != nil && x.Priority != nil {
			name = fmt.Sprintf("%s %s %d %d", name, x.Type, *x.Hooknum, *x.Priority)
		}
		s.Chains = append(s.Chains, name)
		rules, err := c.GetRules(tables[i], x)
		if err != nil {
			return nil, err
		}
		for _, r := range rules {
			s.Rules = append(s.Rules, ruleName(x.Name, r.UserData))
		}
	}
	slices.Sort(s.Chains)
	slices.Sort(s.Rules)
	elements, err := c.GetSetElements(&nftables.Set{Table: tables[i], Name: setName})
	if err != nil {
		return s, nil // somebody has removed the set: another state than any that is wanted
	}
	for _, e := range elements {
		if len(e.Key) == 4 {
			s.Marks = append(s.Marks, binary.NativeEndian.Uint32(e.Key))
		}
	}
	slices.Sort(s.Marks)
	return s, nil
}
