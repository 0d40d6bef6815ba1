package plan

import (
	"slices"

	"evenkeel/internal/model"
)

// CheckFailover judges what keepalived.conf demands of haproxy.cfg: the proxy
// and the backends that track_proxy names.
func CheckFailover(cfg *model.Config) model.Diagnostics {
	var diags model.Diagnostics
	if cfg.Failover == nil {
		return nil
	}
	check := func(list []model.Tracked) {
		for _, t := range list {
			switch {
			case len(cfg.Proxies) == 0:
				diags = append(diags, model.Diagnostic{Pos: t.Pos, Severity: model.Error,
					Message: "track_proxy follows the proxy of this evenkeel, and no haproxy.cfg is read",
					Cure:    "give both files to one evenkeel, or take the block out"})
			case t.Name != "" && cfg.Proxy(t.Name, model.KindBackend) == nil:
				diags = append(diags, model.Diagnostic{Pos: t.Pos, Severity: model.Error,
					Message: "track_proxy names a backend '" + t.Name + "' that does not exist", Cure: backends(cfg)})
			}
		}
	}
	for _, i := range cfg.Failover.Instances {
		check(i.TrackProxy)
	}
	for _, g := range cfg.Failover.SyncGroups {
		check(g.TrackProxy)
	}
	return diags
}

// backends lists the backends that there are, or says that there is none.
func backends(cfg *model.Config) string {
	var names []string
	for _, p := range cfg.Proxies {
		if p.Kind&model.KindBackend != 0 {
			names = append(names, p.Name)
		}
	}
	if len(names) == 0 {
		return "an empty block follows the proxy as a whole"
	}
	slices.Sort(names)
	cure := "there are:"
	for i, n := range names {
		if i == 8 {
			return cure + " …"
		}
		cure += " " + n
	}
	return cure
}
