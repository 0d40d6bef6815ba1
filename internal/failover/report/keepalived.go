package report

import (
	"fmt"
	"strings"
	"time"
)

// Stats is what keepalived writes into keepalived.stats on SIGUSR2.
func Stats(v *View) string {
	var b strings.Builder
	for n := range v.Instances {
		i := &v.Instances[n]
		c := &i.Counters
		fmt.Fprintf(&b, "VRRP Instance: %s\n", i.Name)
		fmt.Fprintf(&b, "  Advertisements:\n    Received: %d\n    Sent: %d\n", c.AdvertsReceived, c.AdvertsSent)
		fmt.Fprintf(&b, "  Became master: %d\n  Released master: %d\n", c.BecameMaster, c.ReleasedMaster)
		fmt.Fprintf(&b, "  Packet Errors:\n    Length: %d\n    TTL: %d\n    Invalid Type: %d\n    Advertisement Interval: %d\n    Address List: %d\n",
			c.Length, c.TTL, c.Type, c.Interval, c.Addresses)
		fmt.Fprintf(&b, "  Authentication Errors:\n    Invalid Type: %d\n    Type Mismatch: %d\n    Failure: %d\n", c.AuthType, c.Mismatch, c.AuthData)
		fmt.Fprintf(&b, "  Priority Zero:\n    Received: %d\n    Sent: %d\n", c.ZeroReceived, c.ZeroSent)
	}
	return b.String()
}

// Data is what keepalived writes into keepalived.data on SIGUSR1: the same
// headings and lines, as far as there is such a thing here. Passwords are left
// out.
func Data(v *View) string {
	var b strings.Builder
	b.WriteString("------< Global definitions >------\n")
	fmt.Fprintf(&b, " Router ID = %s\n", v.RouterID)
	settings(&b, " ", v.Settings)
	b.WriteString("------< VRRP Topology >------\n")
	for n := range v.Instances {
		topology(&b, &v.Instances[n])
	}
	if len(v.Groups) > 0 {
		b.WriteString("------< VRRP Sync groups >------\n")
	}
	for _, g := range v.Groups {
		fmt.Fprintf(&b, " VRRP Sync Group = %s, %s\n   Num member fault %d, num member init 0\n   VRRP member instances :\n", g.Name, g.State, g.Faults)
		for _, m := range g.Members {
			fmt.Fprintf(&b, "     %s\n", m)
		}
	}
	scripts(&b, v)
	b.WriteString("------< Interfaces >------\n")
	for _, i := range v.Interfaces {
		none := func(s string) string {
			if s == "" {
				return "(none)"
			}
			return s
		}
		fmt.Fprintf(&b, " Name = %s\n   index = %d\n   IPv4 address = %s\n   IPv6 address = %s\n   MAC = %s\n   State = %s\n   MTU = %d\n",
			i.Name, i.Index, none(i.IPv4), none(i.IPv6), i.MAC, i.State, i.MTU)
		if len(i.Users) > 0 {
			fmt.Fprintf(&b, "   Tracking VRRP instances :\n     %s\n", strings.Join(i.Users, "\n     "))
		}
	}
	return b.String()
}

func settings(b *strings.Builder, indent string, all []Setting) {
	for _, s := range all {
		fmt.Fprintf(b, "%s%s = %s\n", indent, s.Name, s.Value)
	}
}

// topology is one instance.
func topology(b *strings.Builder, i *Instance) {
	line := func(format string, args ...any) { fmt.Fprintf(b, "   "+format+"\n", args...) }
	fmt.Fprintf(b, " VRRP Instance = %s\n", i.Name)
	line("VRRP Version = %d", i.Version)
	if i.Group != "" {
		line("Sync group = %s", i.Group)
	}
	if i.Family == 6 {
		line("Using Native IPv6")
	}
	line("State = %s", i.State)
	line("Wantstate = %s", i.State)
	line("Number of interface and track script faults = %d", len(i.Faults))
	for _, f := range i.Faults {
		line("  %s", f)
	}
	line("Last transition = %s", stamp(i.Since))
	line("Master down timer = %d usecs", int64(i.DownMS*1000))
	line("Interface = %s", i.Interface)
	if i.Device != i.Interface {
		line("Using VMAC interface = %s", i.Device)
	}
	line("Using src_ip = %s", i.Source)
	word := "Multicast address"
	if i.Unicast {
		word = "Unicast peer"
	}
	for _, d := range i.Destination {
		line("%s %s", word, d)
	}
	settings(b, "   ", i.Settings)
	line("Virtual Router ID = %d", i.VRID)
	line("Priority = %d", i.Configured)
	line("Effective priority = %d", i.Priority)
	line("Total priority = %d", i.Priority)
	if i.Version == 2 {
		line("Advert interval = %d sec", int(i.IntervalMS/1000))
	} else {
		line("Advert interval = %d milli-sec", int(i.IntervalMS))
	}
	if i.Preempt {
		line("Preempt = enabled")
	} else {
		line("Preempt = disabled")
	}
	if i.Master != "" {
		line("Master router = %s", i.Master)
		line("Master priority = %d", i.MasterPrio)
	}
	for _, t := range i.Tracks {
		line("Tracked %s = %s, weight %d, %s", t.Kind, t.Name, t.Weight, t.State)
	}
	for _, part := range []struct {
		name     string
		excluded bool
	}{{"Virtual IP", false}, {"Virtual IP Excluded", true}} {
		var rows []string
		for _, a := range i.Addresses {
			if a.Excluded == part.excluded {
				s := fmt.Sprintf("     %s dev %s", a.Prefix, a.Device)
				if a.Set {
					s += " set"
				}
				rows = append(rows, s)
			}
		}
		if len(rows) > 0 {
			line("%s (%d):\n%s", part.name, len(rows), strings.Join(rows, "\n"))
		}
	}
}

// stamp is a moment as keepalived writes it.
func stamp(t time.Time) string {
	return fmt.Sprintf("%d.%06d (%s)", t.Unix(), t.Nanosecond()/1000, t.Format("Mon Jan _2 15:04:05.000000 2006"))
}

func scripts(b *strings.Builder, v *View) {
	for _, kind := range []struct{ kind, heading, name string }{
		{"script", "VRRP Scripts", "VRRP Script"}, {"process", "Tracked processes", "Process"},
		{"file", "Tracked files", "Track file"}, {"bfd", "BFD sessions", "BFD Instance"}} {
		first := true
		for _, t := range v.Tracked {
			if t.Kind != kind.kind {
				continue
			}
			if first {
				fmt.Fprintf(b, "------< %s >------\n", kind.heading)
				first = false
			}
			fmt.Fprintf(b, " %s = %s\n   Status = %s\n", kind.name, t.Name, t.State)
			if t.Text != "" {
				fmt.Fprintf(b, "   Last result = %s\n", t.Text)
			}
			if t.Kind == "file" {
				fmt.Fprintf(b, "   Value = %d\n", t.Value)
			}
		}
	}
}
