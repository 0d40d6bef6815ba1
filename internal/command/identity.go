package command

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
)

// Identity is the user, group and supplementary groups that a program gets.
type Identity struct {
	Name     string // for messages
	UID, GID uint32
	Groups   []uint32
}

// Root says whether a program under i could do everything.
func (i *Identity) Root() bool {
	if i == nil {
		return os.Geteuid() == 0
	}
	return i.UID == 0
}

// String is the user's name, or number when there is no name.
func (i *Identity) String() string {
	switch {
	case i == nil:
		return "uid " + strconv.Itoa(os.Geteuid())
	case i.Name != "":
		return i.Name
	default:
		return "uid " + strconv.FormatUint(uint64(i.UID), 10)
	}
}

// Lookup finds a user and a group by name or number. Without a group it is the
// user's own. Supplementary groups are those that the system's database gives
// the user; a group that was named replaces the user's first one only.
func Lookup(name, group string) (*Identity, error) {
	u, err := user.Lookup(name)
	if err != nil {
		if _, e := strconv.ParseUint(name, 10, 32); e != nil {
			return nil, fmt.Errorf("no user is called %q", name)
		}
		if u, err = user.LookupId(name); err != nil {
			if group == "" {
				return nil, fmt.Errorf("no user has the number %s, so its group must be given too", name)
			}
			u = &user.User{Uid: name, Username: name}
		}
	}
	id := &Identity{Name: u.Username}
	if id.UID, err = number(u.Uid); err != nil {
		return nil, fmt.Errorf("user %s: %w", name, err)
	}
	gid := u.Gid
	if group != "" {
		g, err := user.LookupGroup(group)
		if err != nil {
			if _, e := strconv.ParseUint(group, 10, 32); e != nil {
				return nil, fmt.Errorf("no group is called %q", group)
			}
			g = &user.Group{Gid: group}
		}
		gid = g.Gid
	}
	if id.GID, err = number(gid); err != nil {
		return nil, fmt.Errorf("user %s: group: %w", name, err)
	}
	id.Groups = []uint32{id.GID}
	list, err := u.GroupIds()
	if err != nil {
		return id, nil // a number that nobody has is in no other group
	}
	for _, s := range list {
		// Where the group was named, the user's own first group stays away.
		if s == u.Gid {
			continue
		}
		if g, err := number(s); err == nil && g != id.GID {
			id.Groups = append(id.Groups, g)
		}
	}
	return id, nil
}

// Default is who runs scripts when nothing is said: keepalived_script if there
// is such a user, else nil (this process's user).
func Default() *Identity {
	id, err := Lookup("keepalived_script", "")
	if err != nil {
		return nil
	}
	return id
}

func number(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err
}
