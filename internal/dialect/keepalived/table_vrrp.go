package keepalived

import (
	"math"
	"time"

	"evenkeel/internal/model"
)

// keywordLists are the tables of the language.
func keywordLists() [][]keyword {
	return [][]keyword{
		topKeywords(), globalKeywords(), forwardingKeywords(), globalProcessKeywords(), globalHarmless(), instanceKeywords(), instanceTimingKeywords(),
		notifyKeywords(), trackKeywords(), scriptKeywords(), groupKeywords(),
		virtualKeywords(), sharedServerKeywords(), checkerKeywords(), checkerLineKeywords(),
	}
}

func topKeywords() []keyword {
	return []keyword{
		{Name: "global_defs", In: placeTop, Block: true, Opens: placeGlobal, Help: "settings of the whole program, and defaults", Parse: readGlobal},
		{Name: "static_ipaddress", In: placeTop, Block: true, Help: "addresses that stay on this node: ADDRESS[/LENGTH] [dev NAME] …", Parse: staticAddresses},
		{Name: "static_routes", In: placeTop, Block: true, Help: "routes that stay on this node, in the words of ip route", Parse: staticRoutes},
		{Name: "static_rules", In: placeTop, Block: true, Help: "rules that stay on this node, in the words of ip rule", Parse: staticRules},
		{Name: "track_group", Args: "NAME", In: placeTop, Block: true, Opens: placeTrackGroup, Help: "instances that follow a static address, route or rule", Parse: readTrackGroup},
		{Name: "linkbeat_interfaces", In: placeTop, Block: true, Help: "interfaces whose link is polled: NAME [MII|ETHTOOL|IOCTL]", Parse: readLinkbeatInterfaces},
		{Name: "interface_up_down_delays", In: placeTop, Block: true, Help: "how long a change of a link must last: NAME DOWN [UP]", Parse: readInterfaceDelays},
		{Name: "garp_group", In: placeTop, Block: true, Opens: placeGARPGroup, Help: "the time between gratuitous ARPs on some interfaces", Parse: readGARPGroup},
		{Name: "vrrp_sync_group", Args: "NAME", In: placeTop, Block: true, Opens: placeSyncGroup, Help: "instances that change state together", Parse: readSyncGroup},
		{Name: "vrrp_instance", Args: "NAME", In: placeTop, Block: true, Opens: placeInstance, Help: "addresses that move between nodes", Parse: (*parser).readInstance},
		{Name: "vrrp_script", Args: "NAME", In: placeTop, Block: true, Opens: placeScript, Help: "a program that is run again and again, for track_script", Parse: readScript},
		{Name: "vrrp_track_process", Args: "NAME", In: placeTop, Block: true, Opens: placeProcess, Help: "a process that is watched, for track_process", Parse: readProcess},
		{Name: "track_file", Args: "NAME", In: placeTop, Block: true, Opens: placeFile, Help: "a file whose number is followed, for track_file blocks and FILE_CHECK", Parse: readTrackFile},
		{Name: "vrrp_track_file", Args: "NAME", In: placeTop, Block: true, Opens: placeFile, Status: statusDeprecated, Cure: "write track_file", Help: "track_file", Parse: readTrackFile},
		{Name: "bfd_instance", Args: "NAME", In: placeTop, Block: true, Opens: placeBFD, Help: "a BFD session, for track_bfd and BFD_CHECK", Parse: readBFD},
	}
}

