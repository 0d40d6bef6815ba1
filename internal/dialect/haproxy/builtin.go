package haproxy

import "evenkeel/internal/model"

// BuiltinFormat reads one of the log formats that options name, written in
// the dialect's own notation. It panics on a mistake in the program's own text.
func BuiltinFormat(text string) *model.Format {
	p := newParser(Options{}.WithDefaults())
	f, err := parseFormat(p, word{Text: text}, formatLog)
	if err != nil {
		panic("haproxy: built-in log format " + text + ": " + err.Error())
	}
	return f
}
