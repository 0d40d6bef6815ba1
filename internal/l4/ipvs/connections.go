package ipvs

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"evenkeel/internal/l4"
)

// connectionsFile has the kernel's connection table as text: netlink does not
// offer it. It is of the calling thread's network namespace.
const connectionsFile = "/proc/thread-self/net/ip_vs_conn"

func readConnections() ([]byte, error) { return os.ReadFile(connectionsFile) }

// parseConnections reads
//
//	Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
//	TCP C0000201 8000 0A000001 0050 0A010001 0050 ESTABLISHED     897
//
// where numbers but the seconds are hexadecimal and IPv6 addresses stand in
// brackets or bare, by the kernel's age.
func parseConnections(text []byte, yield func(l4.Flow) bool) error {
	for n, line := range bytes.Split(text, []byte("\n")) {
		if n == 0 || len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		f, err := parseConnection(strings.Fields(string(line)))
		if err != nil {
			return fmt.Errorf("%s:%d: %w", connectionsFile, n+1, err)
		}
		if !yield(f) {
			return nil
		}
	}
	return nil
}

var protocols = map[string]l4.Protocol{"TCP": l4.TCP, "UDP": l4.UDP, "SCTP": l4.SCTP, "ESP": 50, "AH": 51, "IP": 0}

func parseConnection(words []string) (l4.Flow, error) {
	var f l4.Flow
	if len(words) < 9 {
		return f, fmt.Errorf("%d fields, want 9", len(words))
	}
	p, ok := protocols[words[0]]
	if !ok {
		return f, fmt.Errorf("protocol %q", words[0])
	}
	f.Protocol = p
	var err error
	for i, to := range []*netip.AddrPort{&f.Client, &f.Virtual, &f.Server} {
		if *to, err = hexAddrPort(words[1+2*i], words[2+2*i]); err != nil {
			return f, err
		}
	}
	f.State = words[7]
	left, err := strconv.ParseUint(words[8], 10, 31)
	if err != nil {
		return f, fmt.Errorf("seconds %q", words[8])
	}
	f.Expires = time.Duration(left) * time.Second
	// Only a template has no client's port, whatever it is for.
	f.Template = f.Client.Port() == 0
	if len(words) >= 10 {
		f.PersistenceName = words[9]
	}
	if len(words) >= 11 {
		f.PersistenceData = strings.Join(words[10:], " ")
	}
	return f, nil
}

func hexAddrPort(addr, port string) (netip.AddrPort, error) {
	p, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("port %q", port)
	}
	if len(addr) == 8 && !strings.Contains(addr, ":") {
		b, err := hex.DecodeString(addr)
		if err != nil {
			return netip.AddrPort{}, fmt.Errorf("address %q", addr)
		}
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b)), uint16(p)), nil
	}
	a, err := netip.ParseAddr(strings.Trim(addr, "[]"))
	if err != nil || !a.Is6() || a.Zone() != "" {
		return netip.AddrPort{}, fmt.Errorf("address %q", addr)
	}
	return netip.AddrPortFrom(a, uint16(p)), nil
}
