// Command verdict reads `go test -json` and prints what people want to know:
// a line for each package, everything that a failed test said, which tests
// skipped themselves, and which took longest. With -noskip a skipped test is a
// failure too: it is for machines where everything that a test may need is
// there.
//
// With -again FILE tests of the packages that begin with one of -real (a,b,...) and
// that failed are written there, "package test" a line, for another run; the exit
// code is 3 when nothing else failed. They are in real time beside other programs
// or the kernel, and a machine can be in the way of that once. A data race is no
// matter of time.
//
// With -notes FILE what became of failed tests, and of all tests of a further
// -attempt, is added to that file. -sum FILE reads no events, but such a file,
// and prints at the end of everything what whoever has only the last lines of a
// log needs: which tests failed, in how many attempts, and in which words.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

// event is one line of go test -json.
type event struct {
	Action, Package, Test, Output, ImportPath, FailedBuild string
	Elapsed                                                float64
}

// judge collects the events of one run.
type judge struct {
	out     io.Writer
	attempt int                 // the first run is 1
	said    map[string][]string // output of a test that is not over yet
	tests   map[string]int      // finished, by package
	took    []duration          // tests of their own, not parts of one
	failed  []string
	skipped []string
	races   bool
	silent  map[string]bool // packages that failed without a word: somebody ended them
	notes   []note
}

type duration struct {
	name    string
	seconds float64
}

func newJudge(out io.Writer, attempt int) *judge {
	return &judge{out: out, attempt: attempt, said: map[string][]string{}, tests: map[string]int{}, silent: map[string]bool{}}
}

func main() {
	noskip := flag.Bool("noskip", false, "a skipped test is a failure")
	again := flag.String("again", "", "a `file` for the tests that should be run again")
	real := flag.String("real", "evenkeel/test/", "beginnings of the `packages` whose tests may be run again")
	notes := flag.String("notes", "", "a `file` that what failed is added to")
	attempt := flag.Int("attempt", 1, "which run of these tests this is")
	sum := flag.String("sum", "", "print what the notes in this `file` come to")
	flag.Parse()
	if *sum != "" {
		os.Exit(summary(*sum))
	}
	j := newJudge(os.Stdout, *attempt)
	err := j.read(os.Stdin)
	code := j.end(*noskip)
	if err == nil && *notes != "" {
		err = appendNotes(*notes, j.notes)
	}
	if list := j.again(*real); err == nil && *again != "" && code == 1 && len(list) > 0 && !(*noskip && len(j.skipped) > 0) {
		err = os.WriteFile(*again, []byte(strings.Join(list, "\n")+"\n"), 0o600)
		code = 3
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "verdict:", err)
		code = 2
	}
	os.Exit(code)
}

func summary(path string) int {
	f, err := os.Open(path)
	if err != nil {
		fmt.Fprintln(os.Stderr, "verdict:", err)
		return 2
	}
	defer f.Close()
	all, err := readNotes(f)
	if err != nil {
		fmt.Fprintln(os.Stderr, "verdict:", err)
		return 2
	}
	return sum(os.Stdout, all)
}

// again lists the failed tests, if all of them may be run again.
func (j *judge) again(real string) (list []string) {
	if j.races {
		return nil
	}
	named := map[string]bool{}
	for _, f := range j.failed {
		name, test, _ := strings.Cut(f, " ")
		if !slices.ContainsFunc(strings.Split(real, ","), func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
			return nil
		}
		if test != "" && !strings.Contains(test, "/") {
			named[name] = true
			list = append(list, f)
		}
	}
	for _, f := range j.failed {
		name, test, _ := strings.Cut(f, " ")
		switch {
		case named[name]:
		case test == "" && j.silent[name]:
			list = append(list, name+" .*")
		default:
			return nil // it did not build, or crashed
		}
	}
	return list
}

