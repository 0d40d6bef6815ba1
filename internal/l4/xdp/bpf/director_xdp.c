// SPDX-License-Identifier: Apache-2.0 OR MIT
/* The director under XDP, in the driver of a physical interface. */
#include <linux/types.h>
#include <linux/bpf.h>
#include <linux/in.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#include "consts.h"
#include "structs.h"
#include "maps.h"
#include "ctx_xdp.h"
#include "changes.h"
#include "fast.h"
#include "flow.h"
#include "parse.h"
#include "schedule.h"
#include "insert.h"
#include "hop.h"
#include "icmp.h"
#include "nat.h"
#include "encap.h"
#include "core.h"

SEC("xdp")
int director_xdp(struct xdp_md *ctx)
{
	return direct(ctx, 0);
}

char terms[] SEC("license") = "Dual MIT/GPL";
