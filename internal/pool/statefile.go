package pool

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// The server-state file, version 1: what `show servers state` prints, one
// server a line.

// StateHeader is the header line of `show servers state`.
const StateHeader = "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight " +
	"srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state " +
	"bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr " +
	"srv_agent_addr srv_agent_port"

const stateFields = 25

// WriteState writes `show servers state` for the backends, with the version
// line and the header.
func WriteState(w io.Writer, backends []*Backend, now int64) error {
	if _, err := fmt.Fprintf(w, "1\n%s\n", StateHeader); err != nil {
		return err
	}
	for _, b := range backends {
		snap := b.Snapshot(now)
		for i := range snap.Servers {
			if _, err := fmt.Fprintln(w, b.Servers[i].stateLine(&snap, &snap.Servers[i])); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Server) stateLine(b *Snapshot, v *ServerSnapshot) string {
	m := s.Model
	addr, port, fqdn := "-", int(v.Endpoint.Addr.Port()), "-"
	if v.Endpoint.Network == "tcp" {
		addr = v.Endpoint.Addr.Addr().String()
		if _, err := netip.ParseAddr(v.Endpoint.Host); err != nil && v.Endpoint.Host != "" && v.Endpoint.Host != "*" {
			fqdn = v.Endpoint.Host
		}
	}
	tls := 0
	if m.TLS != nil {
		tls = 1
	}
	return fmt.Sprintf("%d %s %d %s %s %d %d %d %d %d %d %d %d %d %d %d %d %s %d %s %d %d %s %s %d",
		b.ID, b.Name, v.ID, v.Name, addr, v.Oper, v.Admin, v.UserWeight, v.InitialWeight,
		v.LastChange, checkStatuses[v.Check.Code].number, v.Check.Result, v.Check.Health,
		v.Check.State, v.Agent.State, 0, 0, fqdn, port, "-", tls,
		m.Check.Port, dash(m.Check.Addr), dash(m.Agent.Addr), m.Agent.Port)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// LoadState reads a server-state file and takes up the state of the servers
// that it knows by backend and server name. Lines it cannot use are told in
// warnings; err is about the reading itself or an unknown version.
func LoadState(r io.Reader, backends []*Backend, now int64) (warnings []string, err error) {
	byName := make(map[string]*Backend, len(backends))
	for _, b := range backends {
		byName[b.Name] = b
	}
	in := bufio.NewScanner(r)
	in.Buffer(nil, 1<<20)
	for n := 1; in.Scan(); n++ {
		line := strings.TrimSpace(in.Text())
		if n == 1 {
			if line != "1" {
				return nil, fmt.Errorf("server-state file: line 1: version %q is not supported (1 is)", line)
			}
			continue
		}
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.Fields(line)
		if len(f) < 19 || len(f) > stateFields {
			warnings = append(warnings, fmt.Sprintf("line %d: %d fields where %d belong", n, len(f), stateFields))
			continue
		}
		b := byName[f[1]]
		if b == nil || b.byName[f[3]] == nil {
			continue // it left the configuration
		}
		if err := b.loadLine(b.byName[f[3]], f, now); err != nil {
			warnings = append(warnings, fmt.Sprintf("line %d: server %s/%s: %v", n, f[1], f[3], err))
		}
	}
	return warnings, in.Err()
}

func (b *Backend) loadLine(s *Server, f []string, now int64) error {
	var num [stateFields]int
	for _, i := range [...]int{5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 18} {
		n, err := strconv.Atoi(f[i])
		if err != nil || n < 0 {
			return fmt.Errorf("field %d: %q is not a number", i+1, f[i])
		}
		num[i] = n
	}
	if num[5] > int(Stopping) || num[6] > 0x7f || num[7] > 256 || num[11] > resultConditional {
		return fmt.Errorf("a field is out of its range")
	}
	now = b.clock(now)
	b.topology.Lock()
	defer b.topology.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	st := SavedServer{
		Oper: Oper(num[5]), Admin: Admin(num[6]), UserWeight: num[7], ConfigWeight: num[8],
		ConfigMaxConn: s.Model.MaxConn, MaxConn: s.maxConn,
		SinceChange: time.Duration(min(num[9], 1<<31)) * time.Second,
		Check:       s.check.save(), Agent: s.agent.save(),
	}
	st.Check.Status, st.Check.Result, st.Check.Health = CheckInit, num[11], num[12]
	for i, c := range checkStatuses {
		if c.number == num[10] {
			st.Check.Status = CheckStatus(i)
		}
	}
	// Which checks run is the configuration's affair, except where a command
	// had switched them off: configured (2) but not enabled (4).
	st.Check.Disabled = num[13]&6 == 2
	st.Agent.Disabled = num[14]&6 == 2
	// A host name of the configuration is kept at the address it had.
	if ip, err := netip.ParseAddr(f[4]); err == nil && s.endpoint.Network != "unix" && f[17] != "-" && f[17] == s.endpoint.Host {
		s.endpoint.Network = "tcp"
		s.endpoint.Addr = netip.AddrPortFrom(ip.Unmap(), uint16(s.Model.Addr.Port))
	}
	// The port is taken over whatever the configuration says now, as HAProxy
	// does; the address is not.
	if port, err := strconv.Atoi(f[18]); err == nil && port > 0 && port < 1<<16 && s.endpoint.Network == "tcp" && !s.endpoint.PortMapped && s.endpoint.Addr.IsValid() {
		s.endpoint.Addr = netip.AddrPortFrom(s.endpoint.Addr.Addr(), uint16(port))
	}
	s.load(&st, now)
	return nil
}
