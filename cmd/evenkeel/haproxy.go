package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"syscall"

	"evenkeel/internal/dialect/haproxy"
	"evenkeel/internal/keeper"
	"evenkeel/internal/keeper/argv"
	"evenkeel/internal/keeper/report"
	"evenkeel/internal/keeper/worker"
	"evenkeel/internal/model"
	"evenkeel/internal/node"
)

// changedDir tells a process started from here that -C was obeyed already.
const changedDir = "EVENKEEL_CHANGED_DIR"

// haproxyMain is `haproxy ARGS…`.
func haproxyMain(name string, args []string) int {
	out := &report.HAProxy{Pid: os.Getpid(), Version: haproxyVersion(), Path: executable()}
	h, err := argv.Parse(args)
	switch {
	case errors.Is(err, argv.ErrUsage):
		fmt.Print(banner())
		fmt.Fprint(os.Stderr, argv.Usage(name))
		return 1
	case err != nil:
		out.Line(os.Stderr, model.Error, err.Error())
		return 1
	case h.Version > 0:
		fmt.Print(banner())
		if h.Version > 1 {
			fmt.Print(argv.BuildOptions(runtime.NumCPU()))
		}
		return 0
	case h.HasCondition:
		return condition(out, h)
	}
	if h.ChangeDir != "" && os.Getenv(changedDir) == "" {
		if err := os.Chdir(h.ChangeDir); err != nil {
			out.Line(os.Stderr, model.Error, fmt.Sprintf("Could not change to directory %s : %v", h.ChangeDir, capital(err)))
			return 1
		}
		os.Setenv(changedDir, "1")
	}
	if h.HasDumpKeywords {
		if code := keywordsCommand([]string{"haproxy"}); code != 0 || len(h.Files) == 0 {
			return code
		}
	}
	files, err := argv.Expand(h.Files)
	if err != nil {
		out.Line(os.Stderr, model.Error, err.Error())
		return 1
	}
	setStartVariables(h, files)
	options := node.Options{Files: files, LocalPeer: h.Localpeer, MaxConn: h.MaxConn, Diag: h.Diagnostic,
		Stderr: os.Stderr, Quiet: h.Quiet, Version: haproxyVersion(), SSLVerifyNone: h.NoServerVerify}
	print := func(w io.Writer, d model.Diagnostics) { haproxyReport(out, w, d) }
	switch {
	case worker.IsWorker():
		return work(options, worker.Options{Report: print, Stderr: os.Stderr, Quiet: h.Quiet, FailOnWarning: h.ZeroWarning})
	case h.Check:
		return haproxyCheck(out, h, options)
	}
	return keep(out, h)
}

// haproxyReport adds HAProxy's last words to a configuration's errors.
func haproxyReport(out *report.HAProxy, w io.Writer, d model.Diagnostics) {
	out.Diagnostics(w, d)
	for _, x := range d {
		if x.Severity == model.Error && !x.Pos.IsZero() {
			out.Failed(w, d)
			return
		}
	}
}

func haproxyCheck(out *report.HAProxy, h *argv.HAProxy, options node.Options) int {
	config, d := check(options)
	shown := d
	if h.Quiet {
		shown = nil
		for _, x := range d {
			if x.Severity == model.Error {
				shown = append(shown, x)
			}
		}
	}
	haproxyReport(out, os.Stderr, shown)
	if d.HasErrors() {
		return 1
	}
	if h.ZeroWarning && len(d) > 0 {
		out.Line(os.Stderr, model.Error, "Some warnings were found and 'zero-warning' is set. Aborting.")
		return 1
	}
	if !listens(config) {
		if !h.Quiet {
			fmt.Fprintln(os.Stderr, "Configuration file has no error but will not start (no listener) => exit(2).")
		}
		return 2
	}
	if !h.Quiet {
		fmt.Println("Configuration file is valid")
	}
	return 0
}

// listens says whether anything would accept connections.
func listens(config *model.Config) bool {
	if config == nil {
		return false
	}
	for _, p := range config.Proxies {
		if p.Kind&model.KindFrontend != 0 && len(p.Frontend.Binds) > 0 {
			return true
		}
	}
	return len(config.Global.StatsSockets) > 0 && len(config.Proxies) > 0
}

func condition(out *report.HAProxy, h *argv.HAProxy) int {
	ok, err := haproxy.EvalCondition(h.Condition)
	switch {
	case err != nil:
		out.Line(os.Stderr, model.Error, "config : Failed to evaluate condition: "+err.Error())
		return 2
	case ok:
		if !h.Quiet && h.Verbose {
			fmt.Println("Condition is true")
		}
		return 0
	}
	return 1
}

// keep is the process that stays: it reads no file.
func keep(out *report.HAProxy, h *argv.HAProxy) int {
	o := keeper.Options{
		Path: executable(), Args: os.Args, Version: haproxyVersion(),
		Master: h.Master, Daemon: h.Daemon, Foreground: h.Foreground || h.Notify, Notify: h.Notify,
		DiesBySignal: !h.Master, Pidfile: h.Pidfile, OldPids: h.OldPids, OldNow: h.OldNow, OldSocket: h.OldSocket,
		Log: func(level keeper.Level, text string) {
			if h.Quiet && level != keeper.Alert {
				return
			}
			out.Line(os.Stderr, severity(level), text)
		},
	}
	if h.MasterCLI != "" {
		spec, err := masterSocket(h.MasterCLI)
		if err != nil {
			out.Line(os.Stderr, model.Error, err.Error())
			return 1
		}
		o.MasterCLI = &spec
	}
	return keeper.Run(o)
}

func severity(l keeper.Level) model.Severity {
	switch l {
	case keeper.Alert:
		return model.Error
	case keeper.Warning:
		return model.Warning
	}
	return model.Notice
}

// setStartVariables sets what a configuration may read of its start.
func setStartVariables(h *argv.HAProxy, files []string) {
	peer := h.Localpeer
	if peer == "" {
		peer, _ = os.Hostname()
	}
	os.Setenv("HAPROXY_LOCALPEER", peer)
	os.Setenv("HAPROXY_CFGFILES", strings.Join(files, ";"))
	os.Setenv("HAPROXY_PROCESSES", "1")
	if h.MasterCLI != "" {
		os.Setenv("HAPROXY_MASTER_CLI", "unix@"+strings.TrimPrefix(h.MasterCLI, "unix@"))
	}
}

func banner() string { return argv.Banner(haproxyVersion(), buildDate, system()) }

// system is what uname tells.
func system() string {
	var u syscall.Utsname
	if syscall.Uname(&u) != nil {
		return runtime.GOOS
	}
	text := func(field []int8) string {
		var b []byte
		for _, c := range field {
			if c == 0 {
				break
			}
			b = append(b, byte(c))
		}
		return string(b)
	}
	return fmt.Sprintf("%s %s %s %s", text(u.Sysname[:]), text(u.Release[:]), text(u.Version[:]), text(u.Machine[:]))
}

func executable() string {
	path, err := os.Executable()
	if err != nil {
		return "/proc/self/exe"
	}
	return path
}

func capital(err error) string {
	var pe *os.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	s := err.Error()
	return strings.ToUpper(s[:1]) + s[1:]
}
