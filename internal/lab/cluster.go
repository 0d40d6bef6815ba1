package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"evenkeel/internal/lab/cell"
	"evenkeel/internal/lab/probe"
	"evenkeel/internal/lab/process"
	"evenkeel/internal/lab/record"
	"evenkeel/internal/lab/space"
	"evenkeel/internal/lab/topology"
)

// Marker is the variable that every process of a lab has in its environment,
// with the lab's name.
const Marker = "EVENKEEL_LAB"

// Cluster is one lab that exists. One goroutine drives it; Roles, Software,
// Mixed and DirectorOf may be asked by others.
type Cluster struct {
	// Set once.
	Topology *topology.Topology
	place    Place
	program  string // this program, for the parts that the lab itself runs
	dir      string
	lock     *lock
	say      func(string)

	// Owned by whoever drives the cluster.
	state   state // what is run is changed under mu
	changed bool  // the directors have the changed configuration

	mu    sync.Mutex
	inits map[int]int // director or origin -> process id of its init
}

// Options say how a cluster comes up.
type Options struct {
	Place
	File     string   // the topology
	Program  string   // path of evenkeel
	Software Software // what directors run that do not say it
	// Nodes is what single directors run, whatever the topology says.
	Nodes map[string]Software
	Say   func(string) // progress, a line at a time; may be nil
}

// client and bridge are namespaces beside those of the nodes.
const (
	clientName = "client"
	bridgeName = "bridge"
)

// nodes gives directors and then origins.
func (c *Cluster) nodes() []topology.Node {
	return append(slices.Clone(c.Topology.Directors), c.Topology.Origins...)
}

func (c *Cluster) space(node string) string {
	return c.place.Prefix + c.Topology.Name + "-" + node
}

func (c *Cluster) nodeDir(node string) string { return filepath.Join(c.dir, node) }

// mark is the value of Marker.
func (p Place) mark(name string) string { return Marker + "=" + p.Prefix + name }

// macOf is the address of a node's interface, by its index among all nodes.
// The first octet says that it is local.
func macOf(node, leg int) record.MAC { return record.MAC{0x02, 'e', 'k', 0, byte(node), byte(leg)} }

// port is the bridge's end of a node's cable.
func port(node topology.Node, leg int) string { return fmt.Sprintf("%s.%d", node.Name, leg) }

func bridge(network int) string { return fmt.Sprintf("br%d", network) }

// Up makes a cluster and starts everything. What a former lab of that name
// left behind is removed; one that still runs is not touched. When it fails
// or ctx ends, nothing stays.
func Up(ctx context.Context, o Options) (c *Cluster, err error) {
	o.Place = o.Place.filled()
	t, err := ReadTopology(o.File)
	if err != nil {
		return nil, err
	}
	s := state{Name: t.Name, Prefix: o.Prefix, Topology: filepath.Base(o.File), Software: o.Software, Nodes: o.Nodes}
	if err := s.judge(t); err != nil {
		return nil, err
	}
	if os.Geteuid() != 0 {
		return nil, errors.New("a lab needs root, for its network namespaces")
	}
	held, err := o.Place.take(t.Name, "evenkeel lab up")
	if err != nil {
		return nil, err
	}
	c = &Cluster{Topology: t, place: o.Place, program: o.Program, dir: filepath.Join(o.Base, t.Name), lock: held, say: o.Say, inits: map[int]int{}}
	if c.say == nil {
		c.say = func(string) {}
	}
	c.state = s
	if former, err := readState(c.dir); err == nil && former.Complete {
		if t, err := members(o.Place, t.Name); err == nil && len(t) > 0 {
			held.release()
			return nil, fmt.Errorf("lab %s is up already; take it down first: evenkeel lab down %s", c.Topology.Name, c.Topology.Name)
		}
	}
	if err := sweep(o.Place, t.Name); err != nil {
		held.release()
		return nil, err
	}
	if err = c.build(ctx, o.File); err != nil {
		err = errors.Join(err, c.Down())
		return nil, err
	}
	return c, nil
}

