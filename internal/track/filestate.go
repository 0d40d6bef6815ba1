package track

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ParseValue reads the number in a tracked file: decimal, with or without a
// sign, with white space around it, and within 32 bits.
func ParseValue(b []byte) (int64, error) {
	s := strings.Trim(string(b), " \t\r\n\x00")
	if s == "" {
		return 0, errEmpty
	}
	n, err := strconv.ParseInt(s, 10, 32)
	if errors.Is(err, strconv.ErrRange) {
		return 0, fmt.Errorf("%.20q is not within 32 bits", s)
	}
	if err != nil {
		return 0, fmt.Errorf("%.20q is not a number", s)
	}
	return n, nil
}

// errEmpty is what a file looks like between truncation and writing.
var errEmpty = errors.New("it is empty")

// FileState is the number of one file. It is pure.
type FileState struct {
	Name  string
	Value int64
	known bool
	text  string
}

// Read takes what reading the file gave: its content, that it is missing, or an
// error. Without a number the last one stays; before the first it is 0, as for
// a missing file. It gives false when there is nothing to report.
func (f *FileState) Read(content []byte, missing bool, err error) (Report, bool) {
	var n int64
	text := "is missing, which counts as 0"
	if !missing {
		if err == nil {
			n, err = ParseValue(content)
		}
		text = fmt.Sprintf("has %d", n)
		if err != nil {
			n = f.Value
			text = fmt.Sprintf("cannot be used, so %d stays: %v", n, err)
		}
	}
	changed := !f.known || n != f.Value
	told := text != f.text && err != nil && !errors.Is(err, errEmpty)
	f.known, f.Value, f.text = true, n, text
	return Report{Kind: KindFile, Name: f.Name, State: Up, Value: n, Advisory: !changed,
		Text: fmt.Sprintf("file %s %s", f.Name, text)}, changed || told
}
