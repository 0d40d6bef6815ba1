package main

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"evenkeel/internal/alert"
	"evenkeel/internal/keeper"
	"evenkeel/internal/keeper/argv"
	"evenkeel/internal/keeper/holder"
	"evenkeel/internal/keeper/worker"
	"evenkeel/internal/model"
	"evenkeel/internal/node"
)

// keepalivedFollows is the keepalived whose behaviour the dialect follows.
const keepalivedFollows = "2.2.7"

// defaultKeepalivedPid is where keepalived's init scripts look.
const defaultKeepalivedPid = "/run/keepalived.pid"

// keepalivedMain is `keepalived ARGS…`.
func keepalivedMain(name string, args []string) int {
	k, err := argv.ParseKeepalived(args)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n\n%s", name, err, argv.KeepalivedUsage(name))
		return 1
	}
	switch {
	case k.Help:
		fmt.Print(argv.KeepalivedUsage(name))
		return 0
	case k.Version:
		fmt.Fprintf(os.Stderr, "Keepalived v%s-evenkeel-%s (%s), %s\n", keepalivedFollows, version, buildDate, runtime.Version())
		return 0
	case k.Signal != "":
		n, ok := argv.KeepalivedSignals[k.Signal]
		if !ok {
			fmt.Fprintf(os.Stderr, "%s: there is no signal for %s\n", name, k.Signal)
			return 1
		}
		fmt.Println(n)
		return 0
	}
	if k.Umask >= 0 {
		syscall.Umask(k.Umask)
	}
	options := node.FailoverOptions{Files: []string{k.File}, ConfigID: k.ConfigID, Version: version, Stderr: os.Stderr,
		Sinks: consoleSinks(k.Console || k.DontFork, !k.NoSyslog, k.Facility, k.Detail), KeepAddresses: k.DontRelease, KeepServices: k.DontReleaseIPVS,
		NoForwarding: k.OnlyVRRP && !k.OnlyCheck, NoAddresses: k.OnlyCheck && !k.OnlyVRRP}
	if holder.IsFailover() {
		return hold(options, holder.Options{Stderr: os.Stderr, Report: keepalivedReport})
	}
	for _, why := range k.Ignored {
		fmt.Fprintf(os.Stderr, "%s: no effect: %s\n", name, why)
	}
	if !enterNamespace(k.Namespace, options) {
		return 1
	}
	if k.Test {
		return keepalivedTest(k, options)
	}
	if _, err := os.Stat(k.File); err != nil {
		fmt.Fprintf(os.Stderr, "%s: cannot open the configuration file %s: %v\n", name, k.File, capital(err))
		return 1
	}
	pidfile := k.Pidfile
	if pidfile == "" {
		pidfile = defaultKeepalivedPid
	}
	endByHand()
	return keeper.Run(keeper.Options{Path: executable(), Args: os.Args, Version: version, Master: true,
		Daemon: !k.DontFork, Foreground: k.DontFork, Notify: true, AlwaysPid: true, Pidfile: pidfile, Log: logLine(false),
		Failover: true, NoWorker: true, Keepalived: true})
}

// testComplained is keepalived's exit status of -t for a file that it has
// anything to say about.
const testComplained = 5

// keepalivedTest is -t.
func keepalivedTest(k *argv.Keepalived, options node.FailoverOptions) int {
	out := os.Stderr
	if k.TestLog != "" {
		f, err := os.OpenFile(k.TestLog, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
		if err != nil {
			fmt.Fprintf(os.Stderr, "keepalived: %v\n", err)
			return 1
		}
		defer f.Close()
		out = f
	}
	d := node.NewFailover(options).Prepare(worker.NewFiles())
	keepalivedReport(out, d)
	for _, x := range d {
		if x.Severity == model.Error || x.Severity == model.Warning && !strings.Contains(x.Message, "no effect here") {
			return testComplained
		}
	}
	return 0
}

// keepalivedReport prints "(file: Line N) message", which tools grep for, with
// the column and the cure.
func keepalivedReport(w io.Writer, d model.Diagnostics) {
	for _, x := range d {
		place := ""
		if !x.Pos.IsZero() {
			place = fmt.Sprintf("(%s: Line %d) ", x.Pos.File, x.Pos.Line)
		}
		text := x.Message
		if x.Cure != "" {
			text += "; " + x.Cure
		}
		fmt.Fprintln(w, place+text)
	}
}

// hold is the life of a failover process.
func hold(options node.FailoverOptions, o holder.Options) int {
	ignoreSignals()
	// Neither killall nor systemd, which sends it to all processes of a unit, is to
	// end this one before its keeper has had it stop in order. A handler and not
	// SIG_IGN, which scripts would inherit.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGTERM)
	link, err := holder.Connect()
	if err != nil {
		fmt.Fprintf(os.Stderr, "evenkeel: %v\n", err)
		return 1
	}
	return holder.Run(link, node.NewFailover(options), o)
}

// consoleSinks are where events go besides what a configuration says: the
// console, and syslog, or the journal where systemd listens. facility is a
// number of syslog, or -1; detail: what is only for looking closely as well.
func consoleSinks(console, syslog bool, facility int, detail bool) []alert.Spec {
	var sinks []alert.Spec
	name, level := "", alert.Info
	if detail {
		level = alert.Debug
	}
	if facility >= 0 {
		name = facilityNames[facility]
	}
	journal := os.Getenv("JOURNAL_STREAM") != ""
	if console && !journal {
		sinks = append(sinks, alert.Stream{Name: "stderr", To: os.Stderr, Level: level})
	}
	switch {
	case !syslog:
	case journal:
		sinks = append(sinks, alert.Journal{Facility: name, Level: level})
	default:
		if _, err := os.Stat("/dev/log"); err == nil {
			sinks = append(sinks, alert.Syslog{Facility: name, Level: level})
		}
	}
	return sinks
}

var facilityNames = map[int]string{1: "user", 3: "daemon", 16: "local0", 17: "local1", 18: "local2", 19: "local3",
	20: "local4", 21: "local5", 22: "local6", 23: "local7"}
