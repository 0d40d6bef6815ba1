/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Where packets leave. */
#pragma once

static __always_inline int set_macs(ctx_t *ctx, const __u32 *mac)
{
	__u32 *to = ctx_data(ctx);

	if ((void *)to + ETH_LEN > ctx_end(ctx))
		return -1;
	to[0] = mac[0];
	to[1] = mac[1];
	to[2] = mac[2];
	return 0;
}

static __always_inline int drop(__u32 why)
{
	count_drop(why);
	return CTX_DROP;
}

/* transmit sends a finished packet to a server's next hop. */
static __always_inline int transmit(ctx_t *ctx, const struct hop *h)
{
	if (h->flags & HOP_MAC) {
		if (set_macs(ctx, h->mac))
			return drop(DROP_INTERNAL);
		return ctx_redirect(ctx, h->ifindex);
	}
#ifdef CTX_HAS_NEIGHBOR
	if (h->flags & HOP_GATEWAY) {
		struct bpf_redir_neigh nh = {};

		if (h->flags & HOP_GATEWAY6) {
			nh.nh_family = AF_INET6;
			copy16((__be32 *)nh.ipv6_nh, h->gateway);
		} else {
			nh.nh_family = AF_INET;
			nh.ipv4_nh = h->gateway[0];
		}
		return ctx_redirect_neighbor(ctx, h->ifindex, &nh);
	}
#endif
	return drop(DROP_NO_ROUTE);
}

/* learn finds the next hop towards a client by the host's routes, and gives
 * the number under which it is kept + 1; 0 when there is none to keep. What to
 * do then is in verdict. */
static __noinline __u32 learn(ctx_t *ctx, const struct packet *p, const __be32 *to, int *verdict)
{
	struct bpf_fib_lookup fib = {};
	__u32 slot, i, mac[3], mtu;
	long r;

	if (p->family == 4) {
		fib.family = AF_INET;
		fib.ipv4_src = p->daddr[0];
		fib.ipv4_dst = to[0];
	} else {
		fib.family = AF_INET6;
		copy16(fib.ipv6_src, p->daddr);
		copy16(fib.ipv6_dst, to);
	}
	fib.l4_protocol = p->protocol;
	fib.ifindex = ctx_ifindex(ctx);
	fib.tot_len = 1; /* has it tell the route's MTU */
	r = bpf_fib_lookup(ctx, &fib, sizeof(fib), 0);
	*verdict = CTX_PASS;
#ifdef CTX_HAS_NEIGHBOR
	if (r == BPF_FIB_LKUP_RET_NO_NEIGH) {
		struct bpf_redir_neigh nh = {};

		nh.nh_family = fib.family;
		copy16((__be32 *)nh.ipv6_nh, (__be32 *)fib.ipv6_dst);
		*verdict = ctx_redirect_neighbor(ctx, fib.ifindex, &nh);
		return 0;
	}
#endif
	if (r != BPF_FIB_LKUP_RET_SUCCESS)
		return 0;
	__builtin_memcpy(mac, fib.dmac, 6);
	__builtin_memcpy((__u8 *)mac + 6, fib.smac, 6);
	mtu = fib.mtu_result;
	slot = (mac[0] ^ mac[1] * 31 ^ fib.ifindex * 7919) ;
	for (i = 0; i < 8; i++) {
		__u32 at = (slot + i) % LEARNED_HOPS;
		struct learned_hop *h = bpf_map_lookup_elem(&learned_hops, &at);

		if (!h)
			break;
		if (h->ifindex == fib.ifindex && h->mac[0] == mac[0] && h->mac[1] == mac[1] &&
		    h->mac[2] == mac[2] && h->mtu == mtu) {
			__sync_lock_test_and_set(&h->tick, now_tick());
			/* The sweeper may have taken it meanwhile: see unlearn. */
			if (__sync_fetch_and_add(&h->ifindex, 0) == fib.ifindex)
				return at + 1;
		}
		if (__sync_val_compare_and_swap(&h->ifindex, 0, ~0U) == 0) {
			h->mac[0] = mac[0];
			h->mac[1] = mac[1];
			h->mac[2] = mac[2];
			h->mtu = mtu;
			h->tick = now_tick();
			__sync_lock_test_and_set(&h->ifindex, fib.ifindex);
			return at + 1;
		}
	}
#ifdef CTX_HAS_NEIGHBOR
	if (set_macs(ctx, mac))
		*verdict = CTX_DROP;
	else
		*verdict = ctx_redirect(ctx, fib.ifindex);
#endif
	return 0;
}

/* answer sends what was rewritten that way. */
static __always_inline int answer(ctx_t *ctx, __u32 way, int verdict)
{
	__u32 at = way - 1;
	struct learned_hop *h;

	if (!way)
		return verdict;
	h = bpf_map_lookup_elem(&learned_hops, &at);
	if (!h || set_macs(ctx, h->mac))
		return drop(DROP_INTERNAL);
	return ctx_redirect(ctx, h->ifindex);
}
