package probe

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// Every thread is in as much of a hurry as the one that probes, or none is,
// where that is not allowed. A process of its own tries it.
func TestHurry(t *testing.T) {
	const child = "EVENKEEL_TEST_HURRY"
	if os.Getenv(child) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestHurry$", "-test.v")
		cmd.Env = append(os.Environ(), child+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	// Threads from before, and one from after.
	var started, done sync.WaitGroup
	end := make(chan struct{})
	hold := func() {
		runtime.LockOSThread()
		started.Done()
		<-end
	}
	for range 3 {
		started.Add(1)
		done.Go(hold)
	}
	started.Wait()
	hurry()
	started.Add(1)
	done.Go(hold)
	started.Wait()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	policies := map[uint32]int{}
	for _, task := range tasks {
		id, err := strconv.Atoi(task.Name())
		if err != nil {
			t.Fatal(err)
		}
		if a, err := unix.SchedGetAttr(id, 0); err == nil { // it may have ended
			policies[a.Policy]++
		}
	}
	close(end)
	done.Wait()
	if len(policies) != 1 || len(tasks) < 5 {
		t.Errorf("threads by policy: %v", policies)
	}
	t.Logf("threads by policy: %v", policies)
}
