package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Only one process at a time changes what is forwarded; the next one waits for
// the one before, and says who it is.
func TestTakeAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "forwarding-1")
	first, err := takeAlone(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	if f, err := takeAlone(dir, 0); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("process %d)", os.Getpid())) {
		t.Fatalf("a second one: %v, %v", f, err)
	}
	type taken struct {
		file *os.File
		err  error
	}
	next := make(chan taken)
	go func() {
		f, err := takeAlone(dir, time.Minute)
		next <- taken{f, err}
	}()
	select {
	case <-next:
		t.Fatal("two have it")
	case <-time.After(50 * time.Millisecond):
	}
	if err := leaveAlone(first); err != nil {
		t.Fatal(err)
	}
	got := <-next
	if got.err != nil {
		t.Fatal(got.err)
	}
	if f, err := takeAlone(dir, 0); err == nil {
		f.Close()
		t.Error("two have it")
	}
	got.file.Close() // as when a process dies
	last, err := takeAlone(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := leaveAlone(last); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
