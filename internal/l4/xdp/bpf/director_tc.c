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
#include "control.h"

SEC("tc")
int director(struct __sk_buff *ctx)
{
	int verdict;
	__u32 outside = (ctx->ifindex ^ LOOPBACK) | (ctx->cb[0] ^ LOCAL_0) | (ctx->cb[1] ^ LOCAL_1);
	__u32 before = (ctx->cb[0] ^ LOCAL_0) | (ctx->cb[1] ^ MARKED_1);

	/* Without a branch: behind one the verifier would go both ways. */
	outside |= -outside;
	before |= -before;
	asm volatile("" : "+r"(outside), "+r"(before));
	verdict = direct(ctx, (outside >> 31 ^ 1) * FROM_HERE + (before >> 31 ^ 1) * FROM_BEHIND);
	if (ctx->mark && ctx->cb[0] == LOCAL_0) {
		/* On its way out it would come by director_marked again. */
		if (verdict == TC_REDIRECT)
			ctx->mark = 0;
		/* The host's own, after all: it is not to be copied again. */
		else if (verdict == CTX_PASS && ctx->cb[2])
			ctx->priority = SEEN;
	}
	return verdict;
}

/* restore undoes what the kernel does to a copy: it takes one off the hop limit
 * and sets DF. The hop limit of one that was on the loopback before is left: it
 * ends a loop, should somebody change priorities there. */
static __always_inline int restore(struct __sk_buff *ctx, __u32 copy)
{
	__u32 at = ctx->protocol == bpf_htons(ETHERTYPE_IPV6) ? ETH_LEN + 7 : ETH_LEN + 8;
	__be16 old, new;
	__u8 hops[2];

	if (bpf_skb_change_type(ctx, PACKET_HOST) || bpf_skb_load_bytes(ctx, at, hops, 2))
		return -1;
	if (copy == COPY_LOCAL)
		return !hops[0];
	__builtin_memcpy(&old, hops, 2);
	hops[0]++;
	__builtin_memcpy(&new, hops, 2);
	if (bpf_skb_store_bytes(ctx, at, hops, 2, 0))
		return -1;
	if (ctx->protocol == bpf_htons(ETHERTYPE_IPV6))
		return 0;
	if (bpf_l3_csum_replace(ctx, ETH_LEN + 10, old, new, 2))
		return -1;
	if (copy != COPY_CUTTABLE)
		return 0;
	if (bpf_skb_load_bytes(ctx, ETH_LEN + 6, &old, 2))
		return -1;
	new = old & ~bpf_htons(IP4_DF);
	return bpf_l3_csum_replace(ctx, ETH_LEN + 10, old, new, 2) ||
	       bpf_skb_store_bytes(ctx, ETH_LEN + 6, &new, 2, 0);
}

/* On egress of the loopback: what processes here send to addresses of this
 * host, and nftables' copies of packets to those with a service's mark, which
 * netfilter has set behind ingress (see package marks: the kind of packet says
 * that it is one). It is the director that goes on with it: so large a program
 * is not given to the verifier twice. What cb holds elsewhere nobody says, and
 * programs that are run by hand are on the loopback too. */
SEC("tc")
int director_local(struct __sk_buff *ctx)
{
	__u32 copy = ctx->mark && ctx->pkt_type <= COPY_CUTTABLE ? ctx->pkt_type : 0;

	ctx->cb[0] = LOCAL_0;
	ctx->cb[1] = copy && copy != COPY_LOCAL ? MARKED_1 : LOCAL_1;
	ctx->cb[2] = copy;
	if (copy && restore(ctx, copy))
		return CTX_DROP;
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
	ctx->cb[2] = 0;
	bpf_tail_call(ctx, &entries, 0);
	return CTX_PASS;
}

char terms[] SEC("license") = "Dual MIT/GPL";
