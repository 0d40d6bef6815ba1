package keepalived_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"evenkeel/internal/dialect/keepalived"
	"evenkeel/internal/model"
)

var update = flag.Bool("update", false, "write the golden files anew")

const (
	keepalivedPath = "/usr/sbin/keepalived"
	verdictFile    = "testdata/verdicts.txt"
)

// verdict is one line of the table: where a snippet stands, what evenkeel says
// of it, what keepalived says, and why they differ.
type verdict struct {
	where, ours, theirs, reason, text string
}

// The words of the table: evenkeel takes it (ok), goes on with a warning
// (warn), or refuses it (error); keepalived is content (ok) or complains (bad).
func readVerdicts(t *testing.T) (head string, list []verdict) {
	t.Helper()
	data, err := os.ReadFile(verdictFile)
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(strings.TrimSuffix(string(data), "\n"), "\n") {
		if strings.HasPrefix(line, "#") || line == "" {
			if len(list) == 0 {
				head += line + "\n"
				continue
			}
			list = append(list, verdict{where: "#", text: line})
			continue
		}
		f := strings.SplitN(line, "\t", 5)
		if len(f) != 5 {
			t.Fatalf("%s:%d: %d columns, want 5", verdictFile, i+1, len(f))
		}
		text, err := strconv.Unquote("\"" + strings.ReplaceAll(f[4], `"`, `\"`) + "\"")
		if err != nil {
			t.Fatalf("%s:%d: %v", verdictFile, i+1, err)
		}
		list = append(list, verdict{f[0], f[1], f[2], f[3], text})
	}
	return head, list
}

// frame puts a snippet into a file that both take without it.
func (v verdict) frame() string {
	if v.where == "raw" {
		return v.text + "\n"
	}
	at := map[string]string{v.where: v.text + "\n"}
	return "global_defs {\n enable_script_security\n script_user root\n" + at["global"] + "}\n" + at["top"] +
		"vrrp_script chk {\n script \"/bin/true\"\n" + at["script"] + "}\n" +
		"track_file tf {\n file /dev/null\n" + at["file"] + "}\n" +
		"vrrp_track_process tp {\n process init\n" + at["process"] + "}\n" +
		"bfd_instance bfd {\n neighbor_ip 192.168.9.77\n source_ip 192.168.9.1\n" + at["bfd"] + "}\n" +
		"vrrp_instance one {\n interface eth0\n virtual_router_id 5\n virtual_ipaddress {\n  10.0.0.1/24\n" + at["vip"] + " }\n" +
		" track_script {\n  chk weight 0\n" + at["track_script"] + " }\n" + at["inst"] + "}\n" +
		"vrrp_instance two {\n interface eth0\n virtual_router_id 6\n virtual_ipaddress {\n  10.0.1.1/24\n }\n}\n" +
		"vrrp_instance bare {\n virtual_router_id 8\n interface eth1\n" + at["bare"] + barevip(at["bare"]) + "}\n" +
		"vrrp_sync_group g {\n group {\n  one\n  two\n }\n" + at["group"] + "}\n" +
		"virtual_server 10.9.0.1 80 {\n protocol TCP\n lvs_sched rr\n lvs_method DR\n" + at["vs"] +
		" real_server 10.9.0.2 80 {\n" + at["rs"] + "  HTTP_GET {\n   url {\n    path /\n" + at["url"] + "   }\n" + at["http"] + "  }\n" +
		"  SSL_GET {\n   url {\n    path /\n   }\n" + at["sslget"] + "  }\n" +
		"  TCP_CHECK {\n" + at["tcp"] + "  }\n  SMTP_CHECK {\n" + at["smtp"] + "  }\n  MISC_CHECK {\n   misc_path /bin/true\n" + at["misc"] + "  }\n" +
		"  DNS_CHECK {\n" + at["dns"] + "  }\n  UDP_CHECK {\n" + at["udp"] + "  }\n  PING_CHECK {\n" + at["ping"] + "  }\n }\n}\n"
}

// barevip: the instance `bare` has an address unless the snippet brings one.
func barevip(text string) string {
	if strings.Contains(text, "virtual_ipaddress") {
		return ""
	}
	return " virtual_ipaddress {\n  10.0.2.1/24\n }\n"
}

