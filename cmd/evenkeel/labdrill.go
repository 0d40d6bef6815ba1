package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"os"

	"evenkeel/internal/lab"
	"evenkeel/internal/lab/probe"
	"evenkeel/internal/lab/report"
)

// labDrill runs drills on the cluster that is up, or on one of its own.
func labDrill(args []string) int {
	fs := flag.NewFlagSet("evenkeel lab drill", flag.ContinueOnError)
	place := labPlace(fs)
	name := fs.String("lab", "", "the cluster; needed when several are up")
	file := fs.String("topology", "", "make a cluster from this `file`, and take it down at the end")
	software := fs.String("software", "", "what the directors run: evenkeel or keepalived")
	with := fs.String("with", "", "the same drills with this software, too, for comparison")
	repeat := fs.Int("repeat", 5, "`times` that each failure is tried")
	asJSON := fs.Bool("json", false, "write results as JSON in place of a table")
	keepJSON := fs.String("save", "", "write results as JSON to this `file`, for lab report")
	page := fs.String("o", "", "draw the results to this HTML `file`")
	raw := fs.String("records", "", "write everything that the observers saw to this `file`")
	names, err := interspersed(fs, args)
	if err != nil {
		return 1
	}
	ctx, stop := interrupted()
	defer stop()
	screen := newLines(*asJSON)
	c, down, err := labFor(ctx, *place, *name, *file, *software, screen.Happened)
	if err != nil {
		return labFail(err)
	}
	plan := lab.Plan{Names: names, Repeat: max(*repeat, 1), Load: probe.DefaultLoad, Audience: screen}
	if *software != "" {
		plan.Software = []lab.Software{lab.Software(*software)}
	}
	if *with != "" {
		if len(plan.Software) == 0 {
			plan.Software = []lab.Software{lab.Evenkeel}
		}
		plan.Software = append(plan.Software, lab.Software(*with))
	}
	if *raw != "" {
		f, err := os.Create(*raw)
		if err != nil {
			return labFail(errors.Join(err, down()))
		}
		defer f.Close()
		buffered := bufio.NewWriter(f)
		defer buffered.Flush()
		plan.Enter = func(w *lab.Watch) { w.Copy(buffered) }
	}
	results, err := c.Drill(ctx, plan)
	err = errors.Join(err, down())
	if results != nil && len(results.Drills) > 0 {
		err = errors.Join(err, labResults(results, *asJSON, *keepJSON, *page))
	}
	if err != nil {
		return labFail(err)
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
