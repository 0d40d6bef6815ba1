// Command evenkeel is the program: subcommands, and HAProxy's command line
// when it is called by that name. It only wires packages together.
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Versions. The first is evenkeel's, set by the build; the second is the
// HAProxy whose behaviour its dialect follows.
var (
	version   = "0.1.0-dev"
	buildDate = "2026/01/01"
)

const follows = "3.0.8"

func haproxyVersion() string { return follows + "-evenkeel-" + version }

// command is one word after the program's name.
type command struct {
	name, args, help string
	run              func(args []string) int
}

func commands() []command {
	return []command{
		{"run", "FILE...", "run these configuration files in the foreground", runCommand},
		{"check", "FILE...", "say what is wrong with them", checkCommand},
		{"ctl", "[-s SOCKET | -p PID] COMMAND...", "send commands to a running node", ctlCommand},
		{"status", "[-s SOCKET | -p PID] [json]", "show processes, addresses, listeners and servers of a running node", statusCommand},
		{"top", "[-s SOCKET | -p PID] [-d SECONDS]", "the same live on the terminal; --once prints it (-h lists the keys)", topCommand},
		{"reload", "[-p PID]", "make a running node read its files again, and say how it went", reloadCommand},
		{"lab", "up|drill|report|down ...", "a whole cluster on this machine, and failures on it", labCommand},
		{"keywords", "haproxy|keepalived [--markdown]", "list every keyword that is understood", keywordsCommand},
		{"haproxy", "ARGS...", "take HAProxy's command line", func(args []string) int { return haproxyMain("haproxy", args) }},
		{"keepalived", "ARGS...", "take keepalived's command line", func(args []string) int { return keepalivedMain("keepalived", args) }},
		{"director", "[-D]", "forward packets as ipvsadm says, without a configuration", directorCommand},
		{"ipvsadm", "ARGS...", "take ipvsadm's command line", ipvsadmMain},
		{"realserver", "up|down|check ...", "the real server's side of DR and TUN", realserverCommand},
		{"version", "", "show the version", versionCommand},
	}
}

func main() { os.Exit(realMain(os.Args)) }

func realMain(argv []string) int {
	name := "evenkeel"
	if len(argv) > 0 {
		name = filepath.Base(argv[0])
	}
	switch name {
	case "haproxy":
		return haproxyMain(name, argv[1:])
	case "keepalived":
		return keepalivedMain(name, argv[1:])
	case "ipvsadm":
		return ipvsadmMain(argv[1:])
	}
	if len(argv) < 2 {
		usage(os.Stderr)
		return 1
	}
	word := argv[1]
	switch word {
	case "-h", "--help", "help":
		usage(os.Stdout)
		return 0
	case "-v", "-version", "--version":
		return versionCommand(nil)
	}
	all := commands()
	if i := slices.IndexFunc(all, func(c command) bool { return c.name == word }); i >= 0 {
		return all[i].run(argv[2:])
	}
	fmt.Fprintf(os.Stderr, "evenkeel: there is no command %q\n\n", word)
	usage(os.Stderr)
	return 1
}

func usage(w io.Writer) {
	fmt.Fprintf(w, "evenkeel keeps a web cluster up.\n\nusage:\n")
	for _, c := range commands() {
		line := strings.TrimSpace(c.name + " " + c.args)
		fmt.Fprintf(w, "  evenkeel %-40s %s\n", line, c.help)
	}
	fmt.Fprintf(w, "\nCalled as haproxy, keepalived or ipvsadm (a symlink will do) it takes that program's options.\n")
}

func versionCommand([]string) int {
	fmt.Printf("evenkeel %s, %s, %s/%s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return 0
}
