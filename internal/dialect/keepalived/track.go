package keepalived

import (
	"net/netip"
	"slices"
	"strconv"
	"time"

	"evenkeel/internal/model"
)

// trackForm is how one track_ block reads its lines.
type trackForm struct {
	limit int64 // of weight, on both sides
}

// readTracked reads `NAME [weight N [reverse|noreverse]]` lines.
func (p *parser) readTracked(list *[]model.Tracked, n *node, form trackForm) {
	for _, line := range n.body {
		if !p.value(line) {
			continue
		}
		t := model.Tracked{Pos: line.pos(0), Name: line.arg(0)}
		p.trackedOptions(&t, line, 1, form)
		// Several names on one line are an old habit; keepalived reads the first.
		if slices.ContainsFunc(*list, func(x model.Tracked) bool { return x.Name == t.Name }) {
			p.warnf(t.Pos, "take one of them out", "'%s' is tracked twice: the first line is used", t.Name)
			continue
		}
		*list = append(*list, t)
	}
	if len(n.body) == 0 {
		p.warnf(n.pos(0), "name what is to be tracked, or take the block out", "the block is empty")
	}
}

func (p *parser) trackedOptions(t *model.Tracked, line *node, i int, form trackForm) {
	for ; i < len(line.words); i++ {
		switch word := line.arg(i); word {
		case "weight":
			v, ok := p.number(line, i+1, -form.limit, form.limit, "the weight is not used")
			i++
			if !ok {
				continue
			}
			w := int(v)
			t.Weight = &w
		case "reverse", "noreverse", "no_reverse":
			if t.Weight == nil {
				p.warnf(line.pos(i), "write 'weight N reverse'", "'%s' stands behind a weight: it is not used", word)
				continue
			}
			r := word == "reverse"
			t.Reverse = &r
		default:
			cure := closest(word, []string{"weight", "reverse", "noreverse"})
			if cure == "" {
				cure = "write each name on a line of its own"
			}
			p.warnf(line.pos(i), cure, "unknown word '%s' behind '%s': it is not used", word, t.Name)
		}
	}
}

// trackBlock makes the entry of a track_ block, for instances and groups.
func trackBlock(form trackForm, inInstance func(i *model.VRRPInstance) *[]model.Tracked, inGroup func(g *model.SyncGroup) *[]model.Tracked) func(*parser, *node) {
	return func(p *parser, n *node) {
		if p.instance != nil {
			p.readTracked(inInstance(p.instance.VRRPInstance), n, form)
		} else {
			p.readTracked(inGroup(p.group), n, form)
		}
	}
}

// readTrackProxy reads our own block: lines `[backend NAME] [weight N]`. An
// empty block follows the proxy as a whole.
func readTrackProxy(p *parser, n *node) {
	var list *[]model.Tracked
	if p.instance != nil {
		list = &p.instance.TrackProxy
	} else {
		list = &p.group.TrackProxy
	}
	if len(n.body) == 0 {
		*list = append(*list, model.Tracked{Pos: n.pos(0)})
	}
	for _, line := range n.body {
		if !p.value(line) {
			continue
		}
		t := model.Tracked{Pos: line.pos(0)}
		i := 0
		if line.arg(0) == "backend" {
			if t.Name = line.arg(1); t.Name == "" {
				p.errorf(line.pos(1), "write 'backend NAME'", "'backend' lacks the name of a backend of haproxy.cfg")
				continue
			}
			i = 2
		} else if line.arg(0) != "weight" && line.arg(0) != "proxy" {
			p.errorf(line.pos(0), "write 'backend NAME', 'weight NUMBER', or both; an empty block follows the proxy as a whole",
				"'%s' cannot be tracked", line.arg(0))
			continue
		} else if line.arg(0) == "proxy" {
			i = 1
		}
		p.trackedOptions(&t, line, i, trackForm{limit: 253})
		if slices.ContainsFunc(*list, func(x model.Tracked) bool { return x.Name == t.Name }) {
			p.warnf(t.Pos, "take one of them out", "the same is tracked twice: the first line is used")
			continue
		}
		*list = append(*list, t)
	}
}

