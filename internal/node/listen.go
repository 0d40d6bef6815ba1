package node

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"time"

	"evenkeel/internal/admin"
	"evenkeel/internal/keeper/socket"
	"evenkeel/internal/model"
	"evenkeel/internal/proxy"
)

// bindSpec describes the socket of one endpoint of a bind line.
func bindSpec(e *proxy.Endpoint) (socket.Spec, error) {
	b := e.Bind
	spec, err := addrSpec(e.Addr, b.Pos)
	if err != nil {
		return spec, err
	}
	spec.V6Only = b.V6Only
	spec.Transparent, spec.Interface = b.Transparent, b.Interface
	spec.Backlog, spec.MSS, spec.DeferAccept = b.Backlog, b.MSS, b.DeferAccept
	if spec.Backlog == 0 {
		spec.Backlog = e.Frontend.Model().Frontend.Backlog
	}
	if b.TFO {
		spec.FastOpen = 1024
	}
	spec.UserTimeout = int(b.TCPUserTimeout / time.Millisecond)
	spec.Mode, spec.UID, spec.GID = b.Mode, b.UID, b.GID
	return spec, nil
}

// addrSpec turns an address of the model into that of a socket.
func addrSpec(a model.ListenAddr, pos model.Pos) (socket.Spec, error) {
	var spec socket.Spec
	switch a.Network {
	case "unix":
		spec.Path = a.Path
	case "abns":
		spec.Path = "@" + a.Path
	case "fd":
		spec.Inherited, spec.FD = true, a.FD
	default:
		host := a.Host
		if host == "" || host == "*" {
			host = "0.0.0.0"
			if a.Network == "tcp6" {
				host = "::"
			}
		}
		ip, err := netip.ParseAddr(host)
		if err != nil {
			resolved, err := resolve(host)
			if err != nil {
				return spec, fmt.Errorf("%s: %q is no address and does not resolve: %w", pos, host, err)
			}
			ip = resolved
		}
		spec.Addr = netip.AddrPortFrom(ip, uint16(a.Port))
	}
	return spec, nil
}

// openControl opens the sockets of the runtime API.
func (s *Service) openControl(listen func(socket.Spec) (int, error)) error {
	for _, m := range s.cfg.Global.StatsSockets {
		spec, err := addrSpec(m.Addr, m.Pos)
		if err != nil {
			return err
		}
		spec.Mode, spec.UID, spec.GID = m.Mode, m.UID, m.GID
		fd, err := listen(spec)
		if err != nil {
			return fmt.Errorf("%s: cannot bind the stats socket [%s]: %w", m.Pos, spec, err)
		}
		f := os.NewFile(uintptr(fd), spec.String())
		l, err := net.FileListener(f)
		f.Close()
		if err != nil {
			return fmt.Errorf("%s: stats socket [%s]: %w", m.Pos, spec, err)
		}
		if u, ok := l.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(false) // the file belongs to the keeper
		}
		info := admin.Socket{Name: socketName(spec), Level: m.Level}
		if m.ExposeListeners {
			info.Expose = s.sendSockets
		}
		s.control = append(s.control, controlSocket{l, info})
	}
	return nil
}

// sendSockets gives the listening sockets to a process that takes over.
func (s *Service) sendSockets(uc *net.UnixConn) error {
	var list []socket.Exported
	for _, e := range s.rt.Endpoints() {
		if fd := e.FD(); fd >= 0 {
			list = append(list, socket.Exported{FD: fd, Interface: e.Bind.Interface})
		}
	}
	return socket.SendAll(uc, list)
}

func socketName(spec socket.Spec) string {
	switch {
	case spec.Inherited:
		return "fd@" + strconv.Itoa(spec.FD)
	case spec.Path != "":
		return "unix@" + spec.Path
	}
	return spec.Addr.String()
}

// Runtime implements worker.RuntimeService: one client of the runtime API at
// level admin.
func (s *Service) Runtime(fd int) {
	f := os.NewFile(uintptr(fd), "runtime")
	conn, err := net.FileConn(f)
	f.Close()
	if err != nil {
		return
	}
	s.admin.ServeConn(conn, admin.Socket{Name: "keeper", Level: model.LevelAdmin})
}

// resolve looks a host name up with the system's resolver.
func resolve(host string) (netip.Addr, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.Addr{}, err
	}
	for _, a := range addrs {
		if a.Unmap().Is4() {
			return a.Unmap(), nil
		}
	}
	if len(addrs) == 0 {
		return netip.Addr{}, syscall.ENOENT
	}
	return addrs[0], nil
}