func instanceKeywords() []keyword {
	type I = instanceDraft
	return []keyword{
		{Name: "state", Args: "MASTER|BACKUP", In: placeInstance, Help: "the state that it begins in", Parse: readState},
		{Name: "interface", Args: "NAME", In: placeInstance, Help: "where it runs", Parse: readInterface},
		{Name: "vrf", Args: "NAME", In: placeInstance, Help: "the VRF to run in, for unicast without an interface", Parse: text1(inst(func(i *I) *string { return &i.VRF }))},
		{Name: "virtual_router_id", Args: "1-255", In: placeInstance, Help: "the instance's number on its network; the same on all nodes", Parse: readVRID},
		{Name: "priority", Args: "1-255", In: placeInstance, Help: "the highest is master; 255 says that the addresses are this host's own (100)", Parse: readPriority},
		{Name: "advert_int", Args: "SECONDS", In: placeInstance, Help: "time between advertisements (1): whole seconds to 255 with version 2, 0.01 to 40.95 with version 3", Parse: readAdvert},
		{Name: "version", Args: "2|3", In: placeInstance, Help: "of VRRP; IPv6 is always 3", Parse: readVersion},
		{Name: "native_ipv6", In: placeInstance, Help: "IPv6, also without addresses that say so", Parse: set(inst(func(i *I) *bool { return &i.native6 }))},
		{Name: "authentication", In: placeInstance, Block: true, Opens: placeAuth, Help: "of version 2", Parse: readAuthentication},
		{Name: "auth_type", Args: "PASS|AH", In: placeAuth, Help: "a password in the clear, or a keyed digest", Parse: readAuthType},
		{Name: "auth_pass", Args: "WORD", In: placeAuth, Help: "the password; its first 8 characters count", Parse: readAuthPass},
		{Name: "virtual_ipaddress", In: placeInstance, Block: true, Help: "the addresses: ADDRESS[/LENGTH] [brd ADDRESS] [dev NAME] [scope SCOPE] [label LABEL] …", Parse: readAddresses(addressVirtual)},
		{Name: "virtual_ipaddress_excluded", In: placeInstance, Block: true, Help: "more addresses, which are not in the advertisements", Parse: readAddresses(addressExcluded)},
		{Name: "virtual_routes", In: placeInstance, Block: true, Help: "routes that move with it, in the words of ip route", Parse: virtualRoutes},
		{Name: "virtual_rules", In: placeInstance, Block: true, Help: "rules that move with it, in the words of ip rule", Parse: virtualRules},
		{Name: "promote_secondaries", In: placeInstance, Help: "the other addresses of a network stay when its first one goes", Parse: set(inst(func(i *I) *bool { return &i.PromoteSecondaries }))},
		{Name: "use_vmac", Args: "[NAME] [MAC]", In: placeInstance, Help: "the virtual hardware address, on an interface of its own", Parse: readVMAC},
		{Name: "use_vmac_addr", In: placeInstance, Help: "such an interface also for addresses with dev", Parse: set(inst(func(i *I) *bool { return &i.VMACPerAddress }))},
		{Name: "vmac_xmit_base", In: placeInstance, Help: "advertisements go through the interface below", Parse: set(inst(func(i *I) *bool { return &i.VMACXmitBase }))},
		{Name: "use_ipvlan", Args: "[NAME] [ADDRESS] [bridge|private|vepa]", In: placeInstance, Help: "an interface of its own with the hardware address of the one below", Parse: readIPVLAN},
		{Name: "mcast_src_ip", Args: "ADDRESS", In: placeInstance, Help: "source of advertisements", Parse: readSource(true)},
		{Name: "unicast_src_ip", Args: "ADDRESS", In: placeInstance, Help: "source of advertisements to unicast_peer", Parse: readSource(false)},
		{Name: "mcast_dst_ip", Args: "ADDRESS", In: placeInstance, Help: "multicast group of this instance", Parse: readMulticastGroup},
		{Name: "track_src_ip", In: placeInstance, Help: "without the source address it is in fault", Parse: set(inst(func(i *I) *bool { return &i.TrackSrcIP }))},
		{Name: "unicast_peer", In: placeInstance, Block: true, Help: "the other nodes, when there is no multicast: ADDRESS [min_ttl N] [max_ttl N]", Parse: readPeers},
		{Name: "unicast_ttl", Args: "0-255", In: placeInstance, Help: "of advertisements to unicast_peer (255)", Parse: readUnicastTTL},
		{Name: "unicast_fault_no_peer", In: placeInstance, Help: "without a peer it is in fault, not multicast", Parse: set(inst(func(i *I) *bool { return &i.UnicastFaultNoPeer }))},
		{Name: "check_unicast_src", In: placeInstance, Help: "only from unicast_peer", Parse: func(p *parser, n *node) {
			p.instance.CheckUnicastSrc = true
			p.instance.needsPeers(n)
		}},
		{Name: "old_unicast_checksum", Args: "[never]", In: placeInstance, Help: "the checksum that keepalived had up to 1.3.6", Parse: readOldChecksum},
		{Name: "dont_track_primary", In: placeInstance, Help: "the interface's state is not looked at", Parse: set(inst(func(i *I) *bool { return &i.DontTrackPrimary }))},
		{Name: "linkbeat_use_polling", In: placeInstance, Status: statusDeprecated, Cure: "nothing is polled: the kernel tells of changes", Help: "the link is polled", Parse: readLinkbeat},
		{Name: "lvs_sync_daemon_interface", Args: "NAME", In: placeInstance, Status: statusDeprecated, Cure: "write lvs_sync_daemon in global_defs", Help: "connections are told to the other director", Parse: readSyncInterface},
		{Name: "debug", Args: "0-4", In: placeInstance, Status: statusDeprecated, Cure: "take it out", Help: "has no effect, there or here", Parse: readDebug},
		{Name: "kernel_rx_buf_size", Args: "BYTES", In: placeInstance, Status: statusHarmless, Cure: "the buffer is as large as it has to be", Help: "receive buffer"},
	}
}

