package track

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "value")
	reports := make(chan Report, 100)
	f := startFiles(func(r Report) { reports <- r })
	defer f.close()
	if errs := f.set([]File{{Name: "v", Path: path}}); len(errs) > 0 {
		t.Fatal(errs)
	}
	value := func(what string, want int64) {
		t.Helper()
		if r := next(t, reports, "v"); r.Value != want || r.State != Up || r.Kind != KindFile {
			t.Fatalf("%s: %+v, want %d", what, r, want)
		}
	}
	value("missing", 0)
	write(t, path, "5")
	value("created", 5)
	write(t, path, "-6\n")
	value("written", -6)
	write(t, path+".new", "7")
	os.Rename(path+".new", path)
	value("replaced", 7)
	os.Remove(path)
	value("removed", 0)
	write(t, path, "8")
	value("created again", 8)
	os.Rename(path, path+".away")
	value("moved away", 0)
	os.Symlink(path+".away", path)
	value("a link", 8)
	write(t, path+".away", "9")
	value("behind the link", 9)
	os.RemoveAll(dir)
	value("its directory is gone", 0)
	os.Mkdir(dir, 0o755)
	write(t, path, "10")
	value("its directory is back", 10)
	write(t, path, "11")
	value("and watched", 11)
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	file.WriteAt([]byte("12"), 0)
	value("written and kept open", 12)
	if st := f.snapshot(); len(st) != 1 || st[0].Value != 12 || st[0].Text != "has 12" {
		t.Errorf("status: %+v", st)
	}
}

func TestFilesReload(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "value")
	var got []string
	f := startFiles(func(r Report) { got = append(got, fmt.Sprintf("%s=%d", r.Name, r.Value)) })
	defer f.close()
	f.set([]File{{Name: "a", Path: path, Init: Init{Write: true, Value: 3}}})
	f.set([]File{{Name: "a", Path: path, Init: Init{Write: true, Value: 3}}, {Name: "b", Path: path}})
	write(t, path+"2", "4")
	f.set([]File{{Name: "a", Path: path + "2"}})
	f.set(nil) // all is done when it returns
	if s := strings.Join(got, " "); s != "a=3 b=3 a=4" {
		t.Error(s)
	}
	if len(f.watched) != 0 || len(f.names) != 0 {
		t.Errorf("directories still watched: %v", f.watched)
	}
}

func TestInitFile(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		before string // "-": missing
		init   Init
		want   string
	}{
		{"-", Init{Write: true}, "0\n"},
		{"-", Init{Write: true, Value: -4}, "-4\n"},
		{"17", Init{Write: true, Value: 2}, "17"},
		{"17", Init{Write: true, Value: 2, Overwrite: true}, "2\n"},
		{"-", Init{Write: true, Value: 2, Overwrite: true}, "2\n"},
	} {
		path := filepath.Join(dir, "f")
		os.Remove(path)
		if c.before != "-" {
			write(t, path, c.before)
		}
		if err := c.init.write(path); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
		if b, _ := os.ReadFile(path); string(b) != c.want {
			t.Errorf("%+v: %q", c, b)
		}
	}
	victim := filepath.Join(dir, "victim")
	write(t, victim, "precious")
	link := filepath.Join(dir, "link")
	os.Symlink(victim, link)
	if err := (Init{Write: true, Overwrite: true}).write(link); err == nil {
		t.Error("a link was followed")
	}
	if b, _ := os.ReadFile(victim); string(b) != "precious" {
		t.Errorf("the file behind a link has %q", b)
	}
	tr := New(Options{Post: func(Report) {}})
	defer tr.Close()
	errs := tr.Set(Config{Files: []File{{Name: "x", Path: filepath.Join(dir, "none", "f"), Init: Init{Write: true}}}})
	if len(errs) != 1 || !strings.Contains(errs[0].Error(), "file x: ") {
		t.Errorf("%v", errs)
	}
}

func TestTrackerTogether(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	write(t, path, "1")
	reports := make(chan Report, 100)
	tr := New(Options{Post: func(r Report) { reports <- r }})
	self := filepath.Base(os.Args[0])
	tr.Set(Config{
		Processes: []Process{{Name: "self", Argv: []string{self}, Quorum: 1}},
		Files:     []File{{Name: "file", Path: path}},
	})
	next(t, reports, "self")
	next(t, reports, "file")
	var got []string
	for _, s := range tr.Status() {
		got = append(got, fmt.Sprintf("%v %s %v %d", s.Kind, s.Name, s.State, s.Value))
	}
	if s := strings.Join(got, ", "); s != "process self up 1, file file up 1" {
		t.Error(s)
	}
	tr.Close()
	write(t, path, "2")
	select {
	case r := <-reports:
		t.Errorf("after Close: %+v", r)
	case <-time.After(50 * time.Millisecond):
	}
	tr.Close()
	if errs := tr.Set(Config{}); errs != nil {
		t.Error(errs)
	}
}
