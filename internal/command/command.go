package command

import (
	"strings"
)

// Command is a program with its arguments and who runs it.
type Command struct {
	Argv []string
	User *Identity // nil: whoever this process is
}

// With gives the same command with more arguments at its end.
func (c Command) With(args ...string) Command {
	c.Argv = append(append(make([]string, 0, len(c.Argv)+len(args)), c.Argv...), args...)
	return c
}

// String is the command as a person would type it, for messages.
func (c Command) String() string {
	var b strings.Builder
	for i, a := range c.Argv {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(Quote(a))
	}
	return b.String()
}

// Quote gives a word back as it stands when it is plain, and otherwise so that
// a POSIX shell reads the same word.
func Quote(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("@%_+=:,./-", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
