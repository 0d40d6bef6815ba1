package argv

import (
	"fmt"
	"runtime"
	"strings"
)

// Usage is what a command line that cannot be read is answered with.
func Usage(name string) string {
	const tab = "        "
	lines := []string{
		"-v displays version ; -vv shows known build options.",
		"-d enters debug mode ; -db only disables background mode.",
		"-dM[<byte>,help,...] debug memory (accepted, without effect)",
		"-dt activate traces (accepted, without effect)",
		"-V enters verbose mode (disables quiet mode)",
		"-D goes daemon ; -C changes to <dir> before loading files.",
		"-W master-worker mode.",
		"-Ws master-worker mode with systemd notify support.",
		"-q quiet mode : don't display messages",
		"-c check mode : only check config files and exit",
		"-cc check condition : evaluate a condition and exit",
		"-n sets the maximum total # of connections (uses ulimit -n)",
		"-m limits the usable amount of memory (in MB)",
		"-N sets the default, per-proxy maximum # of connections",
		"-L set local peer name (default to hostname)",
		"-p writes pids of all children to this file",
		"-dC[[key],line] display the configuration file (accepted, without effect)",
		"-de disables epoll() usage even when available (accepted, without effect)",
		"-dp disables poll() usage even when available (accepted, without effect)",
		"-dS disables splice usage (broken on old kernels)",
		"-dG disables getaddrinfo() usage (accepted, without effect)",
		"-dR disables SO_REUSEPORT usage",
		"-dL dumps loaded object files after config checks",
		"-dK{class[,...]} dump registered keywords (use 'help' for list)",
		"-dr ignores server address resolution failures",
		"-dV disables SSL verify on servers side",
		"-dW fails if any warning is emitted",
		"-dD diagnostic mode : warn about suspicious configuration statements",
		"-dF disable fast-forward (accepted, without effect)",
		"-dI enable insecure fork (accepted, without effect)",
		"-dZ disable zero-copy forwarding (accepted, without effect)",
		"-sf/-st [pid ]* finishes/terminates old pids.",
		"-x <unix_socket> get listening sockets from a unix socket",
		"-S <bind>[,<bind options>...] new master CLI",
	}
	return fmt.Sprintf("Usage : %s [-f <cfgfile|cfgdir>]* [ -vdVD ] [ -n <maxconn> ] [ -N <maxpconn> ]\n"+
		"%s[ -p <pidfile> ] [ -m <max megs> ] [ -C <dir> ] [-- <cfgfile>*]\n%s%s\n\n",
		name, tab, tab, strings.Join(lines, "\n"+tab))
}

// Banner is `haproxy -v`: the version that rules and tools compare with, and
// whose it is.
func Banner(version, date, system string) string {
	return fmt.Sprintf("HAProxy version %s %s - https://haproxy.org/\n"+
		"Status: evenkeel, which reads HAProxy's configuration; it is not HAProxy.\n"+
		"Known bugs: see CHANGELOG.md of evenkeel\n"+
		"Running on: %s\n", version, date, system)
}

// features are answered as an HAProxy built with OpenSSL does, and say what
// is really in this binary.
var features = []struct {
	name string
	on   bool
}{
	{"51DEGREES", false}, {"ACCEPT4", true}, {"BACKTRACE", true}, {"CLOSEFROM", false}, {"CPU_AFFINITY", true},
	{"CRYPT_H", true}, {"DEVICEATLAS", false}, {"DL", false}, {"ENGINE", false}, {"EPOLL", true}, {"EVPORTS", false},
	{"GETADDRINFO", true}, {"KQUEUE", false}, {"LIBATOMIC", true}, {"LIBCRYPT", true}, {"LINUX_CAP", true},
	{"LINUX_SPLICE", true}, {"LINUX_TPROXY", true}, {"LUA", false}, {"MATH", true}, {"MEMORY_PROFILING", false},
	{"NETFILTER", true}, {"NS", false}, {"OBSOLETE_LINKER", false}, {"OPENSSL", true}, {"OT", false}, {"PCRE", false},
	{"PCRE2", true}, {"PCRE2_JIT", false}, {"PCRE_JIT", false}, {"POLL", true}, {"PRCTL", true}, {"PROCCTL", false},
	{"PROMEX", false}, {"QUIC", false}, {"RT", true}, {"SLZ", true}, {"SSL", true}, {"STATIC_PCRE", false},
	{"STATIC_PCRE2", false}, {"SYSTEMD", true}, {"TFO", true}, {"THREAD", true}, {"THREAD_DUMP", true}, {"TPROXY", true},
	{"WURFL", false}, {"ZLIB", false},
}

// Feature answers feature() of .if and -cc.
func Feature(name string) (on, known bool) {
	for _, f := range features {
		if f.name == strings.TrimPrefix(strings.ToUpper(name), "USE_") {
			return f.on, true
		}
	}
	return false, false
}

// BuildOptions is what -vv adds to the banner.
func BuildOptions(threads int) string {
	var list []string
	for _, f := range features {
		if f.on {
			list = append(list, "+"+f.name)
		} else {
			list = append(list, "-"+f.name)
		}
	}
	return fmt.Sprintf(`Build options :
  TARGET  = linux
  CPU     = %s
  CC      = %s
  OPTIONS = USE_OPENSSL=1 USE_SYSTEMD=1

Feature list : %s

Default settings :
  bufsize = 16384, maxrewrite = 1024, maxpollevents = 200

Built with multi-threading support (MAX_TGROUPS=1, MAX_THREADS=64, default=%d).
Built with SSL library version : %s crypto/tls
SSL library supports TLS extensions : yes
SSL library supports SNI : yes
SSL library supports : TLSv1.0 TLSv1.1 TLSv1.2 TLSv1.3
Built with transparent proxy support using: IP_TRANSPARENT IPV6_TRANSPARENT IP_FREEBIND
Encrypted password support via crypt(3): yes

Available polling systems :
      epoll : pref=300,  test result OK
Total: 1 (1 usable), will use epoll.

Available multiplexer protocols :
(protocols marked as <default> cannot be specified using 'proto' keyword)
  <default> : mode=HTTP  side=FE|BE  mux=H1    flags=HTX
         h1 : mode=HTTP  side=FE|BE  mux=H1    flags=HTX|NO_UPG
  <default> : mode=TCP   side=FE|BE  mux=PASS  flags=
       none : mode=TCP   side=FE|BE  mux=PASS  flags=NO_UPG

`, runtime.GOARCH, runtime.Version(), strings.Join(list, " "), threads, runtime.Version())
}
