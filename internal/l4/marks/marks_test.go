package marks

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// alone puts the test's thread into a network namespace of its own.
func alone(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("nftables needs root")
	}
	runtime.LockOSThread() // the thread dies with the goroutine: it is not unlocked
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	if missing := Probe(Config{IPv4: []uint32{1}, IPv6: []uint32{1}}); missing != nil {
		t.Fatalf("this kernel: %v", missing)
	}
}

// nft runs it in the thread's namespace.
func nft(t *testing.T, command ...string) string {
	t.Helper()
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("no nft")
	}
	out, err := exec.Command("nft", command...).CombinedOutput()
	if err != nil {
		t.Fatalf("nft %s: %v\n%s", command, err, out)
	}
	return string(out)
}

func open(t *testing.T) *Tables {
	t.Helper()
	x, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	return x
}

func set(t *testing.T, x *Tables, c Config) {
	t.Helper()
	if err := x.Set(c); err != nil {
		t.Fatal(err)
	}
}

// The tables are those that are written down in nft's words.
func TestTablesInWordsOfNft(t *testing.T) {
	alone(t)
	text := ""
	all := kinds()
	for i, name := range []string{"testdata/ip.nft", "testdata/ip6.nft"} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text += strings.ReplaceAll(string(b), "COMMENT", all[i].comment())
	}
	nft(t, text)
	want := nft(t, "list ruleset")
	if !strings.Contains(want, "dup to ::1") {
		t.Fatalf("nft has not understood:\n%s", want)
	}
	if err := Remove(); err != nil {
		t.Fatal(err)
	}
	set(t, open(t), Config{IPv4: []uint32{7, 1, 7}, IPv6: []uint32{0x10000}})
	if got := nft(t, "list ruleset"); got != want {
		t.Errorf("it is\n%s, not\n%s", got, want)
	}
}

// Saying the same again changes nothing; what somebody has changed is put back,
// and other tables are left alone.
func TestSetIsRepeatable(t *testing.T) {
	alone(t)
	nft(t, "add table ip mine; add chain ip mine pre { type filter hook prerouting priority mangle; }; add rule ip mine pre tcp dport 80 meta mark set 1")
	mine := nft(t, "list table ip mine")
	x := open(t)
	want := Config{IPv4: []uint32{1, 2}, IPv6: []uint32{3}}
	set(t, x, want)
	first := nft(t, "-a", "list ruleset") // with handles, which are never used again
	set(t, x, want)
	set(t, open(t), Config{IPv6: []uint32{3}, IPv4: []uint32{2, 1}})
	if again := nft(t, "-a", "list ruleset"); again != first {
		t.Errorf("it was\n%s and is\n%s", first, again)
	}
	plain := nft(t, "list ruleset")
	for _, damage := range []string{
		"delete table ip evenkeel_marks",
		"flush table ip6 evenkeel_marks",
		"flush chain ip evenkeel_marks copy",
		"delete element ip evenkeel_marks marks { 2 }",
		"add element ip evenkeel_marks marks { 9 }",
		"insert rule ip evenkeel_marks prerouting accept",
		"add chain ip evenkeel_marks more",
		"add table ip evenkeel_marks { flags dormant; }",
		"delete table ip evenkeel_marks; delete table ip6 evenkeel_marks; add table ip evenkeel_marks",
	} {
		nft(t, damage)
		if nft(t, "list ruleset") == plain {
			t.Fatalf("%s: nothing has changed", damage)
		}
		if err := x.Keep(); err != nil {
			t.Errorf("%s: %v", damage, err)
		}
		if got := sorted(nft(t, "list ruleset")); got != sorted(plain) {
			t.Errorf("after %s:\n%s", damage, got)
		}
	}
	set(t, x, Config{IPv4: []uint32{2}})
	if got := nft(t, "list ruleset"); strings.Contains(got, "table ip6 evenkeel") || !strings.Contains(got, "elements = { 0x00000002 }") {
		t.Errorf("of one family:\n%s", got)
	}
	if err := Remove(); err != nil {
		t.Error(err)
	}
	if got := nft(t, "list ruleset"); got != mine {
		t.Errorf("left:\n%s", got)
	}
	if err := Remove(); err != nil {
		t.Errorf("again: %v", err)
	}
}