func instanceTimingKeywords() []keyword {
	type I = instanceDraft
	whole := int64(math.MaxUint32 / 1000000)
	return []keyword{
		{Name: "nopreempt", In: placeInstance, Help: "a master stays one when a higher priority comes", Parse: readNoPreempt},
		{Name: "preempt", In: placeInstance, Help: "the opposite of nopreempt", Parse: func(p *parser, _ *node) { p.instance.NoPreempt, p.instance.preempt = false, nil }},
		{Name: "preempt_delay", Args: "SECONDS", In: placeInstance, Help: "how long it waits before it takes over from a lower priority (0 to 1000)", Parse: readPreemptDelay},
		{Name: "accept", In: placeInstance, Help: "packets to the addresses are accepted (so it is without vrrp_strict)", Parse: readAccept(true)},
		{Name: "no_accept", In: placeInstance, Help: "packets to the addresses are dropped, unless the priority is 255", Parse: readAccept(false)},
		{Name: "skip_check_adv_addr", Args: "[on|off]", In: placeInstance, Help: "the addresses in a known master's advertisements are not compared", Parse: pointed(inst(func(i *I) **bool { return &i.skipCheck }))},
		{Name: "strict_mode", Args: "[on|off]", In: placeInstance, Help: "vrrp_strict for this instance", Parse: pointed(inst(func(i *I) **bool { return &i.strict }))},
		{Name: "down_timer_adverts", Args: "1-100", In: placeInstance, Help: "advertisements that may be missed (3)", Parse: countedP(1, 100, inst(func(i *I) **int { return &i.downTimer }))},
		{Name: "lower_prio_no_advert", Args: "[on|off]", In: placeInstance, Help: "a lower priority is not answered with an advertisement", Parse: pointed(inst(func(i *I) **bool { return &i.lowerNo }))},
		{Name: "higher_prio_send_advert", Args: "[on|off]", In: placeInstance, Help: "one more advertisement before a higher priority takes over, so that it announces its addresses again (on by default; off in keepalived)", Parse: pointed(inst(func(i *I) **bool { return &i.higherSend }))},
		{Name: "garp_master_delay", Args: "SECONDS", In: placeInstance, Help: "until the second set of gratuitous ARPs (5); 0: none", Parse: wholeSecondsP(0, whole, inst(func(i *I) **time.Duration { return &i.garpDelay }))},
		{Name: "garp_master_repeat", Args: "COUNT", In: placeInstance, Help: "gratuitous ARPs of a set (5)", Parse: repeat(inst(func(i *I) **int { return &i.garpRepeat }))},
		{Name: "garp_master_refresh", Args: "SECONDS", In: placeInstance, Help: "a set again and again while master (0: no)", Parse: wholeSecondsP(0, whole, inst(func(i *I) **time.Duration { return &i.garpRefresh }))},
		{Name: "garp_master_refresh_repeat", Args: "COUNT", In: placeInstance, Help: "gratuitous ARPs of such a set (1)", Parse: repeat(inst(func(i *I) **int { return &i.garpRefreshRepeat }))},
		{Name: "garp_lower_prio_delay", Args: "SECONDS", In: placeInstance, Help: "until the second set after a lower priority was heard", Parse: wholeSecondsP(0, whole, inst(func(i *I) **time.Duration { return &i.garpLowerDelay }))},
		{Name: "garp_lower_prio_repeat", Args: "COUNT", In: placeInstance, Help: "gratuitous ARPs after a lower priority was heard", Parse: countedP(0, 1000, inst(func(i *I) **int { return &i.garpLowerRepeat }))},
		{Name: "garp_extra_if", Args: "[all] SECONDS", In: placeInstance, Help: "gratuitous ARPs on the interfaces of addresses with dev", Parse: func(p *parser, n *node) {
			readGARPExtra(&p.instance.garpExtraAll, &p.instance.garpExtra, p, n)
		}},
		{Name: "vmac_garp_intvl", Args: "[all] SECONDS", In: placeInstance, Status: statusDeprecated, Cure: "write garp_extra_if", Help: "garp_extra_if", Parse: func(p *parser, n *node) {
			p.warnf(n.pos(0), "write garp_extra_if", "'vmac_garp_intvl' is deprecated")
			readGARPExtra(&p.instance.garpExtraAll, &p.instance.garpExtra, p, n)
		}},
	}
}

