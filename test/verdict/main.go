// Command verdict reads `go test -json` and prints what people want to know:
// a line for each package, everything that a failed test said, and which tests
// skipped themselves. With -noskip a skipped test is a failure too: it is for
// machines where everything that a test may need is there.
//
// With -again FILE tests of the packages below -real that failed are written
// there, "package test" a line, for another run; the exit code is 3 when nothing
// else failed. They compare programs in real time, and a machine can be in the
// way of that once.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
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
	said    map[string][]string // output of a test that is not over yet
	tests   map[string]int      // finished, by package
	failed  []string
	skipped []string
}

func main() {
	noskip := flag.Bool("noskip", false, "a skipped test is a failure")
	again := flag.String("again", "", "a `file` for the tests that should be run again")
	real := flag.String("real", "evenkeel/test/", "the packages whose tests may be run again")
	flag.Parse()
	j := &judge{out: os.Stdout, said: map[string][]string{}, tests: map[string]int{}}
	if err := j.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "verdict:", err)
		os.Exit(2)
	}
	code := j.end(*noskip)
	if list := j.again(*real); *again != "" && code == 1 && len(list) > 0 && !(*noskip && len(j.skipped) > 0) {
		if err := os.WriteFile(*again, []byte(strings.Join(list, "\n")+"\n"), 0o600); err != nil {
			fmt.Fprintln(os.Stderr, "verdict:", err)
			os.Exit(2)
		}
		code = 3
	}
	os.Exit(code)
}

// again lists the failed tests, if all of them may be run again.
func (j *judge) again(real string) (list []string) {
	named := map[string]bool{}
	for _, f := range j.failed {
		name, test, _ := strings.Cut(f, " ")
		if !strings.HasPrefix(name, real) {
			return nil
		}
		if test != "" && !strings.Contains(test, "/") {
			named[name] = true
			list = append(list, f)
		}
	}
	for _, f := range j.failed {
		if name, _, _ := strings.Cut(f, " "); !named[name] {
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
	case "output":
		j.said[key] = append(j.said[key], e.Output)
	case "pass":
		if e.Test == "" {
			fmt.Fprintf(j.out, "ok    %6.1fs %5d tests  %s\n", e.Elapsed, j.tests[e.Package], e.Package)
		} else if !strings.Contains(e.Test, "/") {
			j.tests[e.Package]++
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
		fmt.Fprintf(j.out, "FAIL  %6.1fs              %s\n", e.Elapsed, name)
		for _, line := range j.said[key] {
			io.WriteString(j.out, "      "+line)
		}
		delete(j.said, key)
	}
}

// reason is the first thing that a skipped test said itself.
func reason(said []string) string {
	for _, line := range said {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "===") && !strings.HasPrefix(line, "---") {
			return line
		}
	}
	return "no reason given"
}

// end prints the sum and gives the exit code.
func (j *judge) end(noskip bool) int {
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
