package command

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// searchPath is used where the environment has no PATH.
const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Resolve finds the program's file and the arguments that it starts with. A
// name without a slash is looked for in PATH. A command that begins with a
// redirection, such as </dev/tcp/127.0.0.1/80 (does something listen there?),
// is for a shell; the /dev/tcp of those exists in bash alone.
func (c Command) Resolve() (path string, argv []string, err error) {
	if len(c.Argv) == 0 || c.Argv[0] == "" {
		return "", nil, errors.New("no program is given")
	}
	name := c.Argv[0]
	if name[0] == '<' || name[0] == '>' {
		line := strings.Join(c.Argv, " ")
		path = "/bin/sh"
		if strings.Contains(line, "/dev/tcp/") || strings.Contains(line, "/dev/udp/") {
			if _, err := os.Stat("/bin/bash"); err == nil {
				path = "/bin/bash"
			}
		}
		return path, []string{path, "-c", line}, nil
	}
	if strings.Contains(name, "/") {
		return name, c.Argv, nil
	}
	dirs := os.Getenv("PATH")
	if dirs == "" {
		dirs = searchPath
	}
	for _, d := range filepath.SplitList(dirs) {
		if d == "" || d == "." {
			continue // what runs as root is not looked for in the directory that we happen to be in
		}
		p := d + "/" + name
		if st, err := os.Stat(p); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return p, c.Argv, nil
		}
	}
	return "", nil, fmt.Errorf("%s is in no directory of PATH (%s): give the whole path", name, dirs)
}

// Verify says why the command could not run, or, when secure, must not: as
// root it is refused when another user could change the file or put another in
// its place. The message says what to change.
func (c Command) Verify(secure bool) error {
	path, _, err := c.Resolve()
	if err != nil {
		return err
	}
	st, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("%s: %w", path, plain(err))
	}
	if !st.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file that can be run", path)
	}
	if !c.User.mayExecute(st) {
		return fmt.Errorf("%s may not be executed by %s (its mode is %04o): chmod +x", path, c.User, st.Mode().Perm())
	}
	if secure && c.User.Root() {
		return unsafePath(path)
	}
	return nil
}

// plain takes the operation and path out of an error that names them already.
func plain(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// mayExecute applies the kernel's rule: root needs any x, others the x of the
// first class that they are in.
func (i *Identity) mayExecute(st fs.FileInfo) bool {
	mode := st.Mode().Perm()
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok || i.Root() {
		return mode&0o111 != 0
	}
	who := i
	if who == nil {
		who = self()
	}
	if sys.Uid == who.UID {
		return mode&0o100 != 0
	}
	if sys.Gid == who.GID {
		return mode&0o010 != 0
	}
	for _, g := range who.Groups {
		if sys.Gid == g {
			return mode&0o010 != 0
		}
	}
	return mode&0o001 != 0
}

// self is this process's user as an identity.
func self() *Identity {
	id := &Identity{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}
	list, _ := os.Getgroups()
	for _, g := range list {
		id.Groups = append(id.Groups, uint32(g))
	}
	return id
}

// maxLinks is the kernel's bound on symbolic links in one path.
const maxLinks = 40

// unsafePath walks a path as the kernel does, through every symbolic link, and
// fails at the first directory, link or file that somebody other than root
// could change.
func unsafePath(path string) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	todo := strings.Split(strings.Trim(abs, "/"), "/")
	at := "/"
	links := 0
	if err := unsafeEntry("/"); err != nil {
		return err
	}
	for len(todo) > 0 {
		name := todo[0]
		todo = todo[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			at = filepath.Dir(at)
			continue
		}
		next := filepath.Join(at, name)
		if err := unsafeEntry(next); err != nil {
			return err
		}
		target, err := os.Readlink(next)
		if err != nil {
			at = next // not a link
			continue
		}
		if links++; links > maxLinks {
			return fmt.Errorf("%s: too many symbolic links", path)
		}
		if strings.HasPrefix(target, "/") {
			at = "/"
		}
		todo = append(strings.Split(strings.Trim(target, "/"), "/"), todo...)
	}
	return nil
}

// unsafeEntry looks at one entry of a path. In a sticky directory of root's
// (such as /tmp) others can add names but not replace root's.
func unsafeEntry(path string) error {
	st, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("%s: %w", path, plain(err))
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	mode := st.Mode()
	switch {
	case sys.Uid != 0:
		return fmt.Errorf("%s belongs to uid %d, so not only root decides what would run as root: chown root, or give the script another user", path, sys.Uid)
	case mode&fs.ModeSymlink != 0, mode.IsDir() && mode&fs.ModeSticky != 0:
		return nil
	case mode&0o002 != 0:
		return fmt.Errorf("%s can be written by everybody (mode %04o), and the script would run as root: chmod o-w, or give the script another user", path, mode.Perm())
	case mode&0o020 != 0 && sys.Gid != 0:
		return fmt.Errorf("%s can be written by group %d (mode %04o), and the script would run as root: chmod g-w, or give the script another user", path, sys.Gid, mode.Perm())
	}
	return nil
}
