package director

import (
	"evenkeel/internal/l4"
	"evenkeel/internal/l4/flowsync"
	"evenkeel/internal/model"
)

// readKeys reads the file of lvs_sync_key_file. Without it nothing starts, and a
// reload changes nothing: what is to be encrypted is never told otherwise.
func (p *plan) readKeys() (d model.Diagnostics) {
	l := &p.model.LVS
	if l.SyncKeyFile == "" || l.SyncInterface == "" {
		return nil
	}
	keys, err := flowsync.ReadKeys(l.SyncKeyFile)
	if err != nil {
		d.Errorf(l.SyncKeyPos, "lvs_sync_key_file: %v", err)
		return d
	}
	p.keys = keys
	return nil
}

// encrypts says where a plane cannot encrypt what is to be.
func (p *plan) encrypts(f l4.Features, other []l4.Features) (d model.Diagnostics) {
	l := &p.model.LVS
	if l.SyncKeyFile == "" || l.SyncInterface == "" || f.SyncKey {
		return nil
	}
	cure := "take lvs_sync_key_file out"
	for _, o := range other {
		if o.SyncKey {
			cure = "write 'lvs_backend " + o.Name + "' in global_defs, or take lvs_sync_key_file out"
		}
	}
	return model.Diagnostics{{Pos: l.SyncKeyPos, Severity: model.Error, Cure: cure,
		Message: f.Name + " tells other directors by itself and cannot encrypt that"}}
}
