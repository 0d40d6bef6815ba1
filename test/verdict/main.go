// Command verdict reads `go test -json` and prints what people want to know:
// a line for each package, everything that a failed test said, and which tests
// skipped themselves. With -noskip a skipped test is a failure too: it is for
// machines where everything that a test may need is there.
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
	flag.Parse()
	j := &judge{out: os.Stdout, said: map[string][]string{}, tests: map[string]int{}}
	if err := j.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "verdict:", err)
		os.Exit(2)
	}
	os.Exit(j.end(*noskip))
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
