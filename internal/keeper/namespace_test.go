package keeper

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestEnterNamespace: the program begins again in the namespace, with what it
// was started with, and once only.
func TestEnterNamespace(t *testing.T) {
	if name := os.Getenv("EVENKEEL_TEST_NAMESPACE"); name != "" {
		if err := EnterNamespace(name, "/proc/self/exe"); err != nil {
			fmt.Println("error:", err)
			return
		}
		// Any thread may say where the process is.
		there, err := inNamespace(namespaces + name)
		file, _ := os.ReadFile("/proc/self/net/dev")
		fmt.Println("there:", there, err, os.Getpid(), strings.Count(string(file), ":"))
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root for a network namespace")
	}
	name := fmt.Sprintf("ekK%d", os.Getpid())
	_ = exec.Command("ip", "netns", "del", name).Run() // of a run that was killed
	if out, err := exec.Command("ip", "netns", "add", name).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	defer exec.Command("ip", "netns", "del", name).Run()
	start := func(name string) (string, int) {
		exe, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		c := exec.Command(exe, "-test.run", "^TestEnterNamespace$")
		c.Env = append(os.Environ(), "EVENKEEL_TEST_NAMESPACE="+name)
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out), c.Process.Pid
	}
	out, pid := start(name)
	if want := fmt.Sprintf("there: true <nil> %d 1\n", pid); !strings.Contains(out, want) {
		t.Errorf("%s, not %s", out, want)
	}
	if out, _ := start(name + "-none"); !strings.Contains(out, "error:") || !strings.Contains(out, "ip netns") {
		t.Errorf("a namespace that does not exist: %s", out)
	}
}
