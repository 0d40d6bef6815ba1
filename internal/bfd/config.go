package bfd

import (
	"fmt"
	"net/netip"
	"time"

	"evenkeel/internal/model"
)

// Ports and limits of RFC 5881 and 5883.
const (
	ControlPort  = 3784 // single hop
	MultihopPort = 4784

	sourcePortFirst = 49152
	sourcePortLast  = 65535

	fullTTL = 255
	// keepalivedHops is the hop limit that keepalived sends over IPv6 unless
	// told otherwise, against RFC 5881 section 5.
	keepalivedHops = 64
)

// Config is one session. Fields that are zero get a default from New.
type Config struct {
	Name     string
	Neighbor netip.Addr
	Source   netip.Addr // invalid: the kernel's choice
	Port     uint16     // where the neighbor listens, and we; 0: 3784

	MinRx      time.Duration // RequiredMinRxInterval; 0: 10 ms
	MinTx      time.Duration // DesiredMinTxInterval while Up; 0: 10 ms
	IdleTx     time.Duration // DesiredMinTxInterval otherwise; 0: 1 s
	Multiplier int           // 0: 5
	Passive    bool          // say nothing before the neighbor does

	TTL     int // of what is sent, 0: 255
	MaxHops int // by how much the TTL of a packet may be lower than least

	lax bool // TTL was not given as 255
}

// FromModel gives the sessions of a configuration.
func FromModel(all []*model.BFDInstance) []Config {
	list := make([]Config, 0, len(all))
	for _, b := range all {
		list = append(list, Config{
			Name: b.Name, Neighbor: b.Neighbor, Source: b.Source, Port: uint16(b.Port),
			MinRx: b.MinRx, MinTx: b.MinTx, IdleTx: b.IdleTx, Multiplier: b.Multiplier,
			Passive: b.Passive, TTL: b.TTL, MaxHops: b.MaxHops,
		})
	}
	return list
}

// withDefaults fills in keepalived's defaults.
func (c Config) withDefaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&c.MinRx, 10*time.Millisecond)
	def(&c.MinTx, 10*time.Millisecond)
	def(&c.IdleTx, time.Second)
	if c.Port == 0 {
		c.Port = ControlPort
	}
	if c.Multiplier == 0 {
		c.Multiplier = 5
	}
	c.lax = c.lax || c.TTL != fullTTL
	if c.TTL == 0 {
		c.TTL = fullTTL
	}
	c.Neighbor = c.Neighbor.Unmap()
	c.Source = c.Source.Unmap()
	return c
}

// check says what is impossible about a session.
func (c *Config) check() error {
	switch {
	case !c.Neighbor.IsValid():
		return fmt.Errorf("BFD session %s: no neighbor address", c.Name)
	case c.Neighbor.IsMulticast() || c.Neighbor.IsUnspecified():
		return fmt.Errorf("BFD session %s: %s is no neighbor's address", c.Name, c.Neighbor)
	case c.Neighbor.Is6() && c.Neighbor.IsLinkLocalUnicast() && c.Neighbor.Zone() == "":
		return fmt.Errorf("BFD session %s: %s is a link-local address: write it with its interface, as in %s%%eth0", c.Name, c.Neighbor, c.Neighbor)
	case c.Source.IsValid() && c.Source.Is4() != c.Neighbor.Is4():
		return fmt.Errorf("BFD session %s: source %s and neighbor %s are of different families", c.Name, c.Source, c.Neighbor)
	case c.Multiplier < 1 || c.Multiplier > 255:
		return fmt.Errorf("BFD session %s: multiplier %d is not in 1 to 255", c.Name, c.Multiplier)
	case c.TTL < 1 || c.TTL > fullTTL:
		return fmt.Errorf("BFD session %s: TTL %d is not in 1 to 255", c.Name, c.TTL)
	case c.MaxHops < 0 || c.MaxHops > fullTTL:
		return fmt.Errorf("BFD session %s: max_hops %d is not in 0 to 255", c.Name, c.MaxHops)
	}
	return nil
}

// least is the lowest TTL of a packet that is taken. Over IPv6 that is
// keepalived's 64, so that its sessions come up; who sets hoplimit 255 gets the
// full check of RFC 5881.
func (c *Config) least() int {
	if c.Neighbor.Is6() && c.lax {
		return keepalivedHops - c.MaxHops
	}
	return fullTTL - c.MaxHops
}

// place is what makes a session another one when it changes; the rest can be
// changed while it is up.
type place struct {
	neighbor, source netip.Addr
	port             uint16
}

func (c *Config) place() place { return place{c.Neighbor, c.Source, c.Port} }
