package top

import (
	"encoding/csv"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// Snapshot is a node at one moment. All text in it is safe to print.
type Snapshot struct {
	At        time.Time
	PID       int
	Processes []Process
	Addresses *Addresses  // nil: no failover process
	Forward   *Forwarding // nil: no packet forwarding
	Proxy     *Proxy      // nil: no proxy
	Events    []Event     // the oldest first
	Troubles  []string
}

// Process is one of the node's.
type Process struct {
	PID     int
	Kind    string // master, worker, failover
	Uptime  string // "0d00h01m12s"
	Version string
}

// Addresses is the half of the failover process that is about VRRP. Fields are
// named as in its JSON form.
type Addresses struct {
	Version   string     `json:"version"`
	RouterID  string     `json:"router_id"`
	Now       time.Time  `json:"now"`
	Started   time.Time  `json:"started"`
	Proxy     string     `json:"proxy"`
	Keeper    string     `json:"keeper"`
	Instances []Instance `json:"instances"`

	Forwarding *Forwarding `json:"forwarding"`
}

// Instance is one vrrp_instance.
type Instance struct {
	Name        string    `json:"name"`
	State       string    `json:"state"`
	Since       time.Time `json:"since"`
	Why         string    `json:"why"`
	Leaving     bool      `json:"leaving"`
	Drill       bool      `json:"drill"`
	VRID        int       `json:"vrid"`
	Interface   string    `json:"interface"`
	Configured  int       `json:"configured_priority"`
	Priority    int       `json:"priority"`
	PriorityWhy string    `json:"priority_why"`
	Master      string    `json:"master"`
	MasterHere  bool      `json:"master_here"`
	Holds       bool      `json:"holds_addresses"`
	Addresses   []struct {
		Prefix string `json:"prefix"`
		Set    bool   `json:"set"`
	} `json:"addresses"`
	Faults  []string `json:"faults"`
	History []struct {
		At   time.Time `json:"at"`
		From string    `json:"from"`
		To   string    `json:"to"`
		Why  string    `json:"why"`
	} `json:"history"`
	LastError string `json:"last_error"`
}

// Forwarding is packet forwarding.
type Forwarding struct {
	Backend string    `json:"backend"`
	Note    string    `json:"note"`
	Trouble string    `json:"trouble"`
	Advice  []string  `json:"advice"`
	Virtual []Virtual `json:"virtual_servers"`
	ByHand  []Virtual `json:"by_hand"`
	Rate    Traffic   `json:"rate"`
	Flows   int       `json:"flows"`
	Pair    *Pair     `json:"pair"` // nil: connections are not told to another director
}

// Pair is what directors tell each other of their connections.
type Pair struct {
	By        string  `json:"by"`
	Interface string  `json:"interface"`
	Tells     bool    `json:"tells"`
	Trouble   string  `json:"trouble"`
	ToldRate  float64 `json:"told_rate"`
	LagMS     int64   `json:"lag_ms"`
	TookRate  float64 `json:"took_rate"`
	Peers     []struct {
		Address string `json:"address"`
	} `json:"peers"`
}

// Traffic is counters, or their rates.
type Traffic struct {
	Connections uint64 `json:"connections"`
	PacketsIn   uint64 `json:"packets_in"`
	PacketsOut  uint64 `json:"packets_out"`
	BytesIn     uint64 `json:"bytes_in"`
	BytesOut    uint64 `json:"bytes_out"`
}

// Virtual is one virtual_server, or a service that was added by hand.
type Virtual struct {
	Name      string `json:"name"`
	Scheduler string `json:"scheduler"`
	Quorum    bool   `json:"quorum"`
	Needed    int    `json:"needed"`
	Weight    int    `json:"weight"`
	Suspended bool   `json:"suspended"`
	Away      bool   `json:"away"`
	Sorry     bool   `json:"sorry"`
	Changed   string `json:"changed"`
	Rate      Traffic
	Services  []struct {
		Rate Traffic `json:"rate"`
	} `json:"services"`
	Servers []Server `json:"servers"`
}

// Server is one real server.
type Server struct {
	Name     string  `json:"name"`
	Method   string  `json:"method"`
	Up       bool    `json:"up"`
	Sorry    bool    `json:"sorry"`
	Leaving  bool    `json:"leaving"`
	Weight   int     `json:"weight"`
	In       bool    `json:"in"`
	Rate     Traffic `json:"rate"`
	Active   int     `json:"active"`
	Inactive int     `json:"inactive"`
	Full     bool    `json:"full"`
	Checks   []struct {
		Kind string `json:"kind"`
		Up   bool   `json:"up"`
		Text string `json:"text"`
	} `json:"checks"`
}

// Event is something that happened.
type Event struct {
	At       time.Time `json:"at"`
	Severity string    `json:"severity"`
	Text     string    `json:"text"`
}

// Proxy is the worker that serves.
type Proxy struct {
	PID     int
	Version string
	Uptime  time.Duration
	Rows    []Row
}

// Kinds of rows of show stat.
const (
	Frontend = iota
	Backend
	ProxyServer
	Listener
)

// Row is one line of show stat.
type Row struct {
	Kind         int
	Proxy, Name  string
	Status       string
	Weight       string
	Sessions     int64
	Queue        int64
	Errors       int64 // requests, connections and responses that failed
	BytesIn      int64
	BytesOut     int64
	Total        int64  // requests, or sessions where there are none
	Rate         int64  // of the last second, as the worker says
	Active       int64  // servers that are up
	Backup       int64  // and spare ones
	Check        string // L4OK, L7STS …
	CheckMeaning string // the same in words
	CheckText    string // what the server or the system said
	SinceSeconds int64  // -1: unknown
}

// Decode reads what a node answered. What cannot be read is a trouble of the
// snapshot, never an error: the rest is shown.
func Decode(raw *Raw) *Snapshot {
	s := &Snapshot{At: raw.At, PID: raw.PID, Processes: processes(raw.Processes)}
	for _, t := range raw.Troubles {
		s.Troubles = append(s.Troubles, clean(t))
	}
	if len(raw.Status) > 0 {
		var a Addresses
		if err := json.Unmarshal(raw.Status, &a); err != nil {
			s.Troubles = append(s.Troubles, "the status of addresses is not understood: "+clean(err.Error()))
		} else {
			a.clean()
			s.Addresses, s.Forward = &a, a.Forwarding
			a.Forwarding = nil
			if a.Keeper == "frozen" {
				s.Troubles = append(s.Troubles, "the keeper is frozen")
			}
			if a.Proxy == "down" {
				s.Troubles = append(s.Troubles, "the proxy does not serve")
			}
		}
	}
	if len(raw.Events) > 0 && json.Unmarshal(raw.Events, &s.Events) != nil {
		s.Events = nil // of a version that cannot tell them so
	}
	for i := range s.Events {
		cleanAll(&s.Events[i].Severity, &s.Events[i].Text)
	}
	if len(raw.Stat) > 0 {
		rows, err := statistics(string(raw.Stat))
		if err != nil {
			s.Troubles = append(s.Troubles, "the proxy's statistics are not understood: "+clean(err.Error()))
		}
		s.Proxy = &Proxy{Rows: rows}
		s.Proxy.info(string(raw.Info))
	}
	return s
}

func (a *Addresses) clean() {
	cleanAll(&a.Version, &a.RouterID, &a.Proxy, &a.Keeper)
	for n := range a.Instances {
		i := &a.Instances[n]
		cleanAll(&i.Name, &i.State, &i.Why, &i.Interface, &i.PriorityWhy, &i.Master, &i.LastError)
		for k := range i.Addresses {
			cleanAll(&i.Addresses[k].Prefix)
		}
		for k := range i.Faults {
			cleanAll(&i.Faults[k])
		}
		for k := range i.History {
			h := &i.History[k]
			cleanAll(&h.From, &h.To, &h.Why)
		}
	}
	if f := a.Forwarding; f != nil {
		cleanAll(&f.Backend, &f.Note, &f.Trouble)
		for i := range f.Advice {
			cleanAll(&f.Advice[i])
		}
		if p := f.Pair; p != nil {
			cleanAll(&p.By, &p.Interface, &p.Trouble)
			for i := range p.Peers {
				cleanAll(&p.Peers[i].Address)
			}
		}
		for _, list := range [][]Virtual{f.Virtual, f.ByHand} {
			for i := range list {
				list[i].clean()
			}
		}
	}
}

func (v *Virtual) clean() {
	cleanAll(&v.Name, &v.Scheduler, &v.Changed)
	for i := range v.Services {
		v.Rate.add(v.Services[i].Rate)
	}
	for i := range v.Servers {
		r := &v.Servers[i]
		cleanAll(&r.Name, &r.Method)
		for k := range r.Checks {
			cleanAll(&r.Checks[k].Kind, &r.Checks[k].Text)
		}
	}
}

func (t *Traffic) add(o Traffic) {
	t.Connections += o.Connections
	t.PacketsIn += o.PacketsIn
	t.PacketsOut += o.PacketsOut
	t.BytesIn += o.BytesIn
	t.BytesOut += o.BytesOut
}

// processes reads the keeper's table: number, kind, reloads, uptime, version.
func processes(table string) []Process {
	var all []Process
	for line := range strings.Lines(table) {
		words := strings.Fields(clean(line))
		if len(words) < 5 || strings.HasPrefix(words[0], "#") {
			continue
		}
		pid, err := strconv.Atoi(words[0])
		if err != nil {
			continue
		}
		// The reloads may be several words.
		all = append(all, Process{PID: pid, Kind: words[1], Uptime: words[len(words)-2], Version: words[len(words)-1]})
	}
	return all
}

// statistics reads the CSV form of show stat by the names of its columns.
func statistics(text string) ([]Row, error) {
	r := csv.NewReader(strings.NewReader(strings.TrimPrefix(text, "# ")))
	r.FieldsPerRecord, r.LazyQuotes, r.ReuseRecord = -1, true, false
	records, err := r.ReadAll()
	if err != nil || len(records) == 0 {
		return nil, err
	}
	column := map[string]int{}
	for i, name := range records[0] {
		if _, known := column[name]; !known {
			column[name] = i
		}
	}
	var rows []Row
	for _, cells := range records[1:] {
		rows = append(rows, statistic(func(name string) string {
			if i, ok := column[name]; ok && i < len(cells) {
				return clean(cells[i])
			}
			return ""
		}))
	}
	return rows, nil
}

func statistic(cell func(string) string) Row {
	n := func(name string) int64 {
		v, err := strconv.ParseInt(cell(name), 10, 64)
		if err != nil {
			return 0
		}
		return v
	}
	w := Row{Kind: int(n("type")), Proxy: cell("pxname"), Name: cell("svname"), Status: cell("status"), Weight: cell("weight"),
		Sessions: n("scur"), Queue: n("qcur"), Errors: n("ereq") + n("econ") + n("eresp"), BytesIn: n("bin"), BytesOut: n("bout"),
		Total: n("req_tot"), Rate: n("req_rate"), Active: n("act"), Backup: n("bck"), Check: strings.TrimSpace(strings.TrimPrefix(cell("check_status"), "*")),
		CheckMeaning: cell("check_desc"), CheckText: cell("last_chk"),
		SinceSeconds: -1}
	if cell("req_tot") == "" || cell("mode") == "tcp" {
		w.Total, w.Rate = n("stot"), n("rate")
	}
	if cell("req_rate") == "" {
		w.Rate = n("rate")
	}
	if cell("lastchg") != "" {
		w.SinceSeconds = n("lastchg")
	}
	return w
}

// info reads what it needs of show info.
func (p *Proxy) info(text string) {
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(clean(line), ":")
		value = strings.TrimSpace(value)
		switch name {
		case "Version":
			p.Version = value
		case "Pid":
			p.PID, _ = strconv.Atoi(value)
		case "Uptime_sec":
			if n, err := strconv.ParseInt(value, 10, 32); err == nil {
				p.Uptime = time.Duration(n) * time.Second
			}
		}
	}
}
