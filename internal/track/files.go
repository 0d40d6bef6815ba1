package track

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// look is how often each file's inode, size and time are compared with those
// of the last read. It is for what inotify does not tell: network file systems,
// a directory that appears, a link far away that changes.
const look = time.Second

// maxFile is how much of a file is read: a number is shorter.
const maxFile = 128

// fileWatch is one tracked file.
type fileWatch struct {
	File
	state FileState
	since time.Time
	dirs  [2]string // its directory, and that of the file it is a link to
	id    fileID
}

// fileID tells whether a file may have changed.
type fileID struct {
	dev, ino  uint64
	size      int64
	sec, nsec int64
	missing   bool
}

// files watches files. One goroutine owns the list.
type files struct {
	// Set once.
	post func(Report)
	jobs chan func()   // run by the owner
	stop chan struct{} // closed by close
	done chan struct{} // closed by the owner

	// Owned by the goroutine.
	list    []*fileWatch
	inotify *os.File       // nil: only looking
	watched map[string]int // directory: watch descriptor
	names   map[int]string
	events  chan []notice
	reader  sync.WaitGroup

	// Guarded by mu.
	mu     sync.Mutex
	status []Status
}

// notice is one event of inotify.
type notice struct {
	wd   int
	mask uint32
	name string
}

// Closing is what counts after writing: before it, a file that is written
// anew is empty for a moment.
const dirEvents = unix.IN_CLOSE_WRITE | unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO |
	unix.IN_ATTRIB | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR

func startFiles(post func(Report)) *files {
	f := &files{post: post, jobs: make(chan func()), stop: make(chan struct{}), done: make(chan struct{}),
		watched: map[string]int{}, names: map[int]string{}, events: make(chan []notice, 16)}
	go f.own()
	return f
}

// set replaces what is watched. The errors are of files that could not be made.
func (f *files) set(list []File) (errs []error) {
	ready := make(chan struct{})
	job := func() {
		defer close(ready)
		errs = f.replace(list)
	}
	select {
	case f.jobs <- job:
		<-ready
	case <-f.done:
	}
	return errs
}

func (f *files) close() {
	close(f.stop)
	<-f.done
}

func (f *files) own() {
	defer close(f.done)
	if fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK); err == nil {
		f.inotify = os.NewFile(uintptr(fd), "inotify")
		f.reader.Go(f.read)
	}
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for {
		select {
		case <-f.stop:
			if f.inotify != nil {
				f.inotify.Close()
			}
			go func() {
				for range f.events {
				}
			}()
			f.reader.Wait()
			close(f.events)
			return
		case job := <-f.jobs:
			job()
		case list := <-f.events:
			f.take(list)
		case <-ticker.C:
			for _, w := range f.list {
				f.watch(w)
				if w.id != identify(w.Path) {
					f.load(w)
				}
			}
		}
	}
}

// read hands on what inotify tells.
func (f *files) read() {
	buf := make([]byte, 16<<10)
	for {
		n, err := f.inotify.Read(buf)
		if err != nil {
			return
		}
		f.events <- parseInotify(buf[:n])
	}
}

// parseInotify takes a read of inotify apart.
func parseInotify(b []byte) []notice {
	var list []notice
	for len(b) >= unix.SizeofInotifyEvent {
		n := notice{wd: int(int32(binary.NativeEndian.Uint32(b))), mask: binary.NativeEndian.Uint32(b[4:])}
		size := uint64(binary.NativeEndian.Uint32(b[12:]))
		b = b[unix.SizeofInotifyEvent:]
		if size > uint64(len(b)) {
			break
		}
		name, _, _ := bytes.Cut(b[:size], []byte{0})
		n.name = string(name)
		b = b[size:]
		list = append(list, n)
	}
	return list
}

// take reads again each file that lies in a directory where something
// happened. More would not be cheaper: the name may be that of a link.
func (f *files) take(list []notice) {
	dirty := map[string]bool{}
	for _, n := range list {
		switch {
		case n.mask&unix.IN_Q_OVERFLOW != 0:
			for _, w := range f.list {
				dirty[w.dirs[0]] = true
			}
		case n.mask&unix.IN_IGNORED != 0:
			if dir, ok := f.names[n.wd]; ok {
				dirty[dir] = true
				delete(f.names, n.wd)
				if f.watched[dir] == n.wd {
					delete(f.watched, dir)
				}
			}
		default:
			if dir, ok := f.names[n.wd]; ok {
				dirty[dir] = true
			}
		}
	}
	for _, w := range f.list {
		if !dirty[w.dirs[0]] && !dirty[w.dirs[1]] {
			continue
		}
		f.watch(w)
		if written(list, f.names, w) || w.id != identify(w.Path) {
			f.load(w)
		}
	}
}

