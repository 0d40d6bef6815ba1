package track

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

func TestInNamespace(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("namespaces are made by root")
	}
	name := fmt.Sprintf("ekf%d", os.Getpid())
	_ = exec.Command("ip", "netns", "del", name).Run() // of a run that was killed
	if out, err := exec.Command("ip", "netns", "add", name).CombinedOutput(); err != nil {
		t.Fatalf("ip netns add: %v: %s", err, out)
	}
	defer exec.Command("ip", "netns", "del", name).Run()
	link := func() string {
		l, err := os.Readlink("/proc/thread-self/ns/net")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	before, there := link(), ""
	if err := inNamespace("/run/netns/"+name, func() { there = link() }); err != nil {
		t.Fatal(err)
	}
	if there == "" || there == before {
		t.Errorf("the function ran in %q, and we are in %q", there, before)
	}
	if after := link(); after != before {
		t.Errorf("the thread did not come back: %q, before %q", after, before)
	}
	if err := inNamespace("/nonexistent", func() { t.Error("the function ran without a namespace") }); err == nil {
		t.Error("no error")
	}
}
