package node

import (
	"os"
	"path/filepath"
)

// ForwardingLeft says whether packets may be forwarded in this network namespace
// without a process: one has left them so, or has died.
func ForwardingLeft() bool {
	dir := filepath.Join(DefaultRunDirectory, "forwarding-"+namespaceID())
	_, err := os.Stat(filepath.Join(dir, "state.json"))
	return err == nil
}