// written says that somebody finished writing a file of w's name or in the
// directory that w is a link to: its time may be the same as before.
func written(list []notice, names map[int]string, w *fileWatch) bool {
	for _, n := range list {
		dir := names[n.wd]
		if n.mask&unix.IN_CLOSE_WRITE != 0 && (dir == w.dirs[1] || dir == w.dirs[0] && n.name == filepath.Base(w.Path)) {
			return true
		}
	}
	return false
}

// replace keeps the state of files whose name and path stay.
func (f *files) replace(list []File) (errs []error) {
	old := map[string]*fileWatch{}
	for _, w := range f.list {
		old[w.Name] = w
	}
	f.list = nil
	for _, file := range list {
		w := &fileWatch{File: file, state: FileState{Name: file.Name}, since: time.Now()}
		o := old[file.Name]
		if o != nil {
			w.state, w.since = o.state, o.since
		}
		// A reload is no start: what the file has is not written over.
		if file.Init.Write && (o == nil || o.Path != file.Path) {
			if err := file.Init.write(file.Path); err != nil {
				errs = append(errs, fmt.Errorf("file %s: %w", file.Name, err))
			}
		}
		f.list = append(f.list, w)
		f.watch(w)
		f.load(w)
	}
	f.unwatch()
	f.renew()
	return errs
}

// write puts the first value into a file. It follows no link and makes no
// device: the path may lie where others write.
func (i Init) write(path string) error {
	flags := unix.O_WRONLY | unix.O_CREAT | unix.O_CLOEXEC | unix.O_NOFOLLOW | unix.O_NONBLOCK
	if i.Overwrite {
		flags |= unix.O_TRUNC
	} else {
		flags |= unix.O_EXCL
	}
	file, err := os.OpenFile(path, flags, 0o644)
	if errors.Is(err, fs.ErrExist) && !i.Overwrite {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = io.WriteString(file, strconv.FormatInt(i.Value, 10)+"\n")
	return errors.Join(err, file.Close())
}

// watch makes inotify tell of w's directories.
func (f *files) watch(w *fileWatch) {
	w.dirs = [2]string{filepath.Dir(w.Path), filepath.Dir(w.Path)}
	if real, err := filepath.EvalSymlinks(w.Path); err == nil {
		w.dirs[1] = filepath.Dir(real)
	}
	if f.inotify == nil {
		return
	}
	raw, err := f.inotify.SyscallConn()
	if err != nil {
		return
	}
	for _, dir := range w.dirs {
		if _, ok := f.watched[dir]; ok {
			continue
		}
		raw.Control(func(fd uintptr) {
			if wd, err := unix.InotifyAddWatch(int(fd), dir, dirEvents); err == nil {
				f.watched[dir], f.names[wd] = wd, dir
			}
		})
	}
}

// unwatch ends the watches of directories that no file needs.
func (f *files) unwatch() {
	used := map[string]bool{}
	for _, w := range f.list {
		used[w.dirs[0]], used[w.dirs[1]] = true, true
	}
	if f.inotify == nil {
		return
	}
	raw, err := f.inotify.SyscallConn()
	if err != nil {
		return
	}
	for dir, wd := range f.watched {
		if !used[dir] {
			raw.Control(func(fd uintptr) { unix.InotifyRmWatch(int(fd), uint32(wd)) })
			delete(f.watched, dir)
			delete(f.names, wd)
		}
	}
}

func identify(path string) fileID {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return fileID{missing: true}
	}
	return fileID{dev: st.Dev, ino: st.Ino, size: st.Size, sec: st.Mtim.Sec, nsec: st.Mtim.Nsec}
}

// load reads a file and reports what is new.
func (f *files) load(w *fileWatch) {
	w.id = identify(w.Path)
	content, err := readStart(w.Path)
	missing := errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR)
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	r, changed := w.state.Read(content, missing, err)
	if !changed {
		return
	}
	if !r.Advisory {
		w.since = time.Now()
	}
	f.renew()
	f.post(r)
}

// readStart reads the beginning of a file; a FIFO or device is refused, since
// it would be waited for.
func readStart(path string) ([]byte, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	st, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	return io.ReadAll(io.LimitReader(file, maxFile))
}

func (f *files) renew() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status = f.status[:0]
	for _, w := range f.list {
		f.status = append(f.status, Status{Kind: KindFile, Name: w.Name, State: Up, Value: w.state.Value, Since: w.since, Text: w.state.text})
	}
}

func (f *files) snapshot() []Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Status(nil), f.status...)
}
