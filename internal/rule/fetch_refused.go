package rule

import "fmt"

// Keywords that HAProxy has and that cannot be used yet: known, so that the
// message says so.
func init() {
	const tables = "stick tables are not built yet"
	counters := []string{"bytes_in_rate", "bytes_out_rate", "clr_gpc", "clr_gpc0", "clr_gpc1", "conn_cnt", "conn_cur", "conn_rate", "get_gpc", "get_gpc0",
		"get_gpc1", "get_gpt", "get_gpt0", "gpc_rate", "gpc0_rate", "gpc1_rate", "http_err_cnt", "http_err_rate", "http_fail_cnt", "http_fail_rate",
		"http_req_cnt", "http_req_rate", "inc_gpc", "inc_gpc0", "inc_gpc1", "kbytes_in", "kbytes_out", "sess_cnt", "sess_rate", "tracked", "trackers", "updt_conn_cnt"}
	refuse := func(name, why string) {
		if fetchIndex[name] == nil {
			addFetches("refused", []FetchSpec{{Name: name, Max: -1, Phases: phaseAny, Refused: why, Help: "not built yet"}})
		}
	}
	for _, c := range counters {
		refuse("src_"+c, tables)
		refuse("sc_"+c, tables)
		for i := range 3 {
			refuse(fmt.Sprintf("sc%d_%s", i, c), tables)
		}
	}
	for _, n := range []string{"table_avail", "table_cnt"} {
		refuse(n, tables)
	}
	for _, n := range []string{"fc_rtt", "fc_rttvar", "fc_unacked", "fc_sacked", "fc_retrans", "fc_fackets", "fc_lost", "fc_reordering"} {
		refuse(n, "the kernel's figures of a connection are not read yet")
	}
	for _, n := range []string{"ssl_fc_session_id", "ssl_fc_session_key", "ssl_fc_client_random", "ssl_fc_server_random", "ssl_fc_cipherlist_bin", "ssl_fc_cipherlist_hex",
		"ssl_fc_cipherlist_str", "ssl_fc_cipherlist_xxh", "ssl_bc_session_id", "ssl_bc_session_key", "ssl_bc_client_random", "ssl_bc_server_random"} {
		refuse(n, "crypto/tls does not tell")
	}
}
