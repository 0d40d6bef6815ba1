package keepalived

import (
	"math"
	"time"

	"evenkeel/internal/model"
)

func globalKeywords() []keyword {
	type F = model.Failover
	type G = globalDraft
	whole := int64(math.MaxUint32 / 1000000)
	return []keyword{
		{Name: "notification_email", In: placeGlobal, Block: true, Help: "who gets mail", Parse: readMailTo},
		{Name: "notification_email_from", Args: "ADDRESS", In: placeGlobal, Help: "the sender (keepalived@ this host)", Parse: text1(failover(func(f *F) *string { return &f.Mail.From }))},
		{Name: "smtp_server", Args: "HOST [PORT]", In: placeGlobal, Help: "where mail is handed in (127.0.0.1 25)", Parse: readMailServer},
		{Name: "smtp_helo_name", Args: "NAME", In: placeGlobal, Help: "the name in HELO (this host's)", Parse: text1(failover(func(f *F) *string { return &f.Mail.HELO }))},
		{Name: "smtp_connect_timeout", Args: "SECONDS", In: placeGlobal, Help: "for the mail server (30)", Parse: readMailTimeout},
		{Name: "smtp_alert", Args: "[on|off]", In: placeGlobal, Help: "mail for everything that does not say otherwise", Parse: flag(failover(func(f *F) *bool { return &f.Mail.AlertDefault }))},
		{Name: "smtp_alert_vrrp", Args: "[on|off]", In: placeGlobal, Help: "the same for instances and groups", Parse: pointed(failover(func(f *F) **bool { return &f.Mail.AlertVRRP }))},
		{Name: "smtp_alert_checker", Args: "[on|off]", In: placeGlobal, Help: "the same for virtual and real servers", Parse: pointed(failover(func(f *F) **bool { return &f.Mail.AlertChecker }))},
		{Name: "no_email_faults", In: placeGlobal, Help: "no mail for faults", Parse: set(failover(func(f *F) *bool { return &f.Mail.NoFaults }))},
		{Name: "no_checker_emails", Args: "[on|off]", In: placeGlobal, Help: "mail for a real server that comes or goes, not for each checker", Parse: flag(failover(func(f *F) *bool { return &f.Mail.NoChecker }))},
		{Name: "checker_log_all_failures", Args: "[on|off]", In: placeGlobal, Help: "each failed check is logged", Parse: flag(failover(func(f *F) *bool { return &f.LogAllFailures }))},
		{Name: "rs_init_notifies", Args: "[on|off]", In: placeGlobal, Help: "notify_up of real servers that are up from the start", Parse: flag(failover(func(f *F) *bool { return &f.ServerInitNotify }))},
		{Name: "router_id", Args: "NAME", In: placeGlobal, Help: "this node's name in mails (the host's)", Parse: text1(failover(func(f *F) *string { return &f.RouterID }))},
		{Name: "webhook", Args: "URL", In: placeGlobal, Block: true, Opens: placeWebhook, Status: statusOurs, Help: "events are posted there as JSON", Parse: readWebhook},
		{Name: "header", Args: `"NAME: VALUE"`, In: placeWebhook, Status: statusOurs, Help: "one more header field of the request", Parse: readHeader},
		{Name: "timeout", Args: "SECONDS", In: placeWebhook, Status: statusOurs, Help: "for one request (5)", Parse: timed(100*time.Millisecond, 5*time.Minute, func(p *parser) *time.Duration { return &p.webhook.Timeout })},

		{Name: "vrrp_mcast_group4", Args: "ADDRESS", In: placeGlobal, Help: "where IPv4 advertisements go (224.0.0.18)", Parse: readMulticast(4)},
		{Name: "vrrp_mcast_group6", Args: "ADDRESS", In: placeGlobal, Help: "where IPv6 advertisements go (ff02::12)", Parse: readMulticast(6)},
		{Name: "default_interface", Args: "NAME", In: placeGlobal, Help: "of static addresses, routes and rules without dev (eth0)", Parse: func(p *parser, n *node) {
			if name, ok := p.interfaceName(n, 1); ok {
				p.f.DefaultInterface = name
			}
		}},
		{Name: "vrrp_version", Args: "2|3", In: placeGlobal, Help: "of instances that do not say (2; IPv6: 3)", Parse: readVRRPVersion},
		{Name: "vrrp_strict", In: placeGlobal, Help: "nothing that RFC 5798 does not have: see strict_mode", Parse: readStrict},
		{Name: "vrrp_check_unicast_src", In: placeGlobal, Help: "check_unicast_src of all", Parse: set(globals(func(g *G) *bool { return &g.checkSrc }))},
		{Name: "vrrp_skip_check_adv_addr", Args: "[on|off]", In: placeGlobal, Help: "skip_check_adv_addr of all", Parse: flag(globals(func(g *G) *bool { return &g.skipCheck }))},
		{Name: "vrrp_lower_prio_no_advert", Args: "[on|off]", In: placeGlobal, Help: "lower_prio_no_advert of all", Parse: pointed(globals(func(g *G) **bool { return &g.lowerNo }))},
		{Name: "vrrp_higher_prio_send_advert", Args: "[on|off]", In: placeGlobal, Help: "higher_prio_send_advert of all", Parse: pointed(globals(func(g *G) **bool { return &g.higherSend }))},
		{Name: "vrrp_down_timer_adverts", Args: "1-100", In: placeGlobal, Help: "down_timer_adverts of all", Parse: countedP(1, 100, globals(func(g *G) **int { return &g.downTimer }))},
		{Name: "vrrp_notify_priority_changes", Args: "[on|off]", In: placeGlobal, Help: "notify_priority_changes of all", Parse: flag(globals(func(g *G) *bool { return &g.priorityChanges }))},
		{Name: "vrrp_garp_master_delay", Args: "SECONDS", In: placeGlobal, Help: "garp_master_delay of all", Parse: wholeSecondsP(0, whole, globals(func(g *G) **time.Duration { return &g.garpDelay }))},
		{Name: "vrrp_garp_master_repeat", Args: "COUNT", In: placeGlobal, Help: "garp_master_repeat of all", Parse: repeat(globals(func(g *G) **int { return &g.garpRepeat }))},
		{Name: "vrrp_garp_master_refresh", Args: "SECONDS", In: placeGlobal, Help: "garp_master_refresh of all", Parse: wholeSecondsP(0, whole, globals(func(g *G) **time.Duration { return &g.garpRefresh }))},
		{Name: "vrrp_garp_master_refresh_repeat", Args: "COUNT", In: placeGlobal, Help: "garp_master_refresh_repeat of all", Parse: repeat(globals(func(g *G) **int { return &g.garpRefreshRepeat }))},
		{Name: "vrrp_garp_lower_prio_delay", Args: "SECONDS", In: placeGlobal, Help: "garp_lower_prio_delay of all", Parse: wholeSecondsP(0, whole, globals(func(g *G) **time.Duration { return &g.garpLowerDelay }))},
		{Name: "vrrp_garp_lower_prio_repeat", Args: "COUNT", In: placeGlobal, Help: "garp_lower_prio_repeat of all", Parse: countedP(0, 1000, globals(func(g *G) **int { return &g.garpLowerRepeat }))},
		{Name: "vrrp_garp_interval", Args: "SECONDS", In: placeGlobal, Help: "between two gratuitous ARPs on an interface (0)", Parse: readInterval(globals(func(g *G) **time.Duration { return &g.garpInterval }))},
		{Name: "vrrp_gna_interval", Args: "SECONDS", In: placeGlobal, Help: "between two neighbour advertisements on an interface (0)", Parse: readInterval(globals(func(g *G) **time.Duration { return &g.naInterval }))},
		{Name: "vrrp_min_garp", Args: "[on|off]", In: placeGlobal, Help: "one gratuitous ARP, and no second set", Parse: readMinGARP},
		{Name: "vrrp_garp_extra_if", Args: "[all] SECONDS", In: placeGlobal, Help: "garp_extra_if of all", Parse: func(p *parser, n *node) {
			readGARPExtra(&p.global.garpExtraAll, &p.global.garpExtra, p, n)
		}},
		{Name: "vrrp_vmac_garp_intvl", Args: "[all] SECONDS", In: placeGlobal, Status: statusDeprecated, Cure: "write vrrp_garp_extra_if", Help: "vrrp_garp_extra_if", Parse: func(p *parser, n *node) {
			p.warnf(n.pos(0), "write vrrp_garp_extra_if", "'vrrp_vmac_garp_intvl' is deprecated")
			readGARPExtra(&p.global.garpExtraAll, &p.global.garpExtra, p, n)
		}},
		{Name: "vrrp_startup_delay", Args: "SECONDS", In: placeGlobal, Help: "how long instances wait after the start", Parse: timed(0, maxTimer, failover(func(f *F) *time.Duration { return &f.StartupDelay }))},
		{Name: "log_unknown_vrids", Status: statusHarmless, Cure: "advertisements for nobody are dropped before they are read", In: placeGlobal, Help: "advertisements for nobody are logged", Parse: set(failover(func(f *F) *bool { return &f.LogUnknownVRIDs }))},
		{Name: "vmac_prefix", Args: "NAME", In: placeGlobal, Help: "of the names of use_vmac interfaces (vrrp)", Parse: onceText(func(f *F) *string { return &f.VMACPrefix })},
		{Name: "vmac_addr_prefix", Args: "NAME", In: placeGlobal, Help: "of the names of use_vmac_addr interfaces", Parse: onceText(func(f *F) *string { return &f.VMACAddrPrefix })},
		{Name: "dynamic_interfaces", Args: "[allow_if_changes]", In: placeGlobal, Help: "interfaces may come later, and go", Parse: readDynamic},

		{Name: "lvs_sync_daemon", Args: "INTERFACE [[inst] INSTANCE] [id N] [maxlen N] [port N] [ttl N] [group ADDRESS]", In: placeGlobal, Help: "connections are told to the other director", Parse: readSyncDaemon},
		{Name: "lvs_timeouts", Args: "[tcp SECONDS] [tcpfin SECONDS] [udp SECONDS]", In: placeGlobal, Help: "how long idle connections are remembered", Parse: readLVSTimeouts},
		{Name: "lvs_flush", In: placeGlobal, Help: "other virtual servers are removed at the start", Parse: set(failover(func(f *F) *bool { return &f.LVS.Flush }))},
		{Name: "lvs_flush_on_stop", Args: "[VS]", In: placeGlobal, Help: "all virtual servers are removed at the end", Parse: readFlushOnStop},
		{Name: "lvs_flush_onstop", Args: "[VS]", In: placeGlobal, Help: "lvs_flush_on_stop", Parse: readFlushOnStop},
	}
}