// readWeight reads `weight N [reverse]` of a script, process, file or session.
func (p *parser) readWeight(n *node, limit int64, weight *int, reverse *bool) {
	v, ok := p.number(n, 1, -limit, limit, "the weight is not used")
	if !ok {
		return
	}
	*weight = int(v)
	switch n.arg(2) {
	case "reverse":
		*reverse = true
	case "":
	default:
		p.warnf(n.pos(2), closest(n.arg(2), []string{"reverse"}), "unknown word '%s' behind a weight: it is not used", n.arg(2))
	}
}

// named opens a block that has one name and whose kind has no other of it.
func (p *parser) named(n *node, taken func(name string) (model.Pos, bool)) (string, bool) {
	if len(n.words) != 2 {
		p.errorf(n.pos(min(len(n.words), 2)), "write '"+n.name()+" NAME {'", "a %s has one name", n.name())
		return "", false
	}
	if pos, twice := taken(n.arg(1)); twice {
		p.warnf(n.pos(1), "give one of them another name", "there are two %s '%s': the one at line %d is used", n.name(), n.arg(1), pos.Line)
		return "", false
	}
	return n.arg(1), true
}

// taken finds a name in a list.
func taken[T any](list []*T, name func(*T) (string, model.Pos)) func(string) (model.Pos, bool) {
	return func(want string) (model.Pos, bool) {
		for _, x := range list {
			if n, pos := name(x); n == want {
				return pos, true
			}
		}
		return model.Pos{}, false
	}
}

func readScript(p *parser, n *node) {
	name, ok := p.named(n, taken(p.f.Scripts, func(x *model.TrackScript) (string, model.Pos) { return x.Name, x.Pos }))
	if !ok {
		return
	}
	p.script = &model.TrackScript{Pos: n.pos(0), Name: name, Interval: time.Second, Rise: 1, Fall: 1}
	p.dispatch(n.body, placeScript)
	if len(p.script.Command.Argv) == 0 {
		p.warnf(n.pos(0), `write script "PATH PARAMETERS" in its block`, "vrrp_script '%s' has no script: it is left out", name)
	} else {
		p.checkExists(&p.script.Command)
		p.f.Scripts = append(p.f.Scripts, p.script)
	}
	p.script = nil
}

func readScriptCommand(p *parser, n *node) {
	if c := p.command(n, 1, false); c != nil {
		user := p.script.Command.User
		p.script.Command = *c
		p.script.Command.User = user
	}
}

func readScriptUser(p *parser, n *node) {
	if p.want(n, 1, 2) {
		p.script.Command.User = p.credential(n, 1)
	}
}

func readProcess(p *parser, n *node) {
	name, ok := p.named(n, taken(p.f.Processes, func(x *model.TrackProcess) (string, model.Pos) { return x.Name, x.Pos }))
	if !ok {
		return
	}
	p.process = &model.TrackProcess{Pos: n.pos(0), Name: name, Weight: 1, Quorum: 1, QuorumMax: -1}
	p.dispatch(n.body, placeProcess)
	if len(p.process.Process) == 0 {
		p.warnf(n.pos(0), "write 'process NAME' in its block", "vrrp_track_process '%s' names no process: it is left out", name)
	} else {
		p.finishProcess(n)
		p.f.Processes = append(p.f.Processes, p.process)
	}
	p.process = nil
}

func (p *parser) finishProcess(n *node) {
	x := p.process
	if x.QuorumMax >= 0 && x.QuorumMax < x.Quorum {
		if x.QuorumMax > 0 {
			p.warnf(n.pos(0), "", "vrrp_track_process '%s': quorum_max %d is below quorum %d: quorum_max is not used", x.Name, x.QuorumMax, x.Quorum)
			x.QuorumMax = -1
		} else {
			x.Quorum = 0
		}
	}
	x.NoMax = x.QuorumMax < 0
	if x.NoMax {
		x.QuorumMax = 0
	}
}

func readProcessName(p *parser, n *node) {
	if !p.want(n, 1, -1) {
		return
	}
	if len(p.process.Process) > 0 {
		p.warnf(n.pos(0), "take one of them out", "'process' stands twice: the first is used")
		return
	}
	for _, w := range n.words[1:] {
		p.process.Process = append(p.process.Process, w.Text)
	}
	if len(n.words) > 2 {
		p.process.FullCommand = true
	}
}