func notifyKeywords() []keyword {
	type N = model.Notify
	both := placeInstance | placeSyncGroup
	script := "COMMAND [USER [GROUP]]"
	return []keyword{
		{Name: "notify_master", Args: script, In: both, Help: "run when it becomes master", Parse: notifyScript(func(n *N) **model.Command { return &n.Master })},
		{Name: "notify_backup", Args: script, In: both, Help: "run when it becomes backup", Parse: notifyScript(func(n *N) **model.Command { return &n.Backup })},
		{Name: "notify_fault", Args: script, In: both, Help: "run when it goes into fault", Parse: notifyScript(func(n *N) **model.Command { return &n.Fault })},
		{Name: "notify_stop", Args: script, In: both, Help: "run when the program stops", Parse: notifyScript(func(n *N) **model.Command { return &n.Stop })},
		{Name: "notify_deleted", Args: "[" + script + "]", In: both, Help: "run, and DELETED is told, when a reload takes it out", Parse: readNotifyDeleted},
		{Name: "notify", Args: script, In: both, Help: `run at every change, with INSTANCE or GROUP, the name, the state and the priority`, Parse: notifyScript(func(n *N) **model.Command { return &n.All })},
		{Name: "notify_master_rx_lower_pri", Args: script, In: placeInstance, Help: "run when a master hears a lower priority", Parse: notifyScript(func(n *N) **model.Command { return &n.MasterRxLowerPrio })},
		{Name: "notify_priority_changes", Args: "[on|off]", In: both, Help: "changes of priority go to the FIFOs too", Parse: readPriorityChanges},
		{Name: "smtp_alert", Args: "[on|off]", In: both, Help: "mail at every change", Parse: pointed(func(p *parser) **bool { return &p.notify().MailAlert })},
	}
}

func trackKeywords() []keyword {
	type I = model.VRRPInstance
	type G = model.SyncGroup
	both := placeInstance | placeSyncGroup
	return []keyword{
		{Name: "track_interface", In: both, Block: true, Help: "interfaces: NAME [weight -253 to 253 [reverse]]", Parse: trackBlock(trackForm{253},
			func(i *I) *[]model.Tracked { return &i.TrackInterfaces }, func(g *G) *[]model.Tracked { return &g.TrackInterfaces })},
		{Name: "track_script", In: both, Block: true, Help: "vrrp_scripts: NAME [weight -253 to 253 [reverse|noreverse]]", Parse: trackBlock(trackForm{253},
			func(i *I) *[]model.Tracked { return &i.TrackScripts }, func(g *G) *[]model.Tracked { return &g.TrackScripts })},
		{Name: "track_process", In: both, Block: true, Help: "vrrp_track_processes: NAME [weight -254 to 254 [reverse|noreverse]]", Parse: trackBlock(trackForm{254},
			func(i *I) *[]model.Tracked { return &i.TrackProcesses }, func(g *G) *[]model.Tracked { return &g.TrackProcesses })},
		{Name: "track_file", In: both, Block: true, Help: "track_files: NAME [weight -254 to 254 [reverse|noreverse]]", Parse: trackBlock(trackForm{254},
			func(i *I) *[]model.Tracked { return &i.TrackFiles }, func(g *G) *[]model.Tracked { return &g.TrackFiles })},
		{Name: "track_bfd", In: both, Block: true, Help: "bfd_instances: NAME [weight -253 to 253 [reverse|noreverse]]", Parse: trackBlock(trackForm{253},
			func(i *I) *[]model.Tracked { return &i.TrackBFD }, func(g *G) *[]model.Tracked { return &g.TrackBFD })},
		{Name: "track_proxy", In: both, Block: true, Status: statusOurs, Help: "the proxy of this evenkeel: [backend NAME] [weight -253 to 253]; an empty block follows it as a whole", Parse: readTrackProxy},
	}
}