func globalProcessKeywords() []keyword {
	type F = model.Failover
	type N = model.NotifyFIFO
	top := placeTop | placeGlobal
	user := " [USER [GROUP]]"
	return []keyword{
		{Name: "script_user", Args: "USER [GROUP]", In: placeGlobal, Help: "who runs scripts (keepalived_script, if there is one)", Parse: readScriptUserDefault},
		{Name: "enable_script_security", In: placeGlobal, Help: "no script is run as root that somebody else could change", Parse: set(failover(func(f *F) *bool { return &f.ScriptCheck }))},
		{Name: "notify_fifo", Args: "PATH" + user, In: placeGlobal, Help: "a pipe that gets a line for each event", Parse: readFIFO(func(n *N) *string { return &n.Path }, func(n *N) **model.Credential { return &n.User })},
		{Name: "notify_fifo_script", Args: "COMMAND" + user, In: placeGlobal, Help: "the program that reads it", Parse: readFIFOScript(func(n *N) **model.Command { return &n.Script })},
		{Name: "vrrp_notify_fifo", Args: "PATH" + user, In: placeGlobal, Help: "the same for instances and groups", Parse: readFIFO(func(n *N) *string { return &n.VRRPPath }, func(n *N) **model.Credential { return &n.VRRPUser })},
		{Name: "vrrp_notify_fifo_script", Args: "COMMAND" + user, In: placeGlobal, Help: "the program that reads it", Parse: readFIFOScript(func(n *N) **model.Command { return &n.VRRPScript })},
		{Name: "lvs_notify_fifo", Args: "PATH" + user, In: placeGlobal, Help: "the same for virtual and real servers", Parse: readFIFO(func(n *N) *string { return &n.LVSPath }, func(n *N) **model.Credential { return &n.LVSUser })},
		{Name: "lvs_notify_fifo_script", Args: "COMMAND" + user, In: placeGlobal, Help: "the program that reads it", Parse: readFIFOScript(func(n *N) **model.Command { return &n.LVSScript })},
		{Name: "fifo_write_vrrp_states_on_reload", In: placeGlobal, Help: "the states go to the FIFOs after a reload", Parse: set(failover(func(f *F) *bool { return &f.StatesOnReload }))},
		{Name: "startup_script", Args: "COMMAND" + user, In: placeGlobal, Help: "run before anything else", Parse: readHostScript(func(f *F) **model.Command { return &f.Startup })},
		{Name: "startup_script_timeout", Args: "1-1000", In: placeGlobal, Help: "seconds for it (10)", Parse: scriptTimeout(func(f *F) *time.Duration { return &f.StartupTimeout })},
		{Name: "shutdown_script", Args: "COMMAND" + user, In: placeGlobal, Help: "run after everything else", Parse: readHostScript(func(f *F) **model.Command { return &f.Shutdown })},
		{Name: "shutdown_script_timeout", Args: "1-1000", In: placeGlobal, Help: "seconds for it (10)", Parse: scriptTimeout(func(f *F) *time.Duration { return &f.ShutdownTimeout })},
		{Name: "nftables", Args: "[TABLE]", In: placeGlobal, Help: "the table of the rules for no_accept (evenkeel)", Parse: readTable},
		{Name: "nftables_priority", Args: "-65535-65535", In: placeGlobal, Help: "the place of its chain (-1)", Parse: countedP(-65535, 65535, failover(func(f *F) **int { return &f.Firewall.Priority }))},
		{Name: "nftables_counters", In: placeGlobal, Help: "the rules count", Parse: set(failover(func(f *F) *bool { return &f.Firewall.Counters }))},
		{Name: "vrrp_rt_priority", Args: "1-99", In: placeGlobal, Help: "real-time priority", Parse: counted(1, 99, failover(func(f *F) *int { return &f.RTPriority }))},
		{Name: "vrrp_rlimit_rttime", Status: statusHarmless, Cure: "the loop never runs long, and the limit is raised as far as it may", Args: "MICROSECONDS", In: placeGlobal, Help: "processor time without a pause", Parse: func(p *parser, n *node) {
			if v, ok := p.number(n, 1, 1, math.MaxInt32, "the line is not used"); ok {
				p.f.RTTimeLimit = time.Duration(v) * time.Microsecond
			}
		}},
		{Name: "vrrp_priority", Args: "-20-19", In: placeGlobal, Help: "niceness", Parse: countedP(-20, 19, failover(func(f *F) **int { return &f.Nice }))},
		{Name: "vrrp_cpu_affinity", Status: statusHarmless, Cure: "use CPUAffinity= of the systemd unit", Args: "NUMBER …", In: placeGlobal, Help: "the processors it runs on", Parse: readCPUs},
		{Name: "vrrp_no_swap", Status: statusHarmless, Cure: "use MemorySwapMax=0 of the systemd unit", In: placeGlobal, Help: "it stays in memory", Parse: set(failover(func(f *F) *bool { return &f.NoSwap }))},
		{Name: "net_namespace", Args: "NAME", In: top, Help: "the network namespace to run in", Parse: onceText(func(f *F) *string { return &f.Namespace })},
		{Name: "net_namespace_ipvs", Status: statusLater, Cure: "start what forwards packets in its namespace: ip netns exec NAME evenkeel …", Args: "[NAME]", In: top, Help: "the network namespace of virtual servers", Parse: func(p *parser, n *node) {
			p.f.HasNamespaceIPVS, p.f.NamespaceIPVS = true, n.arg(1)
		}},
		{Name: "instance", Status: statusHarmless, Cure: "several on one host are told apart by the files of their -p, and by -i", Args: "NAME", In: top, Help: "of several that run on one host", Parse: onceText(func(f *F) *string { return &f.Instance })},
		{Name: "child_wait_time", Status: statusHarmless, Cure: "the end takes as long as the peers need to take over", Args: "SECONDS", In: placeTop, Help: "how long the end may take (5)", Parse: timed(0, maxTimer, failover(func(f *F) *time.Duration { return &f.ChildWait }))},
		{Name: "config_save_dir", Status: statusHarmless, Cure: "a reload that is bad changes nothing, so there is nothing to go back to", Args: "DIRECTORY", In: placeGlobal, Help: "the configuration is kept there at each reload", Parse: text1(failover(func(f *F) *string { return &f.ConfigDirectory }))},
		{Name: "reload_check_config", Args: "[LOG]", In: placeGlobal, Help: "a reload is checked before it is done: here that is always so", Parse: func(p *parser, n *node) {
			if p.f.ReloadCheckLog = n.arg(1); len(n.words) > 1 {
				p.warnf(n.pos(1), "take it out: 'evenkeel reload' prints what is wrong", "the file of reload_check_config is not written")
			}
		}},
		{Name: "reload_time_file", Status: statusHarmless, Cure: "use a timer of systemd and 'evenkeel reload'", Args: "PATH", In: placeGlobal, Help: "holds the time of the next reload", Parse: text1(failover(func(f *F) *string { return &f.ReloadTimeFile }))},
		{Name: "reload_repeat", Status: statusHarmless, Cure: "use a timer of systemd and 'evenkeel reload'", In: placeGlobal, Help: "that file stays: a reload every day", Parse: set(failover(func(f *F) *bool { return &f.ReloadRepeat }))},
		{Name: "reload_file", Status: statusHarmless, Cure: "'evenkeel reload' returns when the reload is over, and says how it went", Args: "[PATH]", In: placeGlobal, Help: "is there while files are being read", Parse: func(p *parser, n *node) {
			if p.f.ReloadFile = n.arg(1); p.f.ReloadFile == "" {
				p.f.ReloadFile = "/run/keepalived/keepalived.reload"
			}
		}},
		{Name: "include_check", Args: "[[+|-]readable|match|wildcard_match|brace_match] …", In: placeGlobal, Help: "what an include must find", Parse: func(*parser, *node) {}},
		{Name: "random_seed", Status: statusHarmless, Cure: "take it out: the numbers depend on the host and on their order, so that a reload changes none", Args: "NUMBER", In: placeGlobal, Help: "of ${_RANDOM}", Parse: func(p *parser, n *node) { p.number(n, 1, 0, math.MaxUint32, "the line is not used") }},
	}
}

