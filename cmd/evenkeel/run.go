package main

import (
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"evenkeel/internal/keeper"
	"evenkeel/internal/keeper/argv"
	"evenkeel/internal/keeper/holder"
	"evenkeel/internal/keeper/report"
	"evenkeel/internal/keeper/socket"
	"evenkeel/internal/keeper/worker"
	"evenkeel/internal/model"
	"evenkeel/internal/node"
)

// ignoreSignals: the keeper decides what a signal means; a child that it has
// told nothing goes on.
func ignoreSignals() {
	signal.Ignore(syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGTTOU,
		syscall.SIGTTIN, syscall.SIGPIPE)
}

// work is the life of a worker process.
func work(options node.Options, o worker.Options) int {
	ignoreSignals()
	control, err := worker.Connect()
	if err != nil {
		fmt.Fprintf(os.Stderr, "evenkeel: %v\n", err)
		return 1
	}
	return worker.Run(control, node.New(options), o)
}

// check reads and builds a configuration, and lets go of it.
func check(options node.Options) (*model.Config, model.Diagnostics) {
	files := worker.NewFiles()
	config, d := node.Read(options, files)
	if d.HasErrors() {
		return config, d
	}
	_, d = node.New(options).Build(worker.Input{Files: files})
	return config, d
}

func runCommand(args []string) int {
	fs := flag.NewFlagSet("evenkeel run", flag.ContinueOnError)
	pidfile := fs.String("p", "", "write the process id to this `file`")
	old := fs.Int("replace", 0, "take over from the evenkeel with this process `id`")
	quiet := fs.Bool("q", false, "print errors only")
	id := fs.String("i", "", "`name` of this node for lines of keepalived.conf that begin with @")
	metricsAddr := fs.String("metrics", "", "serve /metrics of the failover process on this `address`:port or unix:/path")
	files, code := parseFiles(fs, args)
	if code != 0 {
		return code
	}
	sorted, err := sortFiles(files)
	if err != nil {
		fmt.Fprintf(os.Stderr, "evenkeel run: %v\n", err)
		return 1
	}
	options := node.Options{Files: sorted.proxy, Stderr: os.Stderr, Quiet: *quiet, Version: haproxyVersion()}
	moving := node.FailoverOptions{Files: sorted.failover, ConfigID: *id, Version: version, Stderr: os.Stderr,
		WithProxy: len(sorted.proxy) > 0, MetricsAddr: *metricsAddr, Sinks: consoleSinks(true, true, -1, false)}
	switch {
	case worker.IsWorker():
		return work(options, worker.Options{Stderr: os.Stderr, Quiet: *quiet, Report: excerpts(os.Stderr)})
	case holder.IsFailover():
		return hold(moving, holder.Options{Stderr: os.Stderr, Quiet: *quiet, Report: excerpts(os.Stderr)})
	}
	// A proxy stays where it is: then a net_namespace is refused further on.
	if len(sorted.proxy) == 0 && !enterNamespace("", moving) {
		return 1
	}
	setStartVariables(&argv.HAProxy{}, sorted.proxy)
	o := keeper.Options{Path: executable(), Args: os.Args, Version: version, Master: true, Foreground: true,
		Notify: true, AlwaysPid: true, Pidfile: *pidfile, Log: logLine(*quiet),
		Failover: len(sorted.failover) > 0, NoWorker: len(sorted.proxy) == 0}
	if *old > 0 {
		o.OldPids = []int{*old}
	}
	if o.Failover {
		endByHand()
	}
	return keeper.Run(o)
}

// parseFiles reads flags and at least one file that exists.
func parseFiles(fs *flag.FlagSet, args []string) (files []string, code int) {
	if err := fs.Parse(args); err != nil {
		if err == flag.ErrHelp {
			return nil, 2
		}
		return nil, 1
	}
	if fs.NArg() == 0 {
		fmt.Fprintf(os.Stderr, "%s: which FILE?\n", fs.Name())
		return nil, 1
	}
	files, err := argv.Expand(fs.Args())
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %s\n", fs.Name(), strings.TrimPrefix(err.Error(), "config : "))
		return nil, 1
	}
	return files, 0
}