func scriptKeywords() []keyword {
	whole := int64(math.MaxUint32 / 1000000)
	seconds := func(at func(s *model.TrackScript) *time.Duration) func(*parser, *node) {
		return func(p *parser, n *node) {
			if v, ok := p.number(n, 1, 0, whole, "the line is not used"); ok {
				if v == 0 {
					p.warnf(n.pos(1), "write 1 or more", "'%s' is at least 1 second: 1 is used", n.name())
					v = 1
				}
				*at(p.script) = time.Duration(v) * time.Second
			}
		}
	}
	delay := func(at func(x *model.TrackProcess) []*time.Duration) func(*parser, *node) {
		return func(p *parser, n *node) {
			if v, ok := p.timer(n, 1, time.Microsecond, time.Hour, "the line is not used"); ok {
				for _, d := range at(p.process) {
					*d = v
				}
			}
		}
	}
	count := func(low, high int, at func(p *parser) *int) func(*parser, *node) { return counted(low, high, at) }
	return []keyword{
		{Name: "script", Args: `"COMMAND"`, In: placeScript, Help: "the program and its parameters", Parse: readScriptCommand},
		{Name: "interval", Args: "SECONDS", In: placeScript, Help: "between two runs (1)", Parse: seconds(func(s *model.TrackScript) *time.Duration { return &s.Interval })},
		{Name: "timeout", Args: "SECONDS", In: placeScript, Help: "after which a run has failed (the interval)", Parse: seconds(func(s *model.TrackScript) *time.Duration { return &s.Timeout })},
		{Name: "weight", Args: "-253-253 [reverse]", In: placeScript, Help: "added to the priority while it succeeds, or, below zero, while it fails; 0: failure is a fault", Parse: func(p *parser, n *node) { p.readWeight(n, 253, &p.script.Weight, &p.script.Reverse) }},
		{Name: "rise", Args: "COUNT", In: placeScript, Help: "successes until it is up (1)", Parse: count(1, math.MaxInt32, func(p *parser) *int { return &p.script.Rise })},
		{Name: "fall", Args: "COUNT", In: placeScript, Help: "failures until it is down (1)", Parse: count(1, math.MaxInt32, func(p *parser) *int { return &p.script.Fall })},
		{Name: "user", Args: "USER [GROUP]", In: placeScript, Help: "who runs it", Parse: readScriptUser},
		{Name: "init_fail", In: placeScript, Help: "down until it has succeeded", Parse: set(func(p *parser) *bool { return &p.script.InitFail })},

		{Name: "process", Args: "NAME [PARAMETER …]", In: placeProcess, Help: "which process", Parse: readProcessName},
		{Name: "param_match", Args: "[initial|partial]", In: placeProcess, Help: "how its parameters are compared", Parse: readParamMatch},
		{Name: "weight", Args: "-254-254 [reverse]", In: placeProcess, Help: "as in vrrp_script (1)", Parse: func(p *parser, n *node) { p.readWeight(n, 254, &p.process.Weight, &p.process.Reverse) }},
		{Name: "quorum", Args: "COUNT", In: placeProcess, Help: "at least so many (1)", Parse: count(1, 65535, func(p *parser) *int { return &p.process.Quorum })},
		{Name: "quorum_max", Args: "COUNT", In: placeProcess, Help: "at most so many", Parse: count(0, 65535, func(p *parser) *int { return &p.process.QuorumMax })},
		{Name: "fork_delay", Args: "SECONDS", In: placeProcess, Help: "how long it must run before it counts", Parse: delay(func(x *model.TrackProcess) []*time.Duration { return []*time.Duration{&x.ForkDelay} })},
		{Name: "terminate_delay", Args: "SECONDS", In: placeProcess, Help: "how long it must be gone before that counts", Parse: delay(func(x *model.TrackProcess) []*time.Duration { return []*time.Duration{&x.ExitDelay} })},
		{Name: "delay", Args: "SECONDS", In: placeProcess, Help: "both", Parse: delay(func(x *model.TrackProcess) []*time.Duration { return []*time.Duration{&x.ForkDelay, &x.ExitDelay} })},
		{Name: "full_command", In: placeProcess, Help: "the whole command line is compared", Parse: set(func(p *parser) *bool { return &p.process.FullCommand })},

		{Name: "file", Args: "PATH", In: placeFile, Help: "which file", Parse: text1(func(p *parser) *string { return &p.file.Path })},
		{Name: "weight", Args: "NUMBER [reverse]", In: placeFile, Help: "the file's number is multiplied with it (1); 0: another number than 0 is a fault", Parse: func(p *parser, n *node) { p.readWeight(n, math.MaxInt32, &p.file.Weight, &p.file.Reverse) }},
		{Name: "init_file", Args: "[VALUE] [overwrite]", In: placeFile, Help: "the file is made at the start", Parse: readInitFile},

		{Name: "neighbor_ip", Args: "ADDRESS", In: placeBFD, Help: "the other end", Parse: readBFDAddress(neighborOf)},
		{Name: "neighbour_ip", Args: "ADDRESS", In: placeBFD, Help: "neighbor_ip", Parse: readBFDAddress(neighborOf)},
		{Name: "source_ip", Args: "ADDRESS", In: placeBFD, Help: "this end", Parse: readBFDAddress(sourceOf)},
		{Name: "min_rx", Args: "MILLISECONDS", In: placeBFD, Help: "fastest that it wants to hear (10)", Parse: milliseconds(1, 4294967, func(b *model.BFDInstance) *time.Duration { return &b.MinRx })},
		{Name: "min_tx", Args: "MILLISECONDS", In: placeBFD, Help: "fastest that it sends (10)", Parse: milliseconds(1, 4294967, func(b *model.BFDInstance) *time.Duration { return &b.MinTx })},
		{Name: "idle_tx", Args: "MILLISECONDS", In: placeBFD, Help: "how it sends while the session is down (1000)", Parse: milliseconds(1000, 4294967, func(b *model.BFDInstance) *time.Duration { return &b.IdleTx })},
		{Name: "multiplier", Args: "COUNT", In: placeBFD, Help: "packets that may be missed (5)", Parse: count(1, 255, func(p *parser) *int { return &p.bfd.Multiplier })},
		{Name: "passive", In: placeBFD, Help: "waits for the other end", Parse: set(func(p *parser) *bool { return &p.bfd.Passive })},
		{Name: "ttl", Args: "1-255", In: placeBFD, Help: "of what is sent (255)", Parse: count(1, 255, func(p *parser) *int { return &p.bfd.TTL })},
		{Name: "hoplimit", Args: "1-255", In: placeBFD, Help: "the same for IPv6 (64)", Parse: count(1, 255, func(p *parser) *int { return &p.bfd.TTL })},
		{Name: "max_hops", Args: "0-255", In: placeBFD, Help: "how far the other end may be (0)", Parse: count(0, 255, func(p *parser) *int { return &p.bfd.MaxHops })},
		{Name: "weight", Args: "-253-253 [reverse]", In: placeBFD, Help: "as in vrrp_script (0)", Parse: func(p *parser, n *node) { p.readWeight(n, 253, &p.bfd.Weight, &p.bfd.Reverse) }},
		{Name: "vrrp", Status: statusHarmless, Cure: "take it out: whoever names the session is told", In: placeBFD, Help: "only instances are told", Parse: set(func(p *parser) *bool { return &p.bfd.VRRPOnly })},
		{Name: "checker", Status: statusHarmless, Cure: "take it out: whoever names the session is told", In: placeBFD, Help: "only virtual servers are told", Parse: set(func(p *parser) *bool { return &p.bfd.CheckOnly })},
	}
}

