package report

import (
	"fmt"
	"io"

	"evenkeel/internal/model"
)

// HAProxy prints lines as HAProxy does: "[ALERT]    (pid) : config : …".
type HAProxy struct {
	Pid      int
	Version  string
	Path     string
	preamble bool
}

// Line prints one message.
func (h *HAProxy) Line(w io.Writer, severity model.Severity, text string) {
	if !h.preamble && severity != model.Notice {
		h.preamble = true
		fmt.Fprintf(w, "[NOTICE]   (%d) : haproxy version is %s\n", h.Pid, h.Version)
		fmt.Fprintf(w, "[NOTICE]   (%d) : path to executable is %s\n", h.Pid, h.Path)
	}
	fmt.Fprintf(w, "%-10s (%d) : %s\n", label(severity), h.Pid, text)
}

func label(s model.Severity) string {
	switch s {
	case model.Error:
		return "[ALERT]"
	case model.Warning:
		return "[WARNING]"
	}
	return "[NOTICE]"
}

// Diagnostics prints all of d. A message that brings its own "config : " or
// that stands in no file is printed as it is.
func (h *HAProxy) Diagnostics(w io.Writer, d model.Diagnostics) {
	for _, x := range d {
		text := x.Message
		if x.Cure != "" {
			text += "; " + x.Cure
		}
		if !x.Pos.IsZero() {
			text = fmt.Sprintf("config : parsing [%s:%d] : %s", x.Pos.File, x.Pos.Line, text)
		}
		h.Line(w, x.Severity, text)
	}
}

// Failed prints HAProxy's last words on a configuration with errors.
func (h *HAProxy) Failed(w io.Writer, d model.Diagnostics) {
	seen := map[string]bool{}
	for _, x := range d {
		if x.Severity == model.Error && x.Pos.File != "" && !seen[x.Pos.File] {
			seen[x.Pos.File] = true
			h.Line(w, model.Error, "config : Error(s) found in configuration file : "+x.Pos.File)
		}
	}
	h.Line(w, model.Error, "config : Fatal errors found in configuration.")
}
