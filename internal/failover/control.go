package failover

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"evenkeel/internal/failover/report"
	"evenkeel/internal/vrrp"
)

// verb is what a person can order.
type verb struct {
	words string // the command itself: one or two words
	args  string
	help  string
	run   func(p *plane, args string) string
}

// verbs is the table of all of them.
func verbs() []verb {
	return []verb{
		{"status", "", "instances, their states and why", func(p *plane, _ string) string { return report.Table(p.view()) }},
		{"status json", "", "the same for programs", func(p *plane, _ string) string { return report.JSON(p.view()) }},
		{"master", "NAME", "a drill: become master now and stay so, until backup, clear or a fault", forName(takeOver)},
		{"backup", "NAME", "a drill: hand over to a peer once", forName(giveUp)},
		{"fault", "NAME [TEXT]", "take out of service until clear, over restarts too", forName(operatorFault)},
		{"clear", "NAME", "end master and fault", forName(clearDrill)},
		{"dump data", "", "write keepalived.data, as SIGUSR1 to keepalived does", func(p *plane, _ string) string {
			return p.dump("keepalived.data", report.Data(p.view()))
		}},
		{"dump stats", "", "write keepalived.stats, as SIGUSR2 to keepalived does", func(p *plane, _ string) string {
			return p.dump("keepalived.stats", report.Stats(p.view()))
		}},
		{"show data", "", "the content of keepalived.data", func(p *plane, _ string) string { return report.Data(p.view()) }},
		{"show stats", "", "the content of keepalived.stats", func(p *plane, _ string) string { return report.Stats(p.view()) }},
		{"events", "", "the latest events", func(p *plane, _ string) string { return p.recent() }},
		{"events json", "", "the same for programs", func(p *plane, _ string) string { return report.Events(p.events.Recent()) }},
		{"help", "", "this list", func(*plane, string) string { return help() }},
	}
}

func help() string {
	var b strings.Builder
	for _, c := range verbs() {
		fmt.Fprintf(&b, "%-18s %s\n", strings.TrimSpace(c.words+" "+c.args), c.help)
	}
	b.WriteString("NAME is a vrrp_instance or a vrrp_sync_group.\n")
	return b.String()
}

// control carries out one line of a person.
func (p *plane) control(line string) string {
	words := strings.Fields(line)
	all := verbs()
	if len(words) == 0 {
		return help()
	}
	for _, n := range []int{2, 1} {
		if len(words) < n {
			continue
		}
		name := strings.Join(words[:n], " ")
		if k := slices.IndexFunc(all, func(c verb) bool { return c.words == name }); k >= 0 {
			rest := strings.Join(words[n:], " ")
			if all[k].args == "" && rest != "" {
				return fmt.Sprintf("'%s' is not known after '%s'\n\n%s", rest, name, help())
			}
			answer := all[k].run(p, rest)
			// What it changed is carried out before the answer is given.
			p.settle()
			return answer
		}
	}
	return fmt.Sprintf("unknown command '%s'; there are:\n\n%s", line, help())
}

// forName gives a command the instances of a name, and the rest of the line.
func forName(f func(p *plane, i *instance, rest string) string) func(*plane, string) string {
	return func(p *plane, args string) string {
		name, rest, _ := strings.Cut(args, " ")
		if i := p.byName[name]; i != nil {
			return f(p, i, rest) + "\n"
		}
		for _, g := range p.groups {
			if g.setup.model.Name == name {
				return f(p, g.members[0], rest) + "\n"
			}
		}
		var names []string
		for _, i := range p.instances {
			names = append(names, i.name())
		}
		if name == "" {
			return "which instance? There are: " + strings.Join(names, ", ") + "\n"
		}
		return fmt.Sprintf("there is no vrrp_instance or vrrp_sync_group '%s'; there are: %s\n", name, strings.Join(names, ", "))
	}
}

func takeOver(p *plane, i *instance, _ string) string {
	if s := i.machine.State(); s != vrrp.Master && s != vrrp.Backup {
		return fmt.Sprintf("%s is in state %v (%s) and cannot become master", i.name(), s, i.told)
	}
	p.step(i, vrrp.TakeOver{})
	return i.name() + " is master, until 'backup', 'clear' or a fault"
}

func giveUp(p *plane, i *instance, _ string) string {
	if i.machine.State() != vrrp.Master {
		return fmt.Sprintf("%s is not master, but %v", i.name(), i.machine.State())
	}
	p.step(i, vrrp.GiveUp{})
	return i.name() + " hands over; it becomes master again if it preempts and has the highest priority"
}

func operatorFault(p *plane, i *instance, text string) string {
	if text == "" {
		text = "by hand"
	}
	p.setFault(i, faultOperator, fault{text: "ordered: " + text})
	return i.name() + " is out of service until 'clear " + i.name() + "'"
}

func clearDrill(p *plane, i *instance, _ string) string {
	p.step(i, vrrp.Clear{})
	p.setFault(i, faultOperator, fault{})
	if i.told != "" {
		return fmt.Sprintf("%s is still in fault: %s", i.name(), i.told)
	}
	return fmt.Sprintf("%s is in state %v with priority %d", i.name(), i.machine.State(), i.machine.Info().Effective)
}

// dump writes a file for those who read keepalived's. It may have been put
// there by somebody else in a directory that all may write to: so it is
// replaced, not opened.
func (p *plane) dump(name, text string) string {
	path := filepath.Join(p.about.dumps, name)
	f, err := os.CreateTemp(p.about.dumps, "."+name+".*")
	if err == nil {
		_, err = f.WriteString(text)
		if e := f.Close(); err == nil {
			err = e
		}
		if err == nil {
			err = os.Rename(f.Name(), path)
		}
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}
	if err != nil {
		return fmt.Sprintf("cannot write %s: %v\n", path, err)
	}
	return "written: " + path + "\n"
}

// recent lists the latest events.
func (p *plane) recent() string {
	var b strings.Builder
	for _, e := range p.events.Recent() {
		fmt.Fprintf(&b, "%s %s %s\n", e.At.Format("2006-01-02 15:04:05.000"), e.Severity, e.Text)
	}
	if b.Len() == 0 {
		return "nothing has happened yet\n"
	}
	return b.String()
}