func groupKeywords() []keyword {
	return []keyword{
		{Name: "group", In: placeSyncGroup | placeTrackGroup, Block: true, Help: "the names of the instances", Parse: readGroupList},
		{Name: "global_tracking", In: placeSyncGroup, Status: statusDeprecated, Cure: "track in the group itself", Help: "sync_group_tracking_weight", Parse: readGlobalTracking},
		{Name: "sync_group_tracking_weight", In: placeSyncGroup, Help: "the instances keep the weights of what they track", Parse: set(func(p *parser) *bool { return &p.group.SyncTrackingWeight })},
		{Name: "garp_interval", Args: "SECONDS", In: placeGARPGroup, Help: "between two gratuitous ARPs", Parse: readInterval(func(p *parser) **time.Duration { return &p.garp.GARPInterval })},
		{Name: "gna_interval", Args: "SECONDS", In: placeGARPGroup, Help: "between two neighbour advertisements", Parse: readInterval(func(p *parser) **time.Duration { return &p.garp.NAInterval })},
		{Name: "interface", Args: "NAME", In: placeGARPGroup, Help: "the interface", Parse: func(p *parser, n *node) { p.addGARPInterface(n, 1) }},
		{Name: "interfaces", In: placeGARPGroup, Block: true, Help: "interfaces that share the limit", Parse: readGARPInterfaces},
	}
}
