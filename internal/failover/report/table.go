package report

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
)

// JSON is the view for programs.
func JSON(v *View) string {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Sprintf("%q\n", err.Error())
	}
	return string(b) + "\n"
}

// shownHistory is how many transitions the table shows of an instance.
const shownHistory = 3

// Table is the view for people.
func Table(v *View) string {
	var b strings.Builder
	fmt.Fprintf(&b, "router %s, evenkeel %s, up %s, scheduling %s", v.RouterID, v.Version, since(v.Now, v.Started), v.Scheduling)
	if v.Proxy != "none" {
		fmt.Fprintf(&b, ", proxy %s", v.Proxy)
	}
	if v.Keeper == "frozen" {
		b.WriteString(", KEEPER FROZEN")
	}
	b.WriteString("\n\n")
	w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "INSTANCE\tSTATE\tSINCE\tPRIORITY\tVRID\tINTERFACE\tADDRESSES\tMASTER")
	for n := range v.Instances {
		i := &v.Instances[n]
		for line, a := range i.column() {
			if line == 0 {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n", i.Name, i.stateWord(), since(v.Now, i.Since), i.priorityWord(), i.VRID, i.Interface, a, i.masterWord())
			} else {
				fmt.Fprintf(w, "\t\t\t\t\t\t%s\t\n", a)
			}
		}
	}
	_ = w.Flush()
	if len(v.Instances) == 0 {
		b.WriteString("(no vrrp_instance is configured)\n")
	}
	for n := range v.Instances {
		details(&b, v, &v.Instances[n])
	}
	lists(&b, v)
	return b.String()
}

// maxShown bounds the addresses of an instance in the table.
const maxShown = 8

func (i *Instance) column() []string {
	var all []string
	for _, a := range i.Addresses {
		s := a.Prefix
		if a.Device != i.Interface {
			s += " dev " + a.Device
		}
		if i.Holds && !a.Set {
			s += " (missing)"
		}
		if len(all) == maxShown {
			return append(all, fmt.Sprintf("and %d more", len(i.Addresses)-maxShown))
		}
		all = append(all, s)
	}
	if len(all) == 0 {
		return []string{"-"}
	}
	return all
}

func (i *Instance) stateWord() string {
	s := i.State
	if i.Drill {
		s += " (drill)"
	}
	if i.Leaving {
		s += " (leaving)"
	}
	return s
}

func (i *Instance) priorityWord() string {
	if i.Priority != i.Configured {
		return fmt.Sprintf("%d (of %d)", i.Priority, i.Configured)
	}
	return fmt.Sprint(i.Priority)
}

func (i *Instance) masterWord() string {
	switch {
	case i.MasterHere:
		return "this node"
	case i.Master == "":
		return "unknown"
	}
	return fmt.Sprintf("%s (%d)", i.Master, i.MasterPrio)
}

// details are the lines below the table: why an instance is what it is.
func details(b *strings.Builder, v *View, i *Instance) {
	fmt.Fprintf(b, "\n%s: %s because %s\n", i.Name, i.State, strings.TrimPrefix(i.Why, "fault: "))
	for _, f := range i.Faults {
		fmt.Fprintf(b, "  fault: %s\n", f)
	}
	if i.PriorityWhy != "" {
		fmt.Fprintf(b, "  priority: %s\n", i.PriorityWhy)
	}
	if len(i.Tracks) > 0 {
		var words []string
		for _, t := range i.Tracks {
			words = append(words, strings.TrimSpace(t.Kind+" "+t.Name)+" "+t.State)
		}
		fmt.Fprintf(b, "  tracks: %s\n", strings.Join(words, ", "))
	}
	c := &i.Counters
	fmt.Fprintf(b, "  adverts: %d sent, %d received, every %s; master %d times, %d announcements", c.AdvertsSent, c.AdvertsReceived,
		millis(i.IntervalMS), c.BecameMaster, c.Announcements)
	for _, x := range []struct {
		n    uint64
		text string
	}{{c.AdvertsLate, "late"}, {c.SendErrors, "not sent"}, {c.DuplicateMaster, "duplicate masters"}, {c.discarded(), "discarded"}} {
		if x.n > 0 {
			fmt.Fprintf(b, ", %d %s", x.n, x.text)
		}
	}
	b.WriteString("\n")
	if i.LastError != "" {
		fmt.Fprintf(b, "  last error: %s\n", i.LastError)
	}
	for _, t := range i.History[max(0, len(i.History)-shownHistory):] {
		fmt.Fprintf(b, "  %s %s -> %s (%s)\n", t.At.Format("2006-01-02 15:04:05.000"), t.From, t.To, t.Why)
	}
}

func (c *Counters) discarded() (n uint64) {
	for _, x := range c.Discarded {
		n += x
	}
	return n
}

func lists(b *strings.Builder, v *View) {
	for n, g := range v.Groups {
		if n == 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(b, "group %s: %s (%s)\n", g.Name, g.State, strings.Join(g.Members, ", "))
	}
	for n, t := range v.Tracked {
		if n == 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(b, "%s %s: %s", t.Kind, t.Name, t.State)
		if t.Text != "" {
			fmt.Fprintf(b, " (%s)", t.Text)
		}
		b.WriteString("\n")
	}
	for _, s := range v.Sinks {
		if s.Trouble != "" {
			fmt.Fprintf(b, "\nevents to %s: %s\n", s.Name, s.Trouble)
		}
	}
}

func millis(ms float64) string {
	return time.Duration(ms * float64(time.Millisecond)).String()
}

// since is a duration as people say it: 5s, 3m10s, 2h5m, 4d3h.
func since(now, then time.Time) string {
	d := now.Sub(then)
	switch {
	case then.IsZero() || d < 0:
		return "0s"
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%dh", int(d.Hours())/24, int(d.Hours())%24)
}