func scriptTimeout(at func(f *model.Failover) *time.Duration) func(*parser, *node) {
	return func(p *parser, n *node) {
		if v, ok := p.number(n, 1, 1, 1000, "10 is used"); ok {
			*at(p.f) = time.Duration(v) * time.Second
		}
	}
}

// linkbeatCure is why nothing is polled.
const linkbeatCure = "the kernel tells of each change of a link's carrier at once"

// readTable reads nftables [TABLE]: the table of the rules for no_accept.
func readTable(p *parser, n *node) {
	name := n.arg(1)
	for k, r := range name {
		if letter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'; !letter && (k == 0 || r < '0' || r > '9') {
			p.warnf(n.pos(1), "write letters, digits and '_'", "'%s' is not the name of a table: it is not used", name)
			return
		}
	}
	p.f.Firewall.Table = name
}

// globalHarmless are the switches of keepalived's own insides.
func globalHarmless() []keyword {
	var out []keyword
	for _, group := range []struct {
		args, help, cure string
		names            []string
	}{
		{"", "names of keepalived's processes", "evenkeel's processes have their own names; leave the line for keepalived",
			[]string{"process_names"}},
		{"NAME", "name of one of keepalived's processes", "evenkeel's processes have their own names; leave the line for keepalived",
			[]string{"process_name", "vrrp_process_name", "checker_process_name", "lvs_process_name", "bfd_process_name"}},
		{"DIRECTORY", "where the configuration is copied while it is read", "the files are read once, into memory", []string{"tmp_config_directory"}},
		{"NUMBER …", "scheduling of keepalived's other processes", "there is one process: see vrrp_priority, vrrp_rt_priority, vrrp_cpu_affinity",
			[]string{"checker_priority", "bfd_priority", "checker_rt_priority", "bfd_rt_priority", "checker_cpu_affinity", "bfd_cpu_affinity",
				"checker_rlimit_rttime", "bfd_rlimit_rttime", "checker_rlimit_rtime", "bfd_rlimit_rtime", "vrrp_rlimit_rtime"}},
		{"", "memory of keepalived's other processes", "there is one process: see vrrp_no_swap", []string{"checker_no_swap", "bfd_no_swap"}},
		{"[NUMBER]", "priority that rises by itself", "the loop runs at real-time priority where that is permitted, from the start",
			[]string{"max_auto_priority", "min_auto_priority_delay"}},
		{"VALUE", "socket buffers", "buffers are as large as they have to be",
			[]string{"vrrp_netlink_cmd_rcv_bufs", "vrrp_netlink_cmd_rcv_bufs_force", "vrrp_netlink_monitor_rcv_bufs", "vrrp_netlink_monitor_rcv_bufs_force",
				"lvs_netlink_cmd_rcv_bufs", "lvs_netlink_cmd_rcv_bufs_force", "lvs_netlink_monitor_rcv_bufs", "lvs_netlink_monitor_rcv_bufs_force",
				"process_monitor_rcv_bufs", "process_monitor_rcv_bufs_force", "vrrp_rx_bufs_policy", "vrrp_rx_bufs_multiplier"}},
		{"[NAME …]", "names of firewall chains and sets", "no_accept uses nftables: see nftables",
			[]string{"vrrp_iptables", "vrrp_ipsets", "nftables_ifindex", "namespace_with_ipsets", "disable_local_igmp"}},
		{"[VALUE]", "one mark for all addresses of a group", "each address of a virtual_server_group is a service here: a client may have another server for each",
			[]string{"nftables_ipvs", "nftables_ipvs_priority", "nftables_ipvs_start_fwmark"}},
		{"[VALUE]", "SNMP", "metrics are at /metrics; leave the line for keepalived",
			[]string{"snmp_socket", "enable_snmp_keepalived", "enable_snmp_vrrp", "enable_snmp_checker", "enable_snmp_rfc", "enable_snmp_rfcv2", "enable_snmp_rfcv3", "enable_traps"}},
		{"[NAME]", "D-Bus", "states are told by 'evenkeel status', the FIFOs and webhooks", []string{"enable_dbus", "dbus_service_name"}},
		{"[VALUE]", "files that keepalived makes", "evenkeel's dumps go to the one who asks", []string{"data_use_instance", "umask", "use_pid_dir"}},
	} {
		for _, name := range group.names {
			in := placeGlobal
			if name == "use_pid_dir" || name == "namespace_with_ipsets" || name == "linkbeat_use_polling" {
				in |= placeTop
			}
			out = append(out, keyword{Name: name, Args: group.args, In: in, Help: group.help, Status: statusHarmless, Cure: group.cure})
		}
	}
	out = append(out, keyword{Name: "linkbeat_use_polling", In: placeGlobal | placeTop, Help: "links are polled", Status: statusHarmless,
		Cure: linkbeatCure})
	return out
}
