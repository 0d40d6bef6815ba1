package admin

import (
	"errors"
	"strings"
)

// line is one input line, taken apart.
type line struct {
	commands []string // between unescaped semicolons, escapes kept
	// payload: the last command ends with <<, and the lines up to one that
	// equals end belong to it.
	payload bool
	end     string
}

// maxPayloadEnd is the longest word that may follow "<<".
const maxPayloadEnd = 7

// maxWords bounds the words of one command.
const maxWords = 64

var errTooManyWords = errors.New("Too many words in the command.")

// parseLine splits a line, given without its line end, into commands.
func parseLine(s string) line {
	s = strings.TrimRight(s, "\r")
	var l line
	start := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case ';':
			l.commands = append(l.commands, s[start:i])
			start = i + 1
		}
	}
	last := strings.Trim(s[start:], " \t")
	// The mark must be a word of its own, so that <<END cannot be part of a
	// value.
	if at := strings.LastIndexAny(last, " \t"); at >= 0 || strings.HasPrefix(last, "<<") {
		word := last[at+1:]
		if end, ok := strings.CutPrefix(word, "<<"); ok && len(end) <= maxPayloadEnd && !strings.Contains(end, `\`) {
			l.payload, l.end = true, end
			last = last[:at+1]
		}
	}
	l.commands = append(l.commands, last)
	return l
}

// splitWords takes a command apart. Blanks separate words; a backslash takes
// the next byte as it is.
func splitWords(s string) ([]string, error) {
	var words []string
	var b strings.Builder
	open := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
			open = true
		case c == ' ' || c == '\t':
			if open {
				words = append(words, b.String())
				b.Reset()
				open = false
			}
		default:
			b.WriteByte(c)
			open = true
		}
		if len(words) >= maxWords {
			return nil, errTooManyWords
		}
	}
	if open {
		words = append(words, b.String())
	}
	return words, nil
}