func (c *Cluster) build(ctx context.Context, file string) error {
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return err
	}
	if err := c.state.write(c.dir); err != nil {
		return err
	}
	if err := save(c.dir, file, c.Topology); err != nil {
		return err
	}
	if err := copyFile(c.program, filepath.Join(c.dir, "evenkeel"), 0o755); err != nil {
		return err
	}
	t := c.Topology
	text := fmt.Sprintf("%s: %d directors, %d origins, a client", t.Name, len(t.Directors), len(t.Origins))
	if c.Mixed() {
		text += "; " + c.runs()
	}
	c.say(text)
	if err := space.Make(c.space(bridgeName)); err != nil {
		return err
	}
	for i := range t.Networks {
		if err := space.Bridge(c.space(bridgeName), bridge(i)); err != nil {
			return err
		}
	}
	if err := c.makeClient(); err != nil {
		return err
	}
	for i, n := range c.nodes() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := c.makeNode(i, n); err != nil {
			return err
		}
	}
	for i := range t.Origins {
		if err := c.startOrigin(len(t.Directors)+i, t.Origins[i]); err != nil {
			return err
		}
	}
	for i := range t.Directors {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := c.Start(i); err != nil {
			return err
		}
	}
	c.state.Complete = true
	return c.state.write(c.dir)
}

// clientNode is the client's number in link-layer addresses.
const clientNode = 0xfe

func (c *Cluster) makeClient() error {
	name := c.space(clientName)
	if err := c.makeSpace(name); err != nil {
		return err
	}
	for i, leg := range c.Topology.Client {
		cable := space.Cable{Switch: c.space(bridgeName), Bridge: bridge(leg.Network), Port: fmt.Sprintf("%s.%d", clientName, i),
			Node: name, Name: leg.Name, Addresses: leg.Addresses}
		mac := macOf(clientNode, i)
		cable.MAC = mac[:]
		if err := space.Plug(cable); err != nil {
			return err
		}
	}
	// The prober has a port of its own, without an address: what it learns
	// there the client's other interfaces do not know.
	network := c.Topology.NetworkOf(c.Topology.VIPs[0].Address)
	mac := macOf(clientNode, 0xff)
	return space.Plug(space.Cable{Switch: c.space(bridgeName), Bridge: bridge(network), Port: "probe.0", Node: name, Name: probe.Port, MAC: net.HardwareAddr(mac[:])})
}

func (c *Cluster) makeSpace(name string) error {
	if err := space.Make(name); err != nil {
		return err
	}
	return space.Settle(name)
}

// makeNode makes a node as it is after its machine was switched on: cables,
// addresses, and an init.
func (c *Cluster) makeNode(index int, n topology.Node) error {
	name := c.space(n.Name)
	if err := c.makeSpace(name); err != nil {
		return err
	}
	for i, leg := range n.Interfaces {
		mac := macOf(index, i)
		cable := space.Cable{Switch: c.space(bridgeName), Bridge: bridge(leg.Network), Port: port(n, i), Node: name, Name: leg.Name, MAC: mac[:], Addresses: leg.Addresses}
		if err := space.Plug(cable); err != nil {
			return err
		}
	}
	return c.boot(index, n)
}

func (c *Cluster) boot(index int, n topology.Node) error {
	dir := c.nodeDir(n.Name)
	pid, err := cell.Boot(cell.Options{Program: c.program, Args: []string{c.program, "lab", "init", n.Name, dir}, Namespace: c.space(n.Name), Dir: dir,
		Env: append(environment(), c.place.mark(c.Topology.Name))})
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.inits[index] = pid
	c.mu.Unlock()
	own := filepath.Join(dir, "bin", "evenkeel")
	if err := os.Remove(own); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.Link(filepath.Join(c.dir, "evenkeel"), own)
}

// environment is what nodes get of the caller's: nothing that would make
// their programs behave in another way than anywhere.
func environment() (list []string) {
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); name == "PATH" || name == "LANG" || name == "TZ" || name == "GOCOVERDIR" {
			list = append(list, v)
		}
	}
	return list
}

// Node is the inside of a director.
func (c *Cluster) node(index int) cell.Node { return cell.At(c.nodeDir(c.nodes()[index].Name)) }

const nginxConfig = `daemon off;
pid /run/nginx.pid;
error_log /run/lab/log/nginx-error.log;
worker_processes 1;
events { worker_connections 1024; }
http {
	access_log off;
	client_body_temp_path /tmp/nginx-body;
	proxy_temp_path /tmp/nginx-proxy;
	fastcgi_temp_path /tmp/nginx-fastcgi;
	uwsgi_temp_path /tmp/nginx-uwsgi;
	scgi_temp_path /tmp/nginx-scgi;
	server {
		listen %s;
		default_type text/plain;
		add_header X-Origin %s;
		location / { return 200 "%s\n"; }
	}
}
`

