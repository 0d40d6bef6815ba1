package ipvsadm

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// SystemNames are the host's own: addresses by its resolver, ports by a text
// like /etc/services. It asks for each name once. It belongs to one goroutine.
type SystemNames struct {
	hosts    map[netip.Addr]string
	services *services
}

// nameTimeout bounds each question to the DNS: a listing goes on with numbers.
const nameTimeout = 2 * time.Second

// NewSystemNames reads the names of ports.
func NewSystemNames(services io.Reader) *SystemNames {
	return &SystemNames{hosts: map[netip.Addr]string{}, services: readServices(services)}
}

// HostName is an address's name; "": it has none.
func (n *SystemNames) HostName(a netip.Addr) string {
	if name, ok := n.hosts[a]; ok {
		return name
	}
	ctx, cancel := context.WithTimeout(context.Background(), nameTimeout)
	defer cancel()
	name := ""
	if list, err := net.DefaultResolver.LookupAddr(ctx, a.String()); err == nil && len(list) > 0 {
		name = strings.TrimSuffix(list[0], ".")
	}
	n.hosts[a] = name
	return name
}

// Host is an IPv4 address of a host.
func (n *SystemNames) Host(name string) (netip.Addr, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), nameTimeout)
	defer cancel()
	list, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", name)
	if err != nil || len(list) == 0 {
		return netip.Addr{}, false
	}
	return list[0].Unmap(), true
}

// PortName is a port's name; "": it has none.
func (n *SystemNames) PortName(port uint16, protocol string) string {
	return n.services.names[servicePort{port, protocol}]
}

// Port is a service's port.
func (n *SystemNames) Port(service, protocol string) (uint16, bool) {
	p, ok := n.services.ports[serviceName{service, protocol}]
	return p, ok
}

// services is /etc/services both ways.
type services struct {
	names map[servicePort]string
	ports map[serviceName]uint16
}

type servicePort struct {
	port     uint16
	protocol string
}

type serviceName struct{ name, protocol string }

// readServices reads lines of "name port/protocol alias...". The first line of
// a name or port counts.
func readServices(r io.Reader) *services {
	s := &services{map[servicePort]string{}, map[serviceName]uint16{}}
	for lines := bufio.NewScanner(r); lines.Scan(); {
		text, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(text)
		if len(words) < 2 {
			continue
		}
		number, protocol, ok := strings.Cut(words[1], "/")
		port, err := strconv.ParseUint(number, 10, 16)
		if !ok || err != nil {
			continue
		}
		if at := (servicePort{uint16(port), protocol}); s.names[at] == "" {
			s.names[at] = words[0]
		}
		for i, name := range words {
			if _, known := s.ports[serviceName{name, protocol}]; i != 1 && !known {
				s.ports[serviceName{name, protocol}] = uint16(port)
			}
		}
	}
	return s
}