func (j *judge) read(r io.Reader) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil {
				j.out.Write(line) // not from a test
			} else {
				j.event(e)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (j *judge) event(e event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "build-output":
		io.WriteString(j.out, e.Output)
		j.said[e.ImportPath] = append(j.said[e.ImportPath], e.Output)
	case "output":
		j.said[key] = append(j.said[key], e.Output)
	case "pass":
		if e.Test == "" {
			fmt.Fprintf(j.out, "ok    %6.1fs %5d tests  %s\n", e.Elapsed, j.tests[e.Package], e.Package)
			if j.attempt > 1 {
				j.note(e, nil)
			}
		} else if !strings.Contains(e.Test, "/") {
			j.tests[e.Package]++
			j.took = append(j.took, duration{key, e.Elapsed})
			if j.attempt > 1 {
				j.note(e, nil)
			}
		}
		delete(j.said, key)
	case "skip":
		if e.Test != "" && !strings.HasPrefix(e.Test, "Fuzz") { // a fuzz test may refuse an input
			j.skipped = append(j.skipped, key+": "+reason(j.said[key]))
		}
		delete(j.said, key)
	case "fail":
		name := strings.TrimSpace(key)
		j.failed = append(j.failed, name)
		if e.Test == "" {
			j.said[key] = append(j.unfinished(e.Package), j.said[key]...)
		}
		fmt.Fprintf(j.out, "FAIL  %6.1fs              %s\n", e.Elapsed, name)
		for _, line := range j.said[key] {
			io.WriteString(j.out, "      "+line)
			j.races = j.races || strings.Contains(line, "DATA RACE")
		}
		if e.Test != "" && !strings.Contains(e.Test, "/") {
			j.took = append(j.took, duration{key, e.Elapsed})
		}
		j.note(e, append(j.said[e.FailedBuild], j.said[key]...))
		last := j.notes[len(j.notes)-1]
		if e.Test == "" && e.FailedBuild == "" && !slices.ContainsFunc(last.Said, func(l string) bool { return !strings.HasPrefix(l, "exit status ") }) {
			j.silent[e.Package] = true
		}
		delete(j.said, key)
	}
}

// unfinished is what tests of a package said that never ended: it crashed in them.
func (j *judge) unfinished(pkg string) (said []string) {
	for _, key := range slices.Sorted(maps.Keys(j.said)) {
		if name, test, _ := strings.Cut(key, " "); name == pkg && test != "" {
			said = append(said, j.said[key]...)
			delete(j.said, key)
		}
	}
	return said
}

// reason is the first thing that a skipped test said itself.
func reason(said []string) string {
	for _, line := range said {
		line = strings.TrimSpace(line)
		if line != "" && !framing(line) {
			return line
		}
	}
	return "no reason given"
}

// framing says whether a line is the testing package's and not a test's.
func framing(line string) bool {
	return strings.HasPrefix(line, "===") || strings.HasPrefix(line, "---")
}

// slow is how long a test takes that is worth a line.
const slow = 10 // seconds

// end prints the sum and gives the exit code.
func (j *judge) end(noskip bool) int {
	slices.SortFunc(j.took, func(a, b duration) int { return int(1000 * (b.seconds - a.seconds)) })
	for i, d := range j.took {
		if i == 10 || d.seconds < slow {
			break
		}
		fmt.Fprintf(j.out, "long: %6.1fs              %s\n", d.seconds, d.name)
	}
	for _, s := range j.skipped {
		fmt.Fprintln(j.out, "skipped:", s)
	}
	for _, f := range j.failed {
		fmt.Fprintln(j.out, "failed:", f)
	}
	total := 0
	for _, n := range j.tests {
		total += n
	}
	fmt.Fprintf(j.out, "%d tests passed, %d failed, %d skipped\n", total, len(j.failed), len(j.skipped))
	switch {
	case len(j.failed) > 0, noskip && len(j.skipped) > 0, total == 0:
		return 1
	}
	return 0
}
