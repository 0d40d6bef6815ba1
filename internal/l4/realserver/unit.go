package realserver

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const unitName = "evenkeel-realserver.service"

// Unit is the systemd unit that puts the addresses up after a reboot. It comes
// before programs that listen on them, and before the host is asked for them.
func Unit(program string, w Wanted) string {
	args := []string{strconv.Quote(program), "realserver", "up"}
	if w.Tunnel {
		args = append(args, "-tunnel")
	}
	for _, a := range w.VIPs {
		args = append(args, a.String())
	}
	// Addresses on lo need no network, and are there before somebody asks for them;
	// a tunnel's packets are unwrapped on interfaces, which have to be there.
	order := "After=network-pre.target systemd-sysctl.service\nBefore=network-online.target "
	if w.Tunnel {
		order = "After=network-online.target systemd-sysctl.service\nWants=network-online.target\nBefore="
	}
	return fmt.Sprintf(`[Unit]
Description=virtual addresses of this real server (evenkeel)
%snginx.service apache2.service httpd.service haproxy.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=%s
ExecStop=%s realserver down -keep-unit

[Install]
WantedBy=multi-user.target
`, order, strings.Join(args, " "), strconv.Quote(program))
}

func (h *Host) unitPaths() (unit, link string) {
	return filepath.Join(h.options.Units, unitName), filepath.Join(h.options.Units, "multi-user.target.wants", unitName)
}

// writeUnit installs and enables the unit as systemctl would. The running
// systemd needs to know nothing of it before the next boot.
func (h *Host) writeUnit(w Wanted) (changed bool, err error) {
	program := h.options.Program
	if program == "" {
		return false, errors.New("the unit needs the path of this program")
	}
	unit, link := h.unitPaths()
	text := []byte(Unit(program, w))
	if old, err := os.ReadFile(unit); err != nil || !bytes.Equal(old, text) {
		if err := replace(unit, text, 0o644); err != nil {
			return false, err
		}
		changed = true
	}
	if to, err := os.Readlink(link); err == nil && to == unit {
		return changed, nil
	}
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		return changed, err
	}
	if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return changed, err
	}
	return true, os.Symlink(unit, link)
}

func (h *Host) removeUnit() error {
	unit, link := h.unitPaths()
	var errs []error
	for _, path := range []string{link, unit} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// unitWants says whether the unit puts an address up.
func (h *Host) unitWants(address string) bool {
	unit, link := h.unitPaths()
	if _, err := os.Stat(link); err != nil {
		return false
	}
	b, _ := os.ReadFile(unit)
	for line := range strings.SplitSeq(string(b), "\n") {
		if strings.HasPrefix(line, "ExecStart=") {
			for w := range strings.FieldsSeq(line) {
				if w == address {
					return true
				}
			}
		}
	}
	return false
}
