package top

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of the time between two looks.
const (
	DefaultDelay = 2 * time.Second
	LeastDelay   = 100 * time.Millisecond
	MostDelay    = time.Hour
)

// Key is what was pressed: a character, or one of the names below.
type Key string

// Keys that are no characters.
const (
	Up        Key = "up"
	Down      Key = "down"
	PageUp    Key = "page up"
	PageDown  Key = "page down"
	Home      Key = "home"
	End       Key = "end"
	Tab       Key = "tab"
	BackTab   Key = "back tab"
	Enter     Key = "enter"
	Escape    Key = "escape"
	Backspace Key = "backspace"
	Interrupt Key = "interrupt"
)

// Sections, by the keys that show them.
const (
	everything = iota
	addressSection
	serviceSection
	proxySection
	eventSection
	sectionCount
)

var sectionNames = [sectionCount]string{"all", "addresses", "services", "proxy", "events"}

// UI is what the person at the terminal has chosen.
type UI struct {
	Delay  time.Duration
	Paused bool

	section int
	offset  int // lines of the body that were scrolled away
	order   int
	reverse bool
	filter  string
	help    bool
	prompt  *prompt
	message string // answers the last key

	// Of the last frame: how far scrolling goes.
	page, most int
}

// prompt is a question in the last line.
type prompt struct {
	question, answer string
	done             func(u *UI, answer string)
}

// Action is what a key asks of whoever runs the screen.
type Action int

// Actions.
const (
	Draw   Action = iota
	Quit          // end
	Look          // ask the node now
	Retime        // the delay is another one
)

// press is what one key does.
type press struct {
	keys []Key
	what string // of the help
	do   func(u *UI, k Key) Action
}

// presses is the table of all keys.
func presses() []press {
	scroll := func(by func(u *UI) int) func(*UI, Key) Action {
		return func(u *UI, _ Key) Action {
			u.offset = max(0, min(u.offset+by(u), u.most))
			return Draw
		}
	}
	return []press{
		{[]Key{"q", "Q", Interrupt}, "q            quit", func(*UI, Key) Action { return Quit }},
		{[]Key{Up, "k"}, "up down      scroll by a line", scroll(func(*UI) int { return -1 })},
		{[]Key{Down, "j"}, "", scroll(func(*UI) int { return 1 })},
		{[]Key{PageUp, "b"}, "PgUp PgDn    scroll by a page (b, space)", scroll(func(u *UI) int { return -u.page })},
		{[]Key{PageDown, " "}, "", scroll(func(u *UI) int { return u.page })},
		{[]Key{Home, "g"}, "Home End     to the beginning, the end (g, G)", scroll(func(u *UI) int { return -u.most })},
		{[]Key{End, "G"}, "", scroll(func(u *UI) int { return u.most })},
		{[]Key{Tab}, "tab          the next section", func(u *UI, _ Key) Action { return u.show((u.section + 1) % sectionCount) }},
		{[]Key{BackTab}, "", func(u *UI, _ Key) Action { return u.show((u.section + sectionCount - 1) % sectionCount) }},
		{[]Key{"0", "1", "2", "3", "4"}, "1 2 3 4      addresses, services, proxy, events; 0: all", func(u *UI, k Key) Action { return u.show(int(k[0] - '0')) }},
		{[]Key{"s"}, "s            sort by the next column (S: by the one before)", func(u *UI, _ Key) Action { return u.sort(1) }},
		{[]Key{"S"}, "", func(u *UI, _ Key) Action { return u.sort(len(orders) - 1) }},
		{[]Key{"r"}, "r            the other way round", func(u *UI, _ Key) Action {
			u.reverse = !u.reverse
			return u.sort(0)
		}},
		{[]Key{"/"}, "/            show only rows with a text; Escape ends that", func(u *UI, _ Key) Action {
			u.prompt = &prompt{"filter: ", u.filter, func(u *UI, answer string) { u.filter, u.offset = answer, 0 }}
			return Draw
		}},
		{[]Key{Escape}, "", func(u *UI, _ Key) Action {
			u.filter, u.offset = "", 0
			return Draw
		}},
		{[]Key{"p"}, "p            pause, and go on", func(u *UI, _ Key) Action {
			if u.Paused = !u.Paused; u.Paused {
				return Draw
			}
			return Look
		}},
		{[]Key{"d"}, "d            seconds between two looks", func(u *UI, _ Key) Action {
			u.prompt = &prompt{fmt.Sprintf("seconds between two looks (now %s): ", delayWord(u.Delay)), "", setDelay}
			return Draw
		}},
		{[]Key{Enter}, "Enter        look now", func(*UI, Key) Action { return Look }},
		{[]Key{"?", "h"}, "?            this list", func(u *UI, _ Key) Action {
			u.help, u.offset = true, 0
			return Draw
		}},
	}
}

// Key takes one key.
func (u *UI) Key(k Key) Action {
	u.message = ""
	if k == Interrupt {
		return Quit
	}
	if u.prompt != nil {
		return u.answer(k)
	}
	if u.help && !slices.Contains([]Key{Up, Down, PageUp, PageDown, Home, End}, k) {
		u.help, u.offset = false, 0
		if k == "q" || k == "Q" || k == "?" || k == "h" || k == Escape || k == Enter {
			return Draw
		}
	}
	for _, p := range presses() {
		for _, x := range p.keys {
			if x == k {
				return p.do(u, k)
			}
		}
	}
	u.message = "? lists the keys"
	return Draw
}

// maxAnswer bounds what may be typed.
const maxAnswer = 100

// answer takes a key of an answer.
func (u *UI) answer(k Key) Action {
	p := u.prompt
	switch k {
	case Escape:
		u.prompt = nil
	case Enter:
		u.prompt = nil
		before := u.Delay
		p.done(u, p.answer)
		if u.Delay != before {
			return Retime
		}
	case Backspace:
		_, n := utf8.DecodeLastRuneInString(p.answer)
		p.answer = p.answer[:len(p.answer)-n]
	default:
		if utf8.RuneCountInString(string(k)) == 1 && len(p.answer) < maxAnswer {
			p.answer += clean(string(k))
		}
	}
	return Draw
}

func (u *UI) show(section int) Action {
	u.section, u.offset = section, 0
	return Draw
}

func (u *UI) sort(by int) Action {
	u.order = (u.order + by) % len(orders)
	u.message = "sorted by " + u.sorting()
	if u.order == 0 {
		u.message = u.sorting()
	}
	return Draw
}

func (u *UI) sorting() string {
	s := orders[u.order].name
	if u.reverse {
		s += ", reversed"
	}
	return s
}

func setDelay(u *UI, answer string) {
	if strings.TrimSpace(answer) == "" {
		return
	}
	d, err := ParseDelay(answer)
	if err != nil {
		u.message = err.Error()
		return
	}
	u.Delay = d
}

// ParseDelay reads seconds: 2, 0.5.
func ParseDelay(text string) (time.Duration, error) {
	s, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || !(s >= LeastDelay.Seconds() && s <= MostDelay.Seconds()) {
		return 0, fmt.Errorf("%q is not a number of seconds from %v to %v", clean(text), LeastDelay.Seconds(), MostDelay.Seconds())
	}
	return time.Duration(s * float64(time.Second)), nil
}

func delayWord(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + "s" }