// ours is evenkeel's verdict.
func ours(name, text string) (string, model.Diagnostics) {
	_, diags := keepalived.Parse([]keepalived.File{{Name: name, Data: []byte(text)}}, keepalived.Options{ConfigID: "node"})
	verdict := "ok"
	for _, d := range diags {
		switch {
		case d.Severity == model.Error:
			return "error", diags
		case d.Severity == model.Warning && !strings.Contains(d.Message, "has no effect here"):
			verdict = "warn"
		}
	}
	return verdict, diags
}

// network makes a namespace with the two interfaces of the frame.
func network(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root for a network namespace")
	}
	if _, err := os.Stat(keepalivedPath); err != nil {
		t.Skip("keepalived is not installed")
	}
	name := fmt.Sprintf("ekCverdict%d", os.Getpid())
	run := func(args ...string) {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %v: %v\n%s", args, err, out)
		}
	}
	run("netns", "add", name)
	t.Cleanup(func() { run("netns", "del", name) })
	run("-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", "eth1")
	for _, dev := range []string{"lo", "eth0", "eth1"} {
		run("-n", name, "link", "set", dev, "up")
	}
	run("-n", name, "addr", "add", "192.168.9.1/24", "dev", "eth0")
	run("-n", name, "addr", "add", "192.168.8.1/24", "dev", "eth1")
	return name
}

// theirs is keepalived's verdict.
func theirs(t *testing.T, namespace, path string) (string, string) {
	t.Helper()
	var out bytes.Buffer
	// Some snippets make keepalived go round for ever: for two seconds of the
	// processor, that is, however long a busy machine takes for them.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", "ulimit -t 2; exec \"$@\"", "sh", "ip", "netns", "exec", namespace, keepalivedPath, "-t", "-i", "node", "-f", path)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil || out.Len() > 0 {
		return "bad", out.String()
	}
	return "ok", ""
}

func TestVerdicts(t *testing.T) {
	head, list := readVerdicts(t)
	count := 0
	for i, v := range list {
		if v.where == "#" {
			continue
		}
		count++
		got, diags := ours("keepalived.conf", v.frame())
		for _, d := range diags {
			if d.Pos.Line == 0 {
				t.Errorf("%s %q: a message without a place: %v", v.where, v.text, d)
			}
		}
		if *update {
			list[i].ours = got
		} else if got != v.ours {
			t.Errorf("%s %q: evenkeel says %s, want %s: %v", v.where, v.text, got, v.ours, diags)
		}
		if (v.ours == "ok") == (v.theirs == "ok") && v.reason != "" || (v.ours == "ok") != (v.theirs == "ok") && v.reason == "" {
			t.Errorf("%s %q: evenkeel %s, keepalived %s, and the reason is %q: %v", v.where, v.text, v.ours, v.theirs, v.reason, diags)
		}
	}
	if count < 300 {
		t.Errorf("%d snippets, want at least 300", count)
	}
	if *update {
		writeVerdicts(t, head, list)
	}
}

// TestVerdictsOfKeepalived asks the real one.
func TestVerdictsOfKeepalived(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	namespace := network(t)
	head, list := readVerdicts(t)
	dir := t.TempDir()
	for i, v := range list {
		if v.where == "#" {
			continue
		}
		path := filepath.Join(dir, "keepalived.conf")
		if err := os.WriteFile(path, []byte(v.frame()), 0o600); err != nil {
			t.Fatal(err)
		}
		got, out := theirs(t, namespace, path)
		if *update {
			list[i].theirs = got
		}
		if got != v.theirs {
			t.Logf("%s %q: keepalived says %s, the table %s\n%s", v.where, v.text, got, v.theirs, out)
			if !*update {
				t.Fail()
			}
		}
		if *update && v.reason == "" && (list[i].ours == "ok") != (got == "ok") {
			t.Logf("DIFF %s %q: ours %s theirs %s\n%s", v.where, v.text, list[i].ours, got, out)
		}
	}
	if *update {
		writeVerdicts(t, head, list)
	}
}

func writeVerdicts(t *testing.T, head string, list []verdict) {
	t.Helper()
	var b strings.Builder
	b.WriteString(head)
	for _, v := range list {
		if v.where == "#" {
			b.WriteString(v.text + "\n")
			continue
		}
		q := strconv.Quote(v.text)
		q = strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
		b.WriteString(strings.Join([]string{v.where, v.ours, v.theirs, v.reason, q}, "\t") + "\n")
	}
	if err := os.WriteFile(verdictFile, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
