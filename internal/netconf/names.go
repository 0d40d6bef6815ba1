package netconf

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// names are the words for numbers that iproute2's files give, and those that it
// knows without files.
type names struct {
	tables, scopes, protocols, realms, groups map[string]uint32
}

func loadNames(directories []string) *names {
	n := &names{
		tables:    map[string]uint32{"unspec": 0, "default": 253, "main": 254, "local": 255},
		scopes:    map[string]uint32{"global": 0, "universe": 0, "site": 200, "link": 253, "host": 254, "nowhere": 255},
		protocols: map[string]uint32{"redirect": 1, "kernel": 2, "boot": 3, "static": 4, "ra": 9, "dhcp": 16, "keepalived": 18},
		realms:    map[string]uint32{"cosmos": 0},
		groups:    map[string]uint32{"default": 0},
	}
	for _, d := range directories {
		for file, into := range map[string]map[string]uint32{
			"rt_tables": n.tables, "rt_scopes": n.scopes, "rt_protos": n.protocols, "rt_realms": n.realms, "group": n.groups,
		} {
			readNames(filepath.Join(d, file), into)
			more, _ := filepath.Glob(filepath.Join(d, file+".d", "*.conf"))
			for _, path := range more {
				readNames(path, into)
			}
		}
	}
	return n
}

// readNames reads lines of a number and a name. A file that is not there, or a
// line that is neither, is nothing to complain about: ip does not either.
func readNames(path string, into map[string]uint32) {
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		fields := strings.Fields(s.Text())
		if len(fields) < 2 {
			continue
		}
		if v, err := strconv.ParseUint(fields[0], 0, 32); err == nil {
			into[fields[1]] = uint32(v)
		}
	}
}

// number gives the number of a word: itself, or what the files say.
func number(what, word string, known map[string]uint32, limit uint64) (uint32, error) {
	if v, ok := known[word]; ok && uint64(v) <= limit {
		return v, nil
	}
	v, err := strconv.ParseUint(word, 0, 32)
	if err != nil {
		return 0, fmt.Errorf("%s %q is neither a number nor a name that iproute2 knows", what, word)
	}
	if v > limit {
		return 0, fmt.Errorf("%s %s is more than %d", what, word, limit)
	}
	return uint32(v), nil
}

// interval reads "N" or "N-M".
func interval(what, s string, limit uint64) (from, to uint32, err error) {
	low, high, two := strings.Cut(s, "-")
	if !two {
		high = low
	}
	a, err1 := strconv.ParseUint(low, 0, 32)
	b, err2 := strconv.ParseUint(high, 0, 32)
	if err1 != nil || err2 != nil || a > b || b > limit {
		return 0, 0, fmt.Errorf("%s %q is not a number or a range N-M up to %d", what, s, limit)
	}
	return uint32(a), uint32(b), nil
}
