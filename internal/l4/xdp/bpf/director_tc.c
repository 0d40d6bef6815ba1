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
#include "changes.h"
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
	int verdict;
	__u32 other = (ctx->ifindex ^ LOOPBACK) | (ctx->cb[0] ^ LOCAL_0) | (ctx->cb[1] ^ LOCAL_1);

	/* Without a branch: behind one the verifier would go both ways. */
	other |= -other;
	asm volatile("" : "+r"(other));
	verdict = direct(ctx, other >> 31 ^ 1);
	/* On its way out it would come by director_marked again. */
	if (verdict == TC_REDIRECT && ctx->mark && ctx->cb[0] == LOCAL_0 && ctx->cb[1] == MARKED_1)
		ctx->mark = 0;
	return verdict;
}

/* On egress of the loopback: what processes here send to addresses of this
 * host. It is the director that goes on with it: so large a program is not
 * given to the verifier twice. What cb holds elsewhere nobody says, and
 * programs that are run by hand are on the loopback too. */
SEC("tc")
int director_local(struct __sk_buff *ctx)
{
	ctx->cb[0] = LOCAL_0;
	ctx->cb[1] = LOCAL_1;
	bpf_tail_call(ctx, &entries, 0);
	return CTX_PASS;
}

SEC("tc")
int control(struct __sk_buff *ctx)
{
	return obey(ctx);
}

/* On egress of the others, where there are services of marks: netfilter sets
 * marks behind ingress, and what is routed on comes by here. */
SEC("tc")
int director_marked(struct __sk_buff *ctx)
{
	if (!ctx->mark)
		return CTX_PASS;
	ctx->cb[0] = LOCAL_0;
	ctx->cb[1] = MARKED_1;
	bpf_tail_call(ctx, &entries, 0);
	return CTX_PASS;
}

char terms[] SEC("license") = "Dual MIT/GPL";
