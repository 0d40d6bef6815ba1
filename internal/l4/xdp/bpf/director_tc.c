// SPDX-License-Identifier: Apache-2.0 OR MIT
/* The director under tc: clsact and tcx. */
#include <linux/types.h>
#include <linux/bpf.h>
#include <linux/in.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#include "consts.h"
#include "structs.h"
#include "maps.h"
#include "ctx_tc.h"
#include "flow.h"
#include "parse.h"
#include "schedule.h"
#include "insert.h"
#include "hop.h"
#include "icmp.h"
#include "nat.h"
#include "encap.h"
#include "core.h"
#include "control.h"

SEC("tc")
int director(struct __sk_buff *ctx)
{
	return direct(ctx, 0);
}

/* On egress of the loopback: what processes here send to addresses of this
 * host. */
SEC("tc")
int director_local(struct __sk_buff *ctx)
{
	return direct(ctx, 1);
}

SEC("tc")
int control(struct __sk_buff *ctx)
{
	return obey(ctx);
}

char terms[] SEC("license") = "Dual MIT/GPL";
