package worker

import (
	"io"

	"evenkeel/internal/model"
)

// Options are how Run behaves around a service.
type Options struct {
	// Report prints diagnostics in the form that the user's program has.
	Report func(w io.Writer, d model.Diagnostics)
	Stderr io.Writer
	Quiet  bool
	// FailOnWarning makes any warning an error (-dW).
	FailOnWarning bool
	// MaxNoFile caps RLIMIT_NOFILE asked for by the configuration, 0: no cap.
	MaxNoFile int
}
