package ipvs

import "evenkeel/internal/l4"

// Daemons are the kernel's synchronisation daemons that run.
func (p *Plane) Daemons() ([]l4.SyncDaemon, error) { return p.client.Daemons() }

// StartDaemon starts one end of the kernel's synchronisation.
func (p *Plane) StartDaemon(d l4.SyncDaemon) error { return p.client.StartDaemon(d) }

// StopDaemon ends it.
func (p *Plane) StopDaemon(backup bool) error { return p.client.StopDaemon(backup) }