func readParamMatch(p *parser, n *node) {
	switch v := n.arg(1); v {
	case "":
		p.process.ParamMatch = "exact"
	case "initial", "partial", "exact":
		p.process.ParamMatch = v
	default:
		p.warnf(n.pos(1), "write initial or partial", "unknown param_match '%s': it is not used", v)
		return
	}
	p.process.FullCommand = true
}

func readTrackFile(p *parser, n *node) {
	if n.name() == "vrrp_track_file" {
		p.warnf(n.pos(0), "write track_file", "'vrrp_track_file' is deprecated")
	}
	name, ok := p.named(n, taken(p.f.Files, func(x *model.TrackFile) (string, model.Pos) { return x.Name, x.Pos }))
	if !ok {
		return
	}
	p.file = &model.TrackFile{Pos: n.pos(0), Name: name, Weight: 1}
	p.dispatch(n.body, placeFile)
	if p.file.Path == "" {
		p.warnf(n.pos(0), "write 'file PATH' in its block", "track_file '%s' has no file: it is left out", name)
	} else {
		p.f.Files = append(p.f.Files, p.file)
	}
	p.file = nil
}

func readInitFile(p *parser, n *node) {
	p.file.InitFile = true
	for i := 1; i < len(n.words); i++ {
		if n.arg(i) == "overwrite" {
			p.file.Override = true
			continue
		}
		v, err := strconv.ParseInt(n.arg(i), 0, 32)
		if err != nil {
			p.warnf(n.pos(i), "write a number, 'overwrite', or both", "unknown word '%s' behind init_file: it is not used", n.arg(i))
			continue
		}
		p.file.InitVal = int(v)
	}
}

func readBFD(p *parser, n *node) {
	name, ok := p.named(n, taken(p.f.BFD, func(x *model.BFDInstance) (string, model.Pos) { return x.Name, x.Pos }))
	if !ok {
		return
	}
	if len(name) > 31 {
		p.warnf(n.pos(1), "choose a shorter one", "the name of a bfd_instance has at most 31 characters")
	}
	p.bfd = newBFD(n.pos(0), name)
	p.dispatch(n.body, placeBFD)
	b := p.bfd
	p.bfd = nil
	switch {
	case !b.Neighbor.IsValid():
		p.errorf(n.pos(0), "write 'neighbor_ip ADDRESS' in its block", "bfd_instance '%s' has no neighbour", name)
		return
	case b.Source.IsValid() && family(b.Source) != family(b.Neighbor):
		p.errorf(b.Pos, "", "bfd_instance '%s': source_ip and neighbor_ip are of different families", name)
		return
	}
	if b.TTL == 0 {
		b.TTL = 255
		if family(b.Neighbor) == 6 {
			b.TTL = 64
		}
	}
	for _, x := range p.f.BFD {
		if x.Neighbor == b.Neighbor && x.Source == b.Source {
			p.warnf(b.Pos, "take one of them out", "bfd_instance '%s' has the same addresses as '%s'", name, x.Name)
		}
	}
	p.f.BFD = append(p.f.BFD, b)
}

// milliseconds stores a decimal number of milliseconds.
func milliseconds(low, high float64, at func(b *model.BFDInstance) *time.Duration) func(*parser, *node) {
	return func(p *parser, n *node) {
		if !p.want(n, 1, 1) {
			return
		}
		d, ok := seconds(n.arg(1))
		if ok {
			d /= 1000
		}
		if !ok || float64(d)/1e6 < low || float64(d)/1e6 > high {
			p.warnf(n.pos(1), "", "'%s' of '%s' is not a number of milliseconds from %g to %g: the line is not used", n.arg(1), n.name(), low, high)
			return
		}
		*at(p.bfd) = d
	}
}

func readBFDAddress(at func(b *model.BFDInstance) *netip.Addr) func(*parser, *node) {
	return func(p *parser, n *node) {
		if a, ok := p.address(n, 1); ok {
			*at(p.bfd) = a
		}
	}
}

func newBFD(pos model.Pos, name string) *model.BFDInstance {
	return &model.BFDInstance{
		Pos: pos, Name: name, Port: 3784, MinRx: 10 * time.Millisecond, MinTx: 10 * time.Millisecond,
		IdleTx: time.Second, Multiplier: 5,
	}
}

func neighborOf(b *model.BFDInstance) *netip.Addr { return &b.Neighbor }

func sourceOf(b *model.BFDInstance) *netip.Addr { return &b.Source }
