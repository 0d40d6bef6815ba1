package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"

	"evenkeel/internal/lab"
	"evenkeel/internal/lab/probe"
	"evenkeel/internal/lab/report"
	"evenkeel/internal/lab/screen"
)

// labDrill runs drills on the cluster that is up, or on one of its own.
func labDrill(args []string) int {
	fs := flag.NewFlagSet("evenkeel lab drill", flag.ContinueOnError)
	place := labPlace(fs)
	name := fs.String("lab", "", "the cluster; needed when several are up")
	file := fs.String("topology", "", "make a cluster from this `file`, and take it down at the end")
	software := fs.String("software", "", softwareHelp)
	victims := fs.String("victim", "", "the `directors` that fail, with commas; the one that has the first address without it")
	with := fs.String("with", "", "the same drills with this software, too, for comparison")
	repeat := fs.Int("repeat", 5, "`times` that each failure is tried")
	asJSON := fs.Bool("json", false, "write results as JSON in place of a table")
	keepJSON := fs.String("save", "", "write results as JSON to this `file`, for lab report")
	page := fs.String("o", "", "draw the results to this HTML `file`")
	plain := fs.Bool("plain", false, "lines in place of a screen, as when the output is no terminal")
	burn := fs.Bool("busy", false, "keep every processor busy all the while")
	raw := fs.String("records", "", "write everything that the observers saw to this `file`")
	names, err := interspersed(fs, args)
	if err != nil {
		return 1
	}
	plan := lab.Plan{Names: names, Repeat: max(*repeat, 1), Load: probe.DefaultLoad}
	if plan.Software, plan.Nodes, err = labSoftware(*software, *with); err != nil {
		return labFail(err)
	}
	if *victims != "" {
		plan.Victims = strings.Split(*victims, ",")
	}
	ctx, stop := interrupted()
	defer stop()
	said := newLines(*asJSON)
	c, down, err := labFor(ctx, *place, *name, *file, plan, said.Happened)
	if err != nil {
		return labFail(err)
	}
	if *burn {
		plan.Busy = runtime.NumCPU()
	}
	var record func(*lab.Watch)
	if *raw != "" {
		f, err := os.Create(*raw)
		if err != nil {
			return labFail(errors.Join(err, down()))
		}
		defer f.Close()
		buffered := bufio.NewWriter(f)
		defer buffered.Flush()
		record = func(w *lab.Watch) { w.Copy(buffered) }
	}
	results, err := labPlay(ctx, c, plan, *plain || *asJSON, said, record)
	err = errors.Join(err, down())
	if results != nil && len(results.Drills) > 0 {
		err = errors.Join(err, labResults(results, *asJSON, *keepJSON, *page))
	}
	if err != nil {
		return labFail(err)
	}
	return 0
}

// labSoftware is the list of a plan, and what single directors run; empty means
// what they do run.
func labSoftware(software, with string) (list []lab.Software, nodes map[string]lab.Software, err error) {
	first, nodes, err := lab.ReadSoftware(software)
	if err != nil || software == "" && with == "" {
		return nil, nil, err
	}
	if first == "" {
		first = lab.Evenkeel
	}
	list = []lab.Software{first}
	if with != "" {
		list = append(list, lab.Software(with))
	}
	return list, nodes, nil
}

// labPlay runs a plan before an audience: a screen on a terminal, lines elsewhere.
func labPlay(ctx context.Context, c *lab.Cluster, plan lab.Plan, plain bool, said *lines, record func(*lab.Watch)) (*lab.Results, error) {
	plan.Audience, plan.Enter = said, record
	if _, _, ok := screen.Size(os.Stdout); ok && !plain {
		s := screen.Open(os.Stdout, c, report.Colours(coloured(os.Stdout)))
		defer s.Close()
		plan.Audience = s
		plan.Enter = func(w *lab.Watch) {
			s.Enter(w)
			if record != nil {
				record(w)
			}
		}
	}
	return c.Drill(ctx, plan)
}

// demoDrills are what `lab demo` shows, in its order.
var demoDrills = []string{"stop", "kill-worker", "kill-failover", "kill-keeper", "kill-all", "freeze-all", "carrier-loss", "host-failure", "reload", "upgrade"}

// labDemo shows a pair of directors under failures, round after round.
func labDemo(args []string) int {
	fs := flag.NewFlagSet("evenkeel lab demo", flag.ContinueOnError)
	place := labPlace(fs)
	once := fs.Bool("once", false, "one round; exit code 1 if an address stayed away or had two owners to the end")
	plain := fs.Bool("plain", false, "lines in place of a screen, as when the output is no terminal")
	file := fs.String("topology", "examples/lab/v3-50ms/lab.conf", "the cluster's `file`")
	software := fs.String("software", string(lab.Evenkeel), softwareHelp)
	with := fs.String("with", "", "the same with this software, too, for comparison")
	page := fs.String("o", "", "draw the results to this HTML `file`")
	if fs.Parse(args) != nil {
		return 1
	}
	ctx, stop := interrupted()
	defer stop()
	said := newLines(false)
	plan := lab.Plan{Names: demoDrills, Repeat: 1, Load: probe.DefaultLoad}
	var err error
	if plan.Software, plan.Nodes, err = labSoftware(*software, *with); err != nil {
		return labFail(err)
	}
	c, down, err := labFor(ctx, *place, "", *file, plan, said.Happened)
	if err != nil {
		return labFail(err)
	}
	var results *lab.Results
	for {
		results, err = labPlay(ctx, c, plan, *plain, said, nil)
		if *once || err != nil {
			break
		}
	}
	if ctx.Err() != nil {
		err = nil // Ctrl-C is how a demo ends
	}
	err = errors.Join(err, down())
	if results != nil && len(results.Drills) > 0 {
		err = errors.Join(err, labResults(results, false, "", *page))
	}
	if err != nil {
		return labFail(err)
	}
	if results != nil && report.Failed(results, lab.Evenkeel) {
		return 1
	}
	return 0
}

// interspersed reads flags that stand before, between and after words.
func interspersed(fs *flag.FlagSet, args []string) (words []string, err error) {
	for {
		if err := fs.Parse(args); err != nil {
			return nil, err
		}
		if fs.NArg() == 0 {
			return words, nil
		}
		words = append(words, fs.Arg(0))
		args = fs.Args()[1:]
	}
}

// labResults writes results in all forms that are asked for.
func labResults(r *lab.Results, asJSON bool, file, page string) error {
	if asJSON {
		if err := report.JSON(os.Stdout, r); err != nil {
			return err
		}
	} else {
		report.Table(os.Stdout, r, report.Colours(coloured(os.Stdout)))
	}
	if file != "" {
		f, err := os.Create(file)
		if err != nil {
			return err
		}
		if err := errors.Join(report.JSON(f, r), f.Close()); err != nil {
			return err
		}
	}
	if page == "" {
		return nil
	}
	return writePage(page, r)
}

// writePage draws results to a file, or to standard output.
func writePage(file string, r *lab.Results) error {
	if file == "" {
		return report.Page(os.Stdout, r)
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	if err := errors.Join(report.Page(f, r), f.Close()); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "report: %s\n", file)
	return nil
}

func coloured(f *os.File) bool { return isTerminal(f) && os.Getenv("NO_COLOR") == "" }