func checkCommand(args []string) int {
	fs := flag.NewFlagSet("evenkeel check", flag.ContinueOnError)
	id := fs.String("i", "", "`name` of this node for lines of keepalived.conf that begin with @")
	files, code := parseFiles(fs, args)
	if code != 0 {
		return code
	}
	sorted, err := sortFiles(files)
	if err != nil {
		fmt.Fprintf(os.Stderr, "evenkeel check: %v\n", err)
		return 1
	}
	var config *model.Config
	var d model.Diagnostics
	if len(sorted.failover) > 0 {
		d = node.NewFailover(node.FailoverOptions{Files: sorted.failover, ConfigID: *id, Version: version,
			WithProxy: len(sorted.proxy) > 0}).Prepare(worker.NewFiles())
	}
	if len(sorted.proxy) > 0 {
		setStartVariables(&argv.HAProxy{}, sorted.proxy)
		c, more := check(node.Options{Files: sorted.proxy, Stderr: os.Stderr, Version: haproxyVersion()})
		config, d = c, append(d, more...)
		if len(sorted.failover) > 0 {
			d = append(d, node.CheckTogether(c, node.FailoverOptions{Files: sorted.failover, ConfigID: *id})...)
		}
	}
	excerpts(os.Stderr)(os.Stderr, d)
	switch {
	case d.HasErrors():
		fmt.Fprintln(os.Stderr, report.Summary(d))
		return 1
	case len(d) > 0:
		fmt.Fprintf(os.Stderr, "valid, with %s\n", report.Summary(d))
	default:
		fmt.Println("valid")
	}
	if len(sorted.proxy) > 0 && !listens(config) {
		fmt.Fprintln(os.Stderr, "but nothing in it listens, so it would not start")
		return 2
	}
	return 0
}

// excerpts prints with colours when f is a terminal.
func excerpts(f *os.File) func(io.Writer, model.Diagnostics) {
	e := &report.Excerpt{Color: isTerminal(f) && os.Getenv("NO_COLOR") == ""}
	return e.Diagnostics
}

func isTerminal(f *os.File) bool {
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb" && st.Mode()&os.ModeDevice != 0 && f.Name() != os.DevNull
}

func logLine(quiet bool) func(keeper.Level, string) {
	return func(level keeper.Level, text string) {
		word := map[keeper.Level]string{keeper.Notice: "note", keeper.Warning: "warning", keeper.Alert: "error"}[level]
		if !quiet || level == keeper.Alert {
			fmt.Fprintf(os.Stderr, "evenkeel: %s: %s\n", word, text)
		}
	}
}

// masterSocket reads the value of -S: an address and options between commas.
func masterSocket(text string) (socket.Spec, error) {
	words := strings.Split(text, ",")
	spec, err := bindAddress(words[0])
	if err != nil {
		return spec, fmt.Errorf("-S : %w", err)
	}
	for i := 1; i+1 < len(words); i += 2 {
		switch words[i] {
		case "mode":
			m, err := strconv.ParseUint(words[i+1], 8, 32)
			if err != nil {
				return spec, fmt.Errorf("-S : mode %q is not octal", words[i+1])
			}
			spec.Mode = uint32(m)
		case "uid", "gid":
			n, err := strconv.Atoi(words[i+1])
			if err != nil {
				return spec, fmt.Errorf("-S : %s %q is no number", words[i], words[i+1])
			}
			if words[i] == "uid" {
				spec.UID = &n
			} else {
				spec.GID = &n
			}
		}
	}
	return spec, nil
}

func bindAddress(text string) (socket.Spec, error) {
	if path, ok := strings.CutPrefix(text, "unix@"); ok {
		return socket.Spec{Path: path, Mode: 0o600}, nil
	}
	if name, ok := strings.CutPrefix(text, "abns@"); ok {
		return socket.Spec{Path: "@" + name}, nil
	}
	if number, ok := strings.CutPrefix(text, "fd@"); ok {
		n, err := strconv.Atoi(number)
		return socket.Spec{Inherited: true, FD: n}, err
	}
	if strings.HasPrefix(text, "/") {
		return socket.Spec{Path: text, Mode: 0o600}, nil
	}
	text = strings.TrimPrefix(strings.TrimPrefix(text, "ipv4@"), "ipv6@")
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return socket.Spec{}, err
	}
	if host == "" || host == "*" {
		host = "0.0.0.0"
	}
	ap, err := netip.ParseAddrPort(net.JoinHostPort(host, port))
	return socket.Spec{Addr: ap}, err
}
