package dialect

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"evenkeel/internal/model"
)

// Render writes diagnostics for a terminal: the place and what is wrong, the
// line with a mark under the place, and what would be right.
func Render(w io.Writer, diags model.Diagnostics, files []File) error {
	for _, d := range diags {
		var b strings.Builder
		place := ""
		if !d.Pos.IsZero() {
			place = d.Pos.String() + ": "
		}
		fmt.Fprintf(&b, "%s%s: %s\n", place, severity(d.Severity), d.Message)
		if line, ok := sourceLine(files, d.Pos); ok && !d.Secret {
			fmt.Fprintf(&b, "    %s\n", line)
			if d.Pos.Col > 0 && d.Pos.Col <= len(line)+1 {
				fmt.Fprintf(&b, "    %s^\n", margin(line[:d.Pos.Col-1]))
			}
		}
		if d.Cure != "" {
			fmt.Fprintf(&b, "    %s\n", d.Cure)
		}
		if _, err := io.WriteString(w, b.String()); err != nil {
			return err
		}
	}
	return nil
}

func severity(s model.Severity) string {
	return [...]string{"notice", "warning", "error"}[min(s, model.Error)]
}

// margin is blanks as wide as a text: tabs stay tabs.
func margin(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, s)
}

// sourceLine finds the line of a place, fit to be printed.
func sourceLine(files []File, pos model.Pos) (string, bool) {
	for _, f := range files {
		if f.Name != pos.File || pos.Line < 1 {
			continue
		}
		lines := bytes.SplitN(f.Data, []byte("\n"), pos.Line+1)
		if len(lines) < pos.Line {
			return "", false
		}
		line := strings.TrimRight(string(lines[pos.Line-1]), "\r")
		for _, c := range []byte(line) {
			if c < ' ' && c != '\t' || c == 0x7f {
				return "", false
			}
		}
		return line, true
	}
	return "", false
}