// sorted is a listing with its tables in one order.
func sorted(text string) string {
	tables := strings.SplitAfter(text, "\n}\n")
	for i := range tables {
		for j := range tables[:i] {
			if tables[i] < tables[j] {
				tables[i], tables[j] = tables[j], tables[i]
			}
		}
	}
	return strings.Join(tables, "")
}

// Somebody flushes all rules, as nftables.service does when it is reloaded: that
// is told, and another thread puts them back, into the namespace of Open.
func TestChangesAreTold(t *testing.T) {
	alone(t)
	x := open(t)
	set(t, x, Config{IPv4: []uint32{1}})
	want := nft(t, "list ruleset")
	for {
		select {
		case <-x.Changed(): // of Set
			continue
		case <-time.After(50 * time.Millisecond):
		}
		break
	}
	nft(t, "flush ruleset")
	select {
	case <-x.Changed():
	case <-time.After(20 * time.Second):
		t.Fatal("nobody tells of it")
	}
	failed := make(chan error)
	go func() { failed <- x.Keep() }()
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	if got := nft(t, "list ruleset"); got != want {
		t.Errorf("it is\n%s", got)
	}
}

// What a kernel lacks is said in words. Here it has everything, so it is asked
// for what no kernel does.
func TestWhatIsMissingIsNamed(t *testing.T) {
	alone(t)
	four := kinds()[0]
	four.family = nftables.TableFamilyINet // which has no dup
	got := four.missing()
	if len(got) != 1 || !strings.Contains(got[0], "dup") || !strings.Contains(got[0], "nft_dup_ipv4") || !strings.Contains(got[0], "CONFIG_NFT_DUP_IPV4") {
		t.Errorf("%q", got)
	}
	none := kinds()[0]
	none.family = 99
	if got := none.missing(); len(got) != 1 || !strings.Contains(got[0], "nf_tables") {
		t.Errorf("%q", got)
	}
}

func TestClosedTablesAreLeftAsTheyAre(t *testing.T) {
	alone(t)
	x := open(t)
	set(t, x, Config{IPv4: []uint32{1}})
	before := nft(t, "list ruleset")
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	if got := nft(t, "list ruleset"); got != before || got == "" {
		t.Errorf("%q", got)
	}
	if err := x.Keep(); err == nil || errors.Is(err, unix.EPERM) {
		t.Errorf("of closed tables: %v", err)
	}
}

// Without marks the kernel is asked once whether there is something to remove.
func TestWithoutMarks(t *testing.T) {
	alone(t)
	nft(t, "add table ip evenkeel_marks")
	x := open(t)
	set(t, x, Config{})
	if got := nft(t, "list ruleset"); got != "" {
		t.Fatalf("left of another process: %s", got)
	}
	nft(t, "add table ip evenkeel_marks")
	set(t, x, Config{})
	if err := x.Keep(); err != nil || nft(t, "list ruleset") == "" {
		t.Errorf("it is asked again, %v", err)
	}
	set(t, x, Config{IPv6: []uint32{1}})
	if got := nft(t, "list ruleset"); strings.Contains(got, "table ip ") || !strings.Contains(got, "table ip6 evenkeel_marks") {
		t.Errorf("%s", got)
	}
	set(t, x, Config{})
	if got := nft(t, "list ruleset"); got != "" {
		t.Errorf("left: %s", got)
	}
}

// What the tables are compared by differs with whatever makes them different.
func TestStates(t *testing.T) {
	four, six, again := kinds()[0], kinds()[1], kinds()[0]
	if four.wanted(nil) != nil {
		t.Error("a table without marks")
	}
	a := four.wanted([]uint32{2, 1, 2})
	if !a.equal(four.wanted([]uint32{1, 2})) || a.equal(nil) || !(*state)(nil).equal(nil) {
		t.Errorf("%+v", a)
	}
	for _, b := range []*state{four.wanted([]uint32{1}), four.wanted([]uint32{1, 2, 3}), six.wanted([]uint32{1, 2})} {
		if a.equal(b) {
			t.Errorf("%+v is said to be %+v", a, b)
		}
	}
	if four.comment() == six.comment() || four.comment() != again.comment() {
		t.Errorf("%s, %s", four.comment(), six.comment())
	}
}