func (c *Cluster) startOrigin(index int, n topology.Node) error {
	address := net.JoinHostPort(n.Address().String(), fmt.Sprint(n.Port))
	nginx := find("nginx")
	if n.Server == topology.Nginx && nginx == "" {
		return fmt.Errorf("origin %s: nginx is not installed; write `embedded` in its place", n.Name)
	}
	p := cell.Program{Name: "origin", Args: []string{cell.Dir + "/bin/evenkeel", "lab", "origin", address, n.Name}}
	if nginx != "" && n.Server != topology.Embedded {
		file := filepath.Join(c.nodeDir(n.Name), "etc", "nginx.conf")
		if err := os.WriteFile(file, fmt.Appendf(nil, nginxConfig, address, n.Name, n.Name), 0o644); err != nil {
			return err
		}
		p = cell.Program{Name: "nginx", Args: []string{nginx, "-c", cell.Dir + "/etc/nginx.conf"}}
	}
	_, err := c.node(index).Start(p)
	return err
}

// configure writes a director's files.
func (c *Cluster) configure(index int) (configs, error) {
	n := c.Topology.Directors[index]
	view := c.Topology.View(index, cell.Dir+"/etc", string(c.Software(index)), c.changed)
	var out configs
	one := func(path string, mode uint32) (string, error) {
		if path == "" {
			return "", nil
		}
		text, err := renderFile(filepath.Join(c.dir, sourceDir), path, view)
		if err != nil {
			return "", err
		}
		to := filepath.Join(c.nodeDir(n.Name), "etc", path)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return "", err
		}
		return cell.Dir + "/etc/" + path, replaceFile(to, []byte(text), os.FileMode(mode))
	}
	var err error
	if out.haproxy, err = one(c.Topology.Haproxy, 0o644); err != nil {
		return out, err
	}
	if out.keepalived, err = one(c.Topology.Keepalived, 0o644); err != nil {
		return out, err
	}
	for _, f := range c.Topology.Files {
		if _, err := one(f.Path, f.Mode); err != nil {
			return out, err
		}
	}
	return out, nil
}

// replaceFile writes a file by a rename: a program that was just started may
// read it at this moment, and an empty file is a configuration, too (HAProxy's
// master and worker run with it, and listen nowhere).
func replaceFile(path string, text []byte, mode os.FileMode) error {
	hidden := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	if err := os.WriteFile(hidden, text, mode); err != nil {
		return err
	}
	if err := os.Chmod(hidden, mode); err != nil { // whatever the umask
		return err
	}
	return os.Rename(hidden, path)
}

// renderFile fills in a template.
func renderFile(dir, path string, view topology.View) (string, error) {
	b, err := os.ReadFile(filepath.Join(dir, path))
	if err != nil {
		return "", err
	}
	return view.Render(path, string(b))
}

// Start writes a director's files and starts its programs.
func (c *Cluster) Start(index int) error {
	p, err := productOf(c.Software(index))
	if err != nil {
		return err
	}
	files, err := c.configure(index)
	if err != nil {
		return err
	}
	for _, program := range p.programs(cell.Dir+"/bin/evenkeel", files) {
		if _, err := c.node(index).Start(program); err != nil {
			return err
		}
	}
	return nil
}

// Roles names the processes of a director.
func (c *Cluster) Roles(index int) (process.Roles, error) {
	t, err := process.Read()
	if err != nil {
		return nil, err
	}
	return process.Assign(t, c.initOf(index), tell), nil
}

// initOf is the process id of a node's init.
func (c *Cluster) initOf(index int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.inits[index]
}

// DirectorOf is the index of the director with a link-layer address; -1: none has it.
func (c *Cluster) DirectorOf(mac record.MAC) int {
	for i, d := range c.Topology.Directors {
		for leg := range d.Interfaces {
			if macOf(i, leg) == mac {
				return i
			}
		}
	}
	return -1
}

// tell knows evenkeel's children by the descriptors that their keeper gave
// them: all run with the same words.
func tell(p process.Process) process.Role {
	for _, v := range process.Environment(p.PID) {
		switch name, _, _ := strings.Cut(v, "="); name {
		case "EVENKEEL_FAILOVER_FD":
			return process.Failover
		case "EVENKEEL_WORKER_FD":
			return process.Worker
		}
	}
	return ""
}

// copyFile copies by a rename, so that a program that runs from the old file is not disturbed.
func copyFile(from, to string, mode os.FileMode) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	return os.Rename(to+".new", to)
}
